//! `SubmitJob`, which applies a request's overrides to a job definition, and the other job operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{refuse, required};
use crate::aws_json::{Answer, Refused, put, short, text};
use crate::batch::Batch;
use crate::batch::run::retry::Strategy;
use crate::batch::state::job::{Job, Log, Spec};

/// The maximum size of a request, in bytes.
const LARGEST_REQUEST: usize = 30 * 1024;
const DEFAULT_LOG_GROUP: &str = "/aws/batch/job";

impl Batch {
    pub(super) fn submit_job(self: &Arc<Self>, request: &Value) -> Answer {
        if request.to_string().len() > LARGEST_REQUEST {
            return refuse("the request is larger than 30 KiB");
        }
        for unknown in [
            "arrayProperties",
            "nodeOverrides",
            "eksPropertiesOverride",
            "dependsOn",
        ] {
            let given = request.get(unknown).filter(|given| !given.is_null());
            if given.is_some_and(|given| given != &json!([]) && given != &json!({})) {
                return refuse(format!("this fake does not support {unknown}"));
            }
        }
        let spec = self.spec(request)?;
        let answer = json!({ "jobId": spec.id, "jobArn": spec.arn, "jobName": spec.name });
        let id = spec.id.clone();
        let mut state = self.state();
        let number = state.jobs.len();
        state.jobs.insert(id.clone(), Job::new(spec, number));
        drop(state);
        self.launch(&id);
        Ok(answer)
    }

    fn spec(&self, request: &Value) -> Result<Spec, Refused> {
        let name = required(request, "jobName")?;
        let wanted_queue = required(request, "jobQueue")?;
        let wanted = required(request, "jobDefinition")?;
        let state = self.state();
        let Some(queue) = state.queues.get(short(wanted_queue)) else {
            return refuse(format!("JobQueue {wanted_queue} not found."));
        };
        if text(queue, "state") != Some("ENABLED") {
            return refuse(format!("JobQueue {wanted_queue} is in the DISABLED state."));
        }
        let Some(definition) = state.definition(wanted) else {
            return refuse(format!("JobDefinition {wanted} not found."));
        };
        let mut container = definition
            .get("containerProperties")
            .cloned()
            .unwrap_or_default();
        let overrides = request.get("containerOverrides").unwrap_or(&Value::Null);
        override_container(&mut container, overrides);
        let mut parameters = definition
            .get("parameters")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let given = request.get("parameters").and_then(Value::as_object);
        for (name, value) in given.into_iter().flatten() {
            put(&mut parameters, name, Some(value.clone()));
        }
        let command = container.get("command").and_then(Value::as_array);
        let command = command.into_iter().flatten().filter_map(Value::as_str);
        let command = command.map(|word| fill_in(word, &parameters)).collect();
        let tags = request.get("tags").filter(|tags| !tags.is_null()).cloned();
        let retry = Strategy::of(request, definition)?;
        let timeout = match self.timeout_of(request)? {
            None => self.timeout_of(definition)?,
            own => own,
        };
        let id = Uuid::new_v4().to_string();
        let definition_name = text(definition, "jobDefinitionName").unwrap_or_default();
        Ok(Spec {
            arn: self.config.host.arn("batch", &format!("job/{id}")),
            id,
            name: name.to_owned(),
            queue_arn: text(queue, "jobQueueArn").unwrap_or_default().to_owned(),
            queue: text(queue, "jobQueueName").unwrap_or_default().to_owned(),
            definition_arn: text(definition, "jobDefinitionArn")
                .unwrap_or_default()
                .to_owned(),
            definition: definition_name.to_owned(),
            command,
            environment: environment(&container),
            image: text(&container, "image").unwrap_or_default().to_owned(),
            vcpus: fargate_size(&container)?,
            retry,
            timeout,
            log: log(&container, definition_name),
            propagate_tags: definition.get("propagateTags") == Some(&json!(true)),
            tags: tags.unwrap_or_else(|| json!({})),
            parameters,
            container,
        })
    }

    /// Returns the timeout of a request or definition.
    pub(super) fn timeout_of(&self, request: &Value) -> Result<Option<Duration>, Refused> {
        let asked = request
            .pointer("/timeout/attemptDurationSeconds")
            .and_then(Value::as_u64);
        let asked = asked.map(Duration::from_secs);
        let least = self.config.timing.least_timeout;
        if asked.is_some_and(|asked| asked < least) {
            return refuse(format!(
                "timeout.attemptDurationSeconds must be at least {}",
                least.as_secs()
            ));
        }
        Ok(asked)
    }

