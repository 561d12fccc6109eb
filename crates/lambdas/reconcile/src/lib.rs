#![doc = include_str!("../README.md")]

mod branches;
mod reconcile;

use async_trait::async_trait;
use domain::step::{ReconcileInput, ReconcileOutput};
use engine::audit::AuditLog;
use engine::closing::Closing;
use engine::{BranchTips, Clock, Enrolments, EventBus, Executions, Result, Step, Table};
use std::sync::Arc;

/// The `reconcile` Lambda.
#[derive(Clone)]
pub struct Reconcile {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// Ends runs and their Batch jobs.
    pub closing: Closing,
    /// Writes audit entries.
    pub audit: AuditLog,
    /// Describes executions.
    pub executions: Arc<dyn Executions>,
    /// Reads branches at the forge.
    pub tips: Arc<dyn BranchTips>,
    /// The event bus.
    pub bus: Arc<dyn EventBus>,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Reconcile {
    type Input = ReconcileInput;
    type Output = ReconcileOutput;

    async fn run(&self, input: ReconcileInput) -> Result<ReconcileOutput> {
        match input {
            ReconcileInput::Reconcile => Box::pin(self.reconcile()).await,
        }
    }
}

#[cfg(test)]
mod tests;
