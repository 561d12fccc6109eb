//! The verdicts of plans, and the requests for approval.

use super::*;
use domain::plan::{ServiceChange, ServiceField};
use domain::warning::{Warning, WarningKind};

#[tokio::test]
async fn a_plan_is_judged_and_sealed() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[("aws_sqs_queue", Action::Create)]);
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::Auto));
    let run = world.load(1).await;
    let StackState::Planned { plan, .. } = run.forward().stacks()[0].state() else {
        panic!("{run:?}");
    };
    let file = world.object_of(run.id(), &job, object(1));
    assert_eq!((plan.file.clone(), plan.state.serial), (file, 3));
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::Auto));
}

#[tokio::test]
async fn a_plan_without_changes_is_done_and_has_outputs() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[]);
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NoChanges));
    let run = world.load(1).await;
    let stack = &run.forward().stacks()[0];
    assert_eq!(*stack.state(), StackState::Unchanged);
    let outputs = world.object_of(run.id(), &job, object(4));
    assert_eq!(stack.outputs(), Some(&outputs));
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NoChanges));
}

#[tokio::test]
async fn a_failed_plan_says_where() {
    let (world, job) = Scene::planning().await;
    world.leave(&job, failed(ErrorName::PlanFailed));
    for _ in 0..2 {
        let error = world.judge(&job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::PlanFailed);
        assert_eq!(
            error.message,
            "invalid reference\nmain.tf:3: invalid reference\nsecond"
        );
    }
    assert!(!world.load(1).await.has_side_effects());
}

#[tokio::test]
async fn a_plan_that_loses_data_asks_a_person_whatever_the_rule() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[("aws_s3_bucket", Action::Replace)]);
    for _ in 0..2 {
        assert_eq!(world.judge(&job, None).await, Ok(Verdict::NeedsApproval));
    }
    world.request_approval("a1").await.unwrap();
    let run = world.load(1).await;
    let reasons = &run.forward().stacks()[0].plan().unwrap().reasons;
    let reason = "replaces aws_s3_bucket.this, which may hold data";
    assert_eq!(reasons.in_brief(), reason);
    // The status message has the reason as data, the commit's status in brief.
    let asked = world.announced().pop().unwrap();
    assert_eq!(asked.reasons.as_ref(), Some(reasons));
    let shown = world.forge.statuses().pop().unwrap().status.description;
    assert!(shown.contains("sluicegate approve"), "{shown}");
    assert!(
        shown.contains("(replaces aws_s3_bucket.this, which"),
        "{shown}"
    );
}

/// A log group that is renamed is replaced, and its logs are gone.
#[tokio::test]
async fn a_log_group_whose_name_changes_asks_a_person() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[("aws_cloudwatch_log_group", Action::Replace)]);
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NeedsApproval));
}

#[tokio::test]
async fn a_plan_that_changes_the_deployed_service_is_refused_with_the_line_to_add() {
    let (world, job) = Scene::planning().await;
    world
        .change(1, |run| {
            samples::edit(run, "/accepted/config/deploy/stack", "data");
        })
        .await;
    let mut plan = plan_of(&[("aws_ecs_service", Action::Update)]);
    plan.summary.services = vec![ServiceChange {
        address: "aws_ecs_service.this".into(),
        fields: vec![ServiceField::TaskDefinition],
    }];
    world.leave(&job, world.planned(&job, &plan));
    for _ in 0..2 {
        let error = world.judge(&job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::PlanRefused);
        for part in [
            "stack data changes task_definition of aws_ecs_service.this",
            "lifecycle { ignore_changes = [task_definition, desired_count] }",
        ] {
            assert!(error.message.contains(part), "{error}");
        }
    }
    assert!(!world.load(1).await.has_side_effects());
}

#[tokio::test]
async fn the_warnings_of_a_plan_are_kept() {
    let (world, job) = Scene::planning().await;
    let mut outcome = world.planned(&job, &plan_of(&[]));
    let JobOutcome::Planned { warnings, .. } = &mut outcome else {
        panic!("{outcome:?}");
    };
    let check = Warning::new(
        WarningKind::Check,
        "main.tf:3: Check block assertion failed",
    );
    *warnings = Warnings::new([check]);
    world.leave(&job, outcome);
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NoChanges));
    let run = world.load(1).await;
    assert_eq!(run.warnings(), 1);
    assert_eq!(world.announced().pop().unwrap().warnings, 1);
}

