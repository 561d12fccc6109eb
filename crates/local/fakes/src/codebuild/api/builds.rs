//! `StartBuild`, which applies a request's overrides to a project, and the other build operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{invalid, missing, required};
use crate::aws_json::{Answer, Refused, short, text};
use crate::codebuild::CodeBuild;
use crate::codebuild::state::build::{Build, Spec};
use crate::now_ms;

impl CodeBuild {
    pub(super) fn start_build(self: &Arc<Self>, request: &Value) -> Answer {
        let name = short(required(request, "projectName")?);
        let token = text(request, "idempotencyToken").map(str::to_owned);
        let mut state = self.state();
        if token.is_some()
            && let Some(same) = state.builds.values().find(|build| build.request.0 == token)
        {
            if same.request.1 != *request {
                return invalid("idempotencyToken was used with other parameters");
            }
            return Ok(json!({ "build": same.to_json() }));
        }
        let Some(project) = state.projects.get(name).cloned() else {
            return missing(format!("Project cannot be found: {name}"));
        };
        let running = state.builds.values();
        let running = running.filter(|build| build.spec.project == name && !build.is_complete());
        let limit = project.get("concurrentBuildLimit").and_then(Value::as_u64);
        if limit.is_some_and(|limit| u64::try_from(running.count()).is_ok_and(|now| now >= limit)) {
            return Err(Refused {
                name: "AccountLimitExceededException",
                message: format!("Cannot have more than {limit:?} builds of {name} at once"),
            });
        }
        let number = state.numbers.entry(name.to_owned()).or_default();
        *number += 1;
        let number = *number;
        let spec = self.spec(request, &project, name, number)?;
        let id = spec.id.clone();
        let build = Build::new(spec, (token, request.clone()));
        let answer = json!({ "build": build.to_json() });
        state.builds.insert(id.clone(), build);
        drop(state);
        self.launch(&id);
        Ok(answer)
    }

    fn spec(
        &self,
        request: &Value,
        project: &Value,
        name: &str,
        number: u64,
    ) -> Result<Spec, Refused> {
        for unknown in [
            "artifactsOverride",
            "secondarySourcesOverride",
            "secondaryArtifactsOverride",
            "logsConfigOverride",
            "debugSessionEnabled",
        ] {
            if request.get(unknown).is_some_and(|given| !given.is_null()) {
                return invalid(format!("this fake does not support {unknown}"));
            }
        }
        let uuid = Uuid::new_v4().to_string();
        let id = format!("{name}:{uuid}");
        let member = |name: &str| project.get(name).cloned().unwrap_or_default();
        let mut source = member("source");
        if let Some(source) = source.as_object_mut() {
            for (from, to) in [
                ("sourceTypeOverride", "type"),
                ("sourceLocationOverride", "location"),
                ("buildspecOverride", "buildspec"),
            ] {
                if let Some(value) = text(request, from) {
                    source.insert(to.to_owned(), json!(value));
                }
            }
        }
        let mut environment = member("environment");
        let variables = override_variables(&mut environment, request)?;
        let timeout = request
            .get("timeoutInMinutesOverride")
            .and_then(Value::as_u64);
        if timeout.is_some_and(|minutes| !(5..=2160).contains(&minutes)) {
            return invalid("timeoutInMinutesOverride must be 5 to 2160");
        }
        let own = project.get("timeoutInMinutes").and_then(Value::as_u64);
        Ok(Spec {
            arn: self.config.host.arn("codebuild", &format!("build/{id}")),
            project: name.to_owned(),
            number,
            source,
            source_version: text(request, "sourceVersion").map(str::to_owned),
            environment,
            variables,
            service_role: member("serviceRole"),
            encryption_key: member("encryptionKey"),
            timeout_minutes: timeout.or(own).unwrap_or(60),
            queued_timeout_minutes: member("queuedTimeoutInMinutes"),
            initiator: "sluicegate".to_owned(),
            log: log_of(project, name, &uuid),
            created_at: now_ms(),
            id,
        })
    }

    pub(super) fn batch_get_builds(&self, request: &Value) -> Answer {
        let wanted = request.get("ids").and_then(Value::as_array);
        let state = self.state();
        let (mut found, mut not_found) = (Vec::new(), Vec::new());
        for id in wanted.into_iter().flatten() {
            match id.as_str().and_then(|id| state.builds.get(short(id))) {
                Some(build) => found.push(build.to_json()),
                None => not_found.push(id.clone()),
            }
        }
        Ok(json!({ "builds": found, "buildsNotFound": not_found }))
    }

    pub(super) fn list_builds_for_project(&self, request: &Value) -> Answer {
        let name = short(required(request, "projectName")?);
        if !self.state().projects.contains_key(name) {
            return missing(format!("Project cannot be found: {name}"));
        }
        self.list_builds(Some(name))
    }

    /// Returns the ids of builds, newest first.
    pub(super) fn list_builds(&self, project: Option<&str>) -> Answer {
        let state = self.state();
        let mut builds: Vec<&Build> = state.builds.values().collect();
        builds.retain(|build| project.is_none_or(|project| build.spec.project == project));
        builds.sort_by_key(|build| std::cmp::Reverse((build.spec.created_at, build.spec.number)));
        Ok(json!({ "ids": builds.iter().map(|build| &build.spec.id).collect::<Vec<_>>() }))
    }

    pub(super) fn stop_build(&self, request: &Value) -> Answer {
        let id = short(required(request, "id")?);
        let mut state = self.state();
        let Some(build) = state.builds.get_mut(id) else {
            return missing(format!("Build cannot be found: {id}"));
        };
        build.stop(self.config.timing.grace);
        Ok(json!({ "build": build.to_json() }))
    }
}

/// Overrides the project's variables with the caller's, and returns all of them.
fn override_variables(
    environment: &mut Value,
    request: &Value,
) -> Result<BTreeMap<String, String>, Refused> {
    let own = environment
        .get("environmentVariables")
        .and_then(Value::as_array)
        .cloned();
    let given = request
        .get("environmentVariablesOverride")
        .and_then(Value::as_array);
    let mut entries: Vec<Value> = own.unwrap_or_default();
    let given = given.cloned().unwrap_or_default();
    entries.retain(|entry| !given.iter().any(|new| new.get("name") == entry.get("name")));
    entries.extend(given);
    let mut variables = BTreeMap::new();
    for entry in &entries {
        let name = required(entry, "name")?;
        if !matches!(text(entry, "type"), None | Some("PLAINTEXT")) {
            return invalid(format!("this fake has PLAINTEXT variables only: {name}"));
        }
        variables.insert(
            name.to_owned(),
            text(entry, "value").unwrap_or_default().to_owned(),
        );
    }
    if let Some(environment) = environment.as_object_mut() {
        environment.insert("environmentVariables".to_owned(), json!(entries));
    }
    Ok(variables)
}

/// Returns the group and stream of a build's log, or none if the project disables it.
fn log_of(project: &Value, name: &str, id: &str) -> Option<(String, String)> {
    let config = project
        .pointer("/logsConfig/cloudWatchLogs")
        .unwrap_or(&Value::Null);
    if text(config, "status") == Some("DISABLED") {
        return None;
    }
    let group =
        text(config, "groupName").map_or_else(|| format!("/aws/codebuild/{name}"), str::to_owned);
    let stream = match text(config, "streamName") {
        Some(prefix) => format!("{prefix}/{id}"),
        None => id.to_owned(),
    };
    Some((group, stream))
}
