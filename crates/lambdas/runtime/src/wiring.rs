use crate::settings::Settings;
use async_trait::async_trait;
use aws::{
    Batch, Bucket, Bus, Clients, DeployRoles, DynamoTable, Ecr, HttpProbe, SecretStore,
    SqsStatusQueue, TaskTokens,
};
use domain::build::BuildSettings;
use domain::enrolment::EnrolledRepository;
use domain::env_vars;
use domain::error::StepError;
use domain::ids::{BranchRef, CommitId, ForgeId};
use engine::announce::Announcer;
use engine::audit::AuditLog;
use engine::closing::Closing;
use engine::enrolment::TableEnrolments;
use engine::jobs::StateBucket;
use engine::{
    AuditBranch, BatchJobs, BranchHistory, BranchTips, BuildLogs, Clock, CommitStatus,
    CommitStatuses, Enrolments, EventBus, Executions, Objects, OnBranch, Probe, Registry, Result,
    Secrets, SourceFetcher, StatusQueue, SystemClock, Table, TargetRoles, Tokens,
};
use forge::Token;
use forge::git::{Git, GitSettings};
use forge::github::webhook::GitHubWebhook;
use forge::github::{GIT_USER, GitHubStatuses};
use forge::webhook::WebhookReader;
use std::cell::OnceCell;
use std::sync::Arc;

/// Makes a function's ports from its settings. Each method reads the variables of its port only. If
/// one is missing or wrong, the function answers every event with `SettingsInvalid` and all problems.
pub struct Wiring {
    settings: Settings,
    clients: Clients,
    token: OnceCell<Arc<Token>>,
}

