#![doc = include_str!("../README.md")]

mod config;
mod invoke;
mod log;
mod serve;
mod settings;
mod url;
mod world;

pub use serve::{serve, serve_url};
pub use world::{SystemClock, World};
