//! Compute environments, queues and job definitions: the resources that Terraform manages.

use serde_json::{Value, json};

use super::jobs::fargate_size;
use super::{refuse, required};
use crate::aws_json::{Answer, Refused, put, short, text};
use crate::batch::run::retry::Strategy;
use crate::batch::{Batch, State};

fn valid_name(name: &str) -> Result<(), Refused> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() <= 128 && name.chars().all(good) && !name.starts_with(['-', '_']) {
        return Ok(());
    }
    refuse(format!(
        "{name}: at most 128 letters, digits, hyphens and underscores are allowed"
    ))
}

fn valid_state(request: &Value) -> Result<&str, Refused> {
    match text(request, "state") {
        None => Ok("ENABLED"),
        Some(state @ ("ENABLED" | "DISABLED")) => Ok(state),
        Some(other) => refuse(format!("state must be ENABLED or DISABLED, not {other}")),
    }
}

fn strings(value: &Value, name: &str) -> Vec<String> {
    let list = value.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn chosen<'a>(all: impl Iterator<Item = (&'a String, &'a Value)>, wanted: &[String]) -> Vec<Value> {
    let found = all.filter(|(name, _)| {
        wanted.is_empty() || wanted.iter().any(|wanted| short(wanted) == name.as_str())
    });
    found.map(|(_, value)| value.clone()).collect()
}

fn is_disabled(resource: &Value) -> bool {
    text(resource, "state") == Some("DISABLED")
}

impl State {
    fn checked_order(&self, request: &Value) -> Result<Value, Refused> {
        let order = request
            .get("computeEnvironmentOrder")
            .and_then(Value::as_array);
        let Some(order) = order.filter(|order| !order.is_empty()) else {
            return refuse("computeEnvironmentOrder must name at least one compute environment");
        };
        let mut checked = Vec::new();
        for entry in order {
            let name = required(entry, "computeEnvironment")?;
            let Some(environment) = self.environments.get(short(name)) else {
                return refuse(format!("Compute environment {name} does not exist"));
            };
            let position = entry.get("order").cloned().unwrap_or_else(|| json!(1));
            let arn = environment
                .get("computeEnvironmentArn")
                .cloned()
                .unwrap_or_default();
            checked.push(json!({ "order": position, "computeEnvironment": arn }));
        }
        checked.sort_by_key(|entry| entry.get("order").and_then(Value::as_i64));
        Ok(Value::Array(checked))
    }
}

impl Batch {
    pub(super) fn create_compute_environment(&self, request: &Value) -> Answer {
        let name = required(request, "computeEnvironmentName")?;
        valid_name(name)?;
        if text(request, "type") != Some("MANAGED") {
            return refuse("this fake has managed compute environments only");
        }
        let mut resources = request.get("computeResources").cloned().unwrap_or_default();
        if !matches!(text(&resources, "type"), Some("FARGATE" | "FARGATE_SPOT")) {
            return refuse("this fake has FARGATE and FARGATE_SPOT compute resources only");
        }
        for list in ["subnets", "securityGroupIds"] {
            if strings(&resources, list).is_empty() {
                return refuse(format!("computeResources.{list} must not be empty"));
            }
        }
        if resources
            .get("maxvCpus")
            .and_then(Value::as_u64)
            .is_none_or(|most| most == 0)
        {
            return refuse("computeResources.maxvCpus must be at least 1");
        }
        put(&mut resources, "tags", Some(json!({})));
        let mut state = self.state();
        if state.environments.contains_key(name) {
            return refuse("Object already exists");
        }
        let host = &self.config.host;
        let arn = host.arn("batch", &format!("compute-environment/{name}"));
        let own_role = format!(
            "arn:aws:iam::{}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch",
            host.account
        );
        let cluster = host.arn("ecs", &format!("cluster/AWSBatch-{name}"));
        let environment = json!({
            "computeEnvironmentName": name,
            "computeEnvironmentArn": arn,
            "ecsClusterArn": cluster,
            "type": "MANAGED",
            "state": valid_state(request)?,
            "status": "VALID",
            "statusReason": "ComputeEnvironment Healthy",
            "computeResources": resources,
            "serviceRole": text(request, "serviceRole").unwrap_or(&own_role),
            "containerOrchestrationType": "ECS",
            "uuid": uuid::Uuid::new_v4().to_string(),
            "tags": request.get("tags").cloned().unwrap_or_else(|| json!({})),
        });
        state.environments.insert(name.to_owned(), environment);
        Ok(json!({ "computeEnvironmentName": name, "computeEnvironmentArn": arn }))
    }

