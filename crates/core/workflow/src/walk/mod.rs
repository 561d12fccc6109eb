//! Executes a rendered state machine in process, for tests. It uses tokio's time, so with a paused
//! clock a wait of days takes no time.
//!
//! The walker implements what AWS documents for the parts of Amazon States Language that the state
//! machine uses. Representative cases also run on the emulator, and the results are compared
//! (`tests/emulator/matrix`).

pub mod document;
pub mod jsonata;

use async_trait::async_trait;
use document::{Catcher, Machine, Resource, Retrier, State, States, Task};
use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The maximum size of a state's input or output, in bytes.
const PAYLOAD_LIMIT: usize = 262_144;

/// An error, as a Catch receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error's name.
    pub error: String,
    /// The error's cause.
    pub cause: String,
}

impl Failure {
    /// Returns an error with this name and cause.
    #[must_use]
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: cause.into(),
        }
    }

    fn output(&self) -> Value {
        json!({"Error": self.error, "Cause": self.cause})
    }
}

/// A call of a Task.
#[derive(Debug, Clone)]
pub struct Request {
    /// The state's name.
    pub state: String,
    /// The resource that the Task calls.
    pub resource: Resource,
    /// The arguments, with their expressions evaluated. `${...}` placeholders are as in the file.
    pub arguments: Value,
    /// The task token, if the Task waits for one.
    pub token: Option<String>,
}

/// The resources that the Tasks call.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Called when an execution enters a state. The execution does not continue until this returns.
    async fn enter(&self, execution: &str, state: &str);
    /// Returns the time, as an ISO 8601 timestamp.
    fn now(&self) -> String;
    /// Calls a Lambda and returns its output, or runs a job or build until it ends.
    async fn call(&self, request: &Request) -> Result<Value, Failure>;
    /// Waits until a task token is sent back.
    async fn wait(&self, token: &str) -> Result<Value, Failure>;
    /// Called when the Task of a token has ended.
    fn close(&self, token: &str);
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The execution ended with SUCCEEDED.
    Succeeded,
    /// The execution ended with FAILED.
    Failed(Failure),
    /// The execution ended with `TIMED_OUT`, after the machine's `TimeoutSeconds`.
    TimedOut,
}

/// An execution of a state machine.
pub struct Execution<'w> {
    machine: &'w Machine,
    tasks: &'w dyn Tasks,
    /// The execution's ARN.
    id: String,
    input: Value,
    tokens: AtomicU32,
    visited: Mutex<Vec<String>>,
}

type Variables = BTreeMap<String, Value>;

/// The next step after a state: another state, or the end of its level.
enum Step<'m> {
    To(&'m str, Value),
    Out(Value),
}

impl<'w> Execution<'w> {
    /// Returns an execution that has not started.
    #[must_use]
    pub fn new(machine: &'w Machine, tasks: &'w dyn Tasks, id: &str, input: Value) -> Self {
        Self {
            machine,
            tasks,
            id: id.to_owned(),
            input,
            tokens: AtomicU32::new(0),
            visited: Mutex::default(),
        }
    }

