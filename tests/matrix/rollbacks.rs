//! A rollback loses nothing that existed before the run, wherever the run failed.

use crate::cloud::{Cloud, Fault, Trouble};
use crate::machine;
use crate::stories::{deliver, deliver_first};
use domain::error::ErrorName;
use domain::event::Trigger;
use domain::plan::PlanKind;
use domain::run::{Outcome, Run, StackState};
use engine::fakes::samples;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The resources of the last good commit, beside those of every commit.
const GOOD: &str = "# resource terraform_data.old\n# resource terraform_data.kept\n";

fn state(stack: &str) -> String {
    let (repository, environment) = (samples::repository().key, samples::environment());
    domain::keys::state(repository, &environment, &samples::stack(stack))
}

/// Pushes a commit with this code in `data`.
fn push(cloud: &Cloud, n: u8, config: &str, data: &str) -> Trigger {
    let app = format!("# commit {n}\n");
    let data = format!("# commit {n}\n{data}");
    let code = [
        ("infra/data/commit.tf", &*data),
        ("infra/app/commit.tf", &*app),
    ];
    cloud.push_code(&samples::repository(), n, config, &code)
}

async fn delivered(config: &str) -> Arc<Cloud> {
    let cloud = Cloud::new(&machine());
    cloud.deliver_to_neighbor().await;
    deliver_first(&cloud, &push(&cloud, 1, config, GOOD)).await;
    cloud
}

/// Returns the objects of a stack, by address.
fn objects(cloud: &Cloud, stack: &str) -> BTreeMap<String, u64> {
    let states = cloud.batch.states();
    let held = states.get(&state(stack)).into_iter().flatten();
    held.map(|(address, resource)| (address.clone(), resource.object))
        .collect()
}

fn fault(state: &'static str, error: &'static str) -> Fault {
    Fault {
        state,
        trouble: Trouble::Fails,
        error,
        times: 1,
    }
}

