//! Status messages as a consumer reads them. Only tests do.

use super::{STATUS_SCHEMA, StatusData};
use cdevents_sdk::CDEvent;
use cloudevents::{AttributesReader as _, Event};
use jiff::Timestamp;

/// A status message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The message's id.
    pub id: String,
    /// The type of the event, such as `dev.cdevents.taskrun.started.0.3.0`.
    pub kind: String,
    /// `/sluicegate/{repository}/{environment}`.
    pub source: String,
    /// The subject of the event: the run, one of its tasks, the image or the service.
    pub subject: String,
    /// When the transition happened.
    pub at: Timestamp,
    /// The data of the message.
    pub data: StatusData,
}

/// The reason that a text is not a status message.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The text is not a CloudEvent.
    #[error("not a CloudEvent in JSON: {0}")]
    CloudEvent(serde_json::Error),
    /// The event is not a CDEvent.
    #[error("event {id} is not a CDEvent: {reason}")]
    CdEvent {
        /// The event's id.
        id: String,
        /// What is wrong with the event.
        reason: String,
    },
    /// The CDEvent is from another producer, or of another version.
    #[error("event {id} has no customData of Sluicegate, version 2: {reason}")]
    Data {
        /// The event's id.
        id: String,
        /// What is wrong with the event.
        reason: String,
    },
}

/// Parses a status message.
///
/// # Errors
/// Fails with [`ParseError`] for any text that [`message`](super::message) did not write.
pub fn parse(body: &str) -> Result<Received, ParseError> {
    let event: Event = serde_json::from_str(body).map_err(ParseError::CloudEvent)?;
    let id = event.id().to_owned();
    let source = event.source().clone();
    let kind = event.ty().to_owned();
    let cdevent = CDEvent::try_from(event).map_err(|error| ParseError::CdEvent {
        id: id.clone(),
        reason: error.to_string(),
    })?;
    let wrong = |reason: String| ParseError::Data {
        id: id.clone(),
        reason,
    };
    let data: StatusData = match cdevent.custom_data() {
        Some(data) => {
            serde_json::from_value(data.clone()).map_err(|error| wrong(error.to_string()))?
        }
        None => return Err(wrong("there is none".into())),
    };
    if data.schema != STATUS_SCHEMA {
        return Err(wrong(format!("its schema is {}", data.schema)));
    }
    let at = Timestamp::from_nanosecond(cdevent.timestamp().unix_timestamp_nanos())
        .map_err(|error| wrong(error.to_string()))?;
    let subject = cdevent.subject().id().to_string();
    Ok(Received {
        id,
        kind,
        source: source.to_string(),
        subject,
        at,
        data,
    })
}
