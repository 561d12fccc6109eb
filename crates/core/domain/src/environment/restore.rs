//! A state that an operator replaced by an earlier version.

use super::{Environment, EnvironmentError, Infrastructure};

impl Environment {
    /// Records that the state of a stack was replaced by an earlier version, so every stack is planned
    /// in the next run.
    ///
    /// # Errors
    /// Fails with `LockLost` when a run holds the environment.
    pub fn state_replaced(&mut self) -> Result<(), EnvironmentError> {
        if let Some(holder) = &self.holder {
            return Err(EnvironmentError::InUse {
                environment: self.name.clone(),
                holder: holder.run.clone(),
                since: holder.since,
            });
        }
        self.infrastructure = Infrastructure::Unknown;
        Ok(())
    }
}
