//! The Lambda `deploy`.

use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// The input of `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum DeployInput {
    /// Starts the rollout.
    Start(StartDeploy),
    /// Checks the rollout.
    Check(CheckDeploy),
}

/// The output of `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum DeployOutput {
    /// Of `start`.
    Start(StartDeployOutput),
    /// Of `check`.
    Check(CheckDeployOutput),
}

/// The input of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartDeploy {
    /// The run.
    pub run: RunId,
}

/// The output of `start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartDeployOutput {
    /// Whether there is a rollout.
    pub verdict: StartDeployVerdict,
}

/// The verdict of `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartDeployVerdict {
    /// The commit releases nothing.
    None,
    /// The rollout is to be checked.
    Started,
}

/// The input of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckDeploy {
    /// The run.
    pub run: RunId,
}

/// The output of `check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDeployOutput {
    /// The progress of the rollout.
    pub verdict: CheckDeployVerdict,
}

/// The verdict of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckDeployVerdict {
    /// The rollout is not complete yet.
    InProgress,
    /// The service is healthy at its URL, with the right commit.
    Healthy,
}
