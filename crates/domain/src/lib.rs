#![doc = include_str!("../README.md")]

pub mod audit;
pub mod config;
pub mod environment;
pub mod error;
pub mod ids;
pub mod plan;
pub mod plan_file;
pub mod rollout;
pub mod run;
