//! The names of errors: what a step raises, what the state machine retries and catches.

use crate::{after, deliver, text};
use domain::error::{ErrorClass, ErrorName};
use std::collections::BTreeSet;
use tests::asl::{BRANCH_STOPPED, State};

/// Names of AWS that `ErrorEquals` may hold.
const OF_AWS: &[&str] = &[
    "States.ALL",
    "States.DataLimitExceeded",
    "States.QueryEvaluationError",
    "States.TaskFailed",
    "States.Timeout",
    "Lambda.AWSLambdaException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.SdkClientException",
    "Lambda.ServiceException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "Runtime.ExitError",
    "Batch.AWSBatchException",
    "Batch.BatchException",
    "Batch.ServerException",
    "Batch.TooManyRequestsException",
    "CodeBuild.AWSCodeBuildException",
    "CodeBuild.AccountLimitExceededException",
    "CodeBuild.CodeBuildException",
    "CodeBuild.ServiceUnavailableException",
    "CodeBuild.ThrottlingException",
];

/// What any step may raise and no state answers in a way of its own: settings, rights and
/// defects. `States.ALL` takes them where the named errors go.
const LEFT_TO_ALL: &[ErrorName] = &[
    ErrorName::AwsDenied,
    ErrorName::AwsRefused,
    ErrorName::SettingsInvalid,
    ErrorName::ContractViolation,
    ErrorName::RunNotFound,
    ErrorName::Internal,
];

/// What the runner may leave in a result, and a step raises again.
const OF_JOBS: &[ErrorName] = &[
    ErrorName::PlanTampered,
    ErrorName::StateLocked,
    ErrorName::Interrupted,
    ErrorName::JobLost,
    ErrorName::SourceRefused,
];

/// What each step raises beside [`LEFT_TO_ALL`] and what may pass: Lambda, action, names.
fn raises(function: &str, action: &str) -> Vec<ErrorName> {
    use ErrorName::{
        ApplyFailed, ApprovalRejected, BuildFailed, CommitIsBad, CommitNotFound, ConfigInvalid,
        DeployFailed, EnvironmentFrozen, ForgeDenied, ImageMissing, JobLost, LockLost, NotEnrolled,
        PlanConsumed, PlanFailed, PlanRefused, PlanTampered, SourceRefused, StalePlan, Unhealthy,
    };
    let of_jobs = |more: &[ErrorName]| [OF_JOBS, more].concat();
    match (function, action) {
        ("validate", "claim") => vec![
            NotEnrolled,
            CommitNotFound,
            ForgeDenied,
            ConfigInvalid,
            SourceRefused,
        ],
        // `record`: an end of an execution that names no enrolled repository.
        ("build_trigger", "decide") | ("record", "record") => vec![NotEnrolled],
        ("build_trigger", "finish") => vec![NotEnrolled, BuildFailed, ImageMissing],
        ("plan", "acquire" | "request-approval") | ("rollback", "decide") => Vec::new(),
        // With what a plan or an apply before it failed with.
        ("plan", "next") => of_jobs(&[
            LockLost,
            EnvironmentFrozen,
            CommitIsBad,
            PlanFailed,
            PlanRefused,
            PlanConsumed,
            ApprovalRejected,
            ApplyFailed,
            StalePlan,
        ]),
        ("plan", "judge") => of_jobs(&[PlanFailed, PlanRefused]),
        ("apply", "start") => vec![LockLost, PlanConsumed, PlanRefused, ApprovalRejected],
        ("apply", "finish") => of_jobs(&[ApplyFailed, StalePlan]),
        ("deploy", "start") => vec![
            LockLost,
            NotEnrolled,
            ImageMissing,
            DeployFailed,
            JobLost,
            PlanTampered,
        ],
        ("deploy", "check") => vec![LockLost, DeployFailed, Unhealthy],
        ("record", "promote") => vec![LockLost],
        other => panic!("{other:?} is a new step: say here what it raises"),
    }
}

fn names(list: impl IntoIterator<Item = ErrorName>) -> BTreeSet<&'static str> {
    list.into_iter().map(ErrorName::as_str).collect()
}

/// The names that a state's Catch names.
fn caught_by_name(state: &State) -> BTreeSet<&str> {
    state
        .catch()
        .iter()
        .flat_map(|catcher| &catcher.error_equals)
        .map(String::as_str)
        .collect()
}

#[test]
fn only_known_errors_are_named() {
    let check = |state: &str, name: &str| {
        assert!(
            ErrorName::parse(name).is_some() || OF_AWS.contains(&name) || name == BRANCH_STOPPED,
            "{state} names {name}, which is no error of ours and none of the list of AWS's"
        );
    };
    let mut used = BTreeSet::new();
    deliver().each(|placed| {
        let mut all: Vec<String> = Vec::new();
        for catcher in placed.state.catch() {
            all.extend(catcher.error_equals.clone());
        }
        if let State::Task(task) = placed.state {
            for retrier in &task.retry {
                all.extend(retrier.error_equals.clone());
            }
        }
        for name in all {
            check(placed.name, &name);
            used.insert(name);
        }
    });
    for name in OF_AWS {
        assert!(used.contains(*name), "{name} is named nowhere");
    }
}

