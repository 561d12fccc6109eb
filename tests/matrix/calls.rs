//! Which repository's runs reach which resources: every port of the Lambdas notes its calls here.

use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::ErrorName;
use domain::ids::{BranchRef, CommitId, ImageDigest, RepositoryKey, RunId};
use domain::rollout::HttpReply;
use engine::{
    AuditBranch, AuditFile, BranchHistory, CommitStatus, CommitStatuses, Cursor, Execution,
    Executions, Item, ItemBody, ItemKey, Limited, Objects, OnBranch, Order, Page, Probe, Registry,
    Result, ServiceState, Services, Snapshot, SourceFetcher, Started, StatusQueue, Table,
    TaskRevision, TaskRoles, TokenState, Tokens, Written,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

tokio::task_local! {
    /// The repository whose run makes the calls of this task. Calls of the tests themselves have none.
    pub(crate) static CALLER: RepositoryKey;
}

/// Passes the caller of this task to a new one.
pub(crate) fn as_caller(work: impl Future<Output = ()>) -> impl Future<Output = ()> {
    let caller = CALLER.try_with(|caller| *caller).ok();
    async move {
        match caller {
            Some(caller) => CALLER.scope(caller, work).await,
            None => work.await,
        }
    }
}

/// The reached resources, each with the repositories whose runs reached it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<String, BTreeSet<RepositoryKey>>>>);

impl Calls {
    /// Notes that the caller of this task reaches a resource.
    pub(crate) fn reach(&self, resource: String) {
        if let Ok(caller) = CALLER.try_with(|caller| *caller) {
            let mut reached = self.0.lock().unwrap();
            reached.entry(resource).or_default().insert(caller);
        }
    }

    /// Returns a port whose calls are noted.
    pub(crate) fn of<T: Clone>(&self, port: &T) -> Arc<Noted<T>> {
        Arc::new(Noted {
            port: port.clone(),
            calls: self.clone(),
        })
    }

    /// Returns the resources that runs of more than one repository reached.
    pub(crate) fn shared(&self) -> Vec<String> {
        let reached = self.0.lock().unwrap();
        let shared = reached.iter().filter(|(_, callers)| callers.len() > 1);
        shared.map(|(resource, _)| resource.clone()).collect()
    }

    /// Returns the number of resources that the runs of a repository reached.
    pub(crate) fn count(&self, caller: RepositoryKey) -> usize {
        let reached = self.0.lock().unwrap();
        reached.values().filter(|own| own.contains(&caller)).count()
    }
}

/// A port whose calls are noted.
pub(crate) struct Noted<T> {
    port: T,
    calls: Calls,
}

impl<T> Noted<T> {
    /// Notes a call and returns the port that carries it out.
    fn to(&self, resource: String) -> &T {
        self.calls.reach(resource);
        &self.port
    }

    fn item(&self, key: &ItemKey) -> &T {
        self.to(format!("item {} {}", key.pk, key.sk))
    }
}

impl<T: Objects> Noted<T> {
    fn object(&self, key: &str) -> &T {
        self.to(format!("s3://{}/{key}", self.port.bucket()))
    }
}

#[async_trait]
impl<T: Table> Table for Noted<T> {
    async fn get(&self, key: &ItemKey) -> Result<Option<Item>> {
        self.item(key).get(key).await
    }
    async fn insert(&self, key: &ItemKey, body: &ItemBody) -> Result<Written> {
        self.item(key).insert(key, body).await
    }
    async fn replace(&self, key: &ItemKey, body: &ItemBody, version: u64) -> Result<Written> {
        self.item(key).replace(key, body, version).await
    }
    async fn list(&self, index_pk: &str, limit: u32) -> Result<Vec<Item>> {
        self.to(format!("index {index_pk}"))
            .list(index_pk, limit)
            .await
    }
    async fn page(&self, index_pk: &str, order: Order, after: Option<&Cursor>) -> Result<Page> {
        self.to(format!("index {index_pk}"))
            .page(index_pk, order, after)
            .await
    }
}

#[async_trait]
impl<T: Objects> Objects for Noted<T> {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.object(key).get(key).await
    }
    async fn get_limited(&self, key: &str, limit: usize) -> Result<Option<Limited>> {
        self.object(key).get_limited(key, limit).await
    }
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.object(key).put(key, bytes).await
    }
    async fn put_if_absent(&self, key: &str, bytes: Vec<u8>) -> Result<Written> {
        self.object(key).put_if_absent(key, bytes).await
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.object(prefix).list(prefix).await
    }
    fn bucket(&self) -> &str {
        self.port.bucket()
    }
}

