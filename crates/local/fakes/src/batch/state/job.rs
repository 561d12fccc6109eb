//! One job: its specification, its status, and its representation in `DescribeJobs`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::aws_json::put;
use crate::batch::run::retry::Strategy;
use crate::now_ms;
use crate::process::Stop;

/// The statuses of a job, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::batch) enum Status {
    Submitted,
    Pending,
    Runnable,
    Starting,
    Running,
    Succeeded,
    Failed,
}

impl Status {
    pub(in crate::batch) fn name(self) -> &'static str {
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

    pub(in crate::batch) fn is_final(self) -> bool {
        self >= Self::Succeeded
    }
}

/// A submitted job.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Spec {
    pub(in crate::batch) id: String,
    pub(in crate::batch) arn: String,
    pub(in crate::batch) name: String,
    pub(in crate::batch) queue_arn: String,
    pub(in crate::batch) queue: String,
    pub(in crate::batch) definition_arn: String,
    pub(in crate::batch) definition: String,
    /// `containerProperties` of the definition with the overrides applied.
    pub(in crate::batch) container: Value,
    pub(in crate::batch) parameters: Value,
    pub(in crate::batch) tags: Value,
    pub(in crate::batch) propagate_tags: bool,
    /// With parameters substituted.
    pub(in crate::batch) command: Vec<String>,
    pub(in crate::batch) environment: BTreeMap<String, String>,
    pub(in crate::batch) image: String,
    /// In thousandths of a vCPU.
    pub(in crate::batch) vcpus: u64,
    pub(in crate::batch) retry: Strategy,
    pub(in crate::batch) timeout: Option<Duration>,
    pub(in crate::batch) log: Log,
}

/// The log group and stream of the job.
#[derive(Clone, Debug)]
pub(in crate::batch) struct Log {
    pub(in crate::batch) group: String,
    pub(in crate::batch) prefix: String,
    pub(in crate::batch) create_group: bool,
}

/// A job with its current status.
#[derive(Debug)]
pub(in crate::batch) struct Job {
    pub(in crate::batch) spec: Spec,
    /// The submission order, in which a queue schedules its jobs.
    pub(in crate::batch) number: usize,
    pub(in crate::batch) status: Status,
    pub(in crate::batch) status_reason: Option<String>,
    pub(in crate::batch) created_at: i64,
    pub(in crate::batch) started_at: Option<i64>,
    pub(in crate::batch) stopped_at: Option<i64>,
    pub(in crate::batch) attempts: Vec<Value>,
    /// The latest attempt.
    pub(in crate::batch) latest: Attempt,
    /// The reason given when the job was terminated or canceled.
    pub(in crate::batch) end_reason: Option<String>,
    pub(in crate::batch) cancelled: bool,
    pub(in crate::batch) terminated: bool,
    /// Whether a Spot interruption ended the current attempt.
    interrupted: bool,
    stop: watch::Sender<Option<Duration>>,
}

/// One attempt of a job.
#[derive(Clone, Debug, Default)]
pub(in crate::batch) struct Attempt {
    pub(in crate::batch) task_arn: Option<String>,
    pub(in crate::batch) log_stream: Option<String>,
    pub(in crate::batch) exit_code: Option<i32>,
    pub(in crate::batch) reason: Option<String>,
}

impl Job {
    pub(in crate::batch) fn new(spec: Spec, number: usize) -> Self {
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
    pub(in crate::batch) fn terminate(&mut self, reason: &str, grace: Duration) {
        if self.status.is_final() {
            return;
        }
        self.terminated = true;
        self.end_reason.get_or_insert_with(|| reason.to_owned());
        self.stop.send_replace(Some(grace));
    }

    /// Interrupts the running attempt, as a Spot interruption does.
    pub(in crate::batch) fn interrupt(&mut self, grace: Duration) {
        if self.status == Status::Running && self.end_reason.is_none() {
            self.interrupted = true;
            self.stop.send_replace(Some(grace));
        }
    }

    /// Returns whether the ended attempt was interrupted, and clears the flag.
    pub(in crate::batch) fn take_interruption(&mut self) -> bool {
        let interrupted = std::mem::take(&mut self.interrupted) && self.end_reason.is_none();
        if interrupted {
            self.stop.send_replace(None);
        }
        interrupted
    }

    /// Cancels the job if it has not reached STARTING. Otherwise does nothing.
    pub(in crate::batch) fn cancel(&mut self, reason: &str) {
        if self.status < Status::Starting {
            self.cancelled = true;
            self.end_reason.get_or_insert_with(|| reason.to_owned());
            self.stop.send_replace(Some(Duration::ZERO));
        }
    }

    pub(in crate::batch) fn stop(&self) -> Stop {
        self.stop.subscribe()
    }

    pub(in crate::batch) fn summary(&self) -> Value {
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
    pub(in crate::batch) fn detail(&self) -> Value {
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