    pub(super) fn update_compute_environment(&self, request: &Value) -> Answer {
        let name = short(required(request, "computeEnvironment")?);
        let mut state = self.state();
        let Some(environment) = state.environments.get_mut(name) else {
            return refuse(format!("{name} does not exist"));
        };
        if request.get("state").is_some() {
            put(environment, "state", Some(valid_state(request)?));
        }
        put(environment, "serviceRole", text(request, "serviceRole"));
        let changes = request.get("computeResources").and_then(Value::as_object);
        if let Some(resources) = environment.get_mut("computeResources") {
            for (member, value) in changes.into_iter().flatten() {
                put(resources, member, Some(value.clone()));
            }
        }
        let arn = environment.get("computeEnvironmentArn").cloned();
        drop(state);
        self.changed();
        Ok(json!({ "computeEnvironmentName": name, "computeEnvironmentArn": arn }))
    }

    pub(super) fn delete_compute_environment(&self, request: &Value) -> Answer {
        let name = short(required(request, "computeEnvironment")?);
        let mut state = self.state();
        let Some(environment) = state.environments.get(name) else {
            return Ok(json!({}));
        };
        if !is_disabled(environment) {
            return refuse("Cannot delete, the compute environment is not DISABLED");
        }
        let used = state.queues.keys().any(|queue| {
            state
                .environments_of(queue)
                .any(|of| text(of, "computeEnvironmentName") == Some(name))
        });
        if used {
            return refuse("Cannot delete, found existing JobQueue relationship");
        }
        state.environments.remove(name);
        Ok(json!({}))
    }

    pub(super) fn describe_compute_environments(&self, request: &Value) -> Answer {
        let wanted = strings(request, "computeEnvironments");
        Ok(json!({ "computeEnvironments": chosen(self.state().environments.iter(), &wanted) }))
    }

    pub(super) fn create_job_queue(&self, request: &Value) -> Answer {
        let name = required(request, "jobQueueName")?;
        valid_name(name)?;
        let mut state = self.state();
        if state.queues.contains_key(name) {
            return refuse("Object already exists");
        }
        let arn = self.config.host.arn("batch", &format!("job-queue/{name}"));
        let mut queue = json!({
            "jobQueueName": name,
            "jobQueueArn": arn,
            "state": valid_state(request)?,
            "status": "VALID",
            "statusReason": "JobQueue Healthy",
            "priority": request.get("priority").cloned().unwrap_or_else(|| json!(0)),
            "computeEnvironmentOrder": state.checked_order(request)?,
            "jobStateTimeLimitActions":
                request.get("jobStateTimeLimitActions").cloned().unwrap_or_else(|| json!([])),
            "tags": request.get("tags").cloned().unwrap_or_else(|| json!({})),
        });
        put(
            &mut queue,
            "schedulingPolicyArn",
            text(request, "schedulingPolicyArn"),
        );
        state.queues.insert(name.to_owned(), queue);
        Ok(json!({ "jobQueueName": name, "jobQueueArn": arn }))
    }

    pub(super) fn update_job_queue(&self, request: &Value) -> Answer {
        let name = short(required(request, "jobQueue")?);
        let mut state = self.state();
        let order = match request.get("computeEnvironmentOrder") {
            Some(order) if !order.is_null() => Some(state.checked_order(request)?),
            _ => None,
        };
        let Some(queue) = state.queues.get_mut(name) else {
            return refuse(format!("{name} does not exist"));
        };
        if request.get("state").is_some() {
            put(queue, "state", Some(valid_state(request)?));
        }
        put(queue, "computeEnvironmentOrder", order);
        for member in [
            "priority",
            "schedulingPolicyArn",
            "jobStateTimeLimitActions",
        ] {
            put(
                queue,
                member,
                request
                    .get(member)
                    .filter(|value| !value.is_null())
                    .cloned(),
            );
        }
        let arn = queue.get("jobQueueArn").cloned();
        drop(state);
        self.changed();
        Ok(json!({ "jobQueueName": name, "jobQueueArn": arn }))
    }

    /// Deletes a queue and ends its jobs, as on AWS.
    pub(super) fn delete_job_queue(&self, request: &Value) -> Answer {
        let name = short(required(request, "jobQueue")?);
        let mut state = self.state();
        let Some(queue) = state.queues.get(name) else {
            return Ok(json!({}));
        };
        if !is_disabled(queue) {
            return refuse("Cannot delete, the job queue is not DISABLED");
        }
        state.queues.remove(name);
        for job in state.jobs.values_mut().filter(|job| job.spec.queue == name) {
            job.terminate("Job queue was deleted", self.config.timing.grace);
        }
        Ok(json!({}))
    }

