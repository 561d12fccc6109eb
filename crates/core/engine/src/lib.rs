#![doc = include_str!("../README.md")]

pub mod announce;
pub mod audit;
mod clock;
pub mod closing;
pub mod documents;
pub mod enrolment;
pub mod environments;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod jobs;
pub mod status;
mod step;
mod traits;

pub use clock::SystemClock;
pub use enrolment::Enrolments;
pub use step::{HttpRequest, HttpResponse, Step, UrlStep};
pub use traits::*;
