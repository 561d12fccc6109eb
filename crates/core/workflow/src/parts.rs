//! The parts of states: calls with their retries and time limits, and the handling of errors.

use crate::errors::{AwsError, ErrorMatch};
use crate::expression::{Expression, FAILED, Template};
use crate::limits;
use crate::state::{
    Call, Catch, Choice, END, Fail, Jitter, Level, Map, Next, Parallel, Pass, Processor,
    ProcessorConfig, Retry, Rule, State, States, Succeed, Task, Wait,
};
use domain::build::BuildKind;
use domain::error::ErrorName;
use domain::job::Verb;
use domain::step::{Action, Step};

/// The destination of an error.
#[derive(Debug, Clone)]
pub enum OnError {
    /// A state at the top level. The variable `error` is set to this error.
    Keep(&'static str),
    /// A state at the top level. The variable `error` keeps the previous error.
    KeepFirst(&'static str),
    /// A state, with this input.
    Pass(&'static str, Template),
}

impl OnError {
    /// Returns the `Fail` state of a branch, which ends all branches.
    #[must_use]
    pub fn stop_branches(fail: &'static str) -> Self {
        Self::Pass(fail, Template::object([("error", caught())]))
    }

    /// Returns the end of a stack's states. The other stacks continue, and the error is raised
    /// after all have ended.
    #[must_use]
    pub fn fail_stack(end: &'static str) -> Self {
        let output = [
            ("stack", Expression::InputField("stack").into()),
            ("verdict", Template::text(FAILED)),
            ("error", caught()),
        ];
        Self::Pass(end, Template::object(output))
    }

    /// Returns the catches for every error. `States.ALL` does not match `States.DataLimitExceeded`.
    fn catches(self) -> Vec<Catch> {
        let (next, assign, output) = match self {
            Self::Keep(next) => (next, vec![("error", caught())], None),
            Self::KeepFirst(next) => (next, Vec::new(), None),
            Self::Pass(next, output) => (next, Vec::new(), Some(output)),
        };
        [AwsError::DataLimitExceeded, AwsError::All]
            .map(|error| Catch {
                error_equals: vec![ErrorMatch::Aws(error)],
                assign: assign.clone(),
                output: output.clone(),
                next,
            })
            .into()
    }
}

fn caught() -> Template {
    Expression::CaughtError.into()
}

fn retry(errors: Vec<ErrorMatch>, first: u32, tries: u32, rate: f64, longest: u32) -> Retry {
    Retry {
        error_equals: errors,
        interval_seconds: first,
        max_attempts: tries,
        backoff_rate: rate,
        max_delay_seconds: longest,
        jitter_strategy: Jitter::Full,
    }
}

fn aws<const N: usize>(errors: [AwsError; N]) -> Vec<ErrorMatch> {
    errors.map(ErrorMatch::Aws).into()
}

/// Retries a Lambda after transient errors, and after it ended without a response. Every step may
/// therefore run twice. A throttled Lambda is retried for minutes, so that a burst of pushes loses
/// no commit.
fn lambda_retries() -> Vec<Retry> {
    let mut passing = ErrorMatch::transient();
    passing.extend(aws([
        AwsError::LambdaService,
        AwsError::LambdaAws,
        AwsError::LambdaSdkClient,
        AwsError::LambdaClientExecutionTimeout,
        AwsError::LambdaUnknown,
        AwsError::SandboxTimedout,
        AwsError::RuntimeExitError,
    ]));
    let no_slot = aws([AwsError::LambdaTooManyRequests]);
    vec![
        retry(passing, 1, 5, 2.0, 30),
        retry(no_slot, 2, 12, 1.5, 60),
    ]
}

/// Retries a fetch. A push is announced before every replica of the forge has the commit.
#[must_use]
pub fn commit_retry() -> Retry {
    let missing = vec![ErrorMatch::Step(ErrorName::CommitNotFound)];
    retry(missing, 2, 3, 2.0, 10)
}

/// Waits for a job that was terminated. A container has 30 s after SIGTERM, and Batch shows it as
/// running until its network interface is removed.
#[must_use]
pub fn job_end_retry() -> Retry {
    let ending = vec![ErrorMatch::Step(ErrorName::JobEnding)];
    Retry {
        jitter_strategy: Jitter::None,
        ..retry(ending, 15, 10, 1.0, 30)
    }
}

/// Retries the submission of a Batch job. A job that ran and failed is not started again.
fn job_retries() -> Vec<Retry> {
    let errors = aws([
        AwsError::BatchServer,
        AwsError::BatchTooManyRequests,
        AwsError::BatchAws,
        AwsError::BatchBase,
    ]);
    vec![retry(errors, 2, 5, 2.0, 60)]
}

/// Retries the start of a CodeBuild build. A build that ran and failed is not started again.
fn build_retries() -> Vec<Retry> {
    let errors = aws([
        AwsError::CodeBuildAccountLimitExceeded,
        AwsError::CodeBuildThrottling,
        AwsError::CodeBuildServiceUnavailable,
        AwsError::CodeBuildAws,
        AwsError::CodeBuildBase,
    ]);
    vec![retry(errors, 5, 6, 2.0, 120)]
}

/// Returns the placeholder for a Lambda's ARN.
fn function(step: Step) -> Template {
    Template::placeholder(&format!("{}_arn", step.as_str().replace('-', "_")))
}

impl Task {
    fn new(call: Call, arguments: Template, seconds: u32, retry: Vec<Retry>) -> Self {
        Self {
            comment: "",
            undo: "",
            call,
            arguments,
            timeout_seconds: seconds,
            retry,
            catch: Vec::new(),
            assign: Vec::new(),
            output: Expression::Payload.into(),
            next: END,
        }
    }

    /// Calls an action of a Lambda with these fields, for at most [`limits::CALL`] seconds. Its output is
    /// the input of the next state.
    #[must_use]
    pub fn lambda<const N: usize>(action: Action, fields: [(&'static str, Template); N]) -> Self {
        let call = Call::Lambda(action);
        Self::new(
            call,
            payload(action, fields),
            limits::CALL,
            lambda_retries(),
        )
    }

    /// Sets the time limit of each attempt, in seconds.
    #[must_use]
    pub fn limit(mut self, seconds: u32) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// Calls an action of a Lambda with the task token, and waits until the token is sent back.
    #[must_use]
    pub fn wait_for_token<const N: usize>(
        action: Action,
        fields: [(&'static str, Template); N],
        seconds: u32,
    ) -> Self {
        let call = Call::LambdaWithToken(action);
        Self::new(call, payload(action, fields), seconds, lambda_retries())
    }

    /// Runs the job that the input names, and waits until it ends.
    #[must_use]
    pub fn job(verb: Verb) -> Self {
        let job = || Template::from(Expression::InputField("job"));
        let command = vec![
            Template::text(verb.as_str()),
            Template::text("--run"),
            Expression::Run.into(),
            Template::text("--job"),
            job(),
        ];
        let verb_text = verb.as_str();
        let arguments = Template::object([
            ("JobName", job()),
            (
                "JobQueue",
                Template::placeholder(&format!("{verb_text}_queue_arn")),
            ),
            ("JobDefinition", Expression::InputField("definition").into()),
            (
                "ContainerOverrides",
                Template::object([("Command", Template::List(command))]),
            ),
        ]);
        Self::new(Call::Job(verb), arguments, limits::job(verb), job_retries())
    }

    /// Runs the build that the input describes, and waits until it ends.
    #[must_use]
    pub fn build(kind: BuildKind) -> Self {
        let arguments = Template::object([
            ("ProjectName", Expression::InputField("project").into()),
            ("SourceTypeOverride", Template::text("S3")),
            (
                "SourceLocationOverride",
                Expression::InputField("source").into(),
            ),
            (
                "EnvironmentVariablesOverride",
                Expression::InputField("environment").into(),
            ),
        ]);
        Self::new(Call::Build(kind), arguments, limits::BUILD, build_retries())
    }

    /// Sets the comment, and what undoes the effect of the Task.
    #[must_use]
    pub fn about(mut self, comment: &'static str, undo: &'static str) -> Self {
        self.comment = comment;
        self.undo = undo;
        self
    }

    /// Adds a retry after other errors.
    #[must_use]
    pub fn retry_also(mut self, retry: Retry) -> Self {
        self.retry.push(retry);
        self
    }

    /// Adds a catch for one error.
    #[must_use]
    pub fn on(mut self, error: ErrorMatch, next: &'static str, output: Template) -> Self {
        self.catch.push(Catch {
            error_equals: vec![error],
            assign: Vec::new(),
            output: Some(output),
            next,
        });
        self
    }

    /// Adds the catches for every other error.
    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.catch.extend(on_error.catches());
        self
    }

    /// Adds a variable that is set on success.
    #[must_use]
    pub fn assign(mut self, name: &'static str, value: Template) -> Self {
        self.assign.push((name, value));
        self
    }

    /// Sets the input of the next state.
    #[must_use]
    pub fn output(mut self, output: Template) -> Self {
        self.output = output;
        self
    }

    /// Returns a state that leads to `next`.
    #[must_use]
    pub fn then(mut self, next: &'static str) -> State {
        self.next = Next::To(next);
        State::Task(Box::new(self))
    }

    /// Returns a state that ends its level.
    #[must_use]
    pub fn end(self) -> State {
        State::Task(Box::new(self))
    }

    /// Returns a state that leads to `next`, which reads the result of the job or build, whether it
    /// succeeded or failed. `keep` are the fields of the input that `next` needs.
    #[must_use]
    pub fn then_read(self, keep: &[&'static str], next: &'static str) -> State {
        let output = |error: Template| {
            let kept = keep
                .iter()
                .map(|name| (*name, Expression::InputField(name).into()));
            Template::Object(kept.chain([("error", error)]).collect())
        };
        self.on_error(OnError::Pass(next, output(caught())))
            .output(output(Template::Null))
            .then(next)
    }
}

fn payload<const N: usize>(action: Action, fields: [(&'static str, Template); N]) -> Template {
    let action_field = ("action", Template::text(action.as_str()));
    let payload = std::iter::once(action_field).chain(fields).collect();
    Template::object([
        ("FunctionName", function(action.step())),
        ("Payload", Template::Object(payload)),
    ])
}

/// Returns the field for the run's id, which nearly every action takes.
#[must_use]
pub fn run() -> (&'static str, Template) {
    ("run", Expression::Run.into())
}

/// Returns a field that is copied from the input.
#[must_use]
pub fn from_input(name: &'static str) -> (&'static str, Template) {
    (name, Expression::InputField(name).into())
}

/// Returns a state that branches on the input: the first rule that holds, or else `default`.
#[must_use]
pub fn choice<const N: usize>(
    comment: &'static str,
    rules: [(Expression, &'static str); N],
    default: &'static str,
) -> State {
    let rules = rules.map(|(condition, next)| Rule { condition, next });
    State::Choice(Choice {
        comment,
        choices: rules.into(),
        default,
    })
}

/// Returns a state that runs these states for each item.
#[must_use]
pub fn each_stack(
    comment: &'static str,
    items: Expression,
    level: Level,
    on_error: OnError,
    output: Template,
    next: &'static str,
) -> State {
    State::Map(Box::new(Map {
        comment,
        items,
        max_concurrency: limits::STACKS_AT_ONCE,
        item_processor: Processor {
            processor_config: ProcessorConfig { mode: "INLINE" },
            level,
        },
        catch: on_error.catches(),
        output,
        next: Next::To(next),
    }))
}

/// Returns a state that runs branches at the same time. The error of a branch goes to `on_error`.
/// It is parsed from the cause of the [`stop_branches`] state that ended the branch.
#[must_use]
pub fn branches(
    comment: &'static str,
    branches: Vec<Level>,
    on_error: &'static str,
    output: Template,
    next: &'static str,
) -> State {
    let unpacked = Catch {
        error_equals: vec![ErrorMatch::BranchStopped],
        assign: vec![("error", Expression::BranchError.into())],
        output: None,
        next: on_error,
    };
    let rest = OnError::Keep(on_error).catches();
    State::Parallel(Box::new(Parallel {
        comment,
        branches,
        catch: std::iter::once(unpacked).chain(rest).collect(),
        output,
        next: Next::To(next),
    }))
}

/// Returns a state that ends all branches with the input's error. A branch cannot lead to a state
/// outside its Parallel, and a `Fail` must not raise a name that begins with `States.`. The error
/// is therefore passed in the cause.
#[must_use]
pub fn stop_branches(comment: &'static str) -> State {
    State::Fail(Fail {
        comment,
        error: Template::text(ErrorMatch::BranchStopped.as_str()),
        cause: Expression::ErrorAsCause,
    })
}

/// Returns a state that passes its input to the end of its level.
#[must_use]
pub fn pass(comment: &'static str) -> State {
    State::Pass(Pass { comment, next: END })
}

/// Returns a state that waits this many seconds.
#[must_use]
pub fn wait(comment: &'static str, seconds: u32, next: &'static str) -> State {
    State::Wait(Wait {
        comment,
        seconds,
        next,
    })
}

/// Returns a state that ends the execution with SUCCEEDED.
#[must_use]
pub fn succeed(comment: &'static str) -> State {
    State::Succeed(Succeed { comment })
}

/// Returns a state that ends the execution with FAILED.
#[must_use]
pub fn fail(comment: &'static str, error: Expression, cause: Expression) -> State {
    State::Fail(Fail {
        comment,
        error: error.into(),
        cause,
    })
}

/// Returns a level that starts with the first of these states.
#[must_use]
pub fn level(states: States) -> Level {
    Level {
        start_at: states.0.first().map_or("", |(name, _)| name),
        states,
    }
}
