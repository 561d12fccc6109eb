#![doc = include_str!("../README.md")]

mod config;
mod invoke;
mod log;
mod serve;
mod settings;
mod url;
mod wiring;

pub use serve::{serve, serve_url};
pub use wiring::Wiring;
