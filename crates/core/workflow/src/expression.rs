//! The JSONata expressions of the state machine. Each form is defined once.

use serde::{Serialize, Serializer};
use std::fmt;

/// The verdict of a stack or build that failed. The state machine sets it for a stack.
pub const FAILED: &str = "failed";

/// The maximum length of an error's cause that leaves a branch, in characters. A `Fail` accepts a
/// cause of at most 32,768 characters, and escaping for JSON can turn each character into six.
const CAUSE_CHARACTERS: usize = 5_000;

/// A JSONata expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// The run's id.
    Run,
    /// The variable `error`: the error that was kept last, or null.
    Error,
    /// The state's input.
    Input,
    /// A field of the state's input.
    InputField(&'static str),
    /// The result of the Task, Map or Parallel.
    Result,
    /// The Lambda's output.
    Payload,
    /// A field of the Lambda's output.
    PayloadField(&'static str),
    /// The field `verdict` of the output that ended the wait for a task token.
    TokenVerdict,
    /// The output of the second branch of a Parallel; the verdict [`FAILED`] and no `failures` if that is the
    /// verdict of the first.
    SecondUnlessFirstFailed,
    /// The Map items that failed, as a list.
    FailedItems,
    /// The error that a Catch caught.
    CaughtError,
    /// The error that ended a branch, parsed from the cause of its `Fail`.
    BranchError,
    /// The error in the input as JSON text, for the cause of a branch's `Fail`.
    ErrorAsCause,
    /// The task token.
    TaskToken,
    /// The execution's ARN.
    ExecutionId,
    /// The execution's input.
    ExecutionInput,
    /// When the state was entered. It is the same for each retry.
    StateEnteredTime,
    /// Whether the input's verdict is this one.
    VerdictIs(String),
    /// Whether the plan of any stack failed.
    AnyPlanFailed,
    /// The name of the kept error, or else of the error of `record`.
    UnrecordedError,
    /// The cause of the kept error, if any, and the error of `record`.
    UnrecordedCause,
}

impl Expression {
    /// Returns the condition that the input's verdict is one that a step returns: an enum of unit
    /// variants, or a value with the field `verdict`.
    ///
    /// # Errors
    /// Fails when the value is neither.
    pub fn verdict_is(verdict: &impl Serialize) -> serde_json::Result<Self> {
        verdict_text(verdict).map(Self::VerdictIs)
    }
}

/// Returns a verdict as it is written in JSON.
///
/// # Errors
/// Fails when the value is neither text nor an object with the field `verdict`.
pub fn verdict_text(verdict: &impl Serialize) -> serde_json::Result<String> {
    use serde::de::Error as _;
    let value = serde_json::to_value(verdict)?;
    let text = value.as_str().or_else(|| value.get("verdict")?.as_str());
    text.map(str::to_owned)
        .ok_or_else(|| serde_json::Error::custom(format!("{value} has no verdict")))
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("$run"),
            Self::Error => f.write_str("$error"),
            Self::Input => f.write_str("$states.input"),
            Self::InputField(name) => write!(f, "$states.input.{name}"),
            Self::Result => f.write_str("$states.result"),
            Self::Payload => f.write_str("$states.result.Payload"),
            Self::PayloadField(name) => write!(f, "$states.result.Payload.{name}"),
            Self::TokenVerdict => f.write_str("$states.result.verdict"),
            Self::SecondUnlessFirstFailed => write!(
                f,
                "$states.result[0].verdict = '{FAILED}' ? {{'verdict': '{FAILED}', 'failures': []}} : $states.result[1]"
            ),
            Self::FailedItems => write!(f, "[$states.result[verdict = '{FAILED}']]"),
            Self::CaughtError => f.write_str("$states.errorOutput"),
            Self::BranchError => f.write_str("$parse($states.errorOutput.Cause)"),
            Self::ErrorAsCause => write!(
                f,
                "$string({{'Error': $states.input.error.Error, 'Cause': \
                 $substring($states.input.error.Cause ? $states.input.error.Cause : '', 0, {CAUSE_CHARACTERS})}})"
            ),
            Self::TaskToken => f.write_str("$states.context.Task.Token"),
            Self::ExecutionId => f.write_str("$states.context.Execution.Id"),
            Self::ExecutionInput => f.write_str("$states.context.Execution.Input"),
            Self::StateEnteredTime => f.write_str("$states.context.State.EnteredTime"),
            Self::VerdictIs(verdict) => write!(f, "$states.input.verdict = '{verdict}'"),
            Self::AnyPlanFailed => write!(f, "'{FAILED}' in $states.input.plans.verdict"),
            Self::UnrecordedError => {
                f.write_str("$error ? $error.Error : $states.input.lost.Error")
            }
            Self::UnrecordedCause => f.write_str(
                "($error ? $error.Cause & '\\n' : '') & 'The record could not be written: ' & \
                 $states.input.lost.Error & ': ' & $states.input.lost.Cause",
            ),
        }
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{{% {self} %}}"))
    }
}

/// JSON that can contain expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Template {
    /// `null`.
    Null,
    /// Literal text, or a `${placeholder}` that Terraform replaces.
    Text(String),
    /// An expression.
    Expression(Expression),
    /// A list.
    List(Vec<Self>),
    /// An object with its fields in this order.
    Object(Vec<(&'static str, Self)>),
}

impl Template {
    /// Returns an object with these fields.
    #[must_use]
    pub fn object<const N: usize>(fields: [(&'static str, Self); N]) -> Self {
        Self::Object(fields.into())
    }

    /// Returns literal text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns a placeholder that Terraform replaces when it creates the state machine.
    #[must_use]
    pub fn placeholder(name: &str) -> Self {
        Self::Text(format!("${{{name}}}"))
    }
}

impl From<Expression> for Template {
    fn from(expression: Expression) -> Self {
        Self::Expression(expression)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Expression(expression) => expression.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}
