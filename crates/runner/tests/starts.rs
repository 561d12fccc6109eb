//! A job that is started more than once: by Batch, which retries an interrupted plan, and by Step
//! Functions, which submits again if a response was lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod common;

use std::time::Duration;

use common::{Bench, repository};
use domain::error::{ErrorName, StepError};
use domain::job::{INTERRUPTED_EXIT, JOB_SCHEMA, JobOutcome, JobResult, Verb};
use domain::keys::JobFile;
use domain::plan::SideEffects;
use runner::job::{Ended, Request};
use terraform_cli::{Cancel, CancelHandle};

/// Returns a bench with the real Terraform, whose first `verb` takes a minute; `None` on a machine
/// without Terraform.
fn slow_at_first(verb: &str) -> Option<Bench> {
    let terraform = Bench::real()?.terraform;
    Some(Bench::scripted(&format!(
        r#"if [ "$1" = {verb} ] && mkdir $TEMP/slow; then
echo slow
exec sleep 60
fi
exec {} "$@""#,
        terraform.display()
    )))
}

/// Runs the first attempt of Batch job `a`, and stops it during the slow command.
async fn interrupt_first_attempt(bench: &Bench, request: &Request) -> Ended {
    let (handle, cancel) = CancelHandle::new();
    let (ended, ()) = tokio::join!(bench.run_in_batch(request, ("a", 1), cancel), async {
        bench.printed.wait_for("slow").await;
        handle.cancel();
    });
    ended.unwrap()
}

#[tokio::test]
async fn an_interrupted_plan_asks_batch_for_another_attempt_which_makes_it_anew() {
    let Some(bench) = slow_at_first("plan") else {
        return;
    };
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    let first = interrupt_first_attempt(&bench, &request).await;
    assert_eq!(first.exit_code(), INTERRUPTED_EXIT);
    let result = bench.stored(&request);
    assert_eq!(result.exit_code, INTERRUPTED_EXIT);
    let JobOutcome::Failed { error, .. } = result.outcome else {
        panic!("{result:?}")
    };
    assert_eq!(error.name, ErrorName::Interrupted);

    let second = bench
        .run_in_batch(&request, ("a", 2), Cancel::never())
        .await
        .unwrap();
    assert_eq!(second.exit_code(), 0);
    let result = bench.stored(&request);
    assert!(
        matches!(result.outcome, JobOutcome::Planned { .. }),
        "{result:?}"
    );
    assert_eq!(result.exit_code, 0);
    assert!(bench.peek(&request, JobFile::Plan).is_some());

    // A third attempt finds the result of the plan.
    let third = bench
        .run_in_batch(&request, ("a", 3), Cancel::never())
        .await
        .unwrap();
    assert!(
        matches!(third, Ended::Finished { exit_code: 0 }),
        "{third:?}"
    );
    assert_eq!(bench.stored(&request), result);
}

#[tokio::test]
async fn a_plan_that_was_killed_without_a_word_is_made_again() {
    let Some(bench) = Bench::real() else { return };
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    let ended = bench
        .run_in_batch(&request, ("a", 1), Cancel::never())
        .await
        .unwrap();
    assert!(matches!(ended, Ended::Written(_)), "{ended:?}");
    bench
        .objects
        .remove(&request.objects.job(&request.job, JobFile::Result));
    let ended = bench
        .run_in_batch(&request, ("a", 2), Cancel::never())
        .await
        .unwrap();
    assert!(matches!(ended, Ended::Written(_)), "{ended:?}");
    assert!(matches!(
        bench.stored(&request).outcome,
        JobOutcome::Planned { .. }
    ));
}

#[tokio::test]
async fn an_interrupted_apply_is_never_started_again() {
    let Some(bench) = slow_at_first("apply") else {
        return;
    };
    let files = repository("resource \"terraform_data\" \"x\" {}\n");
    let planned = bench.end_of(&bench.spec(Verb::Plan, &files)).await;
    let mut apply = bench.spec(Verb::Apply, &files);
    apply.plan = Some(common::sealed(&planned));
    let request = bench.seal(&apply);
    let first = interrupt_first_attempt(&bench, &request).await;
    assert_eq!(first.exit_code(), 0, "Batch is not asked for anything");
    let result = bench.stored(&request);
    assert_eq!(common::failure(&result.outcome).0, ErrorName::Interrupted);

    let second = bench
        .run_in_batch(&request, ("a", 2), Cancel::never())
        .await
        .unwrap();
    assert!(
        matches!(second, Ended::Finished { exit_code: 0 }),
        "{second:?}"
    );
    bench
        .objects
        .remove(&request.objects.job(&request.job, JobFile::Result));
    let third = bench
        .run_in_batch(&request, ("a", 2), Cancel::never())
        .await
        .unwrap();
    assert!(matches!(third, Ended::StartedBefore), "{third:?}");
    assert!(!bench.state_path().exists(), "nothing was applied");
}

#[tokio::test]
async fn a_plan_that_is_out_of_time_is_not_made_again() {
    let Some(bench) = slow_at_first("plan") else {
        return;
    };
    let mut spec = bench.spec(Verb::Plan, &repository("locals {}\n"));
    spec.timeout_seconds = 1;
    let request = bench.seal(&spec);
    let ended = bench
        .run_in_batch(&request, ("a", 1), Cancel::never())
        .await
        .unwrap();
    assert_eq!(ended.exit_code(), 0);
    let result = bench.stored(&request);
    assert_eq!(common::failure(&result.outcome).0, ErrorName::Interrupted);
}

