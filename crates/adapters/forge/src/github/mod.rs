//! GitHub: commit statuses and the history of branches by its API, and its webhook.

mod compare;
pub mod webhook;

use crate::http::{agent, check, check_address, no_answer};
use crate::token::Token;
use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::CommitId;
use engine::{CommitState, CommitStatus, CommitStatuses, Result};
use std::sync::Arc;
use ureq::Agent;

/// The user name that GitHub expects with a token in git's HTTP protocol.
pub const GIT_USER: &str = "x-access-token";

/// GitHub's commit statuses, or those of a server with the same API.
pub struct GitHubStatuses {
    /// Such as `https://api.github.com`.
    api_url: String,
    token: Arc<Token>,
    agent: Agent,
}

impl GitHubStatuses {
    /// Makes no call.
    ///
    /// # Errors
    /// `SettingsInvalid` when the token must not be sent to `api_url`: it is neither https nor this
    /// machine.
    pub fn new(api_url: &str, token: Arc<Token>) -> Result<Self> {
        Ok(Self {
            api_url: check_address(api_url, domain::env_vars::FORGE_URL)?,
            token,
            agent: agent(),
        })
    }
}

#[async_trait]
impl CommitStatuses for GitHubStatuses {
    async fn set(
        &self,
        repository: &EnrolledRepository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<()> {
        let agent = self.agent.clone();
        let name = &repository.full_name;
        let url = format!("{}/repos/{name}/statuses/{commit}", self.api_url);
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
        self.token
            .call(repository, move |token| {
                let call = format!("POST {url}");
                let reply = agent
                    .post(&url)
                    .header("authorization", format!("Bearer {token}"))
                    .header("accept", "application/vnd.github+json")
                    .header("x-github-api-version", "2022-11-28")
                    .send_json(&body)
                    .map_err(|error| no_answer(&call, &error))?;
                if reply.status().as_u16() == 422 {
                    // GitHub's status code for an unknown commit.
                    let error = check(&call, reply).err();
                    let text = error.map_or_else(|| call.clone(), |error| error.message);
                    return Err(StepError::new(ErrorName::CommitNotFound, text));
                }
                check(&call, reply).map(drop)
            })
            .await
    }
}
