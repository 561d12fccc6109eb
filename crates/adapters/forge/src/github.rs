use crate::http::{agent, check, check_address, no_answer};
use crate::smart::{Depth, Remote, local};
use crate::{audit, snapshot};
use async_trait::async_trait;
use base64::Engine as _;
use domain::error::{ErrorName, StepError};
use domain::event::EnrolledRepository;
use domain::ids::CommitId;
use engine::{AuditFile, CommitState, CommitStatus, Forge, Result, Secrets, Snapshot};
use git2::{Repository, RepositoryInitOptions};
use serde::Deserialize;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;

/// How long a token is used before the secret is read again.
const TOKEN_AGE: Duration = Duration::from_secs(60);

/// What a [`GitHub`] is made from.
#[derive(Clone)]
pub struct GitHubSettings {
    /// The API's address, such as `https://api.github.com`.
    pub api_url: String,
    /// Where the token comes from.
    pub secrets: Arc<dyn Secrets>,
    /// The secret that holds it, as `{"token": "..."}`.
    pub secret_arn: String,
    /// A directory for fetched commits; each goes into a directory of its own that is removed
    /// again. `/tmp` on Lambda.
    pub workdir: PathBuf,
    /// How long to wait before the audit branch is tried again, by the number of the try that
    /// failed, from 1. [`jitter`] outside tests.
    pub pause: fn(u32) -> Duration,
}

/// A wait that grows with each try and is a different one in each process: 0.1 to 0.3 seconds
/// after the first try, 0.8 to 2.4 after the fourth.
#[must_use]
pub fn jitter(failed: u32) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1000;
    let base = 100_u64 << failed.clamp(1, 6).saturating_sub(1);
    Duration::from_millis(base + base * random * 2 / 1000)
}

/// GitHub, or a server that speaks as it does.
pub struct GitHub {
    settings: GitHubSettings,
    agent: Agent,
    token: Mutex<Option<(String, Instant)>>,
}

#[derive(Deserialize)]
struct GitSecret {
    token: String,
}

impl GitHub {
    /// Makes the port. Nothing is called yet.
    ///
    /// # Errors
    /// `SettingsInvalid` when the API's address is no https address.
    pub fn new(settings: GitHubSettings) -> Result<Self> {
        let api_url = check_address(&settings.api_url, domain::env_vars::FORGE_URL)?;
        let settings = GitHubSettings {
            api_url,
            ..settings
        };
        Ok(Self {
            settings,
            agent: agent(),
            token: Mutex::new(None),
        })
    }

    /// The token as the secret holds it now; kept for [`TOKEN_AGE`].
    async fn read_token(&self) -> Result<String> {
        let arn = &self.settings.secret_arn;
        let text = self.settings.secrets.get(arn).await?;
        // The parser's own words may show the secret.
        let token = serde_json::from_str::<GitSecret>(&text)
            .map(|secret| secret.token)
            .ok()
            .filter(|token| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| {
                StepError::new(
                    ErrorName::ForgeDenied,
                    format!("secret {arn} does not hold {{\"token\": \"...\"}}"),
                )
            })?;
        let mut cached = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    fn known_token(&self) -> Option<String> {
        let cached = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        cached
            .as_ref()
            .filter(|(_, since)| since.elapsed() < TOKEN_AGE)
            .map(|(token, _)| token.clone())
    }

    /// Makes a call, which blocks, beside the runtime. Somebody may have put a new token into the
    /// secret: a call that the kept one was refused for is made again with the secret's.
    async fn with_token<T: Send + 'static>(
        &self,
        call: impl Fn(&str) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let with = |token: String| {
            let call = call.clone();
            blocking(move || call(&token))
        };
        let Some(kept) = self.known_token() else {
            return with(self.read_token().await?).await;
        };
        match with(kept.clone()).await {
            Err(refused) if refused.name == ErrorName::ForgeDenied => {
                let token = self.read_token().await?;
                if token == kept {
                    return Err(refused);
                }
                with(token).await
            }
            result => result,
        }
    }

    /// Runs git's work in a repository of its own.
    async fn with_repository<T: Send + 'static>(
        &self,
        enrolled: &EnrolledRepository,
        work: impl Fn(&Remote<'_>, &Repository) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let url = check_address(&enrolled.clone_url, "clone_url")?;
        let agent = self.agent.clone();
        let workdir = self.settings.workdir.clone();
        self.with_token(move |token| {
            let basic =
                base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{token}"));
            let remote = Remote {
                agent: &agent,
                url: url.clone(),
                authorization: Some(format!("Basic {basic}")),
            };
            let (_removed_at_the_end, repository) = scratch(&workdir)?;
            work(&remote, &repository)
        })
        .await
    }
}

/// An empty repository in a directory that goes away.
fn scratch(workdir: &Path) -> Result<(tempfile::TempDir, Repository)> {
    let directory = tempfile::Builder::new()
        .prefix("sluicegate-git-")
        .tempdir_in(workdir)
        .map_err(|error| {
            StepError::new(
                ErrorName::Internal,
                format!("make a directory in {}: {error}", workdir.display()),
            )
        })?;
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    let repository = Repository::init_opts(directory.path(), &options)
        .map_err(|error| local("git init", &error))?;
    Ok((directory, repository))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StepError::new(
            ErrorName::Internal,
            format!("git's work ended early: {error}"),
        )),
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn fetch(&self, repository: &EnrolledRepository, commit: &CommitId) -> Result<Snapshot> {
        let commit = commit.clone();
        let id = snapshot::oid(&commit)?;
        self.with_repository(repository, move |remote, scratch| {
            remote.fetch(id, Depth::Files, scratch)?;
            snapshot::read(scratch, &commit, snapshot::LIMITS)
        })
        .await
    }

    async fn set_status(
        &self,
        repository: &EnrolledRepository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<()> {
        let agent = self.agent.clone();
        let name = &repository.full_name;
        let url = format!("{}/repos/{name}/statuses/{commit}", self.settings.api_url);
        let state = match status.state {
            CommitState::Pending => "pending",
            CommitState::Success => "success",
            CommitState::Failure => "failure",
            CommitState::Error => "error",
        };
        let body = serde_json::json!({
            "state": state,
            "context": status.context,
            "description": status.description,
        });
        self.with_token(move |token| {
            let call = format!("POST {url}");
            let answer = agent
                .post(&url)
                .header("authorization", format!("Bearer {token}"))
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .send_json(&body)
                .map_err(|error| no_answer(&call, &error))?;
            if answer.status().as_u16() == 422 {
                // GitHub's answer for a commit that it does not have.
                let error = check(&call, answer).err();
                let text = error.map_or_else(|| call.clone(), |error| error.message);
                return Err(StepError::new(ErrorName::CommitNotFound, text));
            }
            check(&call, answer).map(drop)
        })
        .await
    }

    async fn append_audit(
        &self,
        repository: &EnrolledRepository,
        files: &[AuditFile],
    ) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let files = files.to_vec();
        let pause = self.settings.pause;
        self.with_repository(repository, move |remote, scratch| {
            let pause = |failed: u32| std::thread::sleep(pause(failed));
            audit::append(remote, scratch, &files, &pause)
        })
        .await
    }

    async fn audited_up_to(
        &self,
        repository: &EnrolledRepository,
        up_to: u64,
    ) -> Result<Option<u64>> {
        self.with_repository(repository, move |remote, scratch| {
            audit::newest(remote, scratch, up_to)
        })
        .await
    }
}
