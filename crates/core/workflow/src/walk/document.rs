//! The rendered state machine, parsed. The parser rejects unknown fields and state types, so the
//! file cannot contain anything that the walker would skip.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Declares parts of the file. Each has the fields of Amazon States Language that the walker executes, and
/// no others.
macro_rules! parts {
    ($($(#[$doc:meta])* pub struct $name:ident $fields:tt)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        #[expect(missing_docs, reason = "the fields are those of Amazon States Language")]
        pub struct $name $fields
    )*};
}

parts! {
    /// A state machine.
    pub struct Machine {
        pub comment: String,
        pub query_language: QueryLanguage,
        pub start_at: String,
        pub timeout_seconds: u32,
        pub states: States,
    }

    pub struct Task {
        pub comment: String,
        pub resource: Resource,
        pub arguments: Value,
        pub timeout_seconds: u32,
        pub retry: Vec<Retrier>,
        pub catch: Vec<Catcher>,
        #[serde(default)]
        pub assign: BTreeMap<String, Value>,
        pub output: Value,
        pub next: Option<String>,
        #[serde(default)]
        pub end: bool,
    }

    pub struct Choice {
        pub comment: String,
        pub choices: Vec<Rule>,
        pub default: String,
    }

    pub struct Rule {
        pub condition: Value,
        pub next: String,
    }

    pub struct Parallel {
        pub comment: String,
        pub branches: Vec<Branch>,
        pub catch: Vec<Catcher>,
        pub output: Value,
        pub next: Option<String>,
        #[serde(default)]
        pub end: bool,
    }

    pub struct Branch {
        pub start_at: String,
        pub states: States,
    }

    pub struct Map {
        pub comment: String,
        pub items: Value,
        pub max_concurrency: usize,
        pub item_processor: Processor,
        pub catch: Vec<Catcher>,
        pub output: Value,
        pub next: Option<String>,
        #[serde(default)]
        pub end: bool,
    }

    pub struct Processor {
        pub processor_config: ProcessorConfig,
        pub start_at: String,
        pub states: States,
    }

    pub struct ProcessorConfig {
        pub mode: Mode,
    }

    pub struct Pass {
        pub comment: String,
        pub next: Option<String>,
        #[serde(default)]
        pub end: bool,
    }

    pub struct Wait {
        pub comment: String,
        pub seconds: u32,
        pub next: String,
    }

    pub struct Succeed {
        pub comment: String,
    }

    pub struct Fail {
        pub comment: String,
        pub error: Value,
        pub cause: Value,
    }

    pub struct Retrier {
        pub error_equals: Vec<String>,
        pub interval_seconds: u32,
        pub max_attempts: u32,
        pub backoff_rate: f64,
        pub max_delay_seconds: u32,
        pub jitter_strategy: Jitter,
    }

    pub struct Catcher {
        pub error_equals: Vec<String>,
        #[serde(default)]
        pub assign: BTreeMap<String, Value>,
        pub output: Option<Value>,
        pub next: String,
    }
}

/// The language of the expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum QueryLanguage {
    /// The only language that the walker evaluates.
    #[serde(rename = "JSONata")]
    Jsonata,
}

/// The states of one level, in the order of the file. Names are unique.
#[derive(Debug, Clone, PartialEq)]
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
                        return Err(A::Error::custom(format!("state {name} is there twice")));
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "Type")]
#[expect(missing_docs, reason = "the types are those of Amazon States Language")]
pub enum State {
    Task(Box<Task>),
    Choice(Choice),
    Parallel(Parallel),
    Map(Map),
    Pass(Pass),
    Wait(Wait),
    Succeed(Succeed),
    Fail(Fail),
}

/// The resource that a Task calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Resource {
    /// A Lambda. The Task's result contains the Lambda's output as `Payload`.
    #[serde(rename = "arn:aws:states:::lambda:invoke")]
    Lambda,
    /// A Lambda that keeps the task token. The Task's result is the token's output.
    #[serde(rename = "arn:aws:states:::lambda:invoke.waitForTaskToken")]
    LambdaWithToken,
    /// A Batch job, until it ends.
    #[serde(rename = "arn:aws:states:::batch:submitJob.sync")]
    Batch,
    /// A CodeBuild build, until it ends.
    #[serde(rename = "arn:aws:states:::codebuild:startBuild.sync")]
    CodeBuild,
}

/// The mode in which a Map runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Within the execution. Only this mode can read the execution's variables.
    Inline,
}

/// The strategy that spreads retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Jitter {
    /// Over the whole delay.
    Full,
    /// Not at all.
    None,
}

impl States {
    /// Returns the state with this name on this level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&State> {
        let mut states = self.0.iter();
        states
            .find(|(other, _)| other == name)
            .map(|(_, state)| state)
    }
}

impl Machine {
    /// Parses a rendered state machine.
    ///
    /// # Errors
    /// Fails when the text is not JSON, or has a form that the walker does not execute.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Returns every state by name, on all levels, in the order of the file.
    #[must_use]
    pub fn all(&self) -> Vec<(&str, &State)> {
        fn descend<'m>(states: &'m States, all: &mut Vec<(&'m str, &'m State)>) {
            for (name, state) in &states.0 {
                all.push((name, state));
                match state {
                    State::Parallel(parallel) => {
                        for branch in &parallel.branches {
                            descend(&branch.states, all);
                        }
                    }
                    State::Map(map) => descend(&map.item_processor.states, all),
                    _ => {}
                }
            }
        }
        let mut all = Vec::new();
        descend(&self.states, &mut all);
        all
    }
}
