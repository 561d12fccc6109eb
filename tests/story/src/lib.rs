//! The scenarios of the demo, and what they and the emulator suite need.
//!
//! Each scenario does what a developer would do (a commit, a push) and then checks the state
//! afterwards: the run's record, the execution, the address of the application, the resources, the
//! audit branch. It stops at the first difference. Read [`Harness`] first.

pub mod demo;
mod forge;
mod harness;
mod load;
mod logs;
mod progress;
mod resources;
mod scenarios;
pub mod sweep;

pub use aws::ExecutionState;
pub use harness::{Ended, Harness};
pub use progress::Progress;
pub use resources::{compare, tagged};
pub use scenarios::{SCENARIOS, Scenario, run};
