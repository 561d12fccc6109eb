//! The target `ecs`: an ECS service.

use super::Prepared;
use crate::outputs::StackOutputs;
use crate::{Deploy, Error, Reach};
use domain::config::EcsDeploy;
use domain::enrolment::EnrolledEnvironment;
use domain::environment::LastGood;
use domain::ids::StackName;
use domain::release::ecs::EcsState;
use domain::release::{Artifact, Release, ReleasePlan, TargetState};
use domain::rollout::{Rollout, RolloutStage};
use domain::run::{Run, StackState};
use engine::{Result, ServiceState, TaskRevision};
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
        reach: &Reach,
        run: &Run,
        last_good: Option<&LastGood>,
        plan: &ReleasePlan<'_>,
        config: &EcsDeploy,
    ) -> Result<Prepared> {
        let outputs =
            StackOutputs::read(&*self.objects, run, &config.stack, Service::OUTPUTS).await?;
        let service = Service::read(&outputs)?;
        check_service(
            &reach.environment,
            &config.stack,
            &service.cluster,
            &service.service,
        )?;
        let task_definition = match plan.known.and_then(|known| known.target.ecs()) {
            Some(known) => known.task_definition.clone(),
            None => match running_already(reach, run, last_good, plan, &service).await? {
                Some(running) => running,
                None => self.register(reach, run, plan, config, &service).await?,
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

    pub(super) async fn observe_ecs(
        &self,
        reach: &Reach,
        wanted: &EcsState,
        stack: &StackName,
        rollout: &Rollout,
        config: &EcsDeploy,
    ) -> Result<RolloutStage> {
        let live = describe(reach, wanted, stack).await?;
        let stage = wanted.judge(&live, rollout.deadline, self.clock.now())?;
        if stage == RolloutStage::Running {
            let Artifact::Image { digest } = &rollout.release.artifact;
            let services = &reach.targets.services;
            let found = services
                .image(&wanted.task_definition, &config.container)
                .await?;
            wanted.check_image(found.as_deref(), digest)?;
        }
        Ok(stage)
    }

    async fn register(
        &self,
        reach: &Reach,
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
        let services = &reach.targets.services;
        for role in services.task_roles(&service.template).await? {
            if !reach.environment.may_use(&role) {
                return Err(Error::RoleNotEnrolled {
                    stack: config.stack.clone(),
                    template: service.template.clone(),
                    role,
                    environment: reach.environment.name.clone(),
                }
                .into());
            }
        }
        let revision = TaskRevision {
            template: service.template.clone(),
            container: config.container.clone(),
            image: format!("{image}@{digest}"),
            environment,
        };
        services.register(&revision).await
    }
}

/// Returns the task definition that the service runs, if it is the last good one with this
/// artifact and commit, and the stack that holds the template is unchanged.
async fn running_already(
    reach: &Reach,
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
    let live = reach
        .targets
        .services
        .describe(&service.cluster, &service.service)
        .await?;
    let runs = live.task_definition == known.task_definition;
    Ok(runs.then_some(live.task_definition))
}

/// Makes the service run the task definition.
pub(super) async fn start(
    reach: &Reach,
    wanted: &EcsState,
    stack: &StackName,
    config: &EcsDeploy,
) -> Result<()> {
    let live = describe(reach, wanted, stack).await?;
    let EcsState {
        cluster,
        service,
        task_definition,
    } = wanted;
    let desired = config.count.change(live.desired);
    if live.task_definition != *task_definition || desired.is_some() {
        reach
            .targets
            .services
            .update(cluster, service, task_definition, desired)
            .await?;
    }
    Ok(())
}

/// Describes the service of a rollout, if the enrolment still allows it.
pub(super) async fn describe(
    reach: &Reach,
    wanted: &EcsState,
    stack: &StackName,
) -> Result<ServiceState> {
    let (cluster, service) = (&wanted.cluster, &wanted.service);
    check_service(&reach.environment, stack, cluster, service)?;
    reach.targets.services.describe(cluster, service).await
}

/// Fails with `DeployFailed` for a service that the enrolment does not name: the stack's outputs decide which
/// service is rolled out, and a commit decides the outputs.
fn check_service(
    environment: &EnrolledEnvironment,
    stack: &StackName,
    cluster: &str,
    service: &str,
) -> std::result::Result<(), Error> {
    if environment.may_roll_out(cluster, service) {
        return Ok(());
    }
    Err(Error::ServiceNotEnrolled {
        stack: stack.clone(),
        cluster: cluster.to_owned(),
        service: service.to_owned(),
        environment: environment.name.clone(),
    })
}
