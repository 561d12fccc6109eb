//! The Lambda `build-trigger`.

use super::CaughtError;
use crate::ids::RunId;
use serde::{Deserialize, Serialize};

/// The input of `build-trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum BuildTriggerInput {
    /// Decides whether the source must be tested and its image built.
    Decide(DecideBuild),
    /// Records the result of the test, and decides whether the image must be built.
    FinishTest(FinishTest),
    /// Finds the built image, or records why it does not exist.
    Finish(FinishBuild),
}

/// The output of `build-trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum BuildTriggerOutput {
    /// Of `decide`.
    Decide(DecideBuildOutput),
    /// Of `finish-test`.
    FinishTest(FinishTestOutput),
    /// Of `finish`.
    Finish(FinishBuildOutput),
}

/// The input of `decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideBuild {
    /// The run.
    pub run: RunId,
}

/// The output of `decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum DecideBuildOutput {
    /// Start this test.
    Test(BuildOrder),
    /// Start this build of the image. The same source passed its test before.
    Image(BuildOrder),
    /// The image is in the registry and the source passed its test, or the repository builds no
    /// image.
    NoBuild,
}

/// A build to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildOrder {
    /// The name of the CodeBuild project.
    pub project: String,
    /// The archive, in the form of CodeBuild's S3 source: `bucket/key`.
    pub source: String,
    /// The variables that override those of the CodeBuild project.
    pub environment: Vec<BuildVariable>,
}

/// The input of `finish-test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishTest {
    /// The run.
    pub run: RunId,
    /// Set when CodeBuild failed.
    #[serde(default)]
    pub error: Option<CaughtError>,
}

/// The output of `finish-test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum FinishTestOutput {
    /// The test passed. Start this build of the image.
    Image(BuildOrder),
    /// The test passed, and the run's record has the image.
    Built,
    /// The run fails when its first plans are made, with their errors too.
    Failed,
}

/// The input of `finish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishBuild {
    /// The run.
    pub run: RunId,
    /// Set when CodeBuild failed.
    #[serde(default)]
    pub error: Option<CaughtError>,
}

/// The output of `finish`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishBuildOutput {
    /// The verdict on the build.
    pub verdict: BuildVerdict,
}

/// The verdict on a build that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildVerdict {
    /// The run's record has the image.
    Built,
    /// The run fails when its first plans are made, with their errors too.
    Failed,
}

/// A variable of a build, in CodeBuild's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BuildVariable {
    /// The variable's name.
    pub name: String,
    /// The variable's value.
    pub value: String,
    /// Always `PLAINTEXT`: no variable holds a secret.
    #[serde(rename = "Type")]
    pub kind: String,
}

/// The names of a build's variables.
pub mod build_variable {
    /// The run's id.
    pub const RUN: &str = "SLUICEGATE_RUN";
    /// The commit id.
    pub const COMMIT: &str = "SLUICEGATE_COMMIT";
    /// The build context, relative to the source's root. `.` for the root.
    pub const CONTEXT: &str = "SLUICEGATE_CONTEXT";
    /// The path of the Dockerfile, relative to the context.
    pub const DOCKERFILE: &str = "SLUICEGATE_DOCKERFILE";
    /// The test command.
    pub const TEST: &str = "SLUICEGATE_TEST";
    /// The image repository: `registry/repository`.
    pub const IMAGE: &str = "SLUICEGATE_IMAGE";
    /// The image's tag.
    pub const TAG: &str = "SLUICEGATE_TAG";
}
