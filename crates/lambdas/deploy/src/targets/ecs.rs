//! The target `ecs`: an ECS service.

use super::Prepared;
use crate::Deploy;
use crate::outputs::StackOutputs;
use domain::config::EcsDeploy;
use domain::environment::LastGood;
use domain::release::ecs::EcsState;
use domain::release::{Artifact, Release, ReleasePlan, TargetState};
use domain::rollout::RolloutStage;
use domain::run::{Run, StackState};
use engine::{Result, TaskRevision};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The outputs of the stack that holds the service.
struct Service {
    /// The name or ARN of the cluster.
    cluster: String,
    /// The name of the service.
    service: String,
    /// The ARN of the task definition that Terraform made.
    template: String,
    /// The address of the service, without a path.
    url: String,
}

impl Service {
    const OUTPUTS: &'static [&'static str] = &["cluster", "service", "task_definition", "url"];

    fn read(outputs: &StackOutputs<'_>) -> Result<Self> {
        Ok(Self {
            cluster: outputs.text("cluster")?,
            service: outputs.text("service")?,
            template: outputs.text("task_definition")?,
            url: outputs.address("url")?,
        })
    }
}

impl Deploy {
    /// Returns the task definition to run: the verified one on the rollback leg, the running one if
    /// nothing changed, or a new one.
    pub(super) async fn prepare_ecs(
        &self,
        run: &Run,
        last_good: Option<&LastGood>,
        plan: &ReleasePlan<'_>,
        config: &EcsDeploy,
    ) -> Result<Prepared> {
        let outputs =
            StackOutputs::read(&*self.objects, run, &config.stack, Service::OUTPUTS).await?;
        let service = Service::read(&outputs)?;
        let task_definition = match plan.known.and_then(|known| known.target.ecs()) {
            Some(known) => known.task_definition.clone(),
            None => match self.running_already(run, last_good, plan, &service).await? {
                Some(running) => running,
                None => self.register(run, plan, config, &service).await?,
            },
        };
        Ok(Prepared {
            target: TargetState::Ecs(EcsState {
                cluster: service.cluster,
                service: service.service,
                task_definition,
            }),
            url: service.url,
        })
    }

    pub(super) async fn start_ecs(&self, wanted: &EcsState, config: &EcsDeploy) -> Result<()> {
        let EcsState {
            cluster,
            service,
            task_definition,
        } = wanted;
        let live = self.targets.services.describe(cluster, service).await?;
        let desired = config.count.change(live.desired);
        if live.task_definition != *task_definition || desired.is_some() {
            self.targets
                .services
                .update(cluster, service, task_definition, desired)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn observe_ecs(
        &self,
        wanted: &EcsState,
        deadline: Timestamp,
    ) -> Result<RolloutStage> {
        let live = self
            .targets
            .services
            .describe(&wanted.cluster, &wanted.service)
            .await?;
        Ok(wanted.judge(&live, deadline, self.clock.now())?)
    }

    /// Returns the task definition that the service runs, if it is the last good one with this
    /// artifact and commit, and the stack that holds the template is unchanged.
    async fn running_already(
        &self,
        run: &Run,
        last_good: Option<&LastGood>,
        plan: &ReleasePlan<'_>,
        service: &Service,
    ) -> Result<Option<String>> {
        let name = plan.config.service();
        let same = |known: &&Release| known.service == name && known.artifact == *plan.artifact;
        let known = last_good
            .filter(|good| good.commit == *plan.commit)
            .and_then(|good| good.releases.iter().find(same));
        let Some(known) = known.and_then(|known| known.target.ecs()) else {
            return Ok(None);
        };
        let state = run.stack(plan.stack())?.state();
        if !matches!(state, StackState::Unchanged | StackState::Skipped { .. }) {
            return Ok(None);
        }
        let live = self
            .targets
            .services
            .describe(&service.cluster, &service.service)
            .await?;
        let runs = live.task_definition == known.task_definition;
        Ok(runs.then_some(live.task_definition))
    }

    async fn register(
        &self,
        run: &Run,
        plan: &ReleasePlan<'_>,
        config: &EcsDeploy,
        service: &Service,
    ) -> Result<String> {
        let Artifact::Image { digest } = plan.artifact;
        let image = self.image(run).await?;
        let environment = BTreeMap::from([
            ("SLUICEGATE_COMMIT".to_owned(), plan.commit.to_string()),
            ("SLUICEGATE_RUN".to_owned(), run.id().to_string()),
        ]);
        let revision = TaskRevision {
            template: service.template.clone(),
            container: config.container.clone(),
            image: format!("{image}@{digest}"),
            environment,
        };
        self.targets.services.register(&revision).await
    }
}