/// Returns the states of the rollback's stacks.
fn back(run: &Run) -> Vec<(&str, PlanKind, &StackState)> {
    let stacks = run.rollback().unwrap().stacks().iter();
    stacks
        .map(|stack| (stack.name().as_str(), stack.plan_kind(), stack.state()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn moves_imports_and_removals_are_undone_wherever_the_run_failed() {
    for failure in [
        None,
        Some(("JudgePlan", "PlanFailed")),
        Some(("CheckDeploy", "Unhealthy")),
    ] {
        let cloud = delivered(samples::CONFIG).await;
        let by_hand = cloud.batch.make_by_hand();
        let before = objects(&cloud, "data");
        let code = format!(
            "# resource terraform_data.new\n# moved terraform_data.old terraform_data.new\n\
             # resource terraform_data.adopted\n# import terraform_data.adopted {by_hand}\n\
             # forget terraform_data.kept\n"
        );
        let event = push(&cloud, 2, samples::CONFIG, &code);
        match failure {
            None => cloud.batch.refuse(event.commit()),
            Some((state, error)) => cloud.order(fault(state, error)),
        }
        let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
        assert!(cloud.disarm().is_empty(), "{failure:?}");
        let after = objects(&cloud, "data");
        for name in ["terraform_data.old", "terraform_data.kept"] {
            assert_eq!(after[name], before[name], "{failure:?}");
        }
        assert!(!after.contains_key("terraform_data.adopted"));
        assert!(cloud.batch.objects().contains_key(&by_hand), "{failure:?}");
        let made = ended.run.forward().stacks()[0].made().unwrap();
        assert_eq!((made.moved, made.import), (1, 1), "{failure:?}");
    }
}

/// Returns the configuration without the stack `data`.
fn without_data() -> String {
    let config = samples::CONFIG.replace("  - name: data\n    dir: infra/data\n", "");
    config.replace("    needs: [data]\n", "")
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_was_moved_in_with_its_state_is_not_destroyed() {
    let cloud = delivered(&without_data()).await;
    cloud
        .batch
        .move_in(&state("data"), "terraform_data.since_2019");
    let before = objects(&cloud, "data");
    let event = push(
        &cloud,
        2,
        samples::CONFIG,
        "# resource terraform_data.since_2019\n",
    );
    cloud.order(fault("JudgePlan", "PlanFailed"));
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    let left = ("data", PlanKind::Normal, &StackState::Left);
    assert_eq!(back(&ended.run), [left]);
    let after = objects(&cloud, "data");
    let since = "terraform_data.since_2019";
    assert_eq!(after.get(since), before.get(since));
    let statuses = cloud.forge.statuses();
    let last = statuses
        .iter()
        .rfind(|status| status.commit == *event.commit());
    let text = &last.unwrap().status.description;
    assert!(
        text.contains("Not rolled back, older than this run: data."),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_was_taken_out_and_put_back_is_not_destroyed() {
    let cloud = delivered(samples::CONFIG).await;
    let before = objects(&cloud, "data");
    let taken_out = without_data() + "removed:\n  data: keep\n";
    let second = push(&cloud, 2, &taken_out, GOOD);
    deliver(&cloud, &second, Outcome::Applied).await;
    let third = push(&cloud, 3, samples::CONFIG, GOOD);
    cloud.order(fault("JudgePlan", "PlanFailed"));
    let ended = deliver(&cloud, &third, Outcome::RolledBack).await;
    let left = ("data", PlanKind::Normal, &StackState::Left);
    assert!(back(&ended.run).contains(&left), "{:?}", back(&ended.run));
    let after = objects(&cloud, "data");
    for name in [
        "terraform_data.base",
        "terraform_data.old",
        "terraform_data.kept",
    ] {
        assert_eq!(after.get(name), before.get(name));
    }
}

/// The second delivery of a new stack fails again: its state exists, and has no resources.
#[tokio::test(start_paused = true)]
async fn a_new_stack_is_destroyed_each_time_its_delivery_fails() {
    let cloud = delivered(&without_data()).await;
    for n in [2, 3] {
        let event = push(&cloud, n, samples::CONFIG, "");
        cloud.order(fault("JudgePlan", "PlanFailed"));
        let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
        let (stack, kind, _) = back(&ended.run)[0];
        assert_eq!((stack, kind), ("data", PlanKind::Destroy));
        assert_eq!(objects(&cloud, "data"), BTreeMap::new());
    }
}

/// The job of an apply or a plan never started: it is replaced once. If its replacement does not start either,
/// nothing was changed, so nothing is rolled back, and the commit can be delivered again.
#[tokio::test(start_paused = true)]
async fn a_job_that_never_started_is_replaced_once_and_causes_no_rollback() {
    for state in ["RunFirstPlan", "RunApply"] {
        for (times, outcome) in [(1, Outcome::Applied), (2, Outcome::Failed)] {
            let cloud = delivered(samples::CONFIG).await;
            let before = cloud.batch.states();
            let event = push(&cloud, 2, samples::CONFIG, GOOD);
            cloud.order(Fault {
                times,
                ..fault(state, "States.TaskFailed")
            });
            let ended = deliver(&cloud, &event, outcome).await;
            if outcome == Outcome::Failed {
                let failure = ended.run.failure().unwrap();
                assert_eq!(failure.error.name, ErrorName::JobLost);
                assert_eq!(cloud.batch.states(), before);
            }
            assert!(ended.run.rollback().is_none());
            assert!(!cloud.environment().await.is_bad(event.commit()));
        }
    }
}

/// The container of an apply is lost while it works.
#[tokio::test(start_paused = true)]
async fn a_commit_that_was_rolled_back_for_another_cause_can_be_delivered_again() {
    let cloud = delivered(samples::CONFIG).await;
    let event = push(&cloud, 2, samples::CONFIG, GOOD);
    cloud.order(Fault {
        trouble: Trouble::Terminates,
        ..fault("RunApply", "")
    });
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    assert!(!ended.run.failure().unwrap().error.name.is_of_commit());
    assert!(!cloud.environment().await.is_bad(event.commit()));
}
