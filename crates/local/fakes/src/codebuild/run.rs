//! The life cycle of a build, from SUBMITTED to COMPLETED.

mod buildspec;
mod phases;
mod source;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use self::buildspec::{Buildspec, OnFailure};
use self::phases::{Environment, Outcome};
use super::CodeBuild;
use super::state::build::{Build, Phase, Spec};
use crate::aws_json::text;
use crate::cloud::Event;
use crate::logs::LogWriter;
use crate::process::{Cause, Stop};
use crate::{now, now_ms};

/// The status of a build, unless a phase fails. The first failed phase decides it.
const SUCCEEDED: &str = "SUCCEEDED";
const FAILED: &str = "FAILED";

/// A failed phase: its status, and the code and message of its context.
struct Failure {
    status: &'static str,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl CodeBuild {
    /// Starts the life cycle of a build that is already in the state.
    pub(super) fn launch(self: &Arc<Self>, id: &str) {
        let state = self.state();
        let Some(build) = state.builds.get(id) else {
            return;
        };
        let (spec, stop) = (build.spec.clone(), build.stopped());
        self.announce(build);
        drop(state);
        let codebuild = Arc::clone(self);
        self.background
            .spawn(async move { codebuild.live(&spec, stop).await });
    }

    async fn live(&self, spec: &Spec, stop: Stop) {
        for kind in ["SUBMITTED", "QUEUED", "PROVISIONING"] {
            self.enter(spec, kind);
            self.leave(spec, Ok(()), None).await;
        }
        let log = match &spec.log {
            None => None,
            Some((group, stream)) => {
                match LogWriter::open(Arc::clone(&self.cloud), group, stream, true).await {
                    Ok(log) => Some(log),
                    Err(error) => {
                        // As on AWS, a build continues without its log.
                        tracing::warn!(build = spec.id, %error, "the build has no log");
                        None
                    }
                }
            }
        };
        let status = self.work(spec, stop, log.as_ref()).await;
        self.enter(spec, "FINALIZING");
        self.leave(spec, Ok(()), log.as_ref()).await;
        if let Some(log) = log {
            log.close().await;
        }
        self.enter(spec, "COMPLETED");
        let mut state = self.state();
        if let Some(build) = state.builds.get_mut(&spec.id) {
            build.status = status;
            build.ended_at = Some(now_ms());
            self.announce(build);
        }
    }

    /// Runs everything between PROVISIONING and FINALIZING. Returns the build's status.
    async fn work(&self, spec: &Spec, stop: Stop, log: Option<&LogWriter>) -> &'static str {
        let mut minutes = self.config.timing.minute;
        minutes *= u32::try_from(spec.timeout_minutes).unwrap_or(u32::MAX);
        let deadline = Instant::now() + minutes;

        self.enter(spec, "DOWNLOAD_SOURCE");
        let ready = self.prepare(spec, &stop, deadline, log).await;
        let (environment, buildspec) = match ready {
            Ok(ready) => ready,
            Err(failure) => {
                let status = failure.status;
                self.leave(spec, Err(failure), log).await;
                return status;
            }
        };
        self.leave(spec, Ok(()), log).await;

