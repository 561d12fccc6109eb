#![doc = include_str!("../README.md")]

pub mod command;
pub mod github;
pub mod http;
pub mod process;
pub mod server;
pub mod standin;
pub mod story;
pub mod sweep;
pub mod world;
