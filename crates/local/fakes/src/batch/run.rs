//! The life cycle of a job, from SUBMITTED to its end.

pub(super) mod container;
pub(super) mod retry;
pub(super) mod work;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use self::retry::End;
use self::work::{Finished, Work};
use super::Batch;
use super::state::job::{Attempt, Job, Spec, Status};
use crate::aws_json::put;
use crate::cloud::{CloudError, Event};
use crate::logs::LogWriter;
use crate::now_ms;
use crate::process::{Cause, Limits, Stop};

const EXITED: &str = "Essential container in task exited";
const NOT_STARTED: &str = "Task failed to start";
const OVERTIME: &str = "Job attempt duration exceeded timeout";
const SPOT: &str = "Your Spot Task was interrupted.";
const STOPPED_EARLY: &str = "Job was ended before it started";

/// How an attempt ended.
struct Ended {
    code: Option<i32>,
    /// ECS's reason, if the container could not run or the engine ended it.
    reason: Option<String>,
    cause: Cause,
}

impl Batch {
    /// Starts the life cycle of a job that is already in the state.
    pub(super) fn launch(self: &Arc<Self>, id: &str) {
        let state = self.state();
        let Some(job) = state.jobs.get(id) else {
            return;
        };
        let (spec, stop) = (job.spec.clone(), job.stop());
        self.announce(job);
        drop(state);
        let batch = Arc::clone(self);
        self.background
            .spawn(async move { batch.live(spec, stop).await });
    }

    async fn live(&self, spec: Spec, mut stop: Stop) {
        for number in 1..=spec.retry.attempts {
            if !self.reach_container(&spec, &mut stop).await {
                self.change(&spec.id, |job| {
                    let reason = job.end_reason.clone();
                    job.status_reason = Some(reason.unwrap_or_else(|| STOPPED_EARLY.to_owned()));
                    job.stopped_at = Some(now_ms());
                    job.status = Status::Failed;
                });
                return;
            }
            let started = now_ms();
            let ended = self.attempt(&spec, number, &stop).await;
            let again = self.conclude(&spec, number, started, &ended);
            self.changed();
            if !again {
                return;
            }
        }
    }

    /// Moves the job to STARTING. Returns false if the job was ended first.
    async fn reach_container(&self, spec: &Spec, stop: &mut Stop) -> bool {
        let step = self.config.timing.step;
        for status in [Status::Pending, Status::Runnable] {
            tokio::select! {
                biased;
                _ = stop.wait_for(Option::is_some) => return false,
                () = tokio::time::sleep(step) => {}
            }
            let moved = self.change(&spec.id, |job| {
                // A retried job is already RUNNABLE.
                job.status = job.status.max(status);
            });
            if !moved {
                return false;
            }
        }
        let mut wake = self.wake.subscribe();
        loop {
            wake.mark_unchanged();
            if self.take_capacity(&spec.id) {
                return true;
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(Option::is_some) => return false,
                changed = wake.changed() => if changed.is_err() { return false },
            }
        }
    }

    /// Moves the job to STARTING if it is the first of its queue and there is capacity for it.
    fn take_capacity(&self, id: &str) -> bool {
        let mut state = self.state();
        let has_room = state.has_room(id);
        let Some(job) = state.jobs.get_mut(id) else {
            return false;
        };
        if !has_room || job.end_reason.is_some() {
            return false;
        }
        job.status = Status::Starting;
        self.announce(job);
        drop(state);
        // The next job of the queue may fit too.
        self.changed();
        true
    }

    async fn attempt(&self, spec: &Spec, number: u32, stop: &Stop) -> Ended {
        let task = Uuid::new_v4().simple().to_string();
        let stream = format!("{}/default/{task}", spec.log.prefix);
        let host = &self.config.host;
        let latest = Attempt {
            task_arn: Some(host.arn("ecs", &format!("task/AWSBatch-sluicegate/{task}"))),
            log_stream: Some(stream.clone()),
            ..Attempt::default()
        };
        self.change_quietly(&spec.id, |job| job.latest = latest);
        tokio::time::sleep(self.config.timing.step).await;
        match self.run_work(spec, number, &stream, stop).await {
            Ok(finished) => Ended {
                code: Some(finished.end.code),
                reason: finished.reason,
                cause: finished.end.cause,
            },
            Err(reason) => Ended {
                code: None,
                reason: Some(reason),
                cause: Cause::Itself,
            },
        }
    }

