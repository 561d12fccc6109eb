//! The sample environment, as other processes read and change it. These functions do not call the
//! port, so a test can use them during a call.

use super::{FakeTable, samples};
use crate::ItemBody;
use crate::documents::{Document as _, environment_key};
use domain::environment::{Environment, LastGood, QueueRule, Waiter};
use domain::run::Run;

impl FakeTable {
    /// Returns the environment, or a new one if it does not exist.
    ///
    /// # Panics
    /// Panics when the item is not an environment.
    #[must_use]
    #[allow(clippy::expect_used, reason = "only tests call it")]
    pub fn environment(&self) -> Environment {
        let (repository, name) = (samples::repository().key, samples::environment());
        match self.peek(&environment_key(repository, &name)) {
            Some(item) => serde_json::from_str(&item.doc).expect("an environment"),
            None => Environment::new(repository, name),
        }
    }

    /// Changes the environment.
    ///
    /// # Panics
    /// Panics when the item is not an environment.
    #[allow(clippy::expect_used, reason = "only tests call it")]
    pub fn change_environment(&self, change: impl FnOnce(&mut Environment)) {
        let mut environment = self.environment();
        change(&mut environment);
        let body = ItemBody {
            doc: serde_json::to_string(&environment).expect("it is written as JSON"),
            index: environment.index(),
            expires: None,
        };
        self.overwrite(&environment.key(), &body);
    }

    /// Takes the environment from its holder, and gives it to this run.
    ///
    /// # Panics
    /// Panics when the run cannot have the environment.
    pub fn give_environment_to(&self, run: &Run) {
        let waiter = samples::waiter(run, "token");
        self.change_environment(|environment| give(environment, waiter));
    }

    /// Delivers a commit in the environment, and releases the environment.
    ///
    /// # Panics
    /// Panics when the commit cannot be delivered.
    pub fn deliver(&self, good: &LastGood) {
        self.change_environment(|environment| {
            let waiter = Waiter {
                run: good.run.clone(),
                commit: good.commit.clone(),
                received_at: good.received_at,
                token: "token".into(),
            };
            give(environment, waiter);
            let fence = environment.holder().map_or(0, |holder| holder.fence);
            let promoted = environment.promote(fence, good.clone());
            assert!(promoted.is_ok(), "{promoted:?}");
            environment.release(&good.run, samples::now());
        });
    }
}

fn give(environment: &mut Environment, waiter: Waiter) {
    let run = waiter.run.clone();
    let holder = environment.holder().map(|holder| holder.run.clone());
    if let Some(other) = holder.filter(|holder| *holder != run) {
        environment.release(&other, samples::now());
    }
    environment.acquire(waiter, QueueRule::Newest, samples::now());
    for notification in environment.outbox().to_vec() {
        environment.mark_sent(&notification);
    }
    assert!(environment.is_held_by(&run), "{environment:?}");
}
