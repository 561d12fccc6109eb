//! Behavior that no single state shows: approvals, queues, repeated commits, an unreachable forge or
//! status queue, temporary errors.

use crate::cloud::{Cloud, Ended, Fault, People, Trouble};
use crate::invariants::{self, Before};
use crate::{asking, machine};
use domain::error::{ErrorName, StepError};
use domain::event::Trigger;
use domain::run::{Outcome, StackState};
use engine::fakes::{PlanJson, samples};
use std::sync::Arc;
use std::time::Duration;
use tests::compared::{self, CASES};
use tokio::time::Instant;
use workflow::walk::End;

/// Returns a cloud in which commit 1 is last good.
async fn delivered() -> Arc<Cloud> {
    let cloud = Cloud::new(&machine());
    cloud.deliver_to_neighbor().await;
    let first = cloud.push(1, samples::CONFIG);
    deliver_first(&cloud, &first).await;
    cloud
}

/// Delivers the first event of an environment, which has no state to compare with.
pub(crate) async fn deliver_first(cloud: &Cloud, event: &Trigger) {
    let ended = cloud.deliver(event).await;
    expect(&ended, Outcome::Applied);
}

/// Delivers an event and checks every invariant.
pub(crate) async fn deliver(cloud: &Cloud, event: &Trigger, outcome: Outcome) -> Ended {
    let before = Before::of(cloud).await;
    let ended = cloud.deliver(event).await;
    expect(&ended, outcome);
    let problems = invariants::check(cloud, &ended, &before).await;
    assert!(problems.is_empty(), "{problems:#?}");
    ended
}

fn expect(ended: &Ended, outcome: Outcome) {
    let run = &ended.run;
    assert_eq!(run.outcome(), outcome, "{}: {:?}", run.id(), run.failure());
}

fn first_error(ended: &Ended) -> ErrorName {
    ended.run.failure().unwrap().error.name
}

fn silence() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "no answer")
}

#[tokio::test(start_paused = true)]
async fn a_rejected_plan_changes_nothing() {
    let cloud = delivered().await;
    cloud.people(People::Reject);
    let event = cloud.push(2, &asking());
    let ended = deliver(&cloud, &event, Outcome::Rejected).await;
    assert_eq!(first_error(&ended), ErrorName::ApprovalRejected);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_does_not_come_in_time_is_a_rejection() {
    let cloud = delivered().await;
    cloud.people(People::DoNothing);
    let event = cloud.push(2, &asking());
    let ended = deliver(&cloud, &event, Outcome::Rejected).await;
    assert_eq!(first_error(&ended), ErrorName::ApprovalRejected);
}

/// A plan without changes takes the place of the one that the job made.
#[tokio::test(start_paused = true)]
async fn a_plan_that_is_changed_before_its_verdict_is_not_applied() {
    let cloud = delivered().await;
    let event = cloud.push(2, samples::CONFIG);
    let jobs = samples::objects(&event.run_id()).jobs();
    let applies = cloud.batch.applied().len();
    let forgery = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut keys = cloud.artifacts.keys().into_iter();
            let is_plan = |key: &String| key.starts_with(&jobs) && key.ends_with("/plan.json");
            if let Some(key) = keys.find(is_plan) {
                cloud.artifacts.set(&key, PlanJson::of([]).to_bytes());
                return;
            }
        }
    };
    let (ended, ()) = tokio::join!(deliver(&cloud, &event, Outcome::Failed), forgery);
    assert_eq!(first_error(&ended), ErrorName::PlanTampered);
    assert_eq!(cloud.batch.applied().len(), applies);
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_fails_halfway_is_rolled_back() {
    let cloud = delivered().await;
    let event = cloud.push(2, samples::CONFIG);
    cloud.batch.refuse(event.commit());
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    assert_eq!(first_error(&ended), ErrorName::ApplyFailed);
}

#[tokio::test(start_paused = true)]
async fn a_bad_commit_is_not_applied_again() {
    let cloud = delivered().await;
    let event = cloud.push(2, samples::CONFIG);
    cloud.batch.refuse(event.commit());
    let first = deliver(&cloud, &event, Outcome::RolledBack).await;

    // The same push: its execution is a duplicate.
    let entries = cloud.audit.keys().len();
    let again = cloud.deliver(&event).await;
    assert_eq!(again.end, Some(End::Succeeded));
    assert_eq!(again.run, first.run);
    assert_eq!(cloud.audit.keys().len(), entries);

    // Another push, from the last good commit.
    let mut pushed = samples::push(2);
    pushed.before = Some(samples::commit(1));
    pushed.received_at = cloud.time(Instant::now());
    let pushed = Trigger::Push(pushed);
    let ended = deliver(&cloud, &pushed, Outcome::Rejected).await;
    assert_eq!(first_error(&ended), ErrorName::CommitIsBad);
    let mut stacks = ended.run.forward().stacks().iter();
    assert!(stacks.all(|stack| *stack.state() == StackState::Pending));
}

