use crate::Clients;
use crate::errors::{incomplete, named, named_part};
use async_trait::async_trait;
use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionFluentBuilder;
use aws_sdk_ecs::types::{
    ContainerDefinition, Deployment, DeploymentRolloutState, KeyValuePair, Service, Tag,
    TaskDefinition, TaskDefinitionField,
};
use domain::error::{ErrorName, StepError};
use engine::{
    Result, RolloutProgress, RolloutState, ServiceState, Services, TaskRevision, TaskRoles,
};

/// The most service events that are returned.
const EVENTS: usize = 5;

/// ECS.
#[derive(Debug, Clone)]
pub struct Ecs {
    client: aws_sdk_ecs::Client,
}

impl Ecs {
    /// ECS in the clients' account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_ecs::Client::new(clients.config()),
        }
    }
}

#[async_trait]
impl Services for Ecs {
    async fn task_roles(&self, task_definition: &str) -> Result<TaskRoles> {
        let call = format!("DescribeTaskDefinition {task_definition}");
        let describe = self
            .client
            .describe_task_definition()
            .task_definition(task_definition);
        let answer = describe
            .send()
            .await
            .map_err(|error| named(&call, &error))?;
        let definition = answer
            .task_definition
            .ok_or_else(|| incomplete(&call, "task definition"))?;
        let roles = [definition.task_role_arn, definition.execution_role_arn];
        // ECS returns an empty text for a task without a role.
        let roles = roles.into_iter().flatten().filter(|role| !role.is_empty());
        Ok(roles.collect())
    }

    async fn describe(&self, cluster: &str, service: &str) -> Result<ServiceState> {
        let call = format!("DescribeServices {service} in {cluster}");
        let describe = self
            .client
            .describe_services()
            .cluster(cluster)
            .services(service);
        let answer = describe
            .send()
            .await
            .map_err(|error| named(&call, &error))?;
        match answer.services().first() {
            Some(found) if found.status() == Some("INACTIVE") => {
                Err(named_part(&call, "INACTIVE", "the service was deleted"))
            }
            Some(found) => state(&call, found),
            None => {
                let failure = answer.failures().first();
                let reason = failure
                    .and_then(|failure| failure.reason())
                    .unwrap_or("MISSING");
                let detail = failure.and_then(|failure| failure.detail());
                Err(named_part(
                    &call,
                    reason,
                    detail.unwrap_or("the service does not exist"),
                ))
            }
        }
    }

    async fn register(&self, revision: &TaskRevision) -> Result<String> {
        let template = &revision.template;
        let call = format!("DescribeTaskDefinition {template}");
        let describe = self
            .client
            .describe_task_definition()
            .task_definition(template)
            .include(TaskDefinitionField::Tags);
        let mut answer = describe
            .send()
            .await
            .map_err(|error| named(&call, &error))?;
        let tags = answer.tags.take();
        let mut definition = answer
            .task_definition
            .take()
            .ok_or_else(|| incomplete(&call, "task definition"))?;
        renew(&mut definition, revision)?;
        let call = format!("RegisterTaskDefinition from {template}");
        let register = copied(self.client.register_task_definition(), definition, tags);
        let answer = register
            .send()
            .await
            .map_err(|error| named(&call, &error))?;
        answer
            .task_definition()
            .and_then(|definition| definition.task_definition_arn())
            .map(str::to_owned)
            .ok_or_else(|| incomplete(&call, "ARN"))
    }

    async fn image(&self, task_definition: &str, container: &str) -> Result<Option<String>> {
        let call = format!("DescribeTaskDefinition {task_definition}");
        let describe = self
            .client
            .describe_task_definition()
            .task_definition(task_definition);
        let answer = describe
            .send()
            .await
            .map_err(|error| named(&call, &error))?;
        let definition = answer
            .task_definition
            .ok_or_else(|| incomplete(&call, "task definition"))?;
        let mut containers = definition.container_definitions().iter();
        let container = containers.find(|one| one.name() == Some(container));
        Ok(container.and_then(|one| one.image()).map(str::to_owned))
    }

