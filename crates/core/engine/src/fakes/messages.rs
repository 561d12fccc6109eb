use super::{Faults, Shared, can_fail};
use crate::{
    EventBus, Execution, ExecutionState, Executions, Result, Secrets, Started, StatusQueue,
    TokenState, Tokens,
};
use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::ids::RunId;
use std::collections::{BTreeMap, BTreeSet};

/// A message that was sent to the status queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentMessage {
    /// The message group: the run's id.
    pub group: String,
    /// The message id, by which duplicates are detected.
    pub id: String,
    /// The message body.
    pub body: String,
}

/// A fake of the status queue. Messages are never consumed, so a second message with the same id is
/// always dropped.
#[derive(Debug, Clone, Default)]
pub struct FakeStatusQueue {
    messages: Shared<Vec<SentMessage>>,
    faults: Faults,
}

can_fail!(FakeStatusQueue: "send");

impl FakeStatusQueue {
    /// Returns an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the messages that were sent, in order, without duplicates.
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

/// An event that was published on the event bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedEvent {
    /// The event's source, such as `github.com`.
    pub source: String,
    /// The event's detail type, such as `push`.
    pub detail_type: String,
    /// The event's detail, as JSON.
    pub detail: String,
}

/// A fake of the event bus.
#[derive(Debug, Clone, Default)]
pub struct FakeEventBus {
    events: Shared<Vec<PublishedEvent>>,
    faults: Faults,
}

can_fail!(FakeEventBus: "publish");

impl FakeEventBus {
    /// Returns a bus without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the events that were published, in order.
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

/// A fake of task tokens.
#[derive(Debug, Clone, Default)]
pub struct FakeTokens {
    waits: Shared<Waits>,
    faults: Faults,
}

can_fail!(FakeTokens: "succeed", "fail");

impl FakeTokens {
    /// Returns a fake without waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a wait.
    pub fn open(&self, token: &str) {
        self.waits.lock().open.insert(token.to_owned());
    }

    /// Ends a wait without an answer, as when its execution stops or it times out.
    pub fn abandon(&self, token: &str) {
        self.waits.lock().open.remove(token);
    }

    /// Returns whether a wait has not ended.
    #[must_use]
    pub fn is_open(&self, token: &str) -> bool {
        self.waits.lock().open.contains(token)
    }

    /// Returns the waits that succeeded, in order: token and output.
    #[must_use]
    pub fn outputs(&self) -> Vec<(String, String)> {
        self.waits.lock().outputs.clone()
    }

    /// Returns the waits that failed, in order: token, and error with cause.
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

/// A fake of executions, by ARN.
#[derive(Debug, Clone, Default)]
pub struct FakeExecutions {
    executions: Shared<BTreeMap<String, Execution>>,
    faults: Faults,
}

can_fail!(FakeExecutions: "describe", "start");

impl FakeExecutions {
    /// Returns a fake without executions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the ARN of the execution that `start` gives this name.
    #[must_use]
    pub fn arn(name: &RunId) -> String {
        format!("arn:aws:states:eu-central-1:111122223333:execution:sluicegate-deliver:{name}")
    }

    /// Returns the executions by ARN.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Execution> {
        self.executions.lock().clone()
    }

    /// Adds an execution that runs.
    pub fn begin(&self, arn: &str, input: &str) {
        let execution = Execution {
            state: ExecutionState::Running,
            input: input.to_owned(),
        };
        self.executions.lock().insert(arn.to_owned(), execution);
    }

    /// Ends an execution. Does nothing if it was not started.
    pub fn end(&self, arn: &str, state: ExecutionState) {
        if let Some(execution) = self.executions.lock().get_mut(arn) {
            execution.state = state;
        }
    }
}

#[async_trait]
impl Executions for FakeExecutions {
    async fn describe(&self, arn: &str) -> Result<Option<Execution>> {
        self.faults.before("describe")?;
        let found = self.executions.lock().get(arn).cloned();
        self.faults.after("describe")?;
        Ok(found)
    }

    async fn start(&self, name: &RunId, input: &str) -> Result<Started> {
        self.faults.before("start")?;
        let arn = Self::arn(name);
        let known = self.executions.lock().get(&arn).cloned();
        let started = match known {
            None => {
                self.begin(&arn, input);
                Started::Yes
            }
            Some(known) if known.state == ExecutionState::Running && known.input == input => {
                Started::Yes
            }
            Some(_) => Started::Already,
        };
        self.faults.after("start")?;
        Ok(started)
    }
}

/// A fake of Secrets Manager.
#[derive(Debug, Clone, Default)]
pub struct FakeSecrets {
    secrets: Shared<BTreeMap<String, String>>,
    faults: Faults,
}

can_fail!(FakeSecrets: "get");

impl FakeSecrets {
    /// Returns a fake without secrets.
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