#[tokio::test(start_paused = true)]
async fn a_stale_plan_is_made_and_approved_again() {
    let cloud = delivered().await;
    cloud.people(People::DoNothing);
    let event = cloud.push(2, &asking());
    let drift = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let repository = samples::repository().key;
        let (environment, stack) = (samples::environment(), samples::stack("data"));
        let state = domain::keys::state(repository, &environment, &stack);
        cloud.batch.drift(&state);
        cloud.people(People::Approve);
    };
    let (ended, ()) = tokio::join!(deliver(&cloud, &event, Outcome::Applied), drift);
    assert_eq!(ended.run.forward().stacks()[0].jobs(), 4);
}

#[tokio::test(start_paused = true)]
async fn with_queue_every_each_push_is_delivered_in_order() {
    let cloud = delivered().await;
    let every = samples::CONFIG.replace("stacks:\n", "queue: every\nstacks:\n");
    let ends = three(&cloud, &every).await;
    for ended in &ends {
        expect(ended, Outcome::Applied);
    }
    let order: Vec<_> = ends.iter().map(|it| it.run.end().unwrap().at).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn with_queue_newest_a_waiting_push_is_superseded() {
    let cloud = delivered().await;
    let ends = three(&cloud, samples::CONFIG).await;
    let outcomes: Vec<Outcome> = ends.iter().map(|ended| ended.run.outcome()).collect();
    let expected = [Outcome::Applied, Outcome::Superseded, Outcome::Applied];
    assert_eq!(outcomes, expected);
}

/// Delivers three pushes, each one minute after the previous one.
async fn three(cloud: &Cloud, config: &str) -> [Ended; 3] {
    let push = async |n: u8| {
        tokio::time::sleep(Duration::from_secs(60 * u64::from(n))).await;
        let event = cloud.push(n, config);
        cloud.deliver(&event).await
    };
    let (a, b, c) = tokio::join!(push(2), push(3), push(4));
    let environment = cloud.environment().await;
    assert!(environment.holder().is_none() && environment.queue().is_empty());
    [a, b, c]
}

/// An unreachable forge never changes an outcome. Its audit branch receives the missing entries later.
#[tokio::test(start_paused = true)]
async fn a_forge_that_is_away_changes_no_outcome() {
    let cloud = delivered().await;
    for (n, hangs) in [(2, false), (3, true)] {
        let event = cloud.push(n, samples::CONFIG);
        let leave = async {
            // The source is already sealed.
            tokio::time::sleep(Duration::from_secs(15)).await;
            if hangs {
                cloud.forge.hang();
            } else {
                cloud.forge.set_unreachable(true);
            }
        };
        let (ended, ()) = tokio::join!(cloud.deliver(&event), leave);
        expect(&ended, Outcome::Applied);
        cloud.forge.set_unreachable(false);
    }
    let repository = samples::repository().key;
    assert_eq!(cloud.forge.audit_files(repository).len(), 1);
    let event = cloud.push(4, samples::CONFIG);
    deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(cloud.forge.audit_files(repository).len(), 4);
}

/// An unreachable status queue never changes an outcome.
#[tokio::test(start_paused = true)]
async fn a_status_queue_that_is_gone_changes_no_outcome() {
    let cloud = delivered().await;
    cloud.status.fail_next("send", silence(), u32::MAX);
    let good = cloud.push(2, samples::CONFIG);
    let ended = cloud.deliver(&good).await;
    expect(&ended, Outcome::Applied);
    let refused = cloud.push(3, samples::CONFIG);
    cloud.batch.refuse(refused.commit());
    let ended = cloud.deliver(&refused).await;
    expect(&ended, Outcome::RolledBack);
}

/// An error for each Task that its Retry matches.
const RETRIED: [(&str, &str); 21] = [
    ("Validate", "ForgeUnavailable"),
    ("DecideBuild", "AwsUnavailable"),
    ("RunTest", "CodeBuild.ThrottlingException"),
    ("FinishTest", "Lambda.ServiceException"),
    ("RunImage", "CodeBuild.AccountLimitExceededException"),
    ("FinishBuild", "RecordConflict"),
    ("AcquireLock", "Lambda.TooManyRequestsException"),
    ("SelectFirstStacks", "Lambda.ServiceException"),
    ("RunFirstPlan", "Batch.TooManyRequestsException"),
    ("JudgeFirstPlan", "Lambda.SdkClientException"),
    ("AwaitApproval", "Lambda.ClientExecutionTimeoutException"),
    ("StartApply", "Lambda.Unknown"),
    ("RunApply", "Batch.ServerException"),
    ("FinishApply", "Sandbox.Timedout"),
    ("SelectNextStacks", "Runtime.ExitError"),
    ("RunPlan", "Batch.AWSBatchException"),
    ("JudgePlan", "AwsThrottled"),
    ("StartDeploy", "AwsThrottled"),
    ("CheckDeploy", "Lambda.AWSLambdaException"),
    ("Promote", "RecordConflict"),
    ("Record", "AwsUnavailable"),
];

/// The commit is delivered anyway, and only once.
#[tokio::test(start_paused = true)]
async fn an_error_that_passes_does_not_end_a_run() {
    for trouble in [Trouble::Fails, Trouble::LosesReply] {
        let cloud = delivered().await;
        let revisions = cloud.services.revisions().len();
        for (state, error) in RETRIED {
            cloud.order(Fault {
                state,
                trouble,
                error,
                times: 1,
            });
        }
        let event = cloud.push(2, &asking());
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert!(cloud.disarm().is_empty());
        for stack in ended.run.forward().stacks() {
            assert_eq!(stack.jobs(), 2, "one plan and one apply: {stack:?}");
        }
        assert_eq!(cloud.services.revisions().len(), revisions + 1);
    }
}

/// The rollback is decided once, even if the step is retried.
#[tokio::test(start_paused = true)]
async fn a_rollback_is_decided_once() {
    for (trouble, error) in [
        (Trouble::Fails, "AwsThrottled"),
        (Trouble::LosesReply, "Lambda.Unknown"),
    ] {
        let cloud = delivered().await;
        let event = cloud.push(2, samples::CONFIG);
        cloud.batch.refuse(event.commit());
        cloud.order(Fault {
            state: "Rollback",
            trouble,
            error,
            times: 1,
        });
        deliver(&cloud, &event, Outcome::RolledBack).await;
        assert!(cloud.disarm().is_empty());
    }
}

/// The cases that also run on the emulator.
#[tokio::test(start_paused = true)]
async fn the_cases_of_the_emulator_end_as_expected() {
    let mut lines = String::new();
    for case in &CASES {
        let cloud = delivered().await;
        for fault in case.faults() {
            let trouble = if fault.after {
                Trouble::LosesReply
            } else {
                Trouble::Fails
            };
            cloud.order(Fault {
                state: fault.state,
                trouble,
                error: fault.error,
                times: 1,
            });
        }
        let config = if case.asks {
            asking()
        } else {
            samples::CONFIG.to_owned()
        };
        let event = cloud.push(2, &config);
        let ended = deliver(&cloud, &event, case.outcome).await;
        if !case.outcome.is_success() {
            assert_eq!(first_error(&ended), case.cause, "{}", case.name());
        }
        assert!(cloud.disarm().is_empty(), "{}", case.name());
        let visited = ended.visited.iter().cloned().collect();
        lines += &case.line(&ended.run, &visited);
        lines.push('\n');
    }
    crate::expect(compared::FILE, &lines);
}

/// EventBridge lost the event of the stopped execution. Nothing else ends the run.
#[tokio::test(start_paused = true)]
async fn a_stopped_execution_whose_event_is_lost_is_ended_by_reconciliation() {
    let states = [
        "AcquireLock",
        "SelectFirstStacks",
        "FinishApply",
        "Promote",
        "Record",
    ];
    for state in states {
        let cloud = delivered().await;
        let event = cloud.push(2, samples::CONFIG);
        cloud.lose_the_end_of_executions();
        cloud.stop_at(state);
        let before = Before::of(&cloud).await;
        let ended = cloud.deliver(&event).await;
        let problems = invariants::check(&cloud, &ended, &before).await;
        assert!(problems.is_empty(), "{state}: {problems:#?}");
    }
}

/// The audit bucket refuses every write of the first run, and the next run is delivered meanwhile.
#[tokio::test(start_paused = true)]
async fn an_audit_that_fails_holds_no_run_and_its_entry_is_written_later() {
    let cloud = delivered().await;
    let denied = StepError::new(ErrorName::AwsDenied, "PutObject: denied");
    cloud.lose_the_end_of_executions();
    let event = cloud.push(2, samples::CONFIG);
    let before = Before::of(&cloud).await;
    cloud.audit.fail_next("put_if_absent", denied, 1);
    let ended = cloud.deliver(&event).await;
    assert!(!ended.visited.iter().any(|state| state == "RecordLost"));
    expect(&ended, Outcome::Applied);
    let problems = invariants::check(&cloud, &ended, &before).await;
    assert!(problems.is_empty(), "{problems:#?}");
    let next = cloud.push(3, samples::CONFIG);
    deliver(&cloud, &next, Outcome::Applied).await;
}

/// The build fails while the plans are made.
#[tokio::test(start_paused = true)]
async fn a_failed_build_does_not_hide_the_errors_of_the_plans() {
    let fault = |state, trouble, error| Fault {
        state,
        trouble,
        error,
        times: 1,
    };
    let test = || fault("RunTest", Trouble::LosesReply, "States.TaskFailed");
    let image = || fault("RunImage", Trouble::LosesReply, "States.TaskFailed");
    let plan = || fault("RunFirstPlan", Trouble::Terminates, "");
    for (faults, with_plan) in [
        (vec![test()], false),
        (vec![test(), plan()], true),
        (vec![image()], false),
    ] {
        let cloud = delivered().await;
        let event = cloud.push(2, samples::CONFIG);
        for fault in faults {
            cloud.order(fault);
        }
        let before = Before::of(&cloud).await;
        let ended = cloud.deliver(&event).await;
        expect(&ended, Outcome::Failed);
        let problems = invariants::check(&cloud, &ended, &before).await;
        assert!(problems.is_empty(), "{problems:#?}");
        let error = &ended.run.failure().unwrap().error;
        assert_eq!(error.name, ErrorName::BuildFailed);
        let of_plan = error.message.contains(": Interrupted: ");
        assert_eq!(of_plan, with_plan, "{error}");
    }
}

/// `app` needs `data`, so it is planned only after `data` is applied.
#[tokio::test(start_paused = true)]
async fn the_mistakes_of_every_stack_are_known_before_the_first_apply() {
    let (valid, invalid) = ("# commit 2\n", "# commit 2\n# invalid\n");
    for (data, expected) in [
        (valid, "Unsupported argument"),
        (
            invalid,
            "2 failures\nstack data: PlanFailed: Unsupported argument\n\
             stack app: PlanFailed: Unsupported argument",
        ),
    ] {
        let cloud = delivered().await;
        let applied = cloud.batch.applied().len();
        let code = [
            ("infra/data/commit.tf", data),
            ("infra/app/commit.tf", invalid),
        ];
        let event = cloud.push_code(&samples::repository(), 2, samples::CONFIG, &code);
        let ended = deliver(&cloud, &event, Outcome::Failed).await;
        let error = &ended.run.failure().unwrap().error;
        assert_eq!(
            (error.name, &*error.message),
            (ErrorName::PlanFailed, expected)
        );
        assert_eq!(cloud.batch.applied().len(), applied, "nothing was applied");
        assert!(ended.run.rollback().is_none());
    }
}

/// A stack that is the same as in the last good commit was valid there.
#[tokio::test(start_paused = true)]
async fn a_stack_whose_files_are_the_same_is_not_validated() {
    for (data, expected) in [
        // `app` is skipped.
        ("# commit 2\n", 2),
        // `app` is planned with the new output, and applied.
        ("# commit 2\n# output 2\n", 4),
    ] {
        let cloud = delivered().await;
        let jobs = cloud.batch.jobs();
        let app = "# commit 1\n";
        let code = [("infra/data/commit.tf", data), ("infra/app/commit.tf", app)];
        let event = cloud.push_code(&samples::repository(), 2, samples::CONFIG, &code);
        deliver(&cloud, &event, Outcome::Applied).await;
        assert_eq!(cloud.batch.jobs() - jobs, expected);
    }
}

/// A container has 30 s after SIGTERM, and Batch shows its job as running until then and longer.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_ending_is_waited_for() {
    for state in ["JudgeFirstPlan", "FinishApply"] {
        let cloud = delivered().await;
        cloud.order(Fault {
            state,
            trouble: Trouble::Fails,
            error: ErrorName::JobEnding.as_str(),
            times: 10,
        });
        let start = Instant::now();
        let event = cloud.push(2, samples::CONFIG);
        deliver(&cloud, &event, Outcome::Applied).await;
        assert!(cloud.disarm().is_empty(), "{state}");
        assert!(start.elapsed() >= Duration::from_secs(150), "{state}");
    }
}
