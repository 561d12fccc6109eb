//! The Lambdas on the fakes of `engine`.

use crate::cloud::Cloud;
use async_trait::async_trait;
use domain::error::StepError;
use domain::step::Step as Lambda;
use engine::announce::Announcer;
use engine::audit::AuditLog;
use engine::closing::Closing;
use engine::fakes::{FakeTargetRoles, samples};
use engine::{Clock, Step};
use serde_json::{Value, json};
use std::sync::Arc;
use workflow::walk::Failure;

impl Cloud {
    fn announcer(&self) -> Announcer {
        self.queue_announcer()
            .with_commit_statuses(self.calls.of(&self.forge), self.enrolments())
    }

    /// Returns an announcer for steps that set no commit status.
    fn queue_announcer(&self) -> Announcer {
        Announcer::new(self.calls.of(&self.status), self.clock())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock)
    }

    fn validate(&self) -> validate::Validate {
        validate::Validate {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            source: self.calls.of(&self.forge),
            history: self.calls.of(&self.forge),
            announcer: self.announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    fn plan(&self) -> plan::Plan {
        plan::Plan {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            batch: Arc::new(self.batch.clone()),
            tokens: self.calls.of(&self.tokens),
            announcer: self.announcer(),
            clock: self.clock(),
            states: samples::states(),
            enrolments: self.enrolments(),
        }
    }

    fn apply(&self) -> apply::Apply {
        apply::Apply {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            batch: Arc::new(self.batch.clone()),
            announcer: self.announcer(),
            clock: self.clock(),
            states: samples::states(),
            enrolments: self.enrolments(),
        }
    }

    fn build_trigger(&self) -> build_trigger::BuildTrigger {
        build_trigger::BuildTrigger {
            table: self.calls.of(&self.table),
            registry: self.calls.of(&self.registry),
            build_logs: Arc::new(self.build_logs.clone()),
            settings: samples::build_settings(),
            announcer: self.queue_announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
            bucket: samples::BUCKET.to_owned(),
        }
    }

    fn deploy(&self) -> deploy::Deploy {
        let mut targets = self.targets();
        targets.services = self.calls.of(&self.services);
        deploy::Deploy {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            target_roles: Arc::new(FakeTargetRoles::new(targets)),
            registry: self.calls.of(&self.registry),
            probe: self.calls.of(&self.probe),
            announcer: self.announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    fn rollback(&self) -> rollback::Rollback {
        rollback::Rollback {
            table: self.calls.of(&self.table),
            announcer: self.announcer(),
            clock: self.clock(),
        }
    }

    fn closing(&self) -> Closing {
        Closing {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            batch: Arc::new(self.batch.clone()),
            tokens: self.calls.of(&self.tokens),
            announcer: self.announcer(),
            clock: self.clock(),
        }
    }

    fn audit_log(&self) -> AuditLog {
        AuditLog {
            table: self.calls.of(&self.table),
            bucket: self.calls.of(&self.audit),
            branch: self.calls.of(&self.forge),
            enrolments: self.enrolments(),
        }
    }

    pub(crate) fn record(&self) -> record::Record {
        record::Record {
            table: self.calls.of(&self.table),
            closing: self.closing(),
            audit: self.audit_log(),
            executions: self.calls.of(&self.executions),
            announcer: self.announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    pub(crate) fn reconcile_step(&self) -> reconcile::Reconcile {
        reconcile::Reconcile {
            table: Arc::new(self.table.clone()),
            closing: self.closing(),
            // It reads the newest entry of every repository.
            audit: AuditLog {
                table: Arc::new(self.table.clone()),
                bucket: Arc::new(self.audit.clone()),
                ..self.audit_log()
            },
            executions: Arc::new(self.executions.clone()),
            tips: Arc::new(self.forge.clone()),
            bus: Arc::new(self.bus.clone()),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    /// Returns a Lambda that the state machine calls.
    pub(crate) fn lambda(&self, lambda: Lambda) -> Box<dyn Function> {
        match lambda {
            Lambda::Validate => Box::new(self.validate()),
            Lambda::Plan => Box::new(self.plan()),
            Lambda::Apply => Box::new(self.apply()),
            Lambda::BuildTrigger => Box::new(self.build_trigger()),
            Lambda::Deploy => Box::new(self.deploy()),
            Lambda::Rollback => Box::new(self.rollback()),
            Lambda::Record => Box::new(self.record()),
            Lambda::Webhook | Lambda::Start | Lambda::Reconcile => {
                panic!("the state machine does not call {}", lambda.as_str())
            }
        }
    }

    /// Invokes a Lambda and returns the result as Step Functions sees it.
    pub(crate) async fn invoke(&self, arguments: &Value) -> std::result::Result<Value, Failure> {
        let name = arguments["FunctionName"].as_str().unwrap();
        let lambda = Lambda::ALL
            .into_iter()
            .find(|step| name == format!("${{{}_arn}}", step.as_str().replace('-', "_")))
            .unwrap_or_else(|| panic!("{name} is not a Lambda"));
        if lambda == Lambda::Deploy {
            self.roll_out().await;
        }
        self.lambda(lambda)
            .answer(arguments["Payload"].clone())
            .await
    }
}

/// A step as a Lambda function.
#[async_trait]
pub(crate) trait Function: Send + Sync {
    /// Parses a payload.
    fn reads(&self, payload: Value) -> serde_json::Result<()>;

    /// Runs the step. Returns its output, or its error as the Lambda runtime reports it.
    async fn answer(&self, payload: Value) -> std::result::Result<Value, Failure>;
}

#[async_trait]
impl<S: Step> Function for S {
    fn reads(&self, payload: Value) -> serde_json::Result<()> {
        serde_json::from_value::<S::Input>(payload).map(|_| ())
    }

    async fn answer(&self, payload: Value) -> std::result::Result<Value, Failure> {
        let input = serde_json::from_value(payload)
            .unwrap_or_else(|error| panic!("a payload that the step does not read: {error}"));
        match self.run(input).await {
            Ok(output) => Ok(serde_json::to_value(output).unwrap()),
            Err(StepError { name, message }) => {
                let cause = json!({"errorType": name.as_str(), "errorMessage": message});
                Err(Failure::new(name.as_str(), cause.to_string()))
            }
        }
    }
}
