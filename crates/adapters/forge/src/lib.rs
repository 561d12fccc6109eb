#![doc = include_str!("../README.md")]

mod audit;
pub mod audit_branch;
mod github;
mod http;
mod pkt;
mod smart;
mod snapshot;
pub mod webhook;

pub use github::{GitHub, GitHubSettings, jitter};
