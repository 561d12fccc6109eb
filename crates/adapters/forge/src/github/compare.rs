//! GitHub's comparison of two commits.

use super::GitHubStatuses;
use crate::http::{broken, check, no_answer};
use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::{BranchRef, CommitId};
use engine::{BranchHistory, OnBranch, Result};
use serde::Deserialize;

/// The longest answer that is read. The second page has no files.
const LIMIT: u64 = 4 * 1024 * 1024;

/// How a branch relates to a commit.
#[derive(Deserialize)]
struct Comparison {
    status: Status,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// The commit is the branch's tip.
    Identical,
    /// The branch has the commit and more.
    Ahead,
    /// The commit is newer than the branch.
    Behind,
    /// Each has commits that the other lacks.
    Diverged,
}

#[async_trait]
impl BranchHistory for GitHubStatuses {
    async fn has(
        &self,
        repository: &EnrolledRepository,
        branch: &BranchRef,
        commit: &CommitId,
    ) -> Result<OnBranch> {
        let agent = self.agent.clone();
        let name = &repository.full_name;
        let branch = encoded(branch.as_str());
        let url = format!(
            "{}/repos/{name}/compare/{commit}...{branch}?per_page=1&page=2",
            self.api_url
        );
        self.token
            .call(repository, move |token| {
                let call = format!("GET {url}");
                let reply = agent
                    .get(&url)
                    .header("authorization", format!("Bearer {token}"))
                    .header("accept", "application/vnd.github+json")
                    .header("x-github-api-version", "2022-11-28")
                    .call()
                    .map_err(|error| no_answer(&call, &error))?;
                // GitHub does not say which of the two it does not have.
                if reply.status().as_u16() == 404 {
                    return Ok(OnBranch::No);
                }
                let mut reply = check(&call, reply)?;
                let body = reply.body_mut().with_config().limit(LIMIT).read_to_vec();
                let body =
                    body.map_err(|error| broken(&call, &std::io::Error::other(error.to_string())))?;
                let found: Comparison = serde_json::from_slice(&body).map_err(|error| {
                    let message = format!("{call}: not a comparison of commits: {error}");
                    StepError::new(ErrorName::ForgeUnavailable, message)
                })?;
                Ok(match found.status {
                    Status::Identical | Status::Ahead => OnBranch::Yes,
                    Status::Behind | Status::Diverged => OnBranch::No,
                })
            })
            .await
    }
}

/// Returns a ref as one segment of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_is_one_segment() {
        assert_eq!(encoded("refs/heads/fix/a#1"), "refs%2Fheads%2Ffix%2Fa%231");
    }
}
