use super::{Faults, Shared, can_fail};
use crate::{
    BuildLogs, HttpReply, Probe, Registry, Result, RolloutProgress, RolloutState, ServiceState,
    Services, TaskRevision, TaskRoles,
};
use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::ids::{BuildId, ImageDigest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn refused(message: String) -> StepError {
    StepError::new(ErrorName::AwsRefused, message)
}

#[derive(Debug, Default)]
struct Repository {
    digests: BTreeSet<String>,
    tags: BTreeMap<String, ImageDigest>,
}

/// A fake of the image registry. Tags are immutable.
#[derive(Debug, Clone, Default)]
pub struct FakeRegistry {
    repositories: Shared<BTreeMap<String, Repository>>,
    faults: Faults,
}

can_fail!(FakeRegistry: "find", "tag");

impl FakeRegistry {
    /// Returns a registry without images.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Pushes an image, as a build does. `image` is `registry/repository`.
    ///
    /// # Panics
    /// Panics when a tag already belongs to another digest, which a build cannot change either.
    pub fn push(&self, image: &str, digest: &ImageDigest, tags: &[&str]) {
        let mut repositories = self.repositories.lock();
        let repository = repositories.entry(image.to_owned()).or_default();
        repository.digests.insert(digest.to_string());
        for tag in tags {
            let before = repository.tags.insert((*tag).to_owned(), digest.clone());
            assert!(
                before.is_none_or(|before| &before == digest),
                "tag {tag} is immutable"
            );
        }
    }

    /// Returns every image that has a tag, as `image:tag@digest`, in order.
    #[must_use]
    pub fn images(&self) -> Vec<String> {
        let repositories = self.repositories.lock();
        let tags = repositories.iter().flat_map(|(image, repository)| {
            let tags = repository.tags.iter();
            tags.map(move |(tag, digest)| format!("{image}:{tag}@{digest}"))
        });
        tags.collect()
    }

    /// Returns the tags of an image, in order.
    #[must_use]
    pub fn tags(&self, image: &str, digest: &ImageDigest) -> Vec<String> {
        let repositories = self.repositories.lock();
        let tags = repositories.get(image).map(|repository| &repository.tags);
        tags.into_iter()
            .flatten()
            .filter(|(_, at)| *at == digest)
            .map(|(tag, _)| tag.clone())
            .collect()
    }
}

/// A fake of the logs of image builds.
#[derive(Debug, Clone, Default)]
pub struct FakeBuildLogs {
    logs: Shared<BTreeMap<BuildId, Vec<String>>>,
    faults: Faults,
}

can_fail!(FakeBuildLogs: "tail");

impl FakeBuildLogs {
    /// Returns a fake without logs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds lines to a build's log.
    pub fn print(&self, build: &BuildId, lines: &[&str]) {
        let mut logs = self.logs.lock();
        let log = logs.entry(build.clone()).or_default();
        log.extend(lines.iter().map(|line| (*line).to_owned()));
    }
}

#[async_trait]
impl BuildLogs for FakeBuildLogs {
    async fn tail(&self, build: &BuildId, limit: usize) -> Result<Vec<String>> {
        self.faults.before("tail")?;
        let Some(log) = self.logs.lock().get(build).cloned() else {
            return Err(refused(format!("GetLogEvents {build}: no such log stream")));
        };
        self.faults.after("tail")?;
        let first = log.len().saturating_sub(limit);
        Ok(log.into_iter().skip(first).collect())
    }
}

#[async_trait]
impl Registry for FakeRegistry {
    async fn find(&self, image: &str, tag: &str) -> Result<Option<ImageDigest>> {
        self.faults.before("find")?;
        let found = self
            .repositories
            .lock()
            .get(image)
            .and_then(|repository| repository.tags.get(tag).cloned());
        self.faults.after("find")?;
        Ok(found)
    }

    async fn tag(&self, image: &str, digest: &ImageDigest, tag: &str) -> Result<()> {
        self.faults.before("tag")?;
        {
            let mut repositories = self.repositories.lock();
            let repository = repositories
                .get_mut(image)
                .filter(|repository| repository.digests.contains(digest.as_str()))
                .ok_or_else(|| refused(format!("BatchGetImage: {image} has no {digest}")))?;
            match repository.tags.get(tag) {
                Some(at) if at != digest => {
                    return Err(refused(format!(
                        "PutImage: ImageTagAlreadyExistsException: {image}:{tag} stands at {at}"
                    )));
                }
                _ => repository.tags.insert(tag.to_owned(), digest.clone()),
            };
        }
        self.faults.after("tag")
    }
}

#[derive(Debug, Default)]
struct Ecs {
    services: BTreeMap<(String, String), ServiceState>,
    /// With the roles of their tasks.
    templates: BTreeMap<String, TaskRoles>,
    revisions: Vec<(String, TaskRevision)>,
    /// The images of task definitions that this fake did not register, or that were changed.
    images: BTreeMap<String, String>,
}

impl Ecs {
    fn service(&mut self, cluster: &str, service: &str) -> Result<&mut ServiceState> {
        self.services
            .get_mut(&(cluster.to_owned(), service.to_owned()))
            .ok_or_else(|| {
                refused(format!(
                    "DescribeServices: ServiceNotFoundException: no service {service} in {cluster}"
                ))
            })
    }
}

/// A fake of ECS. A rollout continues until the test ends it.
#[derive(Debug, Clone, Default)]
pub struct FakeServices {
    ecs: Shared<Ecs>,
    faults: Faults,
}

can_fail!(FakeServices: "task_roles", "describe", "register", "image", "update");

impl FakeServices {
    /// Returns a fake without services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a service as Terraform does, with no tasks and its first rollout complete.
    /// `template` is the ARN of its task definition, such as `arn:...:task-definition/shop:1`.
    pub fn add_service(&self, cluster: &str, service: &str, template: &str) {
        let mut ecs = self.ecs.lock();
        ecs.templates.insert(template.to_owned(), TaskRoles::new());
        let state = ServiceState {
            task_definition: template.to_owned(),
            desired: 0,
            rollouts: vec![rollout(template, RolloutProgress::Completed)],
            events: Vec::new(),
        };
        ecs.services
            .insert((cluster.to_owned(), service.to_owned()), state);
    }

    /// Sets the desired number of tasks, as autoscaling does.
    pub fn scale(&self, cluster: &str, service: &str, desired: u32) {
        self.change(cluster, service, |state| state.desired = desired);
    }

    /// Completes the newest rollout. Its tasks run, and older rollouts are gone.
    pub fn finish_rollout(&self, cluster: &str, service: &str) {
        self.change(cluster, service, |state| {
            state.rollouts.truncate(1);
            let desired = state.desired;
            if let Some(newest) = state.rollouts.first_mut() {
                newest.progress = RolloutProgress::Completed;
                newest.running = desired;
                newest.reason = "deployment completed".to_owned();
            }
        });
    }

    /// Makes the circuit breaker stop the newest rollout, without a rollback.
    pub fn fail_rollout(&self, cluster: &str, service: &str, reason: &str) {
        self.change(cluster, service, |state| {
            if let Some(newest) = state.rollouts.first_mut() {
                newest.progress = RolloutProgress::Failed;
                newest.running = 0;
                newest.failed += 3;
                newest.reason = reason.to_owned();
            }
            state.events.insert(0, reason.to_owned());
            state.events.truncate(5);
        });
    }

    /// Makes the circuit breaker stop the newest rollout and roll back to the previous one, as for
    /// a service with `rollback = true`. Without a previous rollout, the service stays at the
    /// failed one.
    pub fn fail_rollout_and_roll_back(&self, cluster: &str, service: &str, reason: &str) {
        self.fail_rollout(cluster, service, reason);
        self.change(cluster, service, |state| {
            if state.rollouts.len() > 1 {
                let mut before = state.rollouts.remove(1);
                before.progress = RolloutProgress::InProgress;
                state.task_definition.clone_from(&before.task_definition);
                state.rollouts.insert(0, before);
            }
        });
    }

    /// Sets the roles of a task definition that Terraform registered.
    pub fn set_task_roles(&self, template: &str, roles: &[&str]) {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self.ecs.lock().templates.insert(template.to_owned(), roles);
    }

    /// Changes a service. Does nothing if the service does not exist.
    pub fn change(&self, cluster: &str, service: &str, change: impl FnOnce(&mut ServiceState)) {
        if let Ok(state) = self.ecs.lock().service(cluster, service) {
            change(state);
        }
    }

    /// Sets the image of every container of a task definition, as another process would.
    pub fn set_image(&self, task_definition: &str, image: &str) {
        let images = &mut self.ecs.lock().images;
        images.insert(task_definition.to_owned(), image.to_owned());
    }

    /// Returns the registered task definitions, in order: the ARN and its revision.
    #[must_use]
    pub fn revisions(&self) -> Vec<(String, TaskRevision)> {
        self.ecs.lock().revisions.clone()
    }
}

fn rollout(task_definition: &str, progress: RolloutProgress) -> RolloutState {
    RolloutState {
        task_definition: task_definition.to_owned(),
        progress,
        running: 0,
        failed: 0,
        reason: String::new(),
    }
}

#[async_trait]
impl Services for FakeServices {
    async fn task_roles(&self, task_definition: &str) -> Result<TaskRoles> {
        self.faults.before("task_roles")?;
        let found = self.ecs.lock().templates.get(task_definition).cloned();
        self.faults.after("task_roles")?;
        found.ok_or_else(|| {
            refused(format!(
                "DescribeTaskDefinition: ClientException: no task definition {task_definition}"
            ))
        })
    }

    async fn describe(&self, cluster: &str, service: &str) -> Result<ServiceState> {
        self.faults.before("describe")?;
        let state = self.ecs.lock().service(cluster, service)?.clone();
        self.faults.after("describe")?;
        Ok(state)
    }

    async fn register(&self, revision: &TaskRevision) -> Result<String> {
        self.faults.before("register")?;
        let arn = {
            let mut ecs = self.ecs.lock();
            if !ecs.templates.contains_key(&revision.template) {
                let template = &revision.template;
                return Err(refused(format!(
                    "DescribeTaskDefinition: ClientException: no task definition {template}"
                )));
            }
            let family = revision
                .template
                .rsplit_once(':')
                .map_or("", |(family, _)| family);
            // Far from Terraform's own revisions, so that a test cannot confuse them.
            let arn = format!("{family}:{}", 101 + ecs.revisions.len());
            ecs.revisions.push((arn.clone(), revision.clone()));
            arn
        };
        self.faults.after("register")?;
        Ok(arn)
    }

    async fn image(&self, task_definition: &str, container: &str) -> Result<Option<String>> {
        self.faults.before("image")?;
        let found = {
            let ecs = self.ecs.lock();
            let mut revisions = ecs.revisions.iter();
            let registered = revisions
                .find(|(arn, revision)| arn == task_definition && revision.container == container)
                .map(|(_, revision)| revision.image.clone());
            ecs.images.get(task_definition).cloned().or(registered)
        };
        self.faults.after("image")?;
        Ok(found)
    }

    async fn update(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: Option<u32>,
    ) -> Result<()> {
        self.faults.before("update")?;
        {
            let mut ecs = self.ecs.lock();
            let known = ecs.templates.contains_key(task_definition)
                || ecs.revisions.iter().any(|(arn, _)| arn == task_definition);
            let state = ecs.service(cluster, service)?;
            if !known {
                return Err(refused(format!(
                    "UpdateService: ClientException: no task definition {task_definition}"
                )));
            }
            state.desired = desired.unwrap_or(state.desired);
            // ECS starts no rollout if only the number of tasks changes.
            if state.task_definition != task_definition {
                state.task_definition = task_definition.to_owned();
                let newest = rollout(task_definition, RolloutProgress::InProgress);
                state.rollouts.insert(0, newest);
            }
        }
        self.faults.after("update")
    }
}

#[derive(Debug, Default)]
struct Addresses {
    answers: BTreeMap<String, std::result::Result<HttpReply, String>>,
    asked: Vec<String>,
}

/// A fake of HTTP probes. An address without a response refuses the connection.
#[derive(Debug, Clone, Default)]
pub struct FakeProbe {
    addresses: Shared<Addresses>,
    faults: Faults,
}

can_fail!(FakeProbe: "get");

impl FakeProbe {
    /// Returns a fake without responses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the response of an address.
    pub fn answer(&self, url: &str, status: u16, body: &str) {
        let answer = HttpReply {
            status,
            body: body.to_owned(),
        };
        self.addresses
            .lock()
            .answers
            .insert(url.to_owned(), Ok(answer));
    }

    /// Makes an address unreachable.
    pub fn silence(&self, url: &str, why: &str) {
        self.addresses
            .lock()
            .answers
            .insert(url.to_owned(), Err(why.to_owned()));
    }

    /// Returns the addresses that were probed, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.addresses.lock().asked.clone()
    }
}

#[async_trait]
impl Probe for FakeProbe {
    async fn get(&self, url: &str, _timeout: Duration) -> std::result::Result<HttpReply, String> {
        self.addresses.lock().asked.push(url.to_owned());
        self.faults.before("get").map_err(|error| error.message)?;
        let answer = self.addresses.lock().answers.get(url).cloned();
        self.faults.after("get").map_err(|error| error.message)?;
        answer.unwrap_or_else(|| Err(format!("{url}: connection refused")))
    }
}
