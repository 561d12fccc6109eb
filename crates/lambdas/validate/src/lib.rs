#![doc = include_str!("../README.md")]

mod archive;
mod claim;
mod error;

pub use error::Error;

use async_trait::async_trait;
use domain::step::{ClaimOutput, ValidateInput};
use engine::announce::Announcer;
use engine::{BranchHistory, Clock, Enrolments, Objects, Result, SourceFetcher, Step, Table};
use std::sync::Arc;

/// The `validate` Lambda.
pub struct Validate {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// Fetches commits from the forge.
    pub source: Arc<dyn SourceFetcher>,
    /// Reads the history of branches at the forge.
    pub history: Arc<dyn BranchHistory>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub enrolments: Arc<dyn Enrolments>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Validate {
    type Input = ValidateInput;
    type Output = ClaimOutput;

    async fn run(&self, input: ValidateInput) -> Result<ClaimOutput> {
        match input {
            ValidateInput::Claim(input) => self.claim(input).await,
        }
    }
}

#[cfg(test)]
mod tests;
