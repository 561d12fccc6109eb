//! The Lambda `validate`.

use crate::event::Trigger;
use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// The input of `validate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ValidateInput {
    /// Claims the run, fetches and checks the commit, and seals its source.
    Claim(Claim),
}

/// The input of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What started the execution, which is its input.
    pub event: Trigger,
    /// The execution's ARN.
    pub execution: String,
}

/// The output of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOutput {
    /// The run.
    pub run: RunId,
    /// The result of the claim.
    pub verdict: ClaimVerdict,
}

/// The verdict on a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// This execution claimed the run, and the commit is fit for delivery.
    Accepted,
    /// Another execution claimed the run.
    Duplicate,
}
