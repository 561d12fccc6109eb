//! Applies whose state is lost or late, with the real Terraform and a state in S3.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod common;

use common::s3::FakeS3;
use common::story::{FAILS, Story, data};
use common::{failure, repository, sealed};
use domain::error::ErrorName;
use domain::job::{JobOutcome, JobResult, JobSpec, Verb};
use domain::keys::JobFile;
use domain::plan::{Extent, SideEffects, Verdict};
use runner::job::{Ended, Request};

/// A resource that kills Terraform while it is created.
const KILLS: &str = r#"
resource "terraform_data" "last" {
  depends_on = [terraform_data.made]

  provisioner "local-exec" {
    command = "kill -9 $PPID"
  }
}
"#;

/// Returns a story whose state is in S3.
fn in_s3() -> Option<Story> {
    let mut story = Story::new()?;
    story.bench.s3 = Some(FakeS3::start());
    Some(story)
}

/// Plans these files, and returns the apply job of the plan.
async fn planned(story: &Story, files: &[(&str, &str)]) -> JobSpec {
    let planned = story.bench.end_of(&story.spec(Verb::Plan, files)).await;
    let mut apply = story.spec(Verb::Apply, files);
    apply.plan = Some(sealed(&planned));
    apply
}

/// Runs an apply while S3 refuses to write the state, this many times.
async fn apply_refused(story: &Story, apply: &JobSpec, times: u32) -> (Request, JobResult) {
    let request = story.bench.seal(apply);
    story.bench.s3.as_ref().unwrap().refuse(times);
    let Ended::Written(result) = story.bench.run(&request).await.unwrap() else {
        panic!("no result")
    };
    (request, *result)
}

fn side_effects(outcome: &JobOutcome) -> SideEffects {
    let JobOutcome::Failed { side_effects, .. } = outcome else {
        panic!("{outcome:?}")
    };
    *side_effects
}

/// Terraform writes a state in S3 every 20 s at most, so the state of the killed apply is the one from
/// before it.
#[tokio::test]
async fn what_a_killed_apply_may_have_made_is_named_although_no_state_has_it() {
    let Some(story) = in_s3() else { return };
    let good = data("own") + &data("gone");
    story.deliver(&good).await;
    let before = story.bench.state().unwrap();
    let bad = data("own") + &data("made") + KILLS;
    let (planned, ended) = story.apply(&repository(&bad)).await;
    let (name, message) = failure(&ended);
    assert_eq!(name, ErrorName::Interrupted);
    assert!(message.contains("done: "), "{message}");
    assert!(
        message.contains("the state may lack what was done"),
        "{message}"
    );
    assert_eq!(side_effects(&ended), SideEffects::Unrecorded);
    assert_eq!(story.bench.state().unwrap(), before);
    let log = story.bench.printed.text();
    assert!(log.contains("Creation complete after 0s [id="), "{log}");

    let undo = story.undo_of(&planned, Extent::Unknown, &repository(&bad));
    let back = story.plan_back(&repository(&good), undo).await;
    assert_eq!(back.verdict(), Ok(Verdict::NoChanges));
    let named: Vec<&str> = back
        .unrecorded
        .iter()
        .map(|one| one.address.as_str())
        .collect();
    assert_eq!(named, ["terraform_data.last", "terraform_data.made"]);
}

#[tokio::test]
async fn an_apply_that_failed_by_itself_left_nothing_out_of_the_state() {
    let Some(story) = in_s3() else { return };
    let good = data("own");
    story.deliver(&good).await;
    let bad = good.clone() + &data("made") + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    let back = story.roll_back(&good, undo).await;
    assert!(back.unrecorded.is_empty(), "{:?}", back.unrecorded);
    assert_eq!(story.objects().into_keys().collect::<Vec<_>>(), ["own"]);
}

#[tokio::test]
async fn a_state_that_s3_takes_at_the_second_attempt_fails_nothing() {
    let Some(story) = in_s3() else { return };
    let apply = planned(&story, &repository(&data("own"))).await;
    let (_, result) = apply_refused(&story, &apply, 1).await;
    let outcome = &result.outcome;
    assert!(matches!(outcome, JobOutcome::Applied { .. }), "{outcome:?}");
    assert_eq!(story.objects().into_keys().collect::<Vec<_>>(), ["own"]);
}

#[tokio::test]
async fn an_apply_that_fails_is_rolled_back_from_the_state_that_s3_took_at_the_second_attempt() {
    let Some(story) = in_s3() else { return };
    story.deliver(&data("own")).await;
    let bad = data("own") + FAILS;
    let apply = planned(&story, &repository(&bad)).await;
    let (_, result) = apply_refused(&story, &apply, 1).await;
    let (name, message) = failure(&result.outcome);
    assert_eq!(name, ErrorName::ApplyFailed);
    assert!(
        message.contains("the job has written it since"),
        "{message}"
    );
    assert_eq!(side_effects(&result.outcome), SideEffects::Possible);
    assert!(story.objects().contains_key("fails"));
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_kept_and_the_error_says_how_to_write_it() {
    let Some(story) = in_s3() else { return };
    story.deliver(&data("own")).await;
    let before = story.bench.state();
    let bad = data("own") + &data("made");
    let apply = planned(&story, &repository(&bad)).await;
    let (request, result) = apply_refused(&story, &apply, 2).await;
    let (name, message) = failure(&result.outcome);
    assert_eq!(name, ErrorName::StateUnwritten);
    assert_eq!(side_effects(&result.outcome), SideEffects::Unwritten);
    let run = &request.run;
    let command = format!("`sluicegate state restore {run} app --unwritten`");
    assert!(message.contains(&command), "{message}");
    assert_eq!(story.bench.state(), before);
    let kept = story.bench.peek(&request, JobFile::ErroredState).unwrap();
    let kept = String::from_utf8(kept).unwrap();
    assert!(kept.contains("\"name\": \"made\""), "{kept}");
}