    pub(super) fn describe_job_queues(&self, request: &Value) -> Answer {
        let wanted = strings(request, "jobQueues");
        Ok(json!({ "jobQueues": chosen(self.state().queues.iter(), &wanted) }))
    }

    pub(super) fn register_job_definition(&self, request: &Value) -> Answer {
        let name = required(request, "jobDefinitionName")?;
        valid_name(name)?;
        if text(request, "type") != Some("container") {
            return refuse("this fake has container job definitions only");
        }
        Strategy::of(request, &Value::Null)?;
        let mut container = request
            .get("containerProperties")
            .cloned()
            .unwrap_or_default();
        required(&container, "image")?;
        fargate_size(&container)?;
        required(&container, "executionRoleArn")?;
        self.timeout_of(request)?;
        for list in [
            "command",
            "volumes",
            "environment",
            "mountPoints",
            "ulimits",
            "secrets",
        ] {
            if container.get(list).is_none_or(Value::is_null) {
                put(&mut container, list, Some(json!([])));
            }
        }
        let mut state = self.state();
        let revisions = state.definitions.entry(name.to_owned()).or_default();
        let revision = revisions.len() + 1;
        let arn = self
            .config
            .host
            .arn("batch", &format!("job-definition/{name}:{revision}"));
        let mut definition = json!({
            "jobDefinitionName": name,
            "jobDefinitionArn": arn,
            "revision": revision,
            "status": "ACTIVE",
            "type": "container",
            "containerProperties": container,
            "containerOrchestrationType": "ECS",
            "platformCapabilities":
                request.get("platformCapabilities").cloned().unwrap_or_else(|| json!(["FARGATE"])),
            "propagateTags": request.get("propagateTags").cloned().unwrap_or(json!(false)),
            "parameters": request.get("parameters").cloned().unwrap_or_else(|| json!({})),
            "tags": request.get("tags").cloned().unwrap_or_else(|| json!({})),
        });
        for member in ["retryStrategy", "timeout", "schedulingPriority"] {
            put(
                &mut definition,
                member,
                request.get(member).filter(|v| !v.is_null()).cloned(),
            );
        }
        revisions.push(definition);
        Ok(json!({ "jobDefinitionName": name, "jobDefinitionArn": arn, "revision": revision }))
    }

    pub(super) fn deregister_job_definition(&self, request: &Value) -> Answer {
        let wanted = short(required(request, "jobDefinition")?);
        let mut state = self.state();
        for (name, revisions) in &mut state.definitions {
            for (revision, definition) in (1..).zip(revisions) {
                if wanted == format!("{name}:{revision}") {
                    put(definition, "status", Some("INACTIVE"));
                }
            }
        }
        Ok(json!({}))
    }

    pub(super) fn describe_job_definitions(&self, request: &Value) -> Answer {
        let wanted = strings(request, "jobDefinitions");
        let name = text(request, "jobDefinitionName");
        let status = text(request, "status");
        let state = self.state();
        let found: Vec<&Value> = state
            .definitions
            .values()
            .flatten()
            .filter(|definition| {
                let arn = text(definition, "jobDefinitionArn").unwrap_or_default();
                let own = text(definition, "jobDefinitionName").unwrap_or_default();
                let named = wanted.iter().any(|wanted| {
                    let wanted = short(wanted);
                    wanted == short(arn) || wanted == own
                });
                (wanted.is_empty() || named)
                    && name.is_none_or(|name| name == own)
                    && status.is_none_or(|status| text(definition, "status") == Some(status))
            })
            .collect();
        Ok(json!({ "jobDefinitions": found }))
    }

    pub(super) fn list_tags(&self, arn: &str) -> Answer {
        Ok(json!({ "tags": self.state().tags_of(arn)? }))
    }

    pub(super) fn tag(&self, arn: &str, request: &Value) -> Answer {
        let mut state = self.state();
        let tags = state.tags_of(arn)?;
        let new = request.get("tags").and_then(Value::as_object);
        for (name, value) in new.into_iter().flatten() {
            put(tags, name, Some(value.clone()));
        }
        Ok(json!({}))
    }

    pub(super) fn untag(&self, arn: &str, names: &[String]) -> Answer {
        let mut state = self.state();
        if let Some(tags) = state.tags_of(arn)?.as_object_mut() {
            tags.retain(|name, _| !names.contains(name));
        }
        Ok(json!({}))
    }
}
