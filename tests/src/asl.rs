//! A closed, typed reader of the state machine: a field or a form that it does not know is an
//! error, so nothing gets into the file that no test has looked at.

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The state machine's file, from the repository's root.
pub const FILE: &str = "statemachine/deliver.asl.json";

/// The error of a `Fail` within a branch; its cause holds the error that the branch ended with.
pub const BRANCH_STOPPED: &str = "BranchStopped";

/// A state machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Machine {
    /// What it is for.
    pub comment: String,
    /// How its expressions are written.
    pub query_language: QueryLanguage,
    /// The first state.
    pub start_at: String,
    /// Seconds after which an execution ends by itself.
    pub timeout_seconds: u32,
    /// The states, in the order of the file.
    pub states: States,
}

/// The language of expressions. `JSONPath` is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum QueryLanguage {
    /// `{% ... %}`.
    #[serde(rename = "JSONata")]
    Jsonata,
}

/// Named states of one level, in the order of the file; a name that comes twice is an error.
#[derive(Debug, Clone)]
pub struct States(pub Vec<(String, State)>);

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = States;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("states by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<States, A::Error> {
                let mut states: Vec<(String, State)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if states.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format!("state {name} comes twice")));
                    }
                    let state = map
                        .next_value()
                        .map_err(|error| A::Error::custom(format!("state {name}: {error}")))?;
                    states.push((name, state));
                }
                Ok(States(states))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A state.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Calls something.
    Task(Box<Task>),
    /// Goes one of several ways.
    Choice(Choice),
    /// Goes several ways at once.
    Parallel(Parallel),
    /// Goes the same way for each of several items at once.
    Map(Map),
    /// Does nothing.
    Pass(Pass),
    /// Waits.
    Wait(Wait),
    /// Ends the execution SUCCEEDED.
    Succeed(Succeed),
    /// Ends the execution FAILED; in a branch, ends the branch and with it the others.
    Fail(Fail),
}

/// What a [`Task`] calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Resource {
    /// A Lambda; its answer is the result.
    #[serde(rename = "arn:aws:states:::lambda:invoke")]
    Lambda,
    /// A Lambda that keeps the task token; whoever answers that gives the result.
    #[serde(rename = "arn:aws:states:::lambda:invoke.waitForTaskToken")]
    LambdaWithToken,
    /// A Batch job, waited for.
    #[serde(rename = "arn:aws:states:::batch:submitJob.sync")]
    Batch,
    /// A build, waited for.
    #[serde(rename = "arn:aws:states:::codebuild:startBuild.sync")]
    CodeBuild,
}

impl Resource {
    /// Whether a Lambda is called.
    #[must_use]
    pub fn is_lambda(self) -> bool {
        matches!(self, Self::Lambda | Self::LambdaWithToken)
    }
}

/// A state that calls something.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Task {
    /// What it is for.
    pub comment: String,
    /// What it calls.
    pub resource: Resource,
    /// With what.
    pub arguments: Value,
    /// Seconds that it may take.
    pub timeout_seconds: u32,
    /// Which errors are tried again.
    pub retry: Vec<Retrier>,
    /// Which errors lead elsewhere.
    #[serde(default)]
    pub catch: Vec<Catcher>,
    /// The variables that it sets.
    #[serde(default)]
    pub assign: BTreeMap<String, Value>,
    /// What the next state gets.
    pub output: Value,
    /// The next state.
    pub next: Option<String>,
    /// Whether its level ends here.
    #[serde(default)]
    pub end: bool,
}

/// A state that goes one of several ways.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Choice {
    /// What it is for.
    pub comment: String,
    /// The ways, the first that holds is taken.
    pub choices: Vec<Rule>,
    /// The way when none holds.
    pub default: String,
}

/// One way of a [`Choice`]. It has no `Output`: what the next state gets is made before.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Rule {
    /// When it is taken.
    pub condition: String,
    /// The next state.
    pub next: String,
}

