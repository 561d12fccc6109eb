//! The one way in which a run ends.

use crate::Record;
use domain::environment::Environment;
use domain::error::StepError;
use domain::ids::RunId;
use domain::run::{End, Lock, Outcome, Rollback, Run};
use engine::Result;
use engine::documents::{environment_key, load, load_run, update_environment, update_run};
use engine::environment::flush;
use engine::status::Transition;

impl Record {
    /// Ends a run. Each part finds what an earlier call did and does the rest.
    pub(crate) async fn close(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = self.end(id, error).await?;
        let run = self.write_entry(run).await?;
        self.hand_over(&run).await?;
        self.project(&run).await;
        let outcome = run.outcome();
        self.announcer
            .announce(&run, Transition::Finished(outcome))
            .await;
        Ok(run)
    }

    /// Writes down how the run ends. From here on nothing changes it.
    async fn end(&self, id: &RunId, error: Option<&StepError>) -> Result<Run> {
        let run = load_run(&*self.records, id).await?;
        if run.end.is_some() {
            return Ok(run);
        }
        let audit_from = self.next_number(run.trigger.repository_id).await?;
        let now = self.clock.now();
        update_run(&*self.records, id, |run| {
            if run.end.is_none() {
                if let Some(error) = error {
                    run.fail(error.clone(), now);
                }
                run.end = Some(End {
                    outcome: run.outcome(),
                    at: now,
                    audit_from,
                    audit_seq: None,
                });
            }
            Ok(run.clone())
        })
        .await
    }

    /// Gives the environment back, frozen when what the run left cannot be built on, and tells
    /// the next run.
    async fn hand_over(&self, run: &Run) -> Result<()> {
        let Some(config) = &run.config else {
            return Ok(());
        };
        let (repository, name) = (run.trigger.repository_id, &config.environment);
        let now = self.clock.now();
        update_environment(&*self.records, repository, name, |environment| {
            // Only the owner freezes: a late repetition does not undo what a person mended.
            if let (true, Some(error)) = (environment.is_owned_by(&run.id), freezes(run)) {
                environment.freeze_after(&run.id, error, now);
            }
            environment.release(&run.id, now);
            Ok(())
        })
        .await?;
        update_run(&*self.records, &run.id, |run| {
            if matches!(run.lock, Lock::Held { .. } | Lock::Waiting { .. }) {
                run.lock = Lock::Released;
            }
            Ok(())
        })
        .await?;
        let superseded = flush(
            &*self.records,
            &*self.tokens,
            repository,
            name,
            &*self.clock,
        )
        .await?;
        for run in superseded {
            self.announcer.announce(&run, Transition::Superseded).await;
        }
        Ok(())
    }

    /// The run's environment; none before its configuration was read.
    pub(crate) async fn environment(&self, run: &Run) -> Result<Option<Environment>> {
        match &run.config {
            Some(config) => {
                let key = environment_key(run.trigger.repository_id, &config.environment);
                load(&*self.records, &key).await
            }
            None => Ok(None),
        }
    }
}

/// The error after which nothing may run until a person looked. A way back that was refused
/// leaves a state that is known: a newer commit may go on from there.
fn freezes(run: &Run) -> Option<&StepError> {
    match (&run.rollback, &run.failure) {
        _ if run.outcome() != Outcome::NeedsOperator => None,
        (Some(Rollback::Refused { .. }), _) => None,
        (Some(Rollback::Failed { error }), _) => Some(error),
        (_, failure) => failure.as_ref().map(|failure| &failure.error),
    }
}
