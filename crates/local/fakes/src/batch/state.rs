//! What the fake stores: resources, and jobs with their status.

pub(super) mod job;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::job::{Job, Status};
use super::api::refuse;
use crate::aws_json::{Refused, short, text};

/// The resources and jobs of the account.
#[derive(Debug, Default)]
pub(super) struct State {
    /// By name.
    pub(super) environments: BTreeMap<String, Value>,
    /// By name.
    pub(super) queues: BTreeMap<String, Value>,
    /// By name; all revisions, oldest first.
    pub(super) definitions: BTreeMap<String, Vec<Value>>,
    /// By id.
    pub(super) jobs: BTreeMap<String, Job>,
}

impl State {
    /// Returns the compute environments of a queue, in order.
    pub(super) fn environments_of(&self, queue: &str) -> impl Iterator<Item = &Value> {
        let order = self
            .queues
            .get(queue)
            .and_then(|queue| queue.get("computeEnvironmentOrder"));
        order
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|entry| text(entry, "computeEnvironment"))
            .filter_map(|arn| self.environments.get(short(arn)))
    }

    /// Returns the definition for `name`, `name:revision` or an ARN. Without a revision, returns the
    /// latest active one.
    pub(super) fn definition(&self, wanted: &str) -> Option<&Value> {
        let wanted = short(wanted);
        let (name, revision) = match wanted.rsplit_once(':') {
            Some((name, revision)) => (name, Some(revision.parse::<u64>().ok()?)),
            None => (wanted, None),
        };
        let found = self.definitions.get(name)?.iter().rev();
        let mut found = found.filter(|definition| text(definition, "status") == Some("ACTIVE"));
        match revision {
            None => found.next(),
            Some(revision) => found.find(|definition| {
                definition.get("revision").and_then(Value::as_u64) == Some(revision)
            }),
        }
    }

    /// Returns the tags of the resource with this ARN.
    pub(super) fn tags_of(&mut self, arn: &str) -> Result<&mut Value, Refused> {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let (kind, name) = resource.split_once('/').unwrap_or_default();
        let found = match kind {
            "compute-environment" => self.environments.get_mut(name),
            "job-queue" => self.queues.get_mut(name),
            "job-definition" => {
                let revisions = name
                    .split_once(':')
                    .and_then(|(n, _)| self.definitions.get_mut(n));
                let mut revisions = revisions.into_iter().flatten();
                revisions.find(|definition| text(definition, "jobDefinitionArn") == Some(arn))
            }
            "job" => {
                return match self.jobs.get_mut(name) {
                    Some(job) => Ok(&mut job.spec.tags),
                    None => refuse(format!("{arn} does not exist")),
                };
            }
            _ => None,
        };
        match found.and_then(|resource| resource.get_mut("tags")) {
            Some(tags) => Ok(tags),
            None => refuse(format!("{arn} does not exist")),
        }
    }

    /// Returns whether the job may start: it is the first waiting job of its queue, and an enabled
    /// compute environment of the queue has capacity for its vCPUs.
    pub(super) fn has_room(&self, id: &str) -> bool {
        let Some(job) = self.jobs.get(id) else {
            return false;
        };
        let waits_before = self.jobs.values().any(|other| {
            other.spec.queue_arn == job.spec.queue_arn
                && other.status == Status::Runnable
                && other.number < job.number
                && other.end_reason.is_none()
        });
        if waits_before {
            return false;
        }
        let capacity: u64 = self
            .environments_of(&job.spec.queue)
            .filter(|environment| environment.get("state") == Some(&json!("ENABLED")))
            .filter_map(|environment| environment.pointer("/computeResources/maxvCpus")?.as_u64())
            .map(|vcpus| vcpus * 1000)
            .sum();
        let used: u64 = self
            .jobs
            .values()
            .filter(|other| other.spec.queue_arn == job.spec.queue_arn)
            .filter(|other| matches!(other.status, Status::Starting | Status::Running))
            .map(|other| other.spec.vcpus)
            .sum();
        used + job.spec.vcpus <= capacity
    }
}