/// A state that goes several ways at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Parallel {
    /// What it is for.
    pub comment: String,
    /// The ways.
    pub branches: Vec<Branch>,
    /// Which errors lead elsewhere.
    #[serde(default)]
    pub catch: Vec<Catcher>,
    /// What the next state gets.
    pub output: Value,
    /// The next state.
    pub next: Option<String>,
    /// Whether its level ends here.
    #[serde(default)]
    pub end: bool,
}

/// A way of a [`Parallel`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Branch {
    /// The first state.
    pub start_at: String,
    /// The states.
    pub states: States,
}

/// A state that goes the same way for each of several items at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Map {
    /// What it is for.
    pub comment: String,
    /// The items.
    pub items: String,
    /// How many are worked on at once.
    pub max_concurrency: u32,
    /// The way.
    pub item_processor: Processor,
    /// Which errors lead elsewhere.
    #[serde(default)]
    pub catch: Vec<Catcher>,
    /// What the next state gets.
    pub output: Value,
    /// The next state.
    pub next: Option<String>,
    /// Whether its level ends here.
    #[serde(default)]
    pub end: bool,
}

/// The way of a [`Map`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Processor {
    /// Where it runs.
    pub processor_config: ProcessorConfig,
    /// The first state.
    pub start_at: String,
    /// The states.
    pub states: States,
}

/// Where a [`Map`] runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ProcessorConfig {
    /// In the execution itself; a distributed one could not see its variables.
    pub mode: Mode,
}

/// The only mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// In the execution itself.
    Inline,
}

/// A state that does nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Pass {
    /// What it is for.
    pub comment: String,
    /// The next state.
    pub next: Option<String>,
    /// Whether its level ends here.
    #[serde(default)]
    pub end: bool,
}

/// A state that waits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Wait {
    /// What it is for.
    pub comment: String,
    /// How long.
    pub seconds: u32,
    /// The next state.
    pub next: String,
}

/// A state that ends the execution SUCCEEDED.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Succeed {
    /// What it is for.
    pub comment: String,
}

/// A state that ends the execution, or all branches beside its own, by an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Fail {
    /// What it is for.
    pub comment: String,
    /// The error's name.
    pub error: String,
    /// The cause.
    pub cause: String,
}

/// Which errors are tried again, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Retrier {
    /// The errors.
    pub error_equals: Vec<String>,
    /// Seconds before the first retry.
    pub interval_seconds: u32,
    /// How many retries.
    pub max_attempts: u32,
    /// What each wait is multiplied by.
    pub backoff_rate: f64,
    /// Seconds that no wait is longer than.
    pub max_delay_seconds: u32,
    /// Whether waits are spread.
    pub jitter_strategy: Jitter,
}

/// Whether waits are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Jitter {
    /// Over the whole wait.
    Full,
}

/// Which errors lead where.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Catcher {
    /// The errors.
    pub error_equals: Vec<String>,
    /// The variables that it sets.
    #[serde(default)]
    pub assign: BTreeMap<String, Value>,
    /// What the next state gets; without it the error.
    pub output: Option<Value>,
    /// The next state.
    pub next: String,
}

/// A state with where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'m> {
    /// Its name.
    pub name: &'m str,
    /// The state.
    pub state: &'m State,
    /// The Parallel or Map that it is in, the innermost last.
    pub within: &'m [&'m str],
}

impl State {
    /// What it is for.
    #[must_use]
    pub fn comment(&self) -> &str {
        match self {
            Self::Task(it) => &it.comment,
            Self::Choice(it) => &it.comment,
            Self::Parallel(it) => &it.comment,
            Self::Map(it) => &it.comment,
            Self::Pass(it) => &it.comment,
            Self::Wait(it) => &it.comment,
            Self::Succeed(it) => &it.comment,
            Self::Fail(it) => &it.comment,
        }
    }

