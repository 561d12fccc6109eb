//! GitHub as a developer sees it, and injected faults in GitHub.

use super::harness::{Ended, Harness};
use anyhow::{Context as _, bail, ensure};
use domain::ids::CommitId;
use domain::run::Outcome;
use fakes::github::{Operation, Status};
use fakes::http;
use fakes::service::{Call, Fault, FaultKind};
use local_run::Sample;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

/// The time limit for a commit status after the end of a run. The audit branch is pushed first.
const STATUS_LIMIT: Duration = Duration::from_secs(30);

impl Harness {
    /// Returns the statuses of a commit, newest first.
    ///
    /// # Errors
    /// When GitHub does not respond, or sends an unexpected response.
    pub async fn statuses(
        &self,
        sample: &Sample,
        commit: &CommitId,
    ) -> anyhow::Result<Vec<Status>> {
        let url = format!(
            "{}/repos/{}/commits/{commit}/statuses",
            self.local.github, sample.full_name
        );
        let token = format!("Bearer {}", self.local.secrets.token);
        let headers = vec![("authorization".to_owned(), token)];
        let answer = http::get_with(&url, headers, LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        ensure!(answer.status == 200, "GET {url} answered {answer:?}");
        serde_json::from_str(&answer.body).with_context(|| format!("read {url}"))
    }

    /// Checks that the newest status of a run's commit matches the run's outcome, and prints it.
    ///
    /// # Errors
    /// When the status does not match.
    pub async fn expect_status(&self, sample: &Sample, ended: &Ended) -> anyhow::Result<()> {
        let run = &ended.run;
        let expected = match run.outcome() {
            Outcome::Applied | Outcome::NoOp | Outcome::Superseded => "success",
            Outcome::Rejected | Outcome::Failed | Outcome::RolledBack => "failure",
            Outcome::NeedsOperator => "error",
        };
        let end = tokio::time::Instant::now() + STATUS_LIMIT;
        loop {
            let statuses = self.statuses(sample, run.trigger().commit()).await?;
            let newest = statuses.first();
            if let Some(status) = newest.filter(|status| status.state == expected) {
                self.progress.fact(&format!(
                    "GitHub shows {}: {}: {}",
                    status.context,
                    status.state,
                    status.description.as_deref().unwrap_or_default()
                ));
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                bail!(
                    "the newest status of commit {} is {newest:?}, expected {expected}",
                    run.trigger().commit()
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Makes one kind of requests to GitHub fail in this way, `count` times or until [`Self::heal_github`].
    ///
    /// # Errors
    /// When the fake GitHub refuses the fault.
    pub async fn break_github(
        &self,
        operation: Operation,
        kind: FaultKind,
        count: Option<u32>,
    ) -> anyhow::Result<()> {
        let fault = serde_json::to_vec(&Fault {
            operation,
            kind,
            count,
        })?;
        let answer = http::post(&self.faults(), Vec::new(), fault, LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        ensure!(
            answer.status == 204,
            "the fault was not ordered: {answer:?}"
        );
        Ok(())
    }

    /// Removes all faults. Returns how many requests have failed because of a fault.
    ///
    /// # Errors
    /// When GitHub does not respond.
    pub async fn heal_github(&self) -> anyhow::Result<usize> {
        let healed = http::delete(&self.faults(), LIMIT)
            .await
            .map_err(anyhow::Error::msg)?;
        ensure!(
            healed.status == 204,
            "the faults were not ended: {healed:?}"
        );
        let url = format!("{}/_fake/calls", self.local.github);
        let answer = http::get(&url, LIMIT).await.map_err(anyhow::Error::msg)?;
        let calls: Vec<Call<Operation>> = serde_json::from_str(&answer.body)?;
        Ok(calls.iter().filter(|call| call.fault.is_some()).count())
    }

    fn faults(&self) -> String {
        format!("{}/_fake/faults", self.local.github)
    }
}
