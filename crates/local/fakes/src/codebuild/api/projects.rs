//! Projects: the resources that Terraform manages.

use serde_json::{Value, json};

use super::{invalid, missing, required};
use crate::aws_json::{Answer, Refused, short};
use crate::codebuild::CodeBuild;
use crate::codebuild::state::seconds;
use crate::now_ms;

/// The members of a project that a caller may set.
const MEMBERS: [&str; 19] = [
    "description",
    "source",
    "secondarySources",
    "sourceVersion",
    "secondarySourceVersions",
    "artifacts",
    "secondaryArtifacts",
    "cache",
    "environment",
    "serviceRole",
    "timeoutInMinutes",
    "queuedTimeoutInMinutes",
    "encryptionKey",
    "tags",
    "vpcConfig",
    "logsConfig",
    "fileSystemLocations",
    "buildBatchConfig",
    "concurrentBuildLimit",
];

impl CodeBuild {
    pub(super) fn create_project(&self, request: &Value) -> Answer {
        let name = required(request, "name")?;
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() < 2 || name.len() > 150 || !name.chars().all(good) {
            return invalid(format!(
                "Project name {name:?} must be 2 to 150 letters, digits, - or _"
            ));
        }
        for member in ["source", "artifacts", "environment"] {
            if request.get(member).is_none_or(Value::is_null) {
                return invalid(format!("{member} is required"));
            }
        }
        required(request, "serviceRole")?;
        if request.pointer("/artifacts/type").and_then(Value::as_str) != Some("NO_ARTIFACTS") {
            return invalid("this fake has projects without artifacts only");
        }
        check_timeout(request)?;
        let mut state = self.state();
        if state.projects.contains_key(name) {
            return Err(Refused {
                name: "ResourceAlreadyExistsException",
                message: format!("Project already exists: {}", self.project_arn(name)),
            });
        }
        let host = &self.config.host;
        let now = seconds(now_ms());
        let mut project = json!({
            "name": name,
            "arn": self.project_arn(name),
            "timeoutInMinutes": 60,
            "queuedTimeoutInMinutes": 480,
            "encryptionKey": host.arn("kms", "alias/aws/s3"),
            "tags": [],
            "secondarySources": [],
            "secondaryArtifacts": [],
            "secondarySourceVersions": [],
            "fileSystemLocations": [],
            "cache": { "type": "NO_CACHE" },
            "badge": { "badgeEnabled": false },
            "projectVisibility": "PRIVATE",
            "created": now,
            "lastModified": now,
        });
        set_members(&mut project, request);
        state.projects.insert(name.to_owned(), project.clone());
        Ok(json!({ "project": project }))
    }

    pub(super) fn update_project(&self, request: &Value) -> Answer {
        let name = short(required(request, "name")?);
        check_timeout(request)?;
        let mut state = self.state();
        let Some(project) = state.projects.get_mut(name) else {
            return missing(format!(
                "Project cannot be found: {}",
                self.project_arn(name)
            ));
        };
        set_members(project, request);
        if let Some(project) = project.as_object_mut() {
            project.insert("lastModified".to_owned(), json!(seconds(now_ms())));
            // -1 removes the limit.
            if project.get("concurrentBuildLimit").and_then(Value::as_i64) == Some(-1) {
                project.remove("concurrentBuildLimit");
            }
        }
        Ok(json!({ "project": project }))
    }

    /// Deletes a project. Succeeds if it does not exist, as on AWS.
    pub(super) fn delete_project(&self, request: &Value) -> Answer {
        self.state()
            .projects
            .remove(short(required(request, "name")?));
        Ok(json!({}))
    }

    pub(super) fn batch_get_projects(&self, request: &Value) -> Answer {
        let wanted = request.get("names").and_then(Value::as_array);
        let state = self.state();
        let (mut found, mut not_found) = (Vec::new(), Vec::new());
        for name in wanted.into_iter().flatten() {
            match name
                .as_str()
                .and_then(|name| state.projects.get(short(name)))
            {
                Some(project) => found.push(project.clone()),
                None => not_found.push(name.clone()),
            }
        }
        Ok(json!({ "projects": found, "projectsNotFound": not_found }))
    }

    pub(super) fn list_projects(&self) -> Answer {
        Ok(json!({ "projects": self.state().projects.keys().collect::<Vec<_>>() }))
    }

    fn project_arn(&self, name: &str) -> String {
        self.config
            .host
            .arn("codebuild", &format!("project/{name}"))
    }
}

fn check_timeout(request: &Value) -> Result<(), Refused> {
    let minutes = request.get("timeoutInMinutes").and_then(Value::as_u64);
    if minutes.is_some_and(|minutes| !(5..=2160).contains(&minutes)) {
        return invalid("timeoutInMinutes must be 5 to 2160");
    }
    Ok(())
}

fn set_members(project: &mut Value, request: &Value) {
    let Some(project) = project.as_object_mut() else {
        return;
    };
    for member in MEMBERS {
        if let Some(value) = request.get(member).filter(|value| !value.is_null()) {
            project.insert(member.to_owned(), value.clone());
        }
    }
    if let Some(environment) = project
        .get_mut("environment")
        .and_then(Value::as_object_mut)
    {
        environment
            .entry("environmentVariables")
            .or_insert_with(|| json!([]));
        environment
            .entry("privilegedMode")
            .or_insert_with(|| json!(false));
        environment
            .entry("imagePullCredentialsType")
            .or_insert_with(|| json!("CODEBUILD"));
    }
    if let Some(badge) = request.get("badgeEnabled").and_then(Value::as_bool) {
        project.insert("badge".to_owned(), json!({ "badgeEnabled": badge }));
    }
}
