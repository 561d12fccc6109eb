//! The states of Amazon States Language that the state machine uses, as they are rendered. Fields
//! have the order of the file.

use crate::errors::ErrorMatch;
use crate::expression::{Expression, Template};
use domain::build::BuildKind;
use domain::job::Verb;
use domain::step::Action;
use serde::{Serialize, Serializer};

/// A state machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Machine {
    /// One sentence that describes an execution.
    pub comment: &'static str,
    /// `JSONata`.
    pub query_language: &'static str,
    /// The name of the first state.
    pub start_at: &'static str,
    /// The maximum duration of an execution, in seconds.
    pub timeout_seconds: u32,
    /// The states at the top level.
    pub states: States,
}

/// The states of one level, in order.
#[derive(Debug, Clone, Default)]
pub struct States(pub Vec<(&'static str, State)>);

impl States {
    /// Returns states in this order.
    #[must_use]
    pub fn new<const N: usize>(states: [(&'static str, State); N]) -> Self {
        Self(states.into())
    }

    /// Appends states.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Returns the state with this name on this level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&State> {
        let mut states = self.0.iter();
        states
            .find(|(other, _)| *other == name)
            .map(|(_, state)| state)
    }
}

impl Serialize for States {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, state)| (name, state)))
    }
}

/// A state.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Calls a Lambda, a Batch job or a build.
    Task(Box<Task>),
    /// Branches on a verdict.
    Choice(Choice),
    /// Runs branches at the same time.
    Parallel(Box<Parallel>),
    /// Runs the same states for each item of a list at the same time.
    Map(Box<Map>),
    /// Passes its input on.
    Pass(Pass),
    /// Waits.
    Wait(Wait),
    /// Ends the execution with SUCCEEDED.
    Succeed(Succeed),
    /// Ends the execution with FAILED. In a branch, ends all branches.
    Fail(Fail),
}

/// The call of a Task, for the renderers. In the JSON, it is expressed by `Resource` and
/// `Arguments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A Lambda's action.
    Lambda(Action),
    /// A Lambda's action that keeps the task token. The output is sent with the token later.
    LambdaWithToken(Action),
    /// A Batch job of the runner, until it ends.
    Job(Verb),
    /// A CodeBuild build, until it ends.
    Build(BuildKind),
}

impl Call {
    fn resource(self) -> &'static str {
        match self {
            Self::Lambda(_) => "arn:aws:states:::lambda:invoke",
            Self::LambdaWithToken(_) => "arn:aws:states:::lambda:invoke.waitForTaskToken",
            Self::Job(_) => "arn:aws:states:::batch:submitJob.sync",
            Self::Build(_) => "arn:aws:states:::codebuild:startBuild.sync",
        }
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.resource())
    }
}

/// A state that calls a Lambda, a Batch job or a build.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// What undoes the Task's effect, or why nothing has to. Only for the README.
    #[serde(skip)]
    pub undo: &'static str,
    /// The resource and what it runs.
    #[serde(rename = "Resource")]
    pub call: Call,
    /// The arguments of the call.
    pub arguments: Template,
    /// The time limit of each attempt, in seconds.
    pub timeout_seconds: u32,
    /// The errors after which the Task is tried again.
    pub retry: Vec<Retry>,
    /// The errors that lead to another state.
    pub catch: Vec<Catch>,
    /// The variables that are set on success.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    pub assign: Vec<(&'static str, Template)>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// The next step after a state succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Next {
    /// The state with this name.
    #[serde(rename = "Next")]
    To(&'static str),
    /// The end of the level. Always `true`.
    End(bool),
}

/// The end of a level.
pub const END: Next = Next::End(true);

/// A state that branches on a verdict. It has no `Output`: the previous state creates the input of
/// the next state.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The rules. The first rule that holds applies.
    pub choices: Vec<Rule>,
    /// The next state if no rule holds.
    pub default: &'static str,
}

/// A rule of a [`Choice`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// The condition under which the rule holds.
    pub condition: Expression,
    /// The next state.
    pub next: &'static str,
}

/// A state that runs branches at the same time. The first branch that fails stops the others.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parallel {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The branches.
    pub branches: Vec<Level>,
    /// The errors that lead to another state.
    pub catch: Vec<Catch>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// A level: states, and which of them is the first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Level {
    /// The name of the first state.
    pub start_at: &'static str,
    /// The states of the level.
    pub states: States,
}

/// A state that runs the same states for each item at the same time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Map {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The expression for the list of items.
    pub items: Expression,
    /// The maximum number of items that run at the same time.
    pub max_concurrency: u32,
    /// The states that run for each item.
    pub item_processor: Processor,
    /// The errors that lead to another state.
    pub catch: Vec<Catch>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// The states of a [`Map`]. They run within the execution, so they can read its variables.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Processor {
    /// Always `INLINE`.
    pub processor_config: ProcessorConfig,
    /// The states that run for each item.
    #[serde(flatten)]
    pub level: Level,
}

/// The mode in which a [`Map`] runs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessorConfig {
    /// `INLINE`.
    pub mode: &'static str,
}

