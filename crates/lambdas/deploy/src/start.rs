//! Starts a rollout.

use crate::Deploy;
use crate::outputs::{Target, target};
use domain::environment::Environment;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use domain::rollout::RolloutPlan;
use domain::run::{Rollout, Run, StackState};
use domain::step::DeployVerdict;
use engine::documents::{load_run, update_run};
use engine::environments::{self, Owned};
use engine::status::Transition;
use engine::{Result, TaskRevision};
use jiff::SignedDuration;
use std::collections::BTreeMap;

impl Deploy {
    /// Rolls the image of the way out that the run goes.
    ///
    /// The task definition is written into the run before the service gets it: a repeated start
    /// registers none again, and a start that dies leaves no rollout that the run does not know.
    pub(crate) async fn start(&self, run: &RunId) -> Result<DeployVerdict> {
        let run = load_run(&*self.records, run).await?;
        let Some(plan) = run.rollout_plan()? else {
            return Ok(DeployVerdict::None);
        };
        let owned = environments::owned(&*self.records, &run).await?;
        self.roll_out(&run, &owned, &plan).await
    }

    /// Writes the rollout into the run, and makes the service run it.
    async fn roll_out(
        &self,
        run: &Run,
        owned: &Owned,
        plan: &RolloutPlan<'_>,
    ) -> Result<DeployVerdict> {
        let rollout = match run.rollout() {
            Some(known) => known.clone(),
            None => {
                let target = target(&*self.objects, run, plan.stack).await?;
                self.prepare(run, owned, plan, target).await?
            }
        };
        if rollout.healthy_at.is_some() {
            return Ok(DeployVerdict::Healthy);
        }
        let (cluster, service) = (&rollout.cluster, &rollout.service);
        let live = self.services.describe(cluster, service).await?;
        let desired = plan.config.desired_count;
        if live.task_definition != rollout.task_definition || live.desired != desired {
            self.services
                .update(cluster, service, &rollout.task_definition, desired)
                .await?;
        }
        let transition = Transition::DeployStarted(run.mode);
        self.announcer.announce(run, transition).await;
        Ok(DeployVerdict::InProgress)
    }

    /// Finds or makes the task definition, and writes the rollout into the run.
    async fn prepare(
        &self,
        run: &Run,
        owned: &Owned,
        plan: &RolloutPlan<'_>,
        target: Target,
    ) -> Result<Rollout> {
        let task_definition = match &plan.task_definition {
            Some(known) => known.clone(),
            None => match self
                .running_already(run, owned.environment(), plan, &target)
                .await?
            {
                Some(running) => running,
                None => self.register(run, plan, &target).await?,
            },
        };
        let now = self.clock.now();
        let timeout = SignedDuration::from_secs(plan.config.timeout_seconds.into());
        let rollout = Rollout {
            cluster: target.cluster,
            service: target.service,
            task_definition,
            image: plan.image.clone(),
            commit: plan.commit.clone(),
            url: target.url,
            since: now,
            deadline: now.saturating_add(timeout).unwrap_or(now),
            healthy_at: None,
        };
        let mode = run.mode;
        update_run(&*self.records, &run.id, |run| {
            if run.mode != mode || run.end.is_some() {
                return Err(StepError::new(
                    ErrorName::ContractViolation,
                    format!(
                        "run {} went another way while its rollout was prepared",
                        run.id
                    ),
                ));
            }
            Ok(run
                .rollout_mut()
                .get_or_insert_with(|| rollout.clone())
                .clone())
        })
        .await
    }

    /// The task definition that the service runs, when it is the last good one, of this image and
    /// commit, and this run changed nothing in the stack that holds the template.
    async fn running_already(
        &self,
        run: &Run,
        environment: &Environment,
        plan: &RolloutPlan<'_>,
        target: &Target,
    ) -> Result<Option<String>> {
        let same = |good: &&domain::environment::LastGood| {
            good.commit == plan.commit && good.image.as_ref() == Some(&plan.image)
        };
        let Some(good) = environment.last_good().filter(same) else {
            return Ok(None);
        };
        if run.stack(plan.stack)?.state != StackState::Unchanged {
            return Ok(None);
        }
        let live = self
            .services
            .describe(&target.cluster, &target.service)
            .await?;
        Ok(good
            .task_definition
            .clone()
            .filter(|known| *known == live.task_definition))
    }

    async fn register(&self, run: &Run, plan: &RolloutPlan<'_>, target: &Target) -> Result<String> {
        let image = self.image(run)?;
        let environment = BTreeMap::from([
            ("SLUICEGATE_COMMIT".to_owned(), plan.commit.to_string()),
            ("SLUICEGATE_RUN".to_owned(), run.id.to_string()),
        ]);
        let revision = TaskRevision {
            template: target.template.clone(),
            container: plan.config.container.clone(),
            image: format!("{image}@{}", plan.image),
            environment,
        };
        self.services.register(&revision).await
    }
}