    /// Returns the names of the states that were entered, in order.
    #[must_use]
    pub fn visited(&self) -> Vec<String> {
        let visited = self.visited.lock();
        visited.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs the execution until it ends. To stop it, drop the future.
    pub async fn run(&self) -> End {
        let whole = self.level(
            &self.machine.start_at,
            &self.machine.states,
            self.input.clone(),
            Variables::new(),
        );
        let limit = Duration::from_secs(self.machine.timeout_seconds.into());
        match tokio::time::timeout(limit, whole).await {
            Ok(Ok(_)) => End::Succeeded,
            Ok(Err(failure)) => End::Failed(failure),
            Err(_) => End::TimedOut,
        }
    }

    fn level<'a>(
        &'a self,
        start: &'a str,
        states: &'a States,
        mut input: Value,
        mut variables: Variables,
    ) -> BoxFuture<'a, Result<Value, Failure>> {
        async move {
            let mut name = start;
            loop {
                let state = states
                    .get(name)
                    .ok_or_else(|| Failure::new("States.Runtime", format!("no state {name}")))?;
                self.visited
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(name.to_owned());
                self.tasks.enter(&self.id, name).await;
                match self.state(name, state, input, &mut variables).await? {
                    Step::To(next, output) => (name, input) = (next, output),
                    Step::Out(output) => return Ok(output),
                }
            }
        }
        .boxed()
    }

    async fn state<'m>(
        &self,
        name: &'m str,
        state: &'m State,
        input: Value,
        variables: &mut Variables,
    ) -> Result<Step<'m>, Failure> {
        let mut context = Context {
            variables: variables.clone(),
            states: Map::from_iter([("input".to_owned(), input.clone())]),
            context: Map::from_iter([
                (
                    "Execution".to_owned(),
                    json!({"Id": self.id, "Input": self.input}),
                ),
                (
                    "State".to_owned(),
                    json!({"Name": name, "EnteredTime": self.tasks.now()}),
                ),
            ]),
        };
        match state {
            State::Task(task) => {
                let result = match self.attempts(name, task, &context).await {
                    Ok(result) => context.succeed(result, &task.assign, &task.output),
                    Err(failure) => Err(failure),
                };
                follow(
                    result,
                    task.next.as_deref(),
                    &task.catch,
                    context,
                    variables,
                )
            }
            State::Parallel(parallel) => {
                let branches = parallel.branches.iter().map(|branch| {
                    self.level(
                        &branch.start_at,
                        &branch.states,
                        input.clone(),
                        variables.clone(),
                    )
                });
                let result = try_join_all(branches).await.and_then(|results| {
                    context.succeed(results.into(), &BTreeMap::new(), &parallel.output)
                });
                follow(
                    result,
                    parallel.next.as_deref(),
                    &parallel.catch,
                    context,
                    variables,
                )
            }
            State::Map(map) => {
                let result = match context.fill(&map.items) {
                    Ok(Value::Array(items)) => {
                        let items = items.into_iter().map(|item| {
                            let processor = &map.item_processor;
                            self.level(
                                &processor.start_at,
                                &processor.states,
                                item,
                                variables.clone(),
                            )
                        });
                        stream::iter(items)
                            .buffered(map.max_concurrency)
                            .try_collect::<Vec<_>>()
                            .await
                    }
                    Ok(other) => Err(query_error(format!("Items is {other}"))),
                    Err(failure) => Err(failure),
                };
                let result = result.and_then(|results| {
                    context.succeed(results.into(), &BTreeMap::new(), &map.output)
                });
                follow(result, map.next.as_deref(), &map.catch, context, variables)
            }
            State::Choice(choice) => {
                for rule in &choice.choices {
                    if context.fill(&rule.condition)? == Value::Bool(true) {
                        return Ok(Step::To(&rule.next, input));
                    }
                }
                Ok(Step::To(&choice.default, input))
            }
            State::Pass(pass) => Ok(match &pass.next {
                Some(next) => Step::To(next, input),
                None => Step::Out(input),
            }),
            State::Wait(wait) => {
                tokio::time::sleep(Duration::from_secs(wait.seconds.into())).await;
                Ok(Step::To(&wait.next, input))
            }
            State::Succeed(_) => Ok(Step::Out(input)),
            State::Fail(fail) => {
                let text = |template: &Value| match context.fill(template)? {
                    Value::String(text) => Ok(text),
                    other => Err(query_error(format!("{other} is not text"))),
                };
                Err(Failure::new(text(&fail.error)?, text(&fail.cause)?))
            }
        }
    }

    /// Tries a Task until it succeeds or no retry remains.
    async fn attempts(&self, name: &str, task: &Task, context: &Context) -> Result<Value, Failure> {
        let mut retries: Vec<(&Retrier, u32)> = task.retry.iter().map(|one| (one, 0)).collect();
        loop {
            let limit = Duration::from_secs(task.timeout_seconds.into());
            let failure = match tokio::time::timeout(limit, self.attempt(name, task, context)).await
            {
                Ok(Ok(result)) => return Ok(result),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new("States.Timeout", format!("{name} took too long")),
            };
            let retry = retries
                .iter_mut()
                .find(|(retrier, _)| matches(&retrier.error_equals, &failure.error));
            let Some((retrier, done)) =
                retry.filter(|(retrier, done)| *done < retrier.max_attempts)
            else {
                return Err(failure);
            };
            // Without jitter: the longest delay that Step Functions may choose.
            let mut seconds = f64::from(retrier.interval_seconds);
            for _ in 0..*done {
                seconds *= retrier.backoff_rate;
            }
            *done += 1;
            let seconds = seconds.min(retrier.max_delay_seconds.into());
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
    }

    async fn attempt(&self, name: &str, task: &Task, context: &Context) -> Result<Value, Failure> {
        let token = (task.resource == Resource::LambdaWithToken).then(|| {
            let number = self.tokens.fetch_add(1, Ordering::Relaxed);
            Token {
                tasks: self.tasks,
                text: format!("{}/{name}/{number}", self.id),
            }
        });
        let mut context = context.clone();
        if let Some(token) = &token {
            let task = json!({"Token": token.text});
            context.context.insert("Task".to_owned(), task);
        }
        let request = Request {
            state: name.to_owned(),
            resource: task.resource,
            arguments: context.fill(&task.arguments)?,
            token: token.as_ref().map(|token| token.text.clone()),
        };
        let output = self.tasks.call(&request).await?;
        match &token {
            Some(token) => self.tasks.wait(&token.text).await,
            None if task.resource == Resource::Lambda => Ok(json!({"Payload": output})),
            None => Ok(output),
        }
    }
}

