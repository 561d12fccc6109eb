//! Jobs that are made again: one that never started, and a plan that is stale.

use super::{REPLANS, RESTARTS};
use crate::ids::JobId;
use crate::plan::SideEffects;
use crate::run::{Change, JobEvent, StackRun, StackState, StalePlan};
use jiff::Timestamp;

impl StackRun {
    pub(in crate::run) fn start_again(
        &mut self,
        lost: &JobId,
        next: JobId,
        attempt: u32,
        now: Timestamp,
    ) -> Option<(JobId, u32)> {
        let (job, counts) = match &mut self.state {
            StackState::Planning { job } | StackState::Applying { job, .. } => (job, true),
            StackState::Validating { job } => (job, false),
            _ => return None,
        };
        if job == lost && self.restarts < RESTARTS {
            *job = next;
            self.restarts += 1;
            if counts {
                self.jobs = attempt;
            }
            self.since = now;
        }
        let replaced = self.restarts > 0 && job != lost;
        let attempt = if counts { self.jobs } else { self.restarts + 1 };
        replaced.then(|| (job.clone(), attempt))
    }

    pub(in crate::run) fn plan_stale(&mut self, job: &JobId, now: Timestamp) -> Change<StalePlan> {
        match &self.state {
            StackState::Applying { job: known, .. } if known == job => {}
            StackState::Failed { .. } if self.replans >= REPLANS => return Ok(StalePlan::GiveUp),
            // The stack was already reset, and may already be planned again.
            _ if self.replans > 0 => return Ok(StalePlan::PlanAgain),
            _ => return Err(self.unexpected(JobEvent::StalePlan, job)),
        }
        if self.replans >= REPLANS {
            let side_effects = SideEffects::None;
            self.reach(StackState::Failed { side_effects }, now);
            return Ok(StalePlan::GiveUp);
        }
        self.replans += 1;
        self.reach(StackState::Pending, now);
        Ok(StalePlan::PlanAgain)
    }
}