#[async_trait]
impl<T: StatusQueue> StatusQueue for Noted<T> {
    async fn send(&self, group: &str, id: &str, body: &str) -> Result<()> {
        self.to(format!("message group {group}"))
            .send(group, id, body)
            .await
    }
}

#[async_trait]
impl<T: Tokens> Tokens for Noted<T> {
    async fn succeed(&self, token: &str, output: &str) -> Result<TokenState> {
        self.to(format!("token {token}"))
            .succeed(token, output)
            .await
    }
    async fn fail(&self, token: &str, error: ErrorName, cause: &str) -> Result<TokenState> {
        self.to(format!("token {token}"))
            .fail(token, error, cause)
            .await
    }
}

#[async_trait]
impl<T: Executions> Executions for Noted<T> {
    async fn describe(&self, arn: &str) -> Result<Option<Execution>> {
        self.to(format!("execution {arn}")).describe(arn).await
    }
    async fn start(&self, name: &RunId, input: &str) -> Result<Started> {
        self.to(format!("execution {name}"))
            .start(name, input)
            .await
    }
}

#[async_trait]
impl<T: Registry> Registry for Noted<T> {
    async fn find(&self, image: &str, tag: &str) -> Result<Option<ImageDigest>> {
        self.to(format!("image {image}")).find(image, tag).await
    }
    async fn tag(&self, image: &str, digest: &ImageDigest, tag: &str) -> Result<()> {
        self.to(format!("image {image}"))
            .tag(image, digest, tag)
            .await
    }
}

#[async_trait]
impl<T: Services> Services for Noted<T> {
    async fn task_roles(&self, task_definition: &str) -> Result<TaskRoles> {
        self.to(format!("task definition {task_definition}"))
            .task_roles(task_definition)
            .await
    }
    async fn describe(&self, cluster: &str, service: &str) -> Result<ServiceState> {
        self.to(format!("service {cluster}/{service}"))
            .describe(cluster, service)
            .await
    }
    async fn register(&self, revision: &TaskRevision) -> Result<String> {
        self.to(format!("task definition {}", revision.template))
            .register(revision)
            .await
    }
    async fn image(&self, task_definition: &str, container: &str) -> Result<Option<String>> {
        self.to(format!("task definition {task_definition}"))
            .image(task_definition, container)
            .await
    }
    async fn update(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: Option<u32>,
    ) -> Result<()> {
        self.calls
            .reach(format!("task definition {task_definition}"));
        let ecs = self.to(format!("service {cluster}/{service}"));
        ecs.update(cluster, service, task_definition, desired).await
    }
}

#[async_trait]
impl<T: Probe> Probe for Noted<T> {
    async fn get(&self, url: &str, timeout: Duration) -> std::result::Result<HttpReply, String> {
        self.to(format!("address {url}")).get(url, timeout).await
    }
}

#[async_trait]
impl<T: SourceFetcher> SourceFetcher for Noted<T> {
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot> {
        self.to(format!("git {}", repository.key))
            .fetch(repository, commit)
            .await
    }
}

#[async_trait]
impl<T: BranchHistory> BranchHistory for Noted<T> {
    async fn has(
        &self,
        repository: &EnrolledRepository,
        branch: &BranchRef,
        commit: &CommitId,
    ) -> Result<OnBranch> {
        self.to(format!("git {}", repository.key))
            .has(repository, branch, commit)
            .await
    }
}

#[async_trait]
impl<T: CommitStatuses> CommitStatuses for Noted<T> {
    async fn set(
        &self,
        repository: &EnrolledRepository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<()> {
        let forge = self.to(format!("git {}", repository.key));
        forge.set(repository, commit, status).await
    }
}

#[async_trait]
impl<T: AuditBranch> AuditBranch for Noted<T> {
    async fn append(&self, repository: &EnrolledRepository, files: &[AuditFile]) -> Result<()> {
        self.to(format!("git {}", repository.key))
            .append(repository, files)
            .await
    }
    async fn newest(&self, repository: &EnrolledRepository, up_to: u64) -> Result<Option<u64>> {
        self.to(format!("git {}", repository.key))
            .newest(repository, up_to)
            .await
    }
}
