//! The machine's clock.

use engine::Clock;
use jiff::Timestamp;

/// The time as the machine has it.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everybody else takes"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
