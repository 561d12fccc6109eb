//! Stateful in-memory fakes of the ports, for the tests of the steps.
//!
//! A fake keeps state and responds from it, as the real service does. All clones of a fake share
//! its state, so the test holds one clone and the step another. Each operation can be set to fail
//! without an effect (`fail_next`), or to have its effect and lose the reply (`lose_reply`). These
//! are the two failures after which a step may be repeated.

mod batch;
mod delivery;
mod enrolment;
mod environment;
mod forge;
mod messages;
mod plan_json;
pub mod samples;
mod store;
mod target_roles;
mod world;

pub use batch::FakeBatch;
pub use delivery::{FakeBuildLogs, FakeProbe, FakeRegistry, FakeServices};
pub use enrolment::FakeEnrolments;
pub use forge::{AuditCommit, FakeForge, SetStatus};
pub use messages::{
    FakeEventBus, FakeExecutions, FakeSecrets, FakeStatusQueue, FakeTokens, PublishedEvent,
    SentMessage,
};
pub use plan_json::PlanJson;
pub use store::{FakeObjects, FakeTable};
pub use target_roles::FakeTargetRoles;
pub use world::{World, throttled};

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

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Before the call, which has no effect.
    Before,
    /// After the call has its effect. The reply is lost.
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

/// The calls that a fake received, and the calls that will fail.
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

    /// Starts an operation.
    fn before(&self, operation: &'static str) -> Result<()> {
        *self.0.lock().counts.entry(operation).or_default() += 1;
        self.meet(operation, End::Before)
    }

    /// Ends an operation, after its effect.
    fn after(&self, operation: &'static str) -> Result<()> {
        self.meet(operation, End::After)
    }

    fn count(&self, operation: &str) -> u32 {
        self.0.lock().counts.get(operation).copied().unwrap_or(0)
    }
}

/// Adds the failure functions to a fake. They panic for an unknown operation, because a test with a
/// misspelled name would prove nothing.
macro_rules! can_fail {
    ($name:ident: $($operation:literal),+) => {
        impl $name {
            /// The operations that can fail.
            pub const OPERATIONS: &'static [&'static str] = &[$($operation),+];

            /// Makes the next `times` calls of an operation fail without an effect.
            pub fn fail_next(&self, operation: &'static str, error: StepError, times: u32) {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.order(operation, error, times, super::End::Before);
            }

            /// Makes the next `times` calls of an operation have their effect and then fail, as
            /// when the reply is lost.
            pub fn lose_reply(&self, operation: &'static str, error: StepError, times: u32) {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.order(operation, error, times, super::End::After);
            }

            /// Returns the number of calls of an operation, including failed calls.
            #[must_use]
            pub fn calls(&self, operation: &'static str) -> u32 {
                assert!(Self::OPERATIONS.contains(&operation), "no operation {operation:?}");
                self.faults.count(operation)
            }
        }
    };
}
use can_fail;

/// A clock that the test sets. Its initial time is [`samples::now`].
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

    /// Advances the time. Stops at the latest time that a timestamp can hold.
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