    async fn update(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: Option<u32>,
    ) -> Result<()> {
        let call = format!("UpdateService {service} in {cluster} to {task_definition}");
        let update = self
            .client
            .update_service()
            .cluster(cluster)
            .service(service)
            .task_definition(task_definition)
            .set_desired_count(desired.map(|count| i32::try_from(count).unwrap_or(i32::MAX)))
            .force_new_deployment(false);
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&call, &error)),
        }
    }
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn state(call: &str, service: &Service) -> Result<ServiceState> {
    let task_definition = service
        .task_definition()
        .ok_or_else(|| incomplete(call, "task definition"))?;
    let mut deployments: Vec<&Deployment> = service.deployments().iter().collect();
    // ECS documents no order. The sort is stable.
    deployments.sort_by_key(|deployment| deployment.status() != Some("PRIMARY"));
    let events = service.events().iter().filter_map(|event| event.message());
    Ok(ServiceState {
        task_definition: task_definition.to_owned(),
        desired: count(service.desired_count()),
        rollouts: deployments.into_iter().map(rollout).collect(),
        events: events.take(EVENTS).map(str::to_owned).collect(),
    })
}

fn rollout(deployment: &Deployment) -> RolloutState {
    let all_run = deployment.running_count() >= deployment.desired_count()
        && deployment.pending_count() == 0
        && deployment.status() == Some("PRIMARY");
    let progress = match deployment.rollout_state() {
        Some(DeploymentRolloutState::Completed) => RolloutProgress::Completed,
        Some(DeploymentRolloutState::Failed) => RolloutProgress::Failed,
        // A deployment that ECS does not control has no rollout state: its task counts decide.
        None if all_run => RolloutProgress::Completed,
        _ => RolloutProgress::InProgress,
    };
    RolloutState {
        task_definition: deployment.task_definition().unwrap_or_default().to_owned(),
        progress,
        running: count(deployment.running_count()),
        failed: count(deployment.failed_tasks()),
        reason: deployment
            .rollout_state_reason()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Sets the image and variables of the named container.
fn renew(definition: &mut TaskDefinition, revision: &TaskRevision) -> Result<()> {
    let mut containers = definition.container_definitions.take().unwrap_or_default();
    let names: Vec<_> = containers
        .iter()
        .filter_map(|container| container.name())
        .collect();
    let names = names.join(", ");
    let container = containers
        .iter_mut()
        .find(|container| container.name() == Some(&revision.container))
        .ok_or_else(|| {
            StepError::new(
                ErrorName::DeployFailed,
                format!(
                    "task definition {} has no container {:?}; it has: {names}. Correct \
                     deploy.container in sluicegate.yaml, or the container's name in the stack",
                    revision.template, revision.container
                ),
            )
        })?;
    container.image = Some(revision.image.clone());
    set_environment(container, revision);
    definition.container_definitions = Some(containers);
    Ok(())
}

fn set_environment(container: &mut ContainerDefinition, revision: &TaskRevision) {
    let mut environment = container.environment.take().unwrap_or_default();
    environment.retain(|pair| {
        pair.name()
            .is_none_or(|name| !revision.environment.contains_key(name))
    });
    environment.extend(
        revision
            .environment
            .iter()
            .map(|(name, value)| KeyValuePair::builder().name(name).value(value).build()),
    );
    container.environment = Some(environment);
}

/// Copies everything that can be registered. Leaves out what ECS adds (ARN, revision, status,
/// compatibilities, required attributes, dates) and inference accelerators, which AWS has retired.
fn copied(
    register: RegisterTaskDefinitionFluentBuilder,
    definition: TaskDefinition,
    tags: Option<Vec<Tag>>,
) -> RegisterTaskDefinitionFluentBuilder {
    register
        .set_family(definition.family)
        .set_task_role_arn(definition.task_role_arn)
        .set_execution_role_arn(definition.execution_role_arn)
        .set_network_mode(definition.network_mode)
        .set_container_definitions(definition.container_definitions)
        .set_volumes(definition.volumes)
        .set_placement_constraints(definition.placement_constraints)
        .set_requires_compatibilities(definition.requires_compatibilities)
        .set_cpu(definition.cpu)
        .set_memory(definition.memory)
        .set_pid_mode(definition.pid_mode)
        .set_ipc_mode(definition.ipc_mode)
        .set_proxy_configuration(definition.proxy_configuration)
        .set_ephemeral_storage(definition.ephemeral_storage)
        .set_runtime_platform(definition.runtime_platform)
        .set_enable_fault_injection(definition.enable_fault_injection)
        // ECS rejects an empty tag list.
        .set_tags(tags.filter(|tags| !tags.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;

    fn revision() -> TaskRevision {
        TaskRevision {
            template: "shop:1".into(),
            container: "shop".into(),
            image: "r/shop@sha256:1".into(),
            environment: [("SLUICEGATE_COMMIT".to_owned(), "new".to_owned())].into(),
        }
    }

    fn definition() -> TaskDefinition {
        let pair =
            |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
        let shop = ContainerDefinition::builder()
            .name("shop")
            .image("placeholder")
            .environment(pair("A", "1"))
            .environment(pair("SLUICEGATE_COMMIT", "old"))
            .build();
        let sidecar = ContainerDefinition::builder()
            .name("proxy")
            .image("envoy")
            .build();
        TaskDefinition::builder()
            .container_definitions(shop)
            .container_definitions(sidecar)
            .build()
    }

    #[test]
    fn one_container_gets_image_and_variables_the_other_nothing() {
        let mut definition = definition();
        renew(&mut definition, &revision()).unwrap();
        let containers = definition.container_definitions();
        assert_eq!(containers[0].image(), Some("r/shop@sha256:1"));
        let environment: Vec<_> = containers[0]
            .environment()
            .iter()
            .map(|pair| (pair.name().unwrap(), pair.value().unwrap()))
            .collect();
        assert_eq!(environment, [("A", "1"), ("SLUICEGATE_COMMIT", "new")]);
        assert_eq!(containers[1].image(), Some("envoy"));
    }

    #[test]
    fn a_container_that_is_not_there_is_named_with_those_that_are() {
        let revision = TaskRevision {
            container: "web".into(),
            ..revision()
        };
        let error = renew(&mut definition(), &revision).unwrap_err();
        assert_eq!(error.name, ErrorName::DeployFailed);
        assert!(error.message.contains("it has: shop, proxy"), "{error}");
    }

    #[test]
    fn the_primary_rollout_comes_first() {
        let deployment = |status: &str, state: DeploymentRolloutState| {
            Deployment::builder()
                .status(status)
                .task_definition(status)
                .rollout_state(state)
                .build()
        };
        let service = Service::builder()
            .task_definition("shop:2")
            .deployments(deployment("ACTIVE", DeploymentRolloutState::Completed))
            .deployments(deployment("PRIMARY", DeploymentRolloutState::Failed))
            .build();
        let state = state("DescribeServices", &service).unwrap();
        assert_eq!(state.rollouts[0].task_definition, "PRIMARY");
        assert_eq!(state.rollouts[0].progress, RolloutProgress::Failed);
    }

    #[test]
    fn without_a_state_the_tasks_decide() {
        let deployment = Deployment::builder()
            .status("PRIMARY")
            .desired_count(2)
            .running_count(1);
        assert_eq!(
            rollout(&deployment.clone().build()).progress,
            RolloutProgress::InProgress
        );
        let deployment = deployment.running_count(2).build();
        assert_eq!(rollout(&deployment).progress, RolloutProgress::Completed);
    }
}
