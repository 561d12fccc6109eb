//! The scenarios of the demo, and support for them and the emulator suite.
//!
//! Each scenario acts as a developer would (a commit, a push) and then checks the state: the run's
//! record, the execution, the application's responses, the resources, the audit branch. It stops at
//! the first difference. Read [`Harness`] first.

pub mod bench;
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
