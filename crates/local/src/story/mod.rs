//! The story of a delivery, in seven chapters: told by `scripts/demo.sh`, asserted by the tests.
//!
//! Each chapter does what a developer would do (a commit, a push) and then looks at the world:
//! the run's record, the execution's status, the address of the application, the resources, the
//! audit branch. A chapter fails at the first thing that is not as it should be.

mod chapters;
mod forge;
mod load;
mod logs;
mod narrator;
mod resources;
mod teller;

pub use aws::ExecutionState;
pub use chapters::{CHAPTERS, Chapter, tell};
pub use narrator::Narrator;
pub use resources::{compare, tagged};
pub use teller::{Ended, Teller};
