#![doc = include_str!("../README.md")]

mod error;
mod execution_ended;
mod promote;
mod record;

pub use error::Error;

use async_trait::async_trait;
use domain::step::{RecordInput, RecordOutput};
use engine::announce::Announcer;
use engine::audit::AuditLog;
use engine::closing::Closing;
use engine::{Clock, Enrolments, Executions, Result, Step, Table};
use std::sync::Arc;

/// The `record` Lambda.
#[derive(Clone)]
pub struct Record {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// Ends runs and their Batch jobs.
    pub closing: Closing,
    /// Writes audit entries.
    pub audit: AuditLog,
    /// Describes executions.
    pub executions: Arc<dyn Executions>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Record {
    type Input = RecordInput;
    type Output = RecordOutput;

    async fn run(&self, input: RecordInput) -> Result<RecordOutput> {
        match input {
            RecordInput::Promote(input) => Box::pin(self.promote(input))
                .await
                .map(RecordOutput::Promote),
            RecordInput::Record(input) => {
                Box::pin(self.record(input)).await.map(RecordOutput::Record)
            }
            RecordInput::ExecutionEnded(input) => Box::pin(self.execution_ended(input))
                .await
                .map(RecordOutput::Record),
        }
    }
}

#[cfg(test)]
mod tests;
