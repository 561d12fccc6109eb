//! The only action: starts the execution of an event's run.
//!
//! Decides whether this version reads the event.
//!
//! Undo: none. The execution ends by itself, or an operator stops it.
//!
//! Running it twice is safe. The run's id is the execution's name, and a name that is taken is a
//! success.
//!
//! Fails with `ContractViolation` if the event has another version, and with the errors of Step
//! Functions.

use crate::{Error, Start};
use domain::event::{EVENT_SCHEMA, Trigger};
use domain::json;
use domain::step::StartOutput;
use engine::{Result, Started};

impl Start {
    pub(crate) async fn start(&self, event: Trigger) -> Result<StartOutput> {
        if event.schema() != EVENT_SCHEMA {
            let schema = event.schema();
            return Err(Error::OtherSchema { schema }.into());
        }
        let run = event.run_id();
        let input = json::to_text("an event", &event)?;
        let started = self.executions.start(&run, &input).await?;
        match started {
            Started::Yes => tracing::info!(%run, "its execution runs"),
            Started::Already => tracing::warn!(%run, "an earlier event has started it"),
        }
        Ok(StartOutput { run, started })
    }
}
