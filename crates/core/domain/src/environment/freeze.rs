//! Which runs freeze their environment.

use crate::error::StepError;
use crate::run::{Outcome, RollbackOutcome, Run};

/// Returns the error that freezes a run's environment: one that left it in an unknown state. A
/// refused rollback does not freeze it: the state is known, so a newer commit can proceed.
#[must_use]
pub fn freezing_error(run: &Run) -> Option<&StepError> {
    if run.outcome() != Outcome::NeedsOperator {
        return None;
    }
    match run.rollback_outcome() {
        Some(RollbackOutcome::RollbackRefused) => None,
        Some(RollbackOutcome::RollbackFailed) => run.rollback_error(),
        _ => run.failure().map(|failure| &failure.error),
    }
}
