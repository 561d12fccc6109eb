use super::{Faults, Shared, can_fail};
use crate::{EventBus, Executions, Result, Secrets, StatusQueue, TokenState, Tokens};
use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use std::collections::{BTreeMap, BTreeSet};

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The group: the run's id.
    pub group: String,
    /// The id that duplicates are noticed by.
    pub id: String,
    /// The text.
    pub body: String,
}

/// The status queue in memory. Nobody consumes it, so a second message with the same id is
/// dropped however late it comes.
#[derive(Debug, Clone, Default)]
pub struct FakeStatusQueue {
    messages: Shared<Vec<SentMessage>>,
    faults: Faults,
}

can_fail!(FakeStatusQueue: "send");

impl FakeStatusQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, in order, duplicates left out.
    #[must_use]
    pub fn messages(&self) -> Vec<SentMessage> {
        self.messages.lock().clone()
    }
}

#[async_trait]
impl StatusQueue for FakeStatusQueue {
    async fn send(&self, group: &str, id: &str, body: &str) -> Result<()> {
        self.faults.before("send")?;
        {
            let mut messages = self.messages.lock();
            if !messages.iter().any(|message| message.id == id) {
                messages.push(SentMessage {
                    group: group.to_owned(),
                    id: id.to_owned(),
                    body: body.to_owned(),
                });
            }
        }
        self.faults.after("send")
    }
}

/// An event that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEvent {
    /// The source, such as `github.com`.
    pub source: String,
    /// The detail type, such as `push`.
    pub detail_type: String,
    /// The detail, as JSON.
    pub detail: String,
}

/// The event bus in memory.
#[derive(Debug, Clone, Default)]
pub struct FakeEventBus {
    events: Shared<Vec<PublishedEvent>>,
    faults: Faults,
}

can_fail!(FakeEventBus: "publish");

impl FakeEventBus {
    /// A bus that nothing was published on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was published, in order.
    #[must_use]
    pub fn events(&self) -> Vec<PublishedEvent> {
        self.events.lock().clone()
    }
}

#[async_trait]
impl EventBus for FakeEventBus {
    async fn publish(&self, source: &str, detail_type: &str, detail: &str) -> Result<()> {
        self.faults.before("publish")?;
        self.events.lock().push(PublishedEvent {
            source: source.to_owned(),
            detail_type: detail_type.to_owned(),
            detail: detail.to_owned(),
        });
        self.faults.after("publish")
    }
}

#[derive(Debug, Default)]
struct Waits {
    open: BTreeSet<String>,
    outputs: Vec<(String, String)>,
    errors: Vec<(String, StepError)>,
}

/// Task tokens in memory.
#[derive(Debug, Clone, Default)]
pub struct FakeTokens {
    waits: Shared<Waits>,
    faults: Faults,
}

can_fail!(FakeTokens: "succeed", "fail");

impl FakeTokens {
    /// No waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a wait.
    pub fn open(&self, token: &str) {
        self.waits.lock().open.insert(token.to_owned());
    }

    /// Ends a wait without an answer: its execution ended or gave up.
    pub fn abandon(&self, token: &str) {
        self.waits.lock().open.remove(token);
    }

    /// Whether a wait goes on.
    #[must_use]
    pub fn is_open(&self, token: &str) -> bool {
        self.waits.lock().open.contains(token)
    }

    /// The waits that succeeded, in order: token and output.
    #[must_use]
    pub fn outputs(&self) -> Vec<(String, String)> {
        self.waits.lock().outputs.clone()
    }

    /// The waits that failed, in order: token, and error name with cause.
    #[must_use]
    pub fn errors(&self) -> Vec<(String, StepError)> {
        self.waits.lock().errors.clone()
    }
}

#[async_trait]
impl Tokens for FakeTokens {
    async fn succeed(&self, token: &str, output: &str) -> Result<TokenState> {
        self.faults.before("succeed")?;
        let state = {
            let mut waits = self.waits.lock();
            let state = waits.close(token);
            if state == TokenState::Open {
                waits.outputs.push((token.to_owned(), output.to_owned()));
            }
            state
        };
        self.faults.after("succeed")?;
        Ok(state)
    }

    async fn fail(&self, token: &str, error: ErrorName, cause: &str) -> Result<TokenState> {
        self.faults.before("fail")?;
        let state = {
            let mut waits = self.waits.lock();
            let state = waits.close(token);
            if state == TokenState::Open {
                let error = StepError::new(error, cause);
                waits.errors.push((token.to_owned(), error));
            }
            state
        };
        self.faults.after("fail")?;
        Ok(state)
    }
}

impl Waits {
    fn close(&mut self, token: &str) -> TokenState {
        if self.open.remove(token) {
            TokenState::Open
        } else {
            TokenState::Closed
        }
    }
}

/// Executions in memory: their inputs by their ARNs.
#[derive(Debug, Clone, Default)]
pub struct FakeExecutions {
    inputs: Shared<BTreeMap<String, String>>,
    faults: Faults,
}

can_fail!(FakeExecutions: "input");

impl FakeExecutions {
    /// No executions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins an execution.
    pub fn start(&self, arn: &str, input: &str) {
        self.inputs.lock().insert(arn.to_owned(), input.to_owned());
    }
}

#[async_trait]
impl Executions for FakeExecutions {
    async fn input(&self, arn: &str) -> Result<Option<String>> {
        self.faults.before("input")?;
        let input = self.inputs.lock().get(arn).cloned();
        self.faults.after("input")?;
        Ok(input)
    }
}

/// Secrets in memory.
#[derive(Debug, Clone, Default)]
pub struct FakeSecrets {
    secrets: Shared<BTreeMap<String, String>>,
    faults: Faults,
}

can_fail!(FakeSecrets: "get");

impl FakeSecrets {
    /// No secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a secret.
    pub fn set(&self, arn: &str, text: &str) {
        self.secrets.lock().insert(arn.to_owned(), text.to_owned());
    }
}

#[async_trait]
impl Secrets for FakeSecrets {
    async fn get(&self, arn: &str) -> Result<String> {
        self.faults.before("get")?;
        let found = self.secrets.lock().get(arn).cloned();
        self.faults.after("get")?;
        found.ok_or_else(|| {
            let message = format!("GetSecretValue {arn}: ResourceNotFoundException: no value");
            StepError::new(ErrorName::AwsRefused, message)
        })
    }
}
