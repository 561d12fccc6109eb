#![doc = include_str!("../README.md")]

pub mod error;
pub mod ids;
pub mod plan;