        let phases = buildspec.phases;
        let mut status = SUCCEEDED;
        for (kind, phase) in [
            ("INSTALL", phases.install),
            ("PRE_BUILD", phases.pre_build),
            ("BUILD", phases.build),
            ("POST_BUILD", phases.post_build),
        ] {
            self.enter(spec, kind);
            let succeeding = status == SUCCEEDED;
            let mut result = Ok(());
            for (number, commands) in [&phase.commands, &phase.finally].into_iter().enumerate() {
                let name = format!("{kind}-{number}");
                let outcome = environment
                    .run(&name, commands, succeeding, &stop, deadline)
                    .await;
                let failure = judge(outcome, commands);
                let over = failure
                    .as_ref()
                    .is_some_and(|failure| failure.status != FAILED);
                if let (true, Some(failure)) = (result.is_ok() || over, failure) {
                    result = Err(failure);
                }
                if over {
                    break;
                }
            }
            let failed = result.as_ref().err().map(|failure| failure.status);
            self.leave(spec, result, log).await;
            let Some(failed) = failed else { continue };
            if status == SUCCEEDED {
                status = failed;
            }
            let goes_on = match phase.on_failure {
                _ if failed != FAILED => false,
                Some(OnFailure::Continue) => true,
                Some(OnFailure::Abort) => false,
                None => kind == "BUILD",
            };
            if !goes_on {
                break;
            }
        }
        self.record_exported(spec, &environment, &buildspec.env.exported_variables);
        if status == SUCCEEDED {
            self.enter(spec, "UPLOAD_ARTIFACTS");
            self.leave(spec, Ok(()), log).await;
        }
        status
    }

    async fn prepare(
        &self,
        spec: &Spec,
        stop: &Stop,
        deadline: Instant,
        log: Option<&LogWriter>,
    ) -> Result<(Environment, Buildspec), Failure> {
        let mut environment =
            Environment::new(&self.config, spec, log.map(|log| log.lines.clone()))
                .map_err(|error| Failure::new("FAULT", "INTERNAL_ERROR", error.to_string()))?;
        let dir = environment.source_dir();
        let fetched = source::fetch(&*self.cloud, &spec.source, &dir);
        let mut stop = stop.clone();
        tokio::select! {
            fetched = fetched => {
                fetched.map_err(|error| Failure::new(FAILED, "CLIENT_ERROR", error))?;
            }
            _ = stop.wait_for(Option::is_some) => {
                return Err(Failure::new("STOPPED", "CLIENT_ERROR", "the build was stopped"));
            }
            () = tokio::time::sleep_until(deadline) => {
                return Err(Failure::new("TIMED_OUT", "BUILD_TIMED_OUT", TIMED_OUT));
            }
        }
        let yaml_error = |error| Failure::new(FAILED, "YAML_FILE_ERROR", error);
        let given = text(&spec.source, "buildspec").unwrap_or_default();
        let yaml = if given.contains('\n') {
            given.to_owned()
        } else {
            let file = if given.is_empty() {
                "buildspec.yml"
            } else {
                given
            };
            std::fs::read_to_string(dir.join(file))
                .map_err(|error| yaml_error(format!("{file}: {error}")))?
        };
        let buildspec = Buildspec::parse(&yaml).map_err(yaml_error)?;
        environment.configure(&buildspec.env, spec);
        Ok((environment, buildspec))
    }

    fn record_exported(&self, spec: &Spec, environment: &Environment, names: &[String]) {
        let exported = environment.exported(names);
        if let Some(build) = self.state().builds.get_mut(&spec.id) {
            build.exported = exported;
        }
    }

    fn enter(&self, spec: &Spec, kind: &'static str) {
        if let Some(build) = self.state().builds.get_mut(&spec.id) {
            build.phases.push(Phase {
                kind,
                status: None,
                started_at: now_ms(),
                ended_at: None,
                context: None,
            });
        }
    }

    async fn leave(&self, spec: &Spec, result: Result<(), Failure>, log: Option<&LogWriter>) {
        let (status, context) = match result {
            Ok(()) => (SUCCEEDED, None),
            Err(failure) => (failure.status, Some((failure.code, failure.message))),
        };
        let mut kind = "";
        if let Some(build) = self.state().builds.get_mut(&spec.id)
            && let Some(phase) = build.phases.last_mut()
        {
            phase.status = Some(status);
            phase.ended_at = Some(now_ms());
            phase.context.clone_from(&context);
            kind = phase.kind;
        }
        if let Some(log) = log {
            let (code, message) = context.unwrap_or(("", String::new()));
            let lines = [
                format!("Phase complete: {kind} State: {status}"),
                format!("Phase context status code: {code} Message: {message}"),
            ];
            for line in lines {
                log.lines
                    .send(format!("[Container] {} {line}", timestamp()))
                    .await
                    .ok();
            }
        }
    }

    fn announce(&self, build: &Build) {
        let spec = &build.spec;
        let phases: Vec<Value> = build.phases.iter().map(Phase::to_json).collect();
        let detail = json!({
            "build-status": build.status,
            "project-name": spec.project,
            "build-id": spec.arn,
            "current-phase": build.current_phase(),
            "current-phase-context": "[: ]",
            "version": "1",
            "additional-information": {
                "build-complete": build.is_complete(),
                "build-number": spec.number,
                "initiator": spec.initiator,
                "timeout-in-minutes": spec.timeout_minutes,
                "source": { "type": spec.source.get("type"), "location": spec.source.get("location") },
                "logs": build.logs(),
                "phases": phases,
            },
        });
        self.background.publish(Event {
            source: "aws.codebuild".to_owned(),
            detail_type: "CodeBuild Build State Change".to_owned(),
            resources: vec![spec.arn.clone()],
            detail,
        });
    }
}

/// The maximum number of characters of a command in a message.
const LONGEST_QUOTE: usize = 400;
const TIMED_OUT: &str = "Build has timed out.";

/// Returns the failure of a list of commands, if it failed.
fn judge(outcome: Result<Outcome, String>, commands: &[String]) -> Option<Failure> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Some(Failure::new("FAULT", "INTERNAL_ERROR", error)),
    };
    match outcome.cause {
        Cause::Stopped => Some(Failure::new(
            "STOPPED",
            "CLIENT_ERROR",
            "the build was stopped",
        )),
        Cause::TimedOut => Some(Failure::new("TIMED_OUT", "BUILD_TIMED_OUT", TIMED_OUT)),
        Cause::Itself if outcome.code == 0 => None,
        Cause::Itself => {
            let command = commands
                .get(outcome.command)
                .map_or("", String::as_str)
                .trim_end();
            let command: String = command.chars().take(LONGEST_QUOTE).collect();
            let message = format!(
                "Error while executing command: {command}. Reason: exit status {}",
                outcome.code
            );
            Some(Failure::new(FAILED, "COMMAND_EXECUTION_ERROR", message))
        }
    }
}

/// Returns the current time as CodeBuild writes it in logs.
fn timestamp() -> String {
    now().strftime("%Y/%m/%d %H:%M:%S.%6f").to_string()
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
