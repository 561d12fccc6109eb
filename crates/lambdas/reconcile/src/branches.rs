//! Missed pushes: each watched branch's tip, compared with its last claimed commit.

use crate::Reconcile;
use crate::reconcile::Problems;
use domain::branch::{Retry, TRIES};
use domain::enrolment::EnrolledRepository;
use domain::event::{self, DETAIL_TYPE_RECONCILIATION, Trigger};
use domain::ids::{BranchRef, CommitId};
use domain::json;
use domain::run::Run;
use domain::step::ReconcileOutput;
use engine::Result;
use engine::documents::{load, run_key, update_branch};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::time::Duration;

/// The time limit of one request to the forge.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most repositories whose branches are read at the same time.
const AT_ONCE: usize = 8;

type Tips = BTreeMap<BranchRef, CommitId>;

impl Reconcile {
    /// Publishes the push of each watched branch whose tip has been unclaimed for too long.
    pub(crate) async fn find_missed_pushes(
        &self,
        repositories: Vec<EnrolledRepository>,
        output: &mut ReconcileOutput,
        problems: &mut Problems,
    ) {
        // A forge that does not respond must not take the time of the others.
        let asked = repositories
            .into_iter()
            .map(|repository| self.ask(repository));
        let mut answers = futures::stream::iter(asked).buffered(AT_ONCE);
        while let Some((repository, tips)) = answers.next().await {
            let Some(tips) = tips else {
                continue;
            };
            for branch in repository.watched() {
                let tip = tips.get(&branch).cloned();
                let done = self.compare(&repository, &branch, tip, output).await;
                problems.note(branch.as_str(), done);
            }
        }
    }

    async fn ask(&self, repository: EnrolledRepository) -> (EnrolledRepository, Option<Tips>) {
        let tips = self.tips(&repository).await;
        (repository, tips)
    }

    /// Returns the tips of the branches, or `None` if the forge cannot be asked now.
    async fn tips(&self, repository: &EnrolledRepository) -> Option<Tips> {
        let name = &repository.full_name;
        let branches: Vec<BranchRef> = repository.watched().collect();
        match tokio::time::timeout(PATIENCE, self.tips.tips(repository, &branches)).await {
            Ok(Ok(tips)) => Some(tips),
            Ok(Err(error)) => {
                tracing::warn!(repository = %name, %error, "its branches were not read");
                None
            }
            Err(_) => {
                tracing::warn!(repository = %name, "the forge did not respond");
                None
            }
        }
    }

    async fn compare(
        &self,
        repository: &EnrolledRepository,
        branch: &BranchRef,
        tip: Option<CommitId>,
        output: &mut ReconcileOutput,
    ) -> Result<()> {
        let now = self.clock.now();
        let name = &repository.full_name;
        let missed = update_branch(&*self.table, repository.key, branch, |known| {
            Ok(known.observe(tip.as_ref(), name, now))
        })
        .await?;
        let Some(missed) = missed else {
            return Ok(());
        };
        let commit = missed.after.clone();
        let event = Trigger::Reconciliation(missed);
        let run = event.run_id();
        if let Some(known) = load::<Run>(&*self.table, &run_key(&run)).await? {
            if known.is_ended() {
                self.publish_again(repository, branch, &known, &commit)
                    .await?;
            }
            return Ok(());
        }
        tracing::warn!(%run, repository = %name, %branch, "a push was missed: it is published");
        let detail = json::to_text("an event", &event)?;
        let source = event::source(repository.key.forge);
        self.bus
            .publish(&source, DETAIL_TYPE_RECONCILIATION, &detail)
            .await?;
        output.published.push(run);
        Ok(())
    }

    /// The push was published, and its run ended before it was accepted: `record` claimed it, because
    /// `validate` failed.
    async fn publish_again(
        &self,
        repository: &EnrolledRepository,
        branch: &BranchRef,
        run: &Run,
        commit: &CommitId,
    ) -> Result<()> {
        let now = self.clock.now();
        let retry = update_branch(&*self.table, repository.key, branch, |known| {
            Ok(known.not_accepted(commit, now))
        })
        .await?;
        match retry {
            Retry::Later => {
                tracing::warn!(run = %run.id(), "a missed push is published again later");
            }
            Retry::GivenUp => tracing::error!(run = %run.id(), %commit,
                "a missed push was published {TRIES} times and never accepted: push again"),
        }
        Ok(())
    }
}