#[test]
fn what_may_pass_is_retried_wherever_a_lambda_is_called() {
    let transient = names(
        ErrorName::ALL
            .iter()
            .copied()
            .filter(|name| name.class() == ErrorClass::Transient),
    );
    for (name, task) in deliver().tasks() {
        let ours: BTreeSet<&str> = task
            .retry
            .iter()
            .flat_map(|retrier| &retrier.error_equals)
            .filter_map(|error| ErrorName::parse(error))
            .map(ErrorName::as_str)
            .collect();
        if task.resource.is_lambda() {
            let mut expected = transient.clone();
            if name == "Validate" {
                // A push is announced before every replica of the forge has the commit.
                expected.insert(ErrorName::CommitNotFound.as_str());
            }
            assert_eq!(ours, expected, "{name}");
        } else {
            assert!(ours.is_empty(), "{name} calls no step of ours");
        }
    }
}

#[test]
fn what_a_step_raises_is_caught_by_name_or_left_to_the_rest() {
    let machine = deliver();
    machine.each(|placed| {
        let State::Task(task) = placed.state else {
            return;
        };
        let (Some(function), Some(action)) = (task.function(), task.action()) else {
            return;
        };
        let caught = caught_by_name(placed.state);
        // Nothing was applied yet where the first stacks are named.
        let of_applies = [
            ErrorName::PlanConsumed,
            ErrorName::ApprovalRejected,
            ErrorName::ApplyFailed,
            ErrorName::StalePlan,
        ];
        let can_be =
            |name: &ErrorName| placed.name != "NameFirstStacks" || !of_applies.contains(name);
        for name in raises(function, action).into_iter().filter(can_be) {
            assert_eq!(name.class(), ErrorClass::Permanent, "{name} may pass");
            assert!(
                caught.contains(name.as_str()),
                "{} calls {function} {action}, which raises {name}, but nothing names it",
                placed.name
            );
        }
    });
}

/// A name in a Catch that no step raises would tell a reader something wrong.
#[test]
fn what_is_caught_by_name_is_raised() {
    let machine = deliver();
    machine.each(|placed| {
        let mut raised: BTreeSet<&str> = names(LEFT_TO_ALL.iter().copied());
        raised.extend(names(
            ErrorName::ALL
                .iter()
                .copied()
                .filter(|name| name.class() == ErrorClass::Transient),
        ));
        if let State::Task(task) = placed.state
            && let (Some(function), Some(action)) = (task.function(), task.action())
        {
            raised.extend(names(raises(function, action)));
        }
        for name in caught_by_name(placed.state) {
            let ours = ErrorName::parse(name).is_some();
            assert!(
                !ours || raised.contains(name),
                "{} catches {name}, which it does not raise",
                placed.name
            );
        }
    });
}

/// The table above against the sources: what a crate names, one of its actions raises.
#[test]
fn the_crates_raise_what_the_table_says() {
    let steps = [
        ("validate", vec!["claim"]),
        ("build-trigger", vec!["decide", "finish"]),
        ("plan", vec!["acquire", "next", "judge", "request-approval"]),
        ("apply", vec!["start", "finish"]),
        ("deploy", vec!["start", "check"]),
        ("rollback", vec!["decide"]),
        ("record", vec!["promote", "record"]),
    ];
    for (step, actions) in steps {
        let function = step.replace('-', "_");
        let known: BTreeSet<&str> = actions
            .iter()
            .flat_map(|action| names(raises(&function, action)))
            .chain(names(LEFT_TO_ALL.iter().copied()))
            .chain(names(
                ErrorName::ALL
                    .iter()
                    .copied()
                    .filter(|name| name.class() == ErrorClass::Transient),
            ))
            .collect();
        for (path, source) in crate::crates::sources(step) {
            for name in after(&source, "StepError::new(ErrorName::", char::is_alphanumeric)
                .into_iter()
                .chain(
                    after(&source, "StepError::new(\n", |c| c != ',')
                        .into_iter()
                        .filter_map(|text| text.trim().strip_prefix("ErrorName::")),
                )
            {
                assert!(
                    known.contains(name),
                    "{path} raises {name}: say so in the table of tests/contract/errors.rs"
                );
            }
        }
    }
}

#[test]
fn the_runner_leaves_what_the_table_says() {
    let known: BTreeSet<&str> = names(OF_JOBS.iter().copied())
        .into_iter()
        .chain(names(LEFT_TO_ALL.iter().copied()))
        .chain(names([
            ErrorName::PlanFailed,
            ErrorName::ApplyFailed,
            ErrorName::StalePlan,
        ]))
        .collect();
    for (path, source) in crate::crates::sources("runner") {
        for name in after(&source, "ErrorName::", char::is_alphanumeric) {
            assert!(known.contains(name), "{path} names {name}");
        }
    }
    assert!(text("crates/runner/src/lib.rs").contains("pub mod"));
}
