#![doc = include_str!("../README.md")]

pub mod deliver;
pub mod errors;
pub mod expression;
pub mod limits;
pub mod page;
pub mod parts;
pub mod state;
#[cfg(feature = "walk")]
pub mod walk;
