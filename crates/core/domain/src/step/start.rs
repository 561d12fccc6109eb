//! The Lambda `start`. Its input is a [`Trigger`](crate::event::Trigger): the detail of an event on the bus.

use crate::ids::RunId;
use serde::Serialize;

/// What a call of `start` did. Only a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StartOutput {
    /// The event's run, which is also the name of its execution.
    pub run: RunId,
    /// Whether this call started the execution.
    pub started: Started,
}

/// Whether a call started an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// The execution runs. An earlier call with the same input may have started it.
    Yes,
    /// The name is taken: by an execution that has ended, or that was started with another input.
    Already,
}
