use crate::Clients;
use crate::errors::named;
use async_trait::async_trait;
use aws_sdk_sfn::types::ExecutionStatus;
use domain::ids::RunId;
use domain::reconcile::ExecutionState;
use engine::{Result, Started};
use jiff::Timestamp;

/// Executions of the state machine.
#[derive(Debug, Clone)]
pub struct Executions {
    client: aws_sdk_sfn::Client,
    machine: String,
}

/// The state of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub state: ExecutionState,
    /// Its input, as JSON.
    pub input: String,
    /// Its output, as JSON, once it succeeded.
    pub output: Option<String>,
    /// The error's name, when it failed.
    pub error: Option<String>,
    /// The cause, when it failed.
    pub cause: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub stopped_at: Option<Timestamp>,
}

fn state(status: &ExecutionStatus) -> ExecutionState {
    match status {
        ExecutionStatus::Succeeded => ExecutionState::Succeeded,
        ExecutionStatus::Failed => ExecutionState::Failed,
        ExecutionStatus::TimedOut => ExecutionState::TimedOut,
        ExecutionStatus::Aborted => ExecutionState::Aborted,
        _ => ExecutionState::Running,
    }
}

impl Executions {
    /// The executions of a state machine, by its ARN.
    #[must_use]
    pub fn new(clients: &Clients, machine: &str) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(clients.config()),
            machine: machine.to_owned(),
        }
    }

    /// Describes an execution; `None` if it does not exist. Step Functions keeps an execution for 90
    /// days after its end.
    ///
    /// # Errors
    /// Those of AWS.
    pub async fn describe(&self, arn: &str) -> Result<Option<Execution>> {
        let answer = match self
            .client
            .describe_execution()
            .execution_arn(arn)
            .send()
            .await
        {
            Ok(answer) => answer,
            Err(error) => {
                return match error.as_service_error() {
                    Some(refused) if refused.is_execution_does_not_exist() => Ok(None),
                    _ => Err(named(&format!("DescribeExecution {arn}"), &error)),
                };
            }
        };
        Ok(Some(Execution {
            arn: answer.execution_arn,
            state: state(&answer.status),
            input: answer.input.unwrap_or_default(),
            output: answer.output,
            error: answer.error,
            cause: answer.cause,
            started_at: timestamp(answer.start_date),
            stopped_at: answer.stop_date.map(timestamp),
        }))
    }
}

#[async_trait]
impl engine::Executions for Executions {
    async fn describe(&self, arn: &str) -> Result<Option<engine::Execution>> {
        let found = Self::describe(self, arn).await?;
        Ok(found.map(|found| engine::Execution {
            state: found.state,
            input: found.input,
        }))
    }

    async fn start(&self, name: &RunId, input: &str) -> Result<Started> {
        let answer = self
            .client
            .start_execution()
            .state_machine_arn(&self.machine)
            .name(name.as_str())
            .input(input)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Started::Yes),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_execution_already_exists() => Ok(Started::Already),
                _ => {
                    let call = format!("StartExecution {name} of {}", self.machine);
                    Err(named(&call, &error))
                }
            },
        }
    }
}

fn timestamp(at: aws_sdk_sfn::primitives::DateTime) -> Timestamp {
    Timestamp::from_nanosecond(at.as_nanos()).unwrap_or_default()
}
