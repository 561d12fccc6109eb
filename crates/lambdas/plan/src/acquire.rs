//! The wait for the environment.

use crate::Plan;
use domain::environment::Waiter;
use domain::ids::RunId;
use domain::run::Lock;
use engine::status::Transition;
use engine::{Result, documents, environment};

impl Plan {
    /// Puts the run into its environment's queue, and tells every run that the queue has an
    /// answer for; often this one. Asked again with a new token, the run is told on that one.
    pub(crate) async fn acquire(&self, run: &RunId, token: String) -> Result<()> {
        let (run, name) = self.load(run).await?;
        let now = self.clock.now();
        let waits = documents::update_run(&*self.records, &run.id, |run| {
            if run.lock == Lock::None && run.end.is_none() {
                run.lock = Lock::Waiting { since: now };
            }
            Ok(run.clone())
        })
        .await?;
        // A build that failed may have ended the run already: its end is its last word.
        if waits.end.is_none() {
            self.announcer
                .announce(&waits, Transition::LockWaiting)
                .await;
        }
        let waiter = Waiter {
            run: run.id.clone(),
            commit: run.trigger.commit.clone(),
            received_at: run.trigger.received_at,
            token,
        };
        let rule = run.config()?.queue;
        let repository = run.trigger.repository_id;
        documents::update_environment(&*self.records, repository, &name, |environment| {
            environment.acquire(waiter.clone(), rule, now);
            Ok(())
        })
        .await?;
        // A build that failed ends the run while this call may still be on its way. The record of
        // its end is written before its release, so whoever comes second takes it out again.
        let run = documents::load_run(&*self.records, &run.id).await?;
        if run.end.is_some() {
            documents::update_environment(&*self.records, repository, &name, |environment| {
                environment.release(&run.id, now);
                Ok(())
            })
            .await?;
        }
        let superseded = environment::flush(
            &*self.records,
            &*self.tokens,
            repository,
            &name,
            &*self.clock,
        )
        .await?;
        for run in superseded {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }
}
