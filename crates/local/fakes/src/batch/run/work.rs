//! What an attempt of a job runs as: a native process or a container.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::container::Container;
use crate::Host;
use crate::batch::state::job::Spec;
use crate::process::{self, Command, End, Limits, Scratch, Stop};

/// What a job with an image runs as.
#[derive(Clone, Debug)]
pub enum Runs {
    /// A native process.
    Process {
        /// The program.
        program: String,
        /// Its first arguments. The job's command follows them.
        args: Vec<String>,
    },
    /// A container.
    Container(Container),
}

/// One attempt of a job.
pub(super) struct Work<'a> {
    pub(super) spec: &'a Spec,
    /// From 1.
    pub(super) number: u32,
    /// The variables of the image, the job definition and Batch. They override those of the host.
    pub(super) env: BTreeMap<String, String>,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
    pub(super) lines: mpsc::Sender<String>,
}

/// A finished attempt.
pub(super) struct Finished {
    pub(super) end: End,
    /// ECS's reason, if the engine ended the container.
    pub(super) reason: Option<String>,
}

impl Runs {
    /// Runs an attempt to its end. The error is ECS's reason for a container that did not start.
    pub(super) async fn run(&self, host: &Host, work: Work<'_>) -> Result<Finished, String> {
        match self {
            Self::Process { program, args } => run_process(program, args, host, work).await,
            Self::Container(container) => container.run(host, work).await,
        }
    }
}

async fn run_process(
    program: &str,
    args: &[String],
    host: &Host,
    work: Work<'_>,
) -> Result<Finished, String> {
    let scratch = Scratch::below(&host.scratch, "batch-")
        .map_err(|error| format!("CannotCreateContainerError: {error}"))?;
    let mut env = host.environment(scratch.path());
    env.extend(work.env);
    let command = Command {
        program: program.to_owned(),
        args: args.iter().chain(&work.spec.command).cloned().collect(),
        env,
        dir: scratch.path().to_owned(),
    };
    let end = process::run(&command, work.limits, work.stop, work.lines).await;
    end.map(|end| Finished { end, reason: None })
        .map_err(|error| format!("CannotStartContainerError: {error}"))
}