    async fn run_work(
        &self,
        spec: &Spec,
        number: u32,
        stream: &str,
        stop: &Stop,
    ) -> Result<Finished, String> {
        let image = self
            .config
            .images
            .iter()
            .find(|image| fits(&image.name, &spec.image));
        let Some(image) = image else {
            return Err(format!(
                "CannotPullContainerError: nothing here stands for image {}",
                spec.image
            ));
        };
        let mut env = image.env.clone();
        env.extend(spec.environment.clone());
        env.insert("AWS_BATCH_JOB_ID".to_owned(), spec.id.clone());
        env.insert("AWS_BATCH_JOB_ATTEMPT".to_owned(), number.to_string());
        env.insert("AWS_BATCH_JQ_NAME".to_owned(), spec.queue.clone());
        let cloud = Arc::clone(&self.cloud);
        let log = LogWriter::open(cloud, &spec.log.group, stream, spec.log.create_group).await;
        let log = log.map_err(|error| no_log(&error))?;
        self.change(&spec.id, |job| {
            job.status = Status::Running;
            job.started_at = Some(now_ms());
        });
        let limits = Limits {
            duration: spec.timeout,
            grace: self.config.timing.grace,
        };
        let work = Work {
            spec,
            number,
            env,
            limits,
            stop: stop.clone(),
            lines: log.lines.clone(),
        };
        let finished = image.runs.run(&self.config.host, work).await;
        log.close().await;
        finished
    }

    /// Records the end of an attempt. Returns true if another attempt follows.
    fn conclude(&self, spec: &Spec, number: u32, started: i64, ended: &Ended) -> bool {
        let mut again = false;
        self.change(&spec.id, |job| {
            let now = now_ms();
            let interrupted = job.take_interruption();
            let left_alone = ended.cause == Cause::Itself || interrupted;
            let good = ended.code == Some(0) && left_alone;
            let reason = match (ended.cause, &job.end_reason, &ended.reason) {
                (Cause::TimedOut, ..) => OVERTIME,
                (Cause::Stopped, None, _) if interrupted => SPOT,
                (Cause::Stopped, Some(reason), _) => reason,
                (_, _, Some(_)) if ended.code.is_none() => NOT_STARTED,
                _ => EXITED,
            };
            let reason = reason.to_owned();
            job.latest.exit_code = ended.code;
            job.latest.reason.clone_from(&ended.reason);
            let started = job.started_at.unwrap_or(started);
            job.attempts
                .push(attempt(&job.latest, started, now, &reason));
            let end = End {
                exit_code: ended.code,
                reason: ended.reason.as_deref(),
                status_reason: &reason,
            };
            // A job that was terminated or timed out is not retried.
            again = !good
                && left_alone
                && job.end_reason.is_none()
                && spec.retry.tries_again(number, end);
            job.status_reason = Some(reason);
            if again {
                job.status = Status::Runnable;
                return;
            }
            job.stopped_at = Some(now);
            job.status = if good {
                Status::Succeeded
            } else {
                Status::Failed
            };
        });
        again
    }

    /// Changes a job and publishes an event. Returns false if the job does not exist.
    fn change(&self, id: &str, change: impl FnOnce(&mut Job)) -> bool {
        let mut state = self.state();
        let Some(job) = state.jobs.get_mut(id) else {
            return false;
        };
        let before = job.status;
        change(job);
        if job.status != before {
            self.announce(job);
        }
        true
    }

    fn change_quietly(&self, id: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.state().jobs.get_mut(id) {
            change(job);
        }
    }

    fn announce(&self, job: &Job) {
        self.background.publish(Event {
            source: "aws.batch".to_owned(),
            detail_type: "Batch Job State Change".to_owned(),
            resources: vec![job.spec.arn.clone()],
            detail: job.detail(),
        });
    }
}

fn attempt(latest: &Attempt, started: i64, stopped: i64, reason: &str) -> Value {
    let mut container = json!({ "networkInterfaces": [] });
    put(&mut container, "taskArn", latest.task_arn.as_deref());
    put(
        &mut container,
        "logStreamName",
        latest.log_stream.as_deref(),
    );
    put(&mut container, "exitCode", latest.exit_code);
    put(&mut container, "reason", latest.reason.as_deref());
    json!({
        "container": container,
        "startedAt": started,
        "stoppedAt": stopped,
        "statusReason": reason,
    })
}

fn fits(pattern: &str, image: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == image, |start| image.starts_with(start))
}

fn no_log(error: &CloudError) -> String {
    format!("ResourceInitializationError: failed to validate logger args: {error}")
}