/// A task token. It is closed when its Task ends for any reason.
struct Token<'t> {
    tasks: &'t dyn Tasks,
    text: String,
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        self.tasks.close(&self.text);
    }
}

/// The values that the expressions of a state can read.
#[derive(Clone)]
struct Context {
    variables: Variables,
    /// The fields of `$states`, except `context`.
    states: Map<String, Value>,
    context: Map<String, Value>,
}

impl Context {
    fn fill(&self, template: &Value) -> Result<Value, Failure> {
        let mut all = self.variables.clone();
        let mut states = self.states.clone();
        states.insert("context".to_owned(), self.context.clone().into());
        all.insert("states".to_owned(), states.into());
        jsonata::fill(template, &all).map_err(query_error)
    }

    /// Returns the variables and the output of a state that succeeded.
    fn succeed(
        &mut self,
        result: Value,
        assign: &BTreeMap<String, Value>,
        output: &Value,
    ) -> Result<Value, Failure> {
        self.states.insert("result".to_owned(), result);
        let output = self.fill(output)?;
        let size = output.to_string().len();
        if size > PAYLOAD_LIMIT {
            let cause = format!("an output of {size} bytes");
            return Err(Failure::new("States.DataLimitExceeded", cause));
        }
        self.assign(assign)?;
        Ok(output)
    }

    fn assign(&mut self, assign: &BTreeMap<String, Value>) -> Result<(), Failure> {
        let mut assigned = Vec::with_capacity(assign.len());
        for (name, template) in assign {
            assigned.push((name.clone(), self.fill(template)?));
        }
        self.variables.extend(assigned);
        Ok(())
    }
}

/// Continues with the output, or with the state that catches the error.
fn follow<'m>(
    result: Result<Value, Failure>,
    next: Option<&'m str>,
    catch: &'m [Catcher],
    mut context: Context,
    variables: &mut Variables,
) -> Result<Step<'m>, Failure> {
    let step = match result {
        Ok(output) => match next {
            Some(next) => Step::To(next, output),
            None => Step::Out(output),
        },
        Err(failure) => {
            let catcher = catch
                .iter()
                .find(|catcher| matches(&catcher.error_equals, &failure.error));
            let Some(catcher) = catcher else {
                return Err(failure);
            };
            let error = failure.output();
            context.states.insert("errorOutput".to_owned(), error);
            context.assign(&catcher.assign)?;
            let output = match &catcher.output {
                Some(output) => context.fill(output)?,
                None => failure.output(),
            };
            Step::To(&catcher.next, output)
        }
    };
    *variables = context.variables;
    Ok(step)
}

fn query_error(problem: String) -> Failure {
    Failure::new("States.QueryEvaluationError", problem)
}

/// Returns whether `ErrorEquals` matches an error.
fn matches(names: &[String], error: &str) -> bool {
    let terminal = ["States.DataLimitExceeded", "States.Runtime"].contains(&error);
    names.iter().any(|name| match name.as_str() {
        "States.ALL" => !terminal,
        "States.TaskFailed" => !terminal && error != "States.Timeout",
        name => name == error,
    })
}
