//! The states of Amazon States Language that the state machine uses, as they are rendered. Fields
//! are in the order in which the file has them.

use crate::errors::ErrorMatch;
use crate::expression::{Expression, Template};
use domain::job::Verb;
use domain::step::Action;
use serde::{Serialize, Serializer};

/// A state machine.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Machine {
    /// One sentence: what an execution does.
    pub comment: &'static str,
    /// `JSONata`.
    pub query_language: &'static str,
    /// The first state.
    pub start_at: &'static str,
    /// Seconds after which an execution ends by itself.
    pub timeout_seconds: u32,
    /// The states.
    pub states: States,
}

/// States of one level, in order.
#[derive(Debug, Clone, Default)]
pub struct States(pub Vec<(&'static str, State)>);

impl States {
    /// States in this order.
    #[must_use]
    pub fn new<const N: usize>(states: [(&'static str, State); N]) -> Self {
        Self(states.into())
    }

    /// Adds states behind these.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The state of this name on this level.
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
    /// Ends the execution SUCCEEDED.
    Succeed(Succeed),
    /// Ends the execution FAILED; within a branch, ends all branches.
    Fail(Fail),
}

/// What a Task calls, for the renderers; the JSON says it in `Resource` and `Arguments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A Lambda's action.
    Lambda(Action),
    /// A Lambda's action that keeps the task token; its output comes from whoever sends the token
    /// back.
    LambdaWithToken(Action),
    /// A Batch job of the runner, until it ends.
    Job(Verb),
    /// A CodeBuild build, until it ends.
    Build,
}

impl Call {
    fn resource(self) -> &'static str {
        match self {
            Self::Lambda(_) => "arn:aws:states:::lambda:invoke",
            Self::LambdaWithToken(_) => "arn:aws:states:::lambda:invoke.waitForTaskToken",
            Self::Job(_) => "arn:aws:states:::batch:submitJob.sync",
            Self::Build => "arn:aws:states:::codebuild:startBuild.sync",
        }
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.resource())
    }
}

/// A state that calls something.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// One sentence.
    pub comment: &'static str,
    /// What undoes its effect, or why nothing has to; for the README.
    #[serde(skip)]
    pub undo: &'static str,
    /// What it calls.
    #[serde(rename = "Resource")]
    pub call: Call,
    /// What it passes.
    pub arguments: Template,
    /// Seconds, for each try.
    pub timeout_seconds: u32,
    /// Errors after which it tries again.
    pub retry: Vec<Retry>,
    /// Errors that lead to another state.
    pub catch: Vec<Catch>,
    /// Variables that it sets on success.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    pub assign: Vec<(&'static str, Template)>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// Where a state leads when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Next {
    /// To this state.
    #[serde(rename = "Next")]
    To(&'static str),
    /// Its level ends here: always `true`.
    End(bool),
}

/// Its level ends here.
pub const END: Next = Next::End(true);

/// A state that branches on a verdict. It has no `Output`: the state before it makes the next
/// state's input.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    /// One sentence.
    pub comment: &'static str,
    /// Rules; the first that holds is taken.
    pub choices: Vec<Rule>,
    /// The next state when none holds.
    pub default: &'static str,
}

/// A rule of a [`Choice`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// When it holds.
    pub condition: Expression,
    /// The next state.
    pub next: &'static str,
}

/// A state that runs branches at the same time. The first branch that fails stops the others.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parallel {
    /// One sentence.
    pub comment: &'static str,
    /// The branches.
    pub branches: Vec<Level>,
    /// Errors that lead to another state.
    pub catch: Vec<Catch>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// States with a first one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Level {
    /// The first state.
    pub start_at: &'static str,
    /// The states.
    pub states: States,
}

/// A state that runs the same states for each item at the same time.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Map {
    /// One sentence.
    pub comment: &'static str,
    /// The items.
    pub items: Expression,
    /// How many items run at the same time.
    pub max_concurrency: u32,
    /// The states.
    pub item_processor: Processor,
    /// Errors that lead to another state.
    pub catch: Vec<Catch>,
    /// The next state's input.
    pub output: Template,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// The states of a [`Map`]. They run within the execution itself, so they see its variables.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Processor {
    /// Always inline.
    pub processor_config: ProcessorConfig,
    /// The states.
    #[serde(flatten)]
    pub level: Level,
}

/// How a [`Map`] runs.
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
    /// One sentence.
    pub comment: &'static str,
    /// The next state.
    #[serde(flatten)]
    pub next: Next,
}

/// A state that waits.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wait {
    /// One sentence.
    pub comment: &'static str,
    /// How long.
    pub seconds: u32,
    /// The next state.
    pub next: &'static str,
}

/// A state that ends the execution SUCCEEDED.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Succeed {
    /// One sentence.
    pub comment: &'static str,
}

/// A state that ends the execution FAILED, or all branches.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fail {
    /// One sentence.
    pub comment: &'static str,
    /// The error's name.
    pub error: Template,
    /// The error's cause.
    pub cause: Expression,
}

/// Errors after which a Task tries again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retry {
    /// The errors.
    pub error_equals: Vec<ErrorMatch>,
    /// Seconds before the first retry.
    pub interval_seconds: u32,
    /// Retries at most.
    pub max_attempts: u32,
    /// Factor between two waits.
    pub backoff_rate: f64,
    /// The longest wait, in seconds.
    pub max_delay_seconds: u32,
    /// `FULL`: each wait is a random part of its length, so that tries spread.
    pub jitter_strategy: &'static str,
}

/// Errors that lead to another state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Catch {
    /// The errors.
    pub error_equals: Vec<ErrorMatch>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_order")]
    pub assign: Vec<(&'static str, Template)>,
    /// The next state's input; without it, the error.
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

/// A state with its place.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'m> {
    /// Its name.
    pub name: &'static str,
    /// The state.
    pub state: &'m State,
    /// The Parallel and Map states that it is in, the innermost last.
    pub within: &'m [&'static str],
}

impl State {
    /// Its catches, in order.
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

    /// One sentence: what it is for.
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

    /// Every state of its level that may follow without an error.
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

    /// Its branches, or the states of its items.
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
    /// Calls `visit` with every state; those within a state follow it.
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

    /// Every Task by name, in order.
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

    /// The file's text.
    ///
    /// # Errors
    /// Those of the JSON library.
    pub fn render(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}