    pub(super) fn describe_jobs(&self, request: &Value) -> Answer {
        let wanted = request.get("jobs").and_then(Value::as_array);
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty() && wanted.len() <= 100) else {
            return refuse("jobs must hold 1 to 100 job ids");
        };
        let state = self.state();
        let jobs = wanted
            .iter()
            .filter_map(|id| state.jobs.get(short(id.as_str()?)));
        Ok(json!({ "jobs": jobs.map(Job::detail).collect::<Vec<_>>() }))
    }

    pub(super) fn list_jobs(&self, request: &Value) -> Answer {
        let queue = short(required(request, "jobQueue")?);
        let state = self.state();
        if !state.queues.contains_key(queue) {
            return refuse(format!("JobQueue {queue} not found."));
        }
        // A filter replaces the status, as on AWS.
        let filters = request.get("filters").and_then(Value::as_array);
        let filters = filters.filter(|filters| !filters.is_empty());
        let status = text(request, "jobStatus").unwrap_or("RUNNING");
        let mut jobs: Vec<&Job> = state.jobs.values().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.number));
        let found = jobs.into_iter().filter(|job| job.spec.queue == queue);
        let found = found.filter(|job| match filters {
            None => job.status.name() == status,
            Some(filters) => filters.iter().all(|filter| matches_filter(job, filter)),
        });
        Ok(json!({ "jobSummaryList": found.map(Job::summary).collect::<Vec<_>>() }))
    }

    pub(super) fn terminate_job(&self, request: &Value) -> Answer {
        let grace = self.config.timing.grace;
        self.end_job(request, |job, reason| job.terminate(reason, grace))
    }

    pub(super) fn cancel_job(&self, request: &Value) -> Answer {
        self.end_job(request, Job::cancel)
    }

    fn end_job(&self, request: &Value, end: impl FnOnce(&mut Job, &str)) -> Answer {
        let id = required(request, "jobId")?;
        let reason = required(request, "reason")?;
        let mut state = self.state();
        let Some(job) = state.jobs.get_mut(id) else {
            return refuse(format!("Job {id} not found."));
        };
        end(job, reason);
        drop(state);
        self.changed();
        Ok(json!({}))
    }
}

fn matches_filter(job: &Job, filter: &Value) -> bool {
    let values = filter.get("values").and_then(Value::as_array);
    let mut values = values.into_iter().flatten().filter_map(Value::as_str);
    let wildcard = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    let definition = || short(&job.spec.definition_arn);
    match text(filter, "name") {
        Some("JOB_NAME") => values.any(|value| wildcard(value, &job.spec.name)),
        Some("JOB_DEFINITION") => values.any(|value| {
            wildcard(short(value), &job.spec.definition) || wildcard(short(value), definition())
        }),
        _ => false,
    }
}

fn override_container(container: &mut Value, overrides: &Value) {
    if let Some(command) = overrides
        .get("command")
        .filter(|command| command.is_array())
    {
        put(container, "command", Some(command.clone()));
    }
    merge(container, overrides, "environment", "name");
    merge(container, overrides, "resourceRequirements", "type");
}