/// A rollback of stack `data`, to which the run applied a plan that creates this queue. Returns its plan
/// job, whose plan deletes `aws_sqs_queue.this` and whose result says that the run made this change.
async fn rolling_back(created: &str, said: &ResourceChange) -> (Scene, JobId) {
    let (world, forward) = Scene::planning().await;
    let applied = PlanJson::of([queue(created, Action::Create)]);
    let applied = SealedPlan {
        json: world.store_plan(&run(1), &forward, &applied),
        ..sealed_plan()
    };
    world
        .change(1, |run| {
            let side_effects = SideEffects::Unrecorded;
            let failed = StackState::Failed { side_effects };
            samples::edit(run, "/forward/stacks/0/state", &failed);
            samples::edit(run, "/forward/stacks/0/applied", &applied);
            let error = StepError::new(ErrorName::ApplyFailed, "no");
            let (now, good) = (samples::now(), samples::last_good(2));
            run.handle_error(now, error, Some(&good), now).unwrap();
        })
        .await;
    let job = world.next(1).await.unwrap().remove(0).job;
    let undo = world.spec(1, &job).undo.unwrap();
    assert_eq!((undo.applied, undo.extent), (applied, Extent::Unknown));
    let mut outcome = world.planned(&job, &plan_of(&[("aws_sqs_queue", Action::Delete)]));
    if let JobOutcome::Planned {
        made, unrecorded, ..
    } = &mut outcome
    {
        made.push(said.clone());
        unrecorded.push(queue("aws_sqs_queue.lost", Action::Create));
    }
    world.leave(&job, outcome);
    (world, job)
}

fn queue(address: &str, action: Action) -> ResourceChange {
    ResourceChange {
        address: address.to_owned(),
        resource_type: "aws_sqs_queue".to_owned(),
        origin: None,
        action,
    }
}

#[tokio::test]
async fn the_plan_of_a_rollback_deletes_what_the_run_created() {
    let created = queue("aws_sqs_queue.this", Action::Create);
    let (world, job) = rolling_back(&created.address, &created).await;
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::Auto));
    let run = world.load(1).await;
    let failed = &run.forward().stacks()[0];
    assert_eq!(
        failed.made().unwrap().create,
        1,
        "the record says what the failed apply did"
    );
    assert_eq!(failed.unrecorded().to_string(), "aws_sqs_queue.lost");
}

#[tokio::test]
async fn the_plan_of_a_rollback_deletes_only_what_the_run_created() {
    let created = queue("aws_sqs_queue.other", Action::Create);
    let (world, job) = rolling_back(&created.address, &created).await;
    let error = world.judge(&job, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::PlanRefused);
    let text = "delete aws_sqs_queue.this, which existed before the run";
    assert!(error.message.ends_with(text), "{error}");
}

/// A rollback asks no one, so a deletion needs more than the result's claim that the run created the
/// resource.
#[tokio::test]
async fn a_result_cannot_say_that_the_run_created_what_its_plan_did_not() {
    let said = queue("aws_sqs_queue.this", Action::Create);
    let (world, job) = rolling_back("aws_sqs_queue.other", &said).await;
    for _ in 0..2 {
        let error = world.judge(&job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::PlanTampered);
        for part in [
            "stack data",
            "aws_sqs_queue.this",
            "the applied plan at runs/",
        ] {
            assert!(error.message.contains(part), "{part:?}: {error}");
        }
    }
    let run = world.load(1).await;
    let stack = run.stack(&samples::stack("data")).unwrap();
    assert!(stack.plan_to_apply().is_none(), "nothing is applied");
    assert_eq!(run.forward().stacks()[0].made(), None);
}

#[tokio::test]
async fn a_job_without_a_result_is_lost() {
    let (world, job) = Scene::planning().await;
    world.claim_job(&run(1), &job);
    let error = world.judge(&job, Some(caught("States.TaskFailed"))).await;
    let error = error.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
    assert!(error.message.contains("it broke"), "{error}");
}

#[tokio::test]
async fn a_plan_that_never_started_is_made_by_another_job_once() {
    let (world, lost) = Scene::planning().await;
    let judge = |job: &JobId| {
        PlanInput::Judge(Judge {
            run: run(1),
            stack: samples::stack("data"),
            job: job.clone(),
            error: Some(caught("States.TaskFailed")),
        })
    };
    let mut jobs = Vec::new();
    for _ in 0..2 {
        match world.plan.run(judge(&lost)).await.unwrap() {
            PlanOutput::Judge(JudgeOutput::StartAgain(next)) => jobs.push(next.job),
            other => panic!("{other:?}"),
        }
    }
    let job = jobs.pop().unwrap();
    assert_eq!(jobs, std::slice::from_ref(&job));
    assert_eq!(world.job_spec(&run(1), &job).verb, Verb::Plan);
    let error = world.plan.run(judge(&job)).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
}

