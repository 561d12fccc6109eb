//! Stacks that a commit removes from the configuration, renames, or puts back.

use crate::cloud::{Cloud, Fault, People, Trouble};
use crate::machine;
use crate::stories::{deliver, deliver_first};
use crate::terraform::Object;
use domain::error::ErrorName;
use domain::ids::StackName;
use domain::keys;
use domain::plan::{PlanKind, Reason};
use domain::run::{Outcome, Run, StackRun, StackState};
use engine::fakes::samples;
use std::collections::BTreeMap;
use std::sync::Arc;

const DATA: &str = "  - name: data\n    dir: infra/data\n";
const NEEDS: &str = "    needs: [data]\n";

async fn delivered() -> Arc<Cloud> {
    let cloud = Cloud::new(&machine());
    cloud.deliver_to_neighbor().await;
    let first = cloud.push(1, samples::CONFIG);
    deliver_first(&cloud, &first).await;
    cloud
}

/// Returns the configuration without stack `data`, and with these lines.
fn without_data(lines: &str) -> String {
    let text = samples::CONFIG.replace(DATA, "").replace(NEEDS, "");
    text.replace("build:\n", &format!("{lines}build:\n"))
}

/// Returns the configuration in which stack `data` is called `database`.
fn renamed(from: &str) -> String {
    let stack = format!("  - name: database\n    dir: infra/data\n{from}");
    let text = samples::CONFIG.replace(DATA, &stack);
    text.replace("[data]", "[database]")
}

/// Returns the objects of stack `data`, by id.
fn data(cloud: &Cloud) -> BTreeMap<u64, Object> {
    let (repository, stack) = (samples::repository().key, samples::stack("data"));
    let state = keys::state(repository, &samples::environment(), &stack);
    let mut objects = cloud.batch.objects();
    objects.retain(|_, object| object.state == state);
    objects
}

