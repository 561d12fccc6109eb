//! One build: its specification, its status, and its representation in `BatchGetBuilds`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::seconds;
use crate::process::Stop;

/// A started build.
#[derive(Clone, Debug)]
pub(in crate::codebuild) struct Spec {
    pub(in crate::codebuild) id: String,
    pub(in crate::codebuild) arn: String,
    pub(in crate::codebuild) project: String,
    pub(in crate::codebuild) number: u64,
    pub(in crate::codebuild) source: Value,
    pub(in crate::codebuild) source_version: Option<String>,
    pub(in crate::codebuild) environment: Value,
    pub(in crate::codebuild) variables: BTreeMap<String, String>,
    pub(in crate::codebuild) service_role: Value,
    pub(in crate::codebuild) encryption_key: Value,
    pub(in crate::codebuild) timeout_minutes: u64,
    pub(in crate::codebuild) queued_timeout_minutes: Value,
    pub(in crate::codebuild) initiator: String,
    pub(in crate::codebuild) log: Option<(String, String)>,
    pub(in crate::codebuild) created_at: i64,
}

/// A build with its current status.
#[derive(Debug)]
pub(in crate::codebuild) struct Build {
    pub(in crate::codebuild) spec: Spec,
    pub(in crate::codebuild) status: &'static str,
    pub(in crate::codebuild) phases: Vec<Phase>,
    pub(in crate::codebuild) ended_at: Option<i64>,
    pub(in crate::codebuild) exported: BTreeMap<String, String>,
    pub(in crate::codebuild) request: (Option<String>, Value),
    stop: watch::Sender<Option<Duration>>,
}

/// One phase of a build.
#[derive(Clone, Debug)]
pub(in crate::codebuild) struct Phase {
    pub(in crate::codebuild) kind: &'static str,
    pub(in crate::codebuild) status: Option<&'static str>,
    pub(in crate::codebuild) started_at: i64,
    pub(in crate::codebuild) ended_at: Option<i64>,
    /// Status code and message.
    pub(in crate::codebuild) context: Option<(&'static str, String)>,
}

impl Phase {
    pub(in crate::codebuild) fn to_json(&self) -> Value {
        let mut phase = json!({
            "phaseType": self.kind,
            "startTime": seconds(self.started_at),
        });
        let (code, message) = match &self.context {
            Some((code, message)) => (*code, message.as_str()),
            None => ("", ""),
        };
        if let (Some(status), Some(ended)) = (self.status, self.ended_at)
            && let Some(members) = phase.as_object_mut()
        {
            members.insert("phaseStatus".to_owned(), json!(status));
            members.insert("endTime".to_owned(), json!(seconds(ended)));
            members.insert(
                "durationInSeconds".to_owned(),
                json!((ended - self.started_at) / 1000),
            );
            let context = json!([{ "statusCode": code, "message": message }]);
            members.insert("contexts".to_owned(), context);
        }
        phase
    }
}

impl Build {
    /// Returns a build that has not entered a phase. `request` is its idempotency token, if any, and the
    /// `StartBuild` that made it.
    pub(in crate::codebuild) fn new(spec: Spec, request: (Option<String>, Value)) -> Self {
        Self {
            spec,
            status: "IN_PROGRESS",
            phases: Vec::new(),
            ended_at: None,
            exported: BTreeMap::new(),
            request,
            stop: watch::Sender::new(None),
        }
    }

    pub(in crate::codebuild) fn current_phase(&self) -> &'static str {
        self.phases.last().map_or("SUBMITTED", |phase| phase.kind)
    }

    pub(in crate::codebuild) fn is_complete(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Stops the build if it has not ended.
    pub(in crate::codebuild) fn stop(&mut self, grace: Duration) {
        if !self.is_complete() {
            self.stop.send_replace(Some(grace));
        }
    }

    pub(in crate::codebuild) fn stopped(&self) -> Stop {
        self.stop.subscribe()
    }

    pub(in crate::codebuild) fn to_json(&self) -> Value {
        let spec = &self.spec;
        let exported = self.exported.iter();
        let exported: Vec<Value> = exported
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let mut build = json!({
            "id": spec.id,
            "arn": spec.arn,
            "buildNumber": spec.number,
            "projectName": spec.project,
            "startTime": seconds(spec.created_at),
            "currentPhase": self.current_phase(),
            "buildStatus": self.status,
            "buildComplete": self.is_complete(),
            "phases": self.phases.iter().map(Phase::to_json).collect::<Vec<_>>(),
            "source": spec.source,
            "secondarySources": [],
            "secondaryArtifacts": [],
            "secondarySourceVersions": [],
            "artifacts": { "location": "" },
            "cache": { "type": "NO_CACHE" },
            "environment": spec.environment,
            "serviceRole": spec.service_role,
            "encryptionKey": spec.encryption_key,
            "timeoutInMinutes": spec.timeout_minutes,
            "queuedTimeoutInMinutes": spec.queued_timeout_minutes,
            "initiator": spec.initiator,
            "exportedEnvironmentVariables": exported,
            "logs": self.logs(),
        });
        if let Some(members) = build.as_object_mut() {
            if let Some(version) = &spec.source_version {
                members.insert("sourceVersion".to_owned(), json!(version));
                members.insert("resolvedSourceVersion".to_owned(), json!(version));
            }
            if let Some(ended) = self.ended_at {
                members.insert("endTime".to_owned(), json!(seconds(ended)));
            }
        }
        build
    }

    pub(in crate::codebuild) fn logs(&self) -> Value {
        match &self.spec.log {
            None => json!({ "cloudWatchLogs": { "status": "DISABLED" } }),
            Some((group, stream)) => {
                let owner = self
                    .spec
                    .arn
                    .split(':')
                    .skip(3)
                    .take(2)
                    .collect::<Vec<_>>()
                    .join(":");
                json!({
                    "groupName": group,
                    "streamName": stream,
                    "cloudWatchLogsArn":
                        format!("arn:aws:logs:{owner}:log-group:{group}:log-stream:{stream}"),
                    "cloudWatchLogs": { "status": "ENABLED", "groupName": group },
                })
            }
        }
    }
}