    /// Its catchers, in order.
    #[must_use]
    pub fn catch(&self) -> &[Catcher] {
        match self {
            Self::Task(it) => &it.catch,
            Self::Parallel(it) => &it.catch,
            Self::Map(it) => &it.catch,
            Self::Choice(_) | Self::Pass(_) | Self::Wait(_) | Self::Succeed(_) | Self::Fail(_) => {
                &[]
            }
        }
    }

    /// The state that follows when all went well, and whether its level ends here. A Choice has
    /// neither.
    #[must_use]
    pub fn next_or_end(&self) -> (Option<&str>, bool) {
        match self {
            Self::Task(it) => (it.next.as_deref(), it.end),
            Self::Parallel(it) => (it.next.as_deref(), it.end),
            Self::Map(it) => (it.next.as_deref(), it.end),
            Self::Pass(it) => (it.next.as_deref(), it.end),
            Self::Wait(it) => (Some(&it.next), false),
            Self::Choice(_) => (None, false),
            Self::Succeed(_) | Self::Fail(_) => (None, true),
        }
    }

    /// Every state that can follow on the same level.
    #[must_use]
    pub fn followers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.next_or_end().0.into_iter().collect();
        if let Self::Choice(choice) = self {
            names.extend(choice.choices.iter().map(|rule| rule.next.as_str()));
            names.push(&choice.default);
        }
        names.extend(self.catch().iter().map(|catcher| catcher.next.as_str()));
        names
    }

    /// The levels inside: first state and states of each.
    #[must_use]
    pub fn inside(&self) -> Vec<(&str, &States)> {
        match self {
            Self::Parallel(it) => it
                .branches
                .iter()
                .map(|branch| (branch.start_at.as_str(), &branch.states))
                .collect(),
            Self::Map(it) => vec![(&it.item_processor.start_at, &it.item_processor.states)],
            Self::Task(_)
            | Self::Choice(_)
            | Self::Pass(_)
            | Self::Wait(_)
            | Self::Succeed(_)
            | Self::Fail(_) => Vec::new(),
        }
    }
}

impl States {
    /// A state of this level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&State> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, state)| state)
    }
}

impl Machine {
    /// Reads a definition.
    ///
    /// # Errors
    /// JSON that is none, or a form that this reader does not know.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Calls `look` with every state, those inside right after the one that they are in.
    pub fn each(&self, mut look: impl FnMut(Placed<'_>)) {
        fn walk<'m>(
            states: &'m States,
            within: &mut Vec<&'m str>,
            look: &mut impl FnMut(Placed<'_>),
        ) {
            for (name, state) in &states.0 {
                look(Placed {
                    name,
                    state,
                    within,
                });
                within.push(name);
                for (_, inside) in state.inside() {
                    walk(inside, within, look);
                }
                within.pop();
            }
        }
        walk(&self.states, &mut Vec::new(), &mut look);
    }

    /// Every task state by name, in the order of the file: what a failure matrix goes through.
    #[must_use]
    pub fn tasks(&self) -> Vec<(String, Task)> {
        let mut tasks = Vec::new();
        self.each(|placed| {
            if let State::Task(task) = placed.state {
                tasks.push((placed.name.to_owned(), task.as_ref().clone()));
            }
        });
        tasks
    }

    /// A state of any level.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&State> {
        fn search<'m>(states: &'m States, name: &str) -> Option<&'m State> {
            states.get(name).or_else(|| {
                states
                    .0
                    .iter()
                    .flat_map(|(_, state)| state.inside())
                    .find_map(|(_, inside)| search(inside, name))
            })
        }
        search(&self.states, name)
    }
}

impl Task {
    /// Our Lambda that it calls, as the placeholder names it: `plan` for `${plan_arn}`.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        let name = self.arguments.get("FunctionName")?.as_str()?;
        name.strip_prefix("${")?.strip_suffix("_arn}")
    }

    /// The payload's `action`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.arguments.pointer("/Payload/action")?.as_str()
    }
}
