//! Stacks that the run's commit no longer has.

use crate::config::{Removed, Stack};
use crate::environment::LastGood;
use crate::run::{Change, Run};
use jiff::Timestamp;

impl Run {
    /// Adds to the forward leg the stacks of the last good commit that the configuration wants
    /// destroyed. They are planned last. A repeated call changes nothing.
    ///
    /// # Errors
    /// Fails with [`RunError::Ended`](super::RunError::Ended) when the run has ended, and with
    /// `Internal` before the commit is accepted.
    pub fn destroy_removed(&mut self, good: &LastGood, now: Timestamp) -> Change {
        self.open()?;
        let removed = &self.config()?.removed;
        let destroyed: Vec<&Stack> = good
            .config
            .stacks
            .iter()
            .filter(|stack| removed.get(&stack.name) == Some(&Removed::Destroy))
            .collect();
        if !destroyed.is_empty() {
            self.forward.destroy(good, &destroyed, now);
        }
        Ok(())
    }

    /// Returns the number of warnings on the current leg, failed `check` blocks included.
    #[must_use]
    pub fn warnings(&self) -> u32 {
        let counts = self.leg().stacks().iter().map(|it| it.warnings().count());
        counts.fold(0, u32::saturating_add)
    }
}
