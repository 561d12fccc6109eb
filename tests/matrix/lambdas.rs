//! The Lambdas on the fakes of `engine`.

use crate::cloud::{Cloud, neighbor};
use domain::error::StepError;
use domain::event::EnrolledRepository;
use domain::step::Step as Lambda;
use engine::announce::Announcer;
use engine::fakes::samples;
use engine::{Clock, Result, Step};
use serde_json::{Value, json};
use std::sync::Arc;
use workflow::walk::Failure;

impl Cloud {
    fn announcer(&self) -> Announcer {
        self.queue_announcer()
            .with_commit_statuses(self.calls.of(&self.forge), repositories())
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
            announcer: self.announcer(),
            repositories: repositories(),
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
        }
    }

    fn build_trigger(&self) -> build_trigger::BuildTrigger {
        build_trigger::BuildTrigger {
            table: self.calls.of(&self.table),
            registry: self.calls.of(&self.registry),
            announcer: self.queue_announcer(),
            repositories: repositories(),
            clock: self.clock(),
            bucket: samples::BUCKET.to_owned(),
        }
    }

    fn deploy(&self) -> deploy::Deploy {
        deploy::Deploy {
            table: self.calls.of(&self.table),
            objects: self.calls.of(&self.artifacts),
            services: self.calls.of(&self.services),
            registry: self.calls.of(&self.registry),
            probe: self.calls.of(&self.probe),
            announcer: self.announcer(),
            repositories: repositories(),
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

    pub(crate) fn record(&self) -> record::Record {
        record::Record {
            table: self.calls.of(&self.table),
            audit: self.calls.of(&self.audit),
            audit_branch: self.calls.of(&self.forge),
            tokens: self.calls.of(&self.tokens),
            batch: Arc::new(self.batch.clone()),
            executions: self.calls.of(&self.executions),
            announcer: self.announcer(),
            repositories: repositories(),
            clock: self.clock(),
        }
    }

    /// Invokes a Lambda and returns the result as Step Functions sees it.
    pub(crate) async fn invoke(&self, arguments: &Value) -> std::result::Result<Value, Failure> {
        let name = arguments["FunctionName"].as_str().unwrap();
        let payload = arguments["Payload"].clone();
        let lambda = Lambda::ALL
            .into_iter()
            .find(|step| name == format!("${{{}_arn}}", step.as_str().replace('-', "_")));
        match lambda.unwrap_or_else(|| panic!("{name} is not a Lambda")) {
            Lambda::Validate => answer(&self.validate(), payload).await,
            Lambda::Plan => answer(&self.plan(), payload).await,
            Lambda::Apply => answer(&self.apply(), payload).await,
            Lambda::BuildTrigger => answer(&self.build_trigger(), payload).await,
            Lambda::Deploy => {
                self.roll_out().await;
                answer(&self.deploy(), payload).await
            }
            Lambda::Rollback => answer(&self.rollback(), payload).await,
            Lambda::Record => answer(&self.record(), payload).await,
            Lambda::Webhook => panic!("the state machine does not call webhook"),
        }
    }
}

fn repositories() -> Arc<[EnrolledRepository]> {
    Arc::new([samples::repository(), neighbor()])
}

/// Runs a step. Returns its output, or its error as the Lambda runtime reports it.
async fn answer<S: Step>(step: &S, payload: Value) -> std::result::Result<Value, Failure> {
    let input = serde_json::from_value(payload)
        .unwrap_or_else(|error| panic!("a payload that the step does not read: {error}"));
    let output: Result<S::Output> = Box::pin(step.run(input)).await;
    match output {
        Ok(output) => Ok(serde_json::to_value(output).unwrap()),
        Err(StepError { name, message }) => {
            let cause = json!({"errorType": name.as_str(), "errorMessage": message});
            Err(Failure::new(name.as_str(), cause.to_string()))
        }
    }
}