fn names(run: &Run) -> Vec<&str> {
    let stacks = run.forward().stacks().iter();
    stacks.map(|stack| stack.name().as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_left_the_file_stops_the_run_until_the_file_says_what_becomes_of_it() {
    let cloud = delivered().await;
    let (before, jobs) = (data(&cloud), cloud.batch.jobs());
    let event = cloud.push(2, &without_data(""));
    let ended = deliver(&cloud, &event, Outcome::Rejected).await;
    let error = &ended.run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::StackMissing);
    for line in ["`data: destroy`", "`data: keep`", "`renamed_from: data`"] {
        assert!(error.message.contains(line), "{error}");
    }
    assert_eq!((data(&cloud), cloud.batch.jobs()), (before, jobs));
}

#[tokio::test(start_paused = true)]
async fn a_removed_stack_is_destroyed_last_after_an_approval() {
    let cloud = delivered().await;
    let event = cloud.push(2, &without_data("removed: { data: destroy }\n"));
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert!(data(&cloud).is_empty());
    let stacks = ended.run.forward().stacks();
    assert_eq!(names(&ended.run), ["app", "data"]);
    assert_eq!(stacks[1].plan_kind(), PlanKind::Destroy);
    assert!(stacks[1].since() > stacks[0].since());
    let reasons = &stacks[1].plan().unwrap().reasons.kept;
    assert!(reasons.contains(&Reason::DestroysStack), "{reasons:?}");
    // No rule asked for the approval of the other stack.
    assert_eq!(stacks[0].plan().unwrap().reasons.kept, []);
    let good = cloud.environment().await.last_good().unwrap().clone();
    let known: Vec<&StackName> = good.outputs.keys().collect();
    assert_eq!(known, [&samples::stack("app")]);

    // The line has no effect any more, and may go.
    for (n, lines) in [(3, "removed: { data: destroy }\n"), (4, "")] {
        let event = cloud.push(n, &without_data(lines));
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert_eq!(names(&ended.run), ["app"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_stack_stays_if_its_destruction_is_rejected() {
    let cloud = delivered().await;
    cloud.people(People::Reject);
    let before = data(&cloud);
    let event = cloud.push(2, &without_data("removed: { data: destroy }\n"));
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    let error = &ended.run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::ApprovalRejected);
    assert_eq!(data(&cloud), before);
}

#[tokio::test(start_paused = true)]
async fn a_removed_stack_is_made_again_when_the_delivery_fails() {
    let cloud = delivered().await;
    cloud.order(Fault {
        state: "CheckDeploy",
        trouble: Trouble::Fails,
        error: "States.TaskFailed",
        times: 1,
    });
    let event = cloud.push(2, &without_data("removed: { data: destroy }\n"));
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    let mut back = ended.run.rollback().unwrap().stacks().iter();
    let restored = back.find(|stack| *stack.name() == samples::stack("data"));
    let state = restored.unwrap().state();
    assert!(matches!(state, StackState::Applied { .. }), "{state:?}");
    assert!(!data(&cloud).is_empty());
    let event = cloud.push(3, samples::CONFIG);
    deliver(&cloud, &event, Outcome::Applied).await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_stack_that_is_kept_can_be_put_back_with_its_resources() {
    let cloud = delivered().await;
    let before = data(&cloud);
    for (n, lines) in [(2, "removed: { data: keep }\n"), (3, "")] {
        let event = cloud.push(n, &without_data(lines));
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert_eq!(names(&ended.run), ["app"]);
        assert_eq!(data(&cloud), before);
    }
    let event = cloud.push(4, samples::CONFIG);
    deliver(&cloud, &event, Outcome::Applied).await;
    let after = data(&cloud);
    // `base` and `inputs` are the same in every commit.
    assert!(after.keys().filter(|id| before.contains_key(id)).count() >= 2);
    assert_eq!(after.len(), before.len());
}

#[tokio::test(start_paused = true)]
async fn a_renamed_stack_keeps_its_resources() {
    let cloud = delivered().await;
    let stays = |cloud: &Cloud| cloud.batch.states().len();
    let (states, base) = (stays(&cloud), data(&cloud));
    let event = cloud.push(2, &renamed(""));
    let ended = deliver(&cloud, &event, Outcome::Rejected).await;
    let error = &ended.run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::StackMissing);
    assert!(error.message.contains("probably it was renamed"), "{error}");

    let event = cloud.push(3, &renamed("    renamed_from: data\n"));
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(names(&ended.run), ["database", "app"]);
    assert_eq!(stays(&cloud), states, "no state was added");
    assert!(data(&cloud).keys().any(|id| base.contains_key(id)));

    // The state still goes by the first name.
    let event = cloud.push(4, &renamed(""));
    let ended = deliver(&cloud, &event, Outcome::Rejected).await;
    let error = &ended.run.failure().unwrap().error;
    assert!(error.message.contains("`renamed_from: data`"), "{error}");
}

/// Returns the configuration in which the stacks exchange their names, and so their states.
fn exchanged() -> String {
    let data = "  - name: app\n    renamed_from: data\n    dir: infra/data\n";
    let text = samples::CONFIG.replace(DATA, data);
    let app = "  - name: app\n    dir: infra/app\n    needs: [data]\n";
    assert!(text.contains(app));
    let renamed = "  - name: data\n    renamed_from: app\n    dir: infra/app\n    needs: [app]\n";
    text.replace(app, renamed)
        .replace("  stack: app\n", "  stack: data\n")
}

#[tokio::test(start_paused = true)]
async fn two_stacks_exchange_their_names_and_keep_their_resources() {
    let cloud = delivered().await;
    let before = cloud.batch.objects();
    let states = cloud.batch.states().len();
    let event = cloud.push(2, &exchanged());
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(names(&ended.run), ["app", "data"]);
    assert_eq!(cloud.batch.states().len(), states, "no state was added");
    let after = cloud.batch.objects();
    let kept =
        |id: &&u64| after.get(*id).map(|it| &it.state) == before.get(*id).map(|it| &it.state);
    assert!(before.keys().filter(kept).count() >= 4);
}

#[tokio::test(start_paused = true)]
async fn two_stacks_that_exchanged_their_names_are_rolled_back_to_their_own_states() {
    let cloud = delivered().await;
    let event = cloud.push(2, &exchanged());
    cloud.order(Fault {
        state: "CheckDeploy",
        trouble: Trouble::Fails,
        error: "States.TaskFailed",
        times: 1,
    });
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    let stacks = ended.run.rollback().unwrap().stacks();
    let back: Vec<_> = stacks
        .iter()
        .map(|stack| (stack.name().as_str(), stack.plan_kind()))
        .collect();
    assert_eq!(
        back,
        [("data", PlanKind::Normal), ("app", PlanKind::Normal)]
    );
    let event = cloud.push(3, samples::CONFIG);
    deliver(&cloud, &event, Outcome::Applied).await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_stack_keeps_its_resources_when_the_delivery_fails() {
    let cloud = delivered().await;
    let event = cloud.push(2, &renamed("    renamed_from: data\n"));
    cloud.order(Fault {
        state: "CheckDeploy",
        trouble: Trouble::Fails,
        error: "States.TaskFailed",
        times: 1,
    });
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    let stacks = ended.run.rollback().unwrap().stacks();
    let kinds: Vec<PlanKind> = stacks.iter().map(StackRun::plan_kind).collect();
    assert_eq!(kinds, [PlanKind::Normal; 2]);
}
