//! Stateful worlds in memory, for the tests of the steps.
//!
//! A fake keeps what it was told and answers from it, as the real thing does. It is cheap to
//! clone, and all clones are one world, so a test holds one and the step another. Each operation
//! can be told to fail (`fail_next`), or to do its work and lose the answer (`lose_reply`): the
//! two ends of a call between which a step may be repeated.

mod batch;
mod delivery;
mod environment;
mod forge;
mod messages;
pub mod samples;
mod store;

pub use batch::FakeBatch;
pub use delivery::{FakeProbe, FakeRegistry, FakeServices};
pub use forge::{AuditCommit, FakeForge, SetStatus};
pub use messages::{
    FakeEventBus, FakeExecutions, FakeSecrets, FakeStatusQueue, FakeTokens, PublishedEvent,
    SentMessage,
};
pub use store::{FakeObjects, FakeRecords};

use crate::{Clock, Result};
use domain::error::StepError;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// State that all clones of a fake share.
#[derive(Debug, Default)]
struct Shared<T>(Arc<Mutex<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which end of a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The call has no effect.
    Before,
    /// The call has its effect, but its answer is lost.
    After,
}

#[derive(Debug)]
struct Fault {
    operation: &'static str,
    error: StepError,
    left: u32,
    end: End,
}

#[derive(Debug, Default)]
struct Calls {
    faults: Vec<Fault>,
    counts: BTreeMap<&'static str, u32>,
}

/// The calls that a fake got, and those that are to fail.
#[derive(Debug, Clone, Default)]
struct Faults(Shared<Calls>);

impl Faults {
    fn order(&self, operation: &'static str, error: StepError, left: u32, end: End) {
        self.0.lock().faults.push(Fault {
            operation,
            error,
            left,
            end,
        });
    }

    fn meet(&self, operation: &str, end: End) -> Result<()> {
        let mut calls = self.0.lock();
        let hit = calls
            .faults
            .iter_mut()
            .find(|fault| fault.operation == operation && fault.end == end && fault.left > 0);
        match hit {
            Some(fault) => {
                fault.left -= 1;
                Err(fault.error.clone())
            }
            None => Ok(()),
        }
    }

    /// At the start of an operation.
    fn before(&self, operation: &'static str) -> Result<()> {
        *self.0.lock().counts.entry(operation).or_default() += 1;
        self.meet(operation, End::Before)
    }

    /// At the end of an operation, its work done.
    fn after(&self, operation: &'static str) -> Result<()> {
        self.meet(operation, End::After)
    }

    fn count(&self, operation: &str) -> u32 {
        self.0.lock().counts.get(operation).copied().unwrap_or(0)
    }
}

/// Gives a fake its orders to fail. An operation that the fake does not have panics: a test with
/// a misspelt name would prove nothing.
macro_rules! can_fail {
    ($name:ident: $($operation:literal),+) => {
        impl $name {
            /// The operations that can be told to fail.
            pub const OPERATIONS: &'static [&'static str] = &[$($operation),+];

            /// Lets the next `times` calls of an operation fail without any effect.
            pub fn fail_next(&self, operation: &'static str, error: StepError, times: u32) {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.order(operation, error, times, super::End::Before);
            }

            /// Lets the next `times` calls of an operation do their work and then fail, as when
            /// the answer is lost on its way.
            pub fn lose_reply(&self, operation: &'static str, error: StepError, times: u32) {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.order(operation, error, times, super::End::After);
            }

            /// How often an operation was called, failed calls included.
            #[must_use]
            pub fn calls(&self, operation: &'static str) -> u32 {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.count(operation)
            }
        }
    };
}
use can_fail;

/// A clock that a test sets. It begins at [`samples::now`].
#[derive(Debug, Clone)]
pub struct FakeClock(Shared<Timestamp>);

impl Default for FakeClock {
    fn default() -> Self {
        Self(Shared::new(samples::now()))
    }
}

impl FakeClock {
    /// Sets the time.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock() = now;
    }

    /// Lets seconds pass. Past the end of time the clock stands still.
    pub fn advance(&self, seconds: i64) {
        let mut now = self.0.lock();
        *now = now
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap_or(*now);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests;
