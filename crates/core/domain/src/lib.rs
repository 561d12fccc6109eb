#![doc = include_str!("../README.md")]

pub mod audit;
pub mod caught;
pub mod config;
pub mod env_vars;
pub mod environment;
pub mod error;
pub mod event;
pub mod ids;
pub mod job;
pub mod keys;
pub mod plan;
pub mod plan_file;
pub mod rollout;
pub mod run;
pub mod step;
