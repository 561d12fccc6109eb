use crate::Clients;
use crate::errors::{incomplete, named, named_part};
use async_trait::async_trait;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sfn::operation::send_task_failure::SendTaskFailureError;
use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use domain::error::ErrorName;
use domain::text;
use engine::{EventBus, Result, StatusQueue, TokenState, Tokens};

/// The status queue: an SQS FIFO queue.
#[derive(Debug, Clone)]
pub struct SqsStatusQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsStatusQueue {
    /// The queue at this address.
    #[must_use]
    pub fn new(clients: &Clients, url: &str) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(clients.config()),
            url: url.to_owned(),
        }
    }
}

#[async_trait]
impl StatusQueue for SqsStatusQueue {
    async fn send(&self, group: &str, id: &str, body: &str) -> Result<()> {
        let send = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group)
            .message_deduplication_id(id)
            .message_body(body);
        match send.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&format!("SendMessage {id} to {}", self.url), &error)),
        }
    }
}

/// An EventBridge event bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: aws_sdk_eventbridge::Client,
    name: String,
}

impl Bus {
    /// The bus of this name.
    #[must_use]
    pub fn new(clients: &Clients, name: &str) -> Self {
        Self {
            client: aws_sdk_eventbridge::Client::new(clients.config()),
            name: name.to_owned(),
        }
    }
}

#[async_trait]
impl EventBus for Bus {
    async fn publish(&self, source: &str, detail_type: &str, detail: &str) -> Result<()> {
        let call = format!("PutEvents {source} {detail_type} on bus {}", self.name);
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(source)
            .detail_type(detail_type)
            .detail(detail)
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| named(&call, &error))?;
        // The call succeeds even if the bus rejects the event.
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        let Some(entry) = answer.entries().first() else {
            return Err(incomplete(&call, "entry, though one failed"));
        };
        let code = entry.error_code().unwrap_or("no error code");
        Err(named_part(
            &call,
            code,
            entry.error_message().unwrap_or_default(),
        ))
    }
}

/// The longest cause that Step Functions accepts, in characters.
const CAUSE_LIMIT: usize = 32_768;

/// Step Functions task tokens.
#[derive(Debug, Clone)]
pub struct TaskTokens {
    client: aws_sdk_sfn::Client,
}

impl TaskTokens {
    /// Tokens of the clients' account and region.
    #[must_use]
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(clients.config()),
        }
    }
}

#[async_trait]
impl Tokens for TaskTokens {
    async fn succeed(&self, token: &str, output: &str) -> Result<TokenState> {
        let send = self
            .client
            .send_task_success()
            .task_token(token)
            .output(output);
        match send.send().await {
            Ok(_) => Ok(TokenState::Open),
            Err(error) => match error.as_service_error() {
                Some(
                    SendTaskSuccessError::TaskTimedOut(_)
                    | SendTaskSuccessError::TaskDoesNotExist(_)
                    | SendTaskSuccessError::InvalidToken(_),
                ) => Ok(TokenState::Closed),
                _ => Err(named("SendTaskSuccess", &error)),
            },
        }
    }

    async fn fail(&self, token: &str, error: ErrorName, cause: &str) -> Result<TokenState> {
        let cause = text::clip(cause, CAUSE_LIMIT);
        let send = self
            .client
            .send_task_failure()
            .task_token(token)
            .error(error.as_str())
            .cause(cause);
        match send.send().await {
            Ok(_) => Ok(TokenState::Open),
            Err(error) => match error.as_service_error() {
                Some(
                    SendTaskFailureError::TaskTimedOut(_)
                    | SendTaskFailureError::TaskDoesNotExist(_)
                    | SendTaskFailureError::InvalidToken(_),
                ) => Ok(TokenState::Closed),
                _ => Err(named("SendTaskFailure", &error)),
            },
        }
    }
}