#[tokio::test]
async fn a_second_batch_job_waits_for_the_first_and_ends_as_it_does() {
    let Some(bench) = Bench::real() else { return };
    // A plan that runs until the test ends it.
    let bench = Bench::scripted(&format!(
        r#"if [ "$1" = plan ]; then
echo planning >> $TEMP/plans
while [ ! -e $TEMP/go ]; do sleep 0.02; done
fi
exec {} "$@""#,
        bench.terraform.display()
    ));
    let request = bench.seal(&bench.spec(Verb::Plan, &repository("locals {}\n")));
    let second = async {
        while !bench.temp.path().join("plans").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (ended, ()) = tokio::join!(
            bench.run_in_batch(&request, ("b", 1), Cancel::never()),
            async {
                bench.printed.wait_for("Batch job a was started").await;
                assert!(bench.peek(&request, JobFile::Result).is_none());
                std::fs::write(bench.temp.path().join("go"), "").unwrap();
            }
        );
        ended
    };
    let first = bench.run_in_batch(&request, ("a", 1), Cancel::never());
    let (first, second) = tokio::join!(first, second);
    let Ended::Written(result) = first.unwrap() else {
        panic!("the first one has the job")
    };
    let second = second.unwrap();
    assert!(
        matches!(second, Ended::Finished { exit_code: 0 }),
        "{second:?}"
    );
    assert_eq!(bench.stored(&request), *result);
    let plans = std::fs::read_to_string(bench.temp.path().join("plans")).unwrap();
    assert_eq!(plans, "planning\n", "terraform planned once");
}

/// Creates a job that Batch job `a` started and has not ended. Terraform must not be started.
fn begun_by_another(verb: Verb) -> (Bench, Request) {
    let bench = Bench::scripted("touch $TEMP/started");
    let mut spec = bench.spec(verb, &repository("locals {}\n"));
    spec.timeout_seconds = 100;
    let request = bench.seal(&spec);
    let started =
        r#"{"schema":1,"at":"2026-01-02T03:04:05Z","by":"p","batch":{"job":"a","attempt":1}}"#;
    let key = request.objects.job(&request.job, JobFile::Started);
    bench.objects.set(&key, started);
    (bench, request)
}

fn leave_result(bench: &Bench, request: &Request, exit_code: u8) {
    let result = JobResult {
        schema: JOB_SCHEMA,
        run: request.run.clone(),
        job: request.job.clone(),
        outcome: JobOutcome::Failed {
            error: StepError::new(ErrorName::PlanFailed, "mistakes"),
            side_effects: SideEffects::None,
            diagnostics: Vec::new(),
        },
        duration_ms: 1,
        exit_code,
    };
    let key = request.objects.job(&request.job, JobFile::Result);
    bench
        .objects
        .set(&key, serde_json::to_vec(&result).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_second_batch_job_gives_up_at_its_deadline_and_says_so() {
    let (bench, request) = begun_by_another(Verb::Apply);
    let lost = StepError::new(ErrorName::AwsUnavailable, "no answer");
    let began = tokio::time::Instant::now();
    let second = bench.run_in_batch(&request, ("b", 1), Cancel::never());
    let (ended, ()) = tokio::join!(second, async {
        bench.printed.wait_for("waiting up to 160 s").await;
        bench.objects.fail_next("get", lost, 3);
    });
    let ended = ended.unwrap();
    assert!(matches!(ended, Ended::StartedBefore), "{ended:?}");
    assert_eq!(ended.exit_code(), 3);
    assert_eq!(began.elapsed().as_secs(), 160);
    let printed = bench.printed.text();
    assert!(
        printed.contains("Batch job a left no result within 160 s"),
        "{printed}"
    );
    assert!(printed.contains("no answer; looking again"), "{printed}");
    assert!(bench.peek(&request, JobFile::Result).is_none());
    assert!(!bench.temp.path().join("started").exists());
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_plan_of_the_first_is_waited_for_until_it_is_made_again() {
    let (bench, request) = begun_by_another(Verb::Plan);
    leave_result(&bench, &request, INTERRUPTED_EXIT);
    let began = tokio::time::Instant::now();
    let second = bench.run_in_batch(&request, ("b", 1), Cancel::never());
    let (ended, ()) = tokio::join!(second, async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        leave_result(&bench, &request, 0);
    });
    assert_eq!(ended.unwrap().exit_code(), 0);
    assert_eq!(began.elapsed().as_secs(), 90);

    // The second job never repeats it: it exits with the same code, and Batch decides about a
    // retry.
    leave_result(&bench, &request, INTERRUPTED_EXIT);
    let second = bench.run_in_batch(&request, ("b", 1), Cancel::never());
    assert_eq!(second.await.unwrap().exit_code(), INTERRUPTED_EXIT);
    assert!(!bench.temp.path().join("started").exists());
}

#[tokio::test(start_paused = true)]
async fn a_second_batch_job_that_is_told_to_stop_stops_waiting() {
    let (bench, request) = begun_by_another(Verb::Plan);
    let (handle, cancel) = CancelHandle::new();
    let began = tokio::time::Instant::now();
    let second = bench.run_in_batch(&request, ("b", 1), cancel);
    let (ended, ()) = tokio::join!(second, async {
        bench.printed.wait_for("waiting up to").await;
        handle.cancel();
    });
    let ended = ended.unwrap();
    assert!(matches!(ended, Ended::StoppedWaiting), "{ended:?}");
    assert_eq!(ended.exit_code(), INTERRUPTED_EXIT);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(bench.peek(&request, JobFile::Result).is_none());
    // Batch retries the second job, and it waits again.
    leave_result(&bench, &request, 0);
    let second = bench.run_in_batch(&request, ("b", 2), Cancel::never());
    assert_eq!(second.await.unwrap().exit_code(), 0);
}
