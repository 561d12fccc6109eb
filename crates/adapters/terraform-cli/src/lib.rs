#![doc = include_str!("../README.md")]

mod cancel;
mod diagnostic;
mod environment;
mod error;
mod handshake;
mod lines;
mod package_hash;
mod plan_file;
mod process;
mod provider;
mod state;
mod terraform;
mod ui;
mod version;

pub use cancel::{Cancel, CancelHandle};
pub use diagnostic::{Diagnostic, LockInfo, Position, Severity};
pub use environment::{Environment, MirrorPathError, cli_config};
pub use error::{Error, Failure, Interruption};
pub use handshake::HandshakeError;
pub use lines::LineSplitter;
pub use package_hash::package_hash;
pub use plan_file::state_version;
pub use provider::{Provider, ProviderCommand, ProviderError};
pub use state::State;
pub use terraform::{
    ApplyReport, InitOptions, LockFile, ModuleSource, PlanOptions, PlanReport, Terraform,
    VersionReport,
};
pub use ui::{Event, Hook, Line, PlannedChange, Source, SummaryCounts, Transcript, parse_line};
pub use version::{MINIMUM, Version};
