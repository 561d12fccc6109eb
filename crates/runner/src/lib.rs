#![doc = include_str!("../README.md")]

pub mod archive;
pub mod cli;
pub mod configurations;
pub mod constraint;
mod decoded;
pub mod dependencies;
pub mod duplicate_job;
pub mod inputs;
pub mod job;
pub mod lock_file;
pub mod log;
mod marks;
pub mod outcome;
mod outputs;
pub mod redact;
pub mod refusal;
pub mod settings;
pub mod source;
pub mod stack;
pub mod start;
mod undo;
pub mod warm;
mod work;
pub mod workspace;