/// Replaces or adds list entries, identified by `key`.
fn merge(container: &mut Value, overrides: &Value, list: &str, key: &str) {
    let Some(new) = overrides.get(list).and_then(Value::as_array) else {
        return;
    };
    let mut entries: Vec<Value> = container
        .get(list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    entries.retain(|entry| !new.iter().any(|new| new.get(key) == entry.get(key)));
    entries.extend(new.iter().cloned());
    put(container, list, Some(entries));
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let entries = container.get("environment").and_then(Value::as_array);
    let pair = |entry: &Value| {
        Some((
            text(entry, "name")?.to_owned(),
            text(entry, "value").unwrap_or("").to_owned(),
        ))
    };
    entries.into_iter().flatten().filter_map(pair).collect()
}

fn log(container: &Value, definition: &str) -> Log {
    let options = container
        .pointer("/logConfiguration/options")
        .unwrap_or(&Value::Null);
    let group = text(options, "awslogs-group").unwrap_or(DEFAULT_LOG_GROUP);
    Log {
        group: group.to_owned(),
        prefix: text(options, "awslogs-stream-prefix")
            .unwrap_or(definition)
            .to_owned(),
        // Batch creates its own group. Any other must exist unless the job may create it.
        create_group: group == DEFAULT_LOG_GROUP
            || text(options, "awslogs-create-group") == Some("true"),
    }
}

/// Substitutes parameters for `Ref::name`. A name without a parameter stays unchanged.
fn fill_in(word: &str, parameters: &Value) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("Ref::") {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let (name, tail) = after.split_at(end.unwrap_or(after.len()));
        filled.push_str(before);
        match text(parameters, name) {
            Some(value) => filled.push_str(value),
            None => {
                filled.push_str("Ref::");
                filled.push_str(name);
            }
        }
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

/// Returns the amount of a resource that a container requests, as the definition states it.
pub(in crate::batch) fn resource<'a>(container: &'a Value, kind: &str) -> Option<&'a str> {
    let list = container
        .get("resourceRequirements")
        .and_then(Value::as_array);
    let mut list = list.into_iter().flatten();
    list.find(|entry| text(entry, "type") == Some(kind))
        .and_then(|entry| text(entry, "value"))
}

/// Returns the requested vCPUs in thousandths, if Fargate supports the size.
pub(super) fn fargate_size(container: &Value) -> Result<u64, Refused> {
    let (Some(vcpu), Some(memory)) = (resource(container, "VCPU"), resource(container, "MEMORY"))
    else {
        return refuse("resourceRequirements must hold VCPU and MEMORY for a Fargate job");
    };
    let memory_mib: u64 = memory.parse().unwrap_or(0);
    let (thousandths, range, step) = match vcpu {
        "0.25" | ".25" => (250, 512..=2048, 512),
        "0.5" | ".5" => (500, 1024..=4096, 1024),
        "1" | "1.0" => (1_000, 2048..=8192, 1024),
        "2" | "2.0" => (2_000, 4096..=16_384, 1024),
        "4" | "4.0" => (4_000, 8192..=30_720, 1024),
        "8" | "8.0" => (8_000, 16_384..=61_440, 4096),
        "16" | "16.0" => (16_000, 32_768..=122_880, 8192),
        other => {
            return refuse(format!(
                "Fargate resource requirements: no size has {other} vCPU"
            ));
        }
    };
    let fits = range.contains(&memory_mib) && memory_mib.is_multiple_of(step) && memory_mib != 1536;
    if fits {
        Ok(thousandths)
    } else {
        refuse(format!(
            "Fargate resource requirements: {vcpu} vCPU do not go with {memory} MiB"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_the_place_of_references() {
        let parameters = json!({ "run": "r-1", "job": "j" });
        assert_eq!(fill_in("Ref::run", &parameters), "r-1");
        assert_eq!(fill_in("--x=Ref::job/Ref::run!", &parameters), "--x=j/r-1!");
        assert_eq!(fill_in("Ref::other", &parameters), "Ref::other");
        assert_eq!(fill_in("plain", &parameters), "plain");
    }

    #[test]
    fn only_sizes_that_fargate_has_are_taken() {
        let size = |vcpu: &str, memory: &str| {
            fargate_size(&json!({ "resourceRequirements": [
                { "type": "VCPU", "value": vcpu }, { "type": "MEMORY", "value": memory },
            ]}))
        };
        assert_eq!(size("0.25", "512").ok(), Some(250));
        assert_eq!(size("1", "2048").ok(), Some(1000));
        assert!(size("1", "1024").is_err());
        assert!(size("3", "8192").is_err());
        assert!(fargate_size(&json!({})).is_err());
    }

    #[test]
    fn overrides_replace_by_name_and_add() {
        let mut container = json!({
            "command": ["a"],
            "environment": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        });
        override_container(
            &mut container,
            &json!({ "command": ["b", "c"], "environment": [
                { "name": "B", "value": "3" }, { "name": "C", "value": "4" },
            ]}),
        );
        assert_eq!(container.get("command"), Some(&json!(["b", "c"])));
        let env = environment(&container);
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(env, [("A", "1"), ("B", "3"), ("C", "4")]);
    }
}
