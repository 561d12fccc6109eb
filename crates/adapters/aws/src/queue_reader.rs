use crate::Clients;
use crate::errors::named;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use engine::Result;

/// Reads a queue, as a program that consumes the status messages does.
#[derive(Debug, Clone)]
pub struct QueueReader {
    client: aws_sdk_sqs::Client,
    url: String,
}

/// A message that was received. It comes again unless it is deleted in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// What [`QueueReader::delete`] needs.
    pub receipt: String,
    /// The group; empty for a queue without order.
    pub group: String,
    /// The id that duplicates are noticed by; empty for a queue without order.
    pub id: String,
    /// The text.
    pub body: String,
}

impl QueueReader {
    /// The queue at this address.
    #[must_use]
    pub fn new(clients: &Clients, url: &str) -> Self {
        Self {
            client: clients.sqs_listening(),
            url: url.to_owned(),
        }
    }

    /// Receives up to ten messages; waits for the first one as long as `wait_seconds`, at most
    /// 20, and gives none when none came.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn receive(&self, wait_seconds: u8) -> Result<Vec<ReceivedMessage>> {
        let receive = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(i32::from(wait_seconds.min(20)))
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::MessageDeduplicationId);
        let answer = receive
            .send()
            .await
            .map_err(|error| named(&format!("ReceiveMessage from {}", self.url), &error))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| {
                let mut attributes = message.attributes.unwrap_or_default();
                let mut take = |name| attributes.remove(&name).unwrap_or_default();
                ReceivedMessage {
                    group: take(MessageSystemAttributeName::MessageGroupId),
                    id: take(MessageSystemAttributeName::MessageDeduplicationId),
                    receipt: message.receipt_handle.unwrap_or_default(),
                    body: message.body.unwrap_or_default(),
                }
            })
            .collect())
    }

    /// Deletes a message that was received.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn delete(&self, message: &ReceivedMessage) -> Result<()> {
        let delete = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&message.receipt);
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&format!("DeleteMessage from {}", self.url), &error)),
        }
    }
}
