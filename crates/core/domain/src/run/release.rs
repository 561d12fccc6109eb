//! Releases on a run's legs, and their promotion.

use crate::environment::LastGood;
use crate::plan::LegKind;
use crate::release::{Release, ReleasePlan};
use crate::rollout::Rollout;
use crate::run::{Change, Run, RunError};
use jiff::Timestamp;

impl Run {
    /// Returns the release to make on the current leg, or none if its commit releases nothing.
    ///
    /// # Errors
    /// Fails with `ImageMissing` when the release has no artifact, and with `Internal` before the
    /// commit is accepted.
    pub fn release_plan(&self) -> Change<Option<ReleasePlan<'_>>> {
        let Some(config) = &self.leg_config()?.deploy else {
            return Ok(None);
        };
        let commit = self.leg().commit();
        if let Some(target) = self.leg().target() {
            let known = target
                .releases
                .iter()
                .find(|known| known.service == config.service());
            return Ok(known.map(|known| ReleasePlan {
                config,
                artifact: &known.artifact,
                commit,
                known: Some(known),
            }));
        }
        let Some(artifact) = self.artifact() else {
            let run = self.id.clone();
            return Err(RunError::NoArtifact { run });
        };
        Ok(Some(ReleasePlan {
            config,
            artifact,
            commit,
            known: None,
        }))
    }

    /// Returns the rollout of that release, or none if it was not started.
    #[must_use]
    pub fn rollout(&self) -> Option<&Rollout> {
        self.leg().rollouts().first()
    }

    /// Records that a rollout started on a leg of this kind. If the service already has a rollout
    /// on the leg, keeps it. Returns the rollout that counts.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended, and with
    /// `ContractViolation` when the run is on the other leg by now.
    pub fn rollout_started(&mut self, kind: LegKind, rollout: Rollout) -> Change<Rollout> {
        self.open()?;
        if self.leg().kind() != kind {
            let run = self.id.clone();
            return Err(RunError::LegChanged { run });
        }
        let rollouts = &mut self.leg_mut().rollouts;
        let known = rollouts
            .iter()
            .find(|known| known.release.service == rollout.release.service);
        if let Some(known) = known {
            return Ok(known.clone());
        }
        rollouts.push(rollout.clone());
        Ok(rollout)
    }

    /// Records that the rollout on a leg of this kind is healthy. A repeated call keeps the first
    /// time. Does nothing if the run is on the other leg by now.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn rollout_healthy(&mut self, kind: LegKind, now: Timestamp) -> Change {
        self.open()?;
        if self.leg().kind() == kind
            && let Some(rollout) = self.leg_mut().rollouts.first_mut()
        {
            rollout.healthy_at.get_or_insert(now);
        }
        Ok(())
    }

    /// Checks that every stack of the leg is done and its release is healthy.
    ///
    /// # Errors
    /// Fails with `ContractViolation` when a stack is not done or the release is not healthy, and
    /// with the errors of [`Self::release_plan`].
    pub fn check_verified(&self) -> Change {
        let leg = self.leg();
        let stacks = leg.stacks().iter().all(|stack| stack.state().is_done());
        let healthy = |rollout: &Rollout| rollout.healthy_at.is_some();
        let released = self.release_plan()?.is_none() || self.rollout().is_some_and(healthy);
        if stacks && released {
            return Ok(());
        }
        let run = self.id.clone();
        Err(RunError::NotVerified { run })
    }

    /// Returns what the environment keeps of the run after its commit is verified.
    ///
    /// # Errors
    /// Fails with `Internal` before the commit is accepted.
    pub fn to_last_good(&self, verified_at: Timestamp) -> Change<LastGood> {
        let config = self.config()?;
        let (mut outputs, mut dependencies) = (self.outputs(), self.dependencies());
        // Not those of a stack that the run destroyed.
        for known in [&mut outputs, &mut dependencies] {
            known.retain(|name, _| config.stacks.iter().any(|stack| &stack.name == name));
        }
        Ok(LastGood {
            run: self.id.clone(),
            commit: self.trigger.commit().clone(),
            branch: self.trigger.branch().clone(),
            source: self.sealed_source()?.clone(),
            config: config.clone(),
            artifact: self.artifact().cloned(),
            releases: releases(self.forward.rollouts()),
            outputs,
            dependencies,
            digests: self.digests(),
            received_at: self.trigger.received_at(),
            verified_at,
        })
    }

    /// Records that *last good* moved to the run's commit. A repeated call keeps the first time.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`] when the run has ended.
    pub fn promoted(&mut self, now: Timestamp) -> Change {
        self.open()?;
        self.promoted_at.get_or_insert(now);
        Ok(())
    }
}

/// Returns the releases of a leg's rollouts.
pub(crate) fn releases(rollouts: &[Rollout]) -> Vec<Release> {
    rollouts
        .iter()
        .map(|rollout| rollout.release.clone())
        .collect()
}
