#![doc = include_str!("../README.md")]

mod caught;
pub mod env;
pub mod event;
pub mod job;
pub mod keys;
pub mod status;
pub mod step;

pub use domain::error::{ErrorClass, ErrorName, StepError};
