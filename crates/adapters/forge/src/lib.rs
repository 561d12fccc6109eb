#![doc = include_str!("../README.md")]

pub mod git;
pub mod github;
mod http;
mod token;
pub mod webhook;

pub use token::Token;