/// A state that passes its input on.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pass {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// A state that waits.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wait {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The duration, in seconds.
    pub seconds: u32,
    /// The next state.
    pub next: &'static str,
}

/// A state that ends the execution with SUCCEEDED.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Succeed {
    /// One sentence that describes the state.
    pub comment: &'static str,
}

/// A state that ends the execution with FAILED. In a branch, it ends all branches.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fail {
    /// One sentence that describes the state.
    pub comment: &'static str,
    /// The error's name.
    pub error: Template,
    /// The error's cause.
    pub cause: Expression,
}

/// The retries of a Task after certain errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retry {
    /// The errors that are retried.
    pub error_equals: Vec<ErrorMatch>,
    /// The delay before the first retry, in seconds.
    pub interval_seconds: u32,
    /// The maximum number of retries.
    pub max_attempts: u32,
    /// The factor between two delays.
    pub backoff_rate: f64,
    /// The maximum delay, in seconds.
    pub max_delay_seconds: u32,
    /// Whether each delay is a random part of its length.
    pub jitter_strategy: Jitter,
}

/// Whether a delay is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Jitter {
    /// Each delay is a random part of its length, which spreads the attempts.
    Full,
    /// Each delay has its full length.
    None,
}

/// Certain errors, and the state that they lead to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Catch {
    /// The errors that are caught.
    pub error_equals: Vec<ErrorMatch>,
    /// The variables that are set.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    pub assign: Vec<(&'static str, Template)>,
    /// The input of the next state. None for the error itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Template>,
    /// The next state.
    pub next: &'static str,
}

fn in_order<S: Serializer>(
    fields: &[(&'static str, Template)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

/// A state, and its position in the machine.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'m> {
    /// The state's name.
    pub name: &'static str,
    /// The state.
    pub state: &'m State,
    /// The Parallel and Map states that contain the state, the innermost last.
    pub within: &'m [&'static str],
}

impl State {
    /// Returns the state's catches, in order.
    #[must_use]
    pub fn catch(&self) -> &[Catch] {
        match self {
            Self::Task(state) => &state.catch,
            Self::Parallel(state) => &state.catch,
            Self::Map(state) => &state.catch,
            Self::Choice(_) | Self::Pass(_) | Self::Wait(_) | Self::Succeed(_) | Self::Fail(_) => {
                &[]
            }
        }
    }

    /// Returns one sentence that describes the state.
    #[must_use]
    pub fn comment(&self) -> &'static str {
        match self {
            Self::Task(state) => state.comment,
            Self::Choice(state) => state.comment,
            Self::Parallel(state) => state.comment,
            Self::Map(state) => state.comment,
            Self::Pass(state) => state.comment,
            Self::Wait(state) => state.comment,
            Self::Succeed(state) => state.comment,
            Self::Fail(state) => state.comment,
        }
    }

    /// Returns every state of the same level that can follow without an error.
    #[must_use]
    pub fn successors(&self) -> Vec<&'static str> {
        let next = match self {
            Self::Task(state) => state.next,
            Self::Parallel(state) => state.next,
            Self::Map(state) => state.next,
            Self::Pass(state) => state.next,
            Self::Wait(state) => Next::To(state.next),
            Self::Choice(state) => {
                let rules = state.choices.iter().map(|rule| rule.next);
                return rules.chain([state.default]).collect();
            }
            Self::Succeed(_) | Self::Fail(_) => END,
        };
        match next {
            Next::To(name) => vec![name],
            Next::End(_) => Vec::new(),
        }
    }

    /// Returns the state's branches, or the states for its items.
    #[must_use]
    pub fn levels(&self) -> Vec<&Level> {
        match self {
            Self::Parallel(state) => state.branches.iter().collect(),
            Self::Map(state) => vec![&state.item_processor.level],
            Self::Task(_)
            | Self::Choice(_)
            | Self::Pass(_)
            | Self::Wait(_)
            | Self::Succeed(_)
            | Self::Fail(_) => Vec::new(),
        }
    }
}

impl Machine {
    /// Calls `visit` with every state. The states inside a state follow it.
    pub fn each(&self, mut visit: impl FnMut(Placed<'_>)) {
        fn descend(
            states: &States,
            within: &mut Vec<&'static str>,
            visit: &mut impl FnMut(Placed<'_>),
        ) {
            for (name, state) in &states.0 {
                visit(Placed {
                    name,
                    state,
                    within,
                });
                within.push(name);
                for level in state.levels() {
                    descend(&level.states, within, visit);
                }
                within.pop();
            }
        }
        descend(&self.states, &mut Vec::new(), &mut visit);
    }

    /// Returns every Task by name, in order.
    #[must_use]
    pub fn tasks(&self) -> Vec<(&'static str, Task)> {
        let mut tasks = Vec::new();
        self.each(|placed| {
            if let State::Task(task) = placed.state {
                tasks.push((placed.name, task.as_ref().clone()));
            }
        });
        tasks
    }

    /// Returns the text of the JSON file.
    ///
    /// # Errors
    /// Returns an error of the JSON serializer.
    pub fn render(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
