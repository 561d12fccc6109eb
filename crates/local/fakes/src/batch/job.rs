//! One job: its specification, its status, and its representation in `DescribeJobs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::retry::Strategy;
use crate::now_ms;
use crate::process::Stop;

/// The statuses of a job, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Status {
    Submitted,
    Pending,
    Runnable,
    Starting,
    Running,
    Succeeded,
    Failed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Pending => "PENDING",
            Self::Runnable => "RUNNABLE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }

    pub(super) fn is_final(self) -> bool {
        self >= Self::Succeeded
    }
}

/// A submitted job.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) queue_arn: String,
    pub(super) queue: String,
    pub(super) definition_arn: String,
    pub(super) definition: String,
    /// `containerProperties` of the definition with the overrides applied.
    pub(super) container: Value,
    pub(super) parameters: Value,
    pub(super) tags: Value,
    pub(super) propagate_tags: bool,
    /// With parameters substituted.
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) image: String,
    /// In thousandths of a vCPU.
    pub(super) vcpus: u64,
    pub(super) retry: Strategy,
    pub(super) timeout: Option<Duration>,
    pub(super) log: Log,
}

/// The log group and stream of the job.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) group: String,
    pub(super) prefix: String,
    pub(super) create_group: bool,
}

/// A job with its current status.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) spec: Spec,
    /// The submission order, in which a queue schedules its jobs.
    pub(super) number: usize,
    pub(super) status: Status,
    pub(super) status_reason: Option<String>,
    pub(super) created_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) stopped_at: Option<i64>,
    pub(super) attempts: Vec<Value>,
    /// The latest attempt.
    pub(super) latest: Attempt,
    /// The reason given when the job was terminated or canceled.
    pub(super) end_reason: Option<String>,
    pub(super) cancelled: bool,
    pub(super) terminated: bool,
    /// Whether a Spot interruption ended the current attempt.
    interrupted: bool,
    stop: watch::Sender<Option<Duration>>,
}

/// One attempt of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    pub(super) task_arn: Option<String>,
    pub(super) log_stream: Option<String>,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

impl Job {
    pub(super) fn new(spec: Spec, number: usize) -> Self {
        Self {
            spec,
            number,
            status: Status::Submitted,
            status_reason: None,
            created_at: now_ms(),
            started_at: None,
            stopped_at: None,
            attempts: Vec::new(),
            latest: Attempt::default(),
            end_reason: None,
            cancelled: false,
            terminated: false,
            interrupted: false,
            stop: watch::Sender::new(None),
        }
    }

    /// Terminates the job in any status. Does nothing when the job has already ended.
    pub(super) fn terminate(&mut self, reason: &str, grace: Duration) {
        if self.status.is_final() {
            return;
        }
        self.terminated = true;
        self.end_reason.get_or_insert_with(|| reason.to_owned());
        self.stop.send_replace(Some(grace));
    }

    /// Interrupts the running attempt, as a Spot interruption does.
    pub(super) fn interrupt(&mut self, grace: Duration) {
        if self.status == Status::Running && self.end_reason.is_none() {
            self.interrupted = true;
            self.stop.send_replace(Some(grace));
        }
    }

    /// Returns whether the ended attempt was interrupted, and clears the flag.
    pub(super) fn take_interruption(&mut self) -> bool {
        let interrupted = std::mem::take(&mut self.interrupted) && self.end_reason.is_none();
        if interrupted {
            self.stop.send_replace(None);
        }
        interrupted
    }

    /// Cancels the job if it has not reached STARTING. Otherwise does nothing.
    pub(super) fn cancel(&mut self, reason: &str) {
        if self.status < Status::Starting {
            self.cancelled = true;
            self.end_reason.get_or_insert_with(|| reason.to_owned());
            self.stop.send_replace(Some(Duration::ZERO));
        }
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop.subscribe()
    }

    pub(super) fn summary(&self) -> Value {
        let mut summary = json!({
            "jobId": self.spec.id,
            "jobArn": self.spec.arn,
            "jobName": self.spec.name,
            "jobDefinition": self.spec.definition_arn,
            "createdAt": self.created_at,
            "status": self.status.name(),
            "container": {},
        });
        put(&mut summary, "statusReason", self.status_reason.as_deref());
        put(&mut summary, "startedAt", self.started_at);
        put(&mut summary, "stoppedAt", self.stopped_at);
        if let Some(container) = summary.get_mut("container") {
            put(container, "exitCode", self.latest.exit_code);
            put(container, "reason", self.latest.reason.as_deref());
        }
        summary
    }

    /// Returns the job as `DescribeJobs` and the events represent it.
    pub(super) fn detail(&self) -> Value {
        let spec = &self.spec;
        let mut container = spec.container.clone();
        put(&mut container, "exitCode", self.latest.exit_code);
        put(&mut container, "reason", self.latest.reason.as_deref());
        put(&mut container, "taskArn", self.latest.task_arn.as_deref());
        put(
            &mut container,
            "logStreamName",
            self.latest.log_stream.as_deref(),
        );
        put(&mut container, "networkInterfaces", Some(json!([])));
        let mut detail = json!({
            "jobId": spec.id,
            "jobArn": spec.arn,
            "jobName": spec.name,
            "jobQueue": spec.queue_arn,
            "jobDefinition": spec.definition_arn,
            "status": self.status.name(),
            "attempts": self.attempts,
            "createdAt": self.created_at,
            "retryStrategy": spec.retry.shown(),
            "dependsOn": [],
            "parameters": spec.parameters,
            "container": container,
            "tags": spec.tags,
            "propagateTags": spec.propagate_tags,
            "platformCapabilities": ["FARGATE"],
            "eksAttempts": [],
            "isCancelled": self.cancelled,
            "isTerminated": self.terminated,
        });
        put(&mut detail, "statusReason", self.status_reason.as_deref());
        put(&mut detail, "startedAt", self.started_at);
        put(&mut detail, "stoppedAt", self.stopped_at);
        let timeout = spec
            .timeout
            .map(|limit| json!({"attemptDurationSeconds": limit.as_secs()}));
        put(&mut detail, "timeout", timeout);
        detail
    }
}

/// Sets a member of an object if there is a value.
pub(super) fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(members), Some(value)) = (object.as_object_mut(), value) {
        members.insert(name.to_owned(), value.into());
    }
}