#[tokio::test]
async fn an_orphaned_job_is_terminated_before_it_is_lost() {
    let (world, job) = Scene::planning().await;
    // The reply to its submission was lost, and the job is still queued in Batch.
    world.batch.submit(&job);
    world.claim_job(&run(1), &job);
    let caught = || Some(caught("States.TaskFailed"));
    let error = world.judge(&job, caught()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobEnding, "asked again: {error}");
    assert!(!world.batch.has_open(&job));
    let error = world.judge(&job, caught()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::JobLost);
}

#[tokio::test]
async fn the_result_of_another_job_is_refused() {
    let (world, job) = Scene::planning().await;
    let key = samples::objects(&run(1)).job(&job, JobFile::Result);
    let other = JobId::seal("plan", &samples::stack("data"), 1, b"another spec");
    let outcome = world.planned(&job, &plan_of(&[]));
    let result = |run, job| {
        json(&JobResult {
            schema: JOB_SCHEMA,
            run,
            job,
            outcome: outcome.clone(),
            duration_ms: 1,
            exit_code: 0,
        })
    };
    let others = [
        result(run(2), job.clone()),
        result(run(1), other),
        b"{}".to_vec(),
    ];
    for bytes in others {
        world.artifacts.set(&key, bytes);
        let error = world.judge(&job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::ContractViolation);
    }
    let applied = JobOutcome::Applied {
        outputs: object(9),
        warnings: Warnings::default(),
    };
    world.leave(&job, applied);
    let error = world.judge(&job, None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
}

/// The steps read with rights that reach every repository's objects.
#[tokio::test]
async fn a_result_that_names_anothers_object_is_refused() {
    let (world, job) = Scene::planning().await;
    let foreign = ObjectRef {
        key: "runs/github-43/production/billing-1/jobs/plan-data-1/outputs.json".into(),
        sha256: samples::sha256(1),
    };
    let plan = plan_of(&[]);
    let JobOutcome::Planned {
        plan: file,
        json,
        state,
        ..
    } = world.planned(&job, &plan)
    else {
        panic!("a plan");
    };
    for (outputs, dependencies) in [(Some(foreign.clone()), None), (None, Some(foreign))] {
        let outcome = JobOutcome::Planned {
            plan: file.clone(),
            json: json.clone(),
            state: state.clone(),
            dependencies,
            outputs,
            warnings: Warnings::default(),
            made: Vec::new(),
            unrecorded: Vec::new(),
        };
        world.leave(&job, outcome);
        let error = world.judge(&job, None).await.unwrap_err();
        assert_eq!(error.name, ErrorName::PlanTampered);
        assert!(error.message.contains("github-43"), "{error}");
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// The state machine repeats the call, so the failure must not be recorded.
#[tokio::test]
async fn a_result_that_cannot_be_read_now_is_read_later() {
    let (world, job) = Scene::planning().await;
    world.leave_plan(&job, &[]);
    world.artifacts.fail_next("get", throttled(), 1);
    assert_eq!(world.judge(&job, None).await, Err(throttled()));
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NoChanges));
}

#[tokio::test]
async fn an_approval_is_requested_until_it_is_decided() {
    let (world, job) = Scene::planning().await;
    world
        .change(1, |run| {
            samples::edit(run, "/accepted/config/approval", ApprovalRule::Always);
        })
        .await;
    world.leave_plan(&job, &[("aws_sqs_queue", Action::Create)]);
    assert_eq!(world.judge(&job, None).await, Ok(Verdict::NeedsApproval));
    world.request_approval("a1").await.unwrap();
    world.request_approval("a2").await.unwrap();
    let run = world.load(1).await;
    let StackState::Planned { approval, .. } = run.forward().stacks()[0].state() else {
        panic!();
    };
    assert!(matches!(approval, Some(Approval::Requested { token, .. }) if token == "a2"));
    assert_eq!(world.answers().len(), 1, "only of the lock");
    world
        .change(1, |run| {
            let decision = ApprovalDecision::Rejected;
            run.approval_decided(&samples::stack("data"), decision, "mona", samples::now())
                .unwrap();
        })
        .await;
    world.request_approval("a3").await.unwrap();
    assert_eq!(world.answers()[1..], [answer("a3", "rejected")]);
}

#[tokio::test]
async fn only_a_plan_can_be_approved() {
    let world = Scene::held().await;
    let error = world.request_approval("a1").await.unwrap_err();
    assert_eq!(error.name, ErrorName::ContractViolation);
}