impl Wiring {
    pub(crate) fn new(settings: Settings, clients: Clients) -> Self {
        Self {
            settings,
            clients,
            token: OnceCell::new(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.settings.check()
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> Arc<dyn Table> {
        Arc::new(DynamoTable::new(
            &self.clients,
            &self.settings.text(env_vars::TABLE),
        ))
    }

    /// The artifacts bucket.
    #[must_use]
    pub fn artifacts(&self) -> Arc<dyn Objects> {
        Arc::new(Bucket::new(&self.clients, &self.artifacts_name()))
    }

    /// The artifacts bucket's name.
    #[must_use]
    pub fn artifacts_name(&self) -> String {
        self.settings.text(env_vars::BUCKET)
    }

    /// The audit bucket.
    #[must_use]
    pub fn audit(&self) -> Arc<dyn Objects> {
        let name = self.settings.text(env_vars::AUDIT_BUCKET);
        Arc::new(Bucket::new(&self.clients, &name))
    }

    /// The bucket of the delivered stacks' states.
    #[must_use]
    pub fn states(&self) -> StateBucket {
        StateBucket {
            name: self.settings.text(env_vars::STATE_BUCKET),
            region: self.region(),
        }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> String {
        self.clients.region().to_owned()
    }

    /// The status queue.
    #[must_use]
    pub fn status_queue(&self) -> Arc<dyn StatusQueue> {
        let url = self.settings.url(env_vars::STATUS_QUEUE_URL);
        Arc::new(SqsStatusQueue::new(&self.clients, &url))
    }

    /// The event bus.
    #[must_use]
    pub fn event_bus(&self) -> Arc<dyn EventBus> {
        Arc::new(Bus::new(
            &self.clients,
            &self.settings.text(env_vars::EVENT_BUS),
        ))
    }

    /// The task tokens.
    #[must_use]
    pub fn tokens(&self) -> Arc<dyn Tokens> {
        Arc::new(TaskTokens::new(&self.clients))
    }

    /// The executions of the state machine.
    #[must_use]
    pub fn executions(&self) -> Arc<dyn Executions> {
        let machine = self.settings.text(env_vars::STATE_MACHINE_ARN);
        Arc::new(aws::Executions::new(&self.clients, &machine))
    }

    /// The Batch jobs of Sluicegate's queues.
    #[must_use]
    pub fn batch(&self) -> Arc<dyn BatchJobs> {
        let names = self.settings.text(env_vars::JOB_QUEUES);
        let queues: Vec<String> = names.split(',').map(str::to_owned).collect();
        Arc::new(Batch::new(&self.clients, &queues))
    }

    /// The secrets.
    #[must_use]
    pub fn secrets(&self) -> Arc<dyn Secrets> {
        Arc::new(SecretStore::new(&self.clients))
    }

    /// The image registry.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::new(Ecr::new(&self.clients))
    }

    /// The logs of builds.
    #[must_use]
    pub fn build_logs(&self) -> Arc<dyn BuildLogs> {
        Arc::new(aws::BuildLogGroups::new(&self.clients))
    }

    /// How this installation builds.
    #[must_use]
    pub fn build_settings(&self) -> BuildSettings {
        BuildSettings {
            architecture: self.settings.text(env_vars::BUILD_ARCHITECTURE),
        }
    }

    /// The deploy roles of environments.
    #[must_use]
    pub fn target_roles(&self) -> Arc<dyn TargetRoles> {
        Arc::new(DeployRoles::new(&self.clients))
    }

    /// HTTP requests to delivered applications.
    #[must_use]
    pub fn probe(&self) -> Arc<dyn Probe> {
        Arc::new(HttpProbe::default())
    }

    /// Commits at the forge.
    #[must_use]
    pub fn source(&self) -> Arc<dyn SourceFetcher> {
        Arc::new(self.git())
    }

    /// The audit branch at the forge.
    #[must_use]
    pub fn audit_branch(&self) -> Arc<dyn AuditBranch> {
        Arc::new(self.git())
    }

    /// The branches at the forge.
    #[must_use]
    pub fn branch_tips(&self) -> Arc<dyn BranchTips> {
        Arc::new(self.git())
    }

    /// What writes audit entries.
    #[must_use]
    pub fn audit_log(&self) -> AuditLog {
        AuditLog {
            table: self.table(),
            bucket: self.audit(),
            branch: self.audit_branch(),
            enrolments: self.enrolments(),
        }
    }

    /// What ends runs.
    #[must_use]
    pub fn closing(&self) -> Closing {
        Closing {
            table: self.table(),
            objects: self.artifacts(),
            batch: self.batch(),
            tokens: self.tokens(),
            announcer: self.announcer(),
            clock: self.clock(),
        }
    }

    fn git(&self) -> Git {
        Git::new(GitSettings {
            user: GIT_USER,
            token: self.token(),
            workdir: std::env::temp_dir(),
            pause: forge::git::jitter,
        })
    }

    /// One for all ports, since it caches what it read.
    fn token(&self) -> Arc<Token> {
        let token = self.token.get_or_init(|| {
            let secret_arn = self.settings.text(env_vars::GIT_SECRET_ARN);
            Arc::new(Token::new(ForgeId::Github, self.secrets(), secret_arn))
        });
        Arc::clone(token)
    }

    fn commit_statuses(&self) -> Arc<dyn CommitStatuses> {
        match self.github() {
            Ok(statuses) => Arc::new(statuses),
            Err(error) => Arc::new(Unusable(error)),
        }
    }

    /// The history of branches at the forge.
    #[must_use]
    pub fn branch_history(&self) -> Arc<dyn BranchHistory> {
        match self.github() {
            Ok(history) => Arc::new(history),
            Err(error) => Arc::new(Unusable(error)),
        }
    }

    /// Notes why GitHub's API cannot be used.
    fn github(&self) -> Result<GitHubStatuses> {
        let api_url = self.settings.text(env_vars::FORGE_URL);
        match GitHubStatuses::new(&api_url, self.token()) {
            Ok(github) => Ok(github),
            Err(error) => {
                // `text` has noted a missing address.
                if !api_url.is_empty() {
                    self.settings.note(error.message.clone());
                }
                Err(error)
            }
        }
    }

    /// The reader of the forge's webhook deliveries.
    #[must_use]
    pub fn webhook_reader(&self) -> Arc<dyn WebhookReader> {
        Arc::new(GitHubWebhook)
    }

    /// The enrolled repositories.
    #[must_use]
    pub fn enrolments(&self) -> Arc<dyn Enrolments> {
        Arc::new(TableEnrolments::new(self.table()))
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    /// An announcer to the status queue and to the commit at its forge.
    #[must_use]
    pub fn announcer(&self) -> Announcer {
        self.queue_announcer()
            .with_commit_statuses(self.commit_statuses(), self.enrolments())
    }

    /// An announcer to the status queue only, for a step that sets no commit status.
    #[must_use]
    pub fn queue_announcer(&self) -> Announcer {
        Announcer::new(self.status_queue(), self.clock())
    }
}

/// GitHub's API of a function whose settings are wrong. Never called: such a function answers
/// every event with `SettingsInvalid`.
struct Unusable(StepError);

#[async_trait]
impl CommitStatuses for Unusable {
    async fn set(&self, _: &EnrolledRepository, _: &CommitId, _: &CommitStatus) -> Result<()> {
        Err(self.0.clone())
    }
}

#[async_trait]
impl BranchHistory for Unusable {
    async fn has(&self, _: &EnrolledRepository, _: &BranchRef, _: &CommitId) -> Result<OnBranch> {
        Err(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    async fn wiring(variables: &'static [(&str, &str)]) -> Wiring {
        let clients = Clients::of_emulator("http://127.0.0.1:1", "eu-central-1").await;
        let settings = Settings::new(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        Wiring::new(settings, clients)
    }

    #[tokio::test]
    async fn a_port_asks_for_its_own_variables_only() {
        let wiring = wiring(&[(env_vars::TABLE, "t"), (env_vars::BUCKET, "b")]).await;
        let (_table, bucket) = (wiring.table(), wiring.artifacts());
        let _others = (
            wiring.tokens(),
            wiring.registry(),
            wiring.target_roles(),
            wiring.probe(),
        );
        assert_eq!(bucket.bucket(), "b");
        assert_eq!(wiring.region(), "eu-central-1");
        assert_eq!(wiring.check(), Ok(()));
    }

    #[tokio::test]
    async fn what_an_announcer_lacks_is_said_at_once() {
        let wiring = wiring(&[(env_vars::FORGE_URL, "http://forge.example")]).await;
        let _announcer = wiring.announcer();
        let message = wiring.check().unwrap_err().message;
        for name in [
            env_vars::STATUS_QUEUE_URL,
            env_vars::TABLE,
            env_vars::GIT_SECRET_ARN,
            env_vars::FORGE_URL,
        ] {
            assert!(message.contains(name), "{name} in {message}");
        }
    }
}
