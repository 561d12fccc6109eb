//! Stacks of the last good commit that the run's commit removes or renames.

use super::*;
use domain::config::{Config, Removed};
use domain::plan::Reason;
use std::collections::BTreeMap;

/// Returns a world in which commit 9 is last good, and run 1, with this configuration, holds the
/// environment.
async fn holding(config: Config) -> Scene {
    let world = Scene::new().await;
    let accepted = samples::accepted_run(1, config);
    world.change(1, |run| *run = accepted.clone()).await;
    let mut good = samples::last_good(9);
    good.received_at = samples::now();
    world.table.deliver(&good);
    world.table.give_environment_to(&accepted);
    world
}

/// Returns the configuration without stack `data`.
fn without_data(removed: Option<Removed>) -> Config {
    let mut config = samples::config();
    config.stacks.retain(|stack| stack.name.as_str() == "app");
    config.stacks[0].needs.clear();
    let entry = removed.map(|what| (samples::stack("data"), what));
    config.removed = entry.into_iter().collect::<BTreeMap<_, _>>();
    config
}

/// Another run may have been delivered since `validate` compared the stacks.
#[tokio::test]
async fn the_stacks_are_compared_again_when_the_run_holds_the_environment() {
    let world = holding(without_data(None)).await;
    for _ in 0..2 {
        let error = world.next(1).await.unwrap_err();
        assert_eq!(error.name, ErrorName::StackMissing);
        assert!(error.message.contains("`data: keep`"), "{error}");
    }
    assert!(!world.load(1).await.has_side_effects());
}

#[tokio::test]
async fn a_stack_is_destroyed_with_the_last_good_code_after_the_others() {
    let world = holding(without_data(Some(Removed::Destroy))).await;
    let jobs = world.next(1).await.unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0].stack, samples::stack("app"));
    world
        .change(1, |run| {
            samples::edit(run, "/forward/stacks/0/state", StackState::Unchanged);
        })
        .await;
    let jobs = world.next(1).await.unwrap();
    let good = samples::last_good(9);
    let spec = world.spec(1, &jobs[0].job);
    assert_eq!(spec.stack, samples::stack("data"));
    assert_eq!(spec.plan_kind, PlanKind::Destroy);
    assert_eq!((spec.source, spec.commit), (good.source, good.commit));

    world.leave_plan(&jobs[0].job, &[("null_resource", Action::Delete)]);
    let verdict = world.judge(&jobs[0].job, None).await;
    assert_eq!(verdict, Ok(Verdict::NeedsApproval));
    let run = world.load(1).await;
    let reasons = &run.stack(&samples::stack("data")).unwrap().plan();
    assert_eq!(reasons.unwrap().reasons.kept, [Reason::DestroysStack]);
}

#[tokio::test]
async fn a_stack_that_is_kept_has_no_job() {
    let world = holding(without_data(Some(Removed::Keep))).await;
    let jobs = world.next(1).await.unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(world.load(1).await.forward().stacks().len(), 1);
}

#[tokio::test]
async fn the_state_of_a_renamed_stack_goes_by_its_first_name() {
    let mut config = samples::config();
    config.stacks[0].name = samples::stack("database");
    config.stacks[0].renamed_from = Some(samples::stack("data"));
    config.stacks[1].needs = vec![samples::stack("database")];
    let world = holding(config).await;
    let job = world.next(1).await.unwrap().remove(0).job;
    let domain::job::Backend::S3 { key, .. } = world.spec(1, &job).backend else {
        panic!("not in S3");
    };
    assert_eq!(key, "github-42/production/data.tfstate");
}
