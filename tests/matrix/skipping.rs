//! Stacks that are the same as in the last good commit start no job.

use crate::cloud::{Cloud, Fault, Trouble};
use crate::commits::MODULE;
use crate::machine;
use crate::stories::{deliver, deliver_first};
use domain::event::Trigger;
use domain::run::{Outcome, RollbackOutcome, Run, StackState};
use engine::fakes::samples;
use std::sync::Arc;
use std::time::Duration;

/// Returns a cloud in which commit 1 is last good: `app` uses a module, and `data` has an output.
async fn delivered() -> Arc<Cloud> {
    let cloud = Cloud::new(&machine());
    cloud.deliver_to_neighbor().await;
    let first = push(&cloud, 1, &[]);
    deliver_first(&cloud, &first).await;
    cloud
}

/// The files of every commit, beside those of the samples.
const CODE: [(&str, &str); 3] = [
    ("infra/app/net.tf", MODULE),
    ("infra/data/own.tf", "# output: first\n"),
    ("modules/net/main.tf", "locals {}\n"),
];

/// Pushes commit `n`, whose infrastructure differs from commit 1 in these files.
fn push(cloud: &Cloud, n: u8, changes: &[(&str, &str)]) -> Trigger {
    push_with(cloud, n, samples::CONFIG, changes)
}

fn push_with(cloud: &Cloud, n: u8, config: &str, changes: &[(&str, &str)]) -> Trigger {
    let mut code: Vec<(&str, &str)> = CODE.to_vec();
    code.retain(|(path, _)| !changes.iter().any(|(changed, _)| changed == path));
    code.extend(changes);
    cloud.push_code(&samples::repository(), n, config, &code)
}

/// Returns the stacks of the forward leg, as `name state jobs`.
fn stacks(run: &Run) -> Vec<String> {
    let stacks = run.forward().stacks().iter();
    stacks
        .map(|stack| {
            let state = match stack.state() {
                StackState::Skipped { same_as } => format!("skipped {}", same_as.short()),
                StackState::Unchanged => "unchanged".to_owned(),
                StackState::Applied { .. } => "applied".to_owned(),
                StackState::Failed { .. } => "failed".to_owned(),
                other => format!("{other:?}"),
            };
            format!("{} {state} {}", stack.name(), stack.jobs())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_changes_code_only_starts_no_terraform_job() {
    let cloud = delivered().await;
    let jobs = cloud.batch.jobs();
    for (n, same_as) in [(2, "01010101"), (3, "02020202")] {
        let event = push(&cloud, n, &[]);
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        let skipped = |name: &str| format!("{name} skipped {same_as} 0");
        assert_eq!(stacks(&ended.run), [skipped("data"), skipped("app")]);
        // Each run has its own copy of the outputs, so they do not expire before last good.
        for outputs in ended.run.outputs().values() {
            assert!(
                outputs
                    .key
                    .starts_with(&ended.run.objects().unwrap().to_string())
            );
            assert!(cloud.artifacts.peek(&outputs.key).is_some());
        }
        let shown = cloud.forge.statuses().pop().unwrap().status.description;
        let expected = format!("Not planned, same as in {same_as}: data, app.");
        assert!(shown.contains(&expected), "{shown}");
    }
    assert_eq!(cloud.batch.jobs(), jobs);
}

#[tokio::test(start_paused = true)]
async fn a_changed_module_makes_the_stacks_that_use_it_plan() {
    let cloud = delivered().await;
    let event = push(&cloud, 2, &[("modules/net/main.tf", "# new\n")]);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(
        stacks(&ended.run),
        ["data skipped 01010101 0", "app applied 2"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_output_makes_the_stacks_that_need_it_plan() {
    let cloud = delivered().await;
    let other = [("infra/data/own.tf", "# output: second\n")];
    let event = push(&cloud, 2, &other);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(stacks(&ended.run), ["data applied 2", "app applied 2"]);

    // The stack changes, and its outputs do not.
    let more = [other[0], ("infra/data/more.tf", "locals {}\n")];
    let event = push(&cloud, 3, &more);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(
        stacks(&ended.run),
        ["data applied 2", "app skipped 02020202 0"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_asks_for_it_is_always_planned() {
    let cloud = delivered().await;
    let always = samples::CONFIG.replace(
        "dir: infra/data\n",
        "dir: infra/data\n    when_changed: always\n",
    );
    for n in [2, 3] {
        let event = push_with(&cloud, n, &always, &[]);
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert_eq!(stacks(&ended.run)[0], "data unchanged 1");
        assert!(stacks(&ended.run)[1].starts_with("app skipped"));
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_a_glob_adds_make_a_stack_plan() {
    let cloud = delivered().await;
    let globs = samples::CONFIG.replace(
        "dir: infra/data\n",
        "dir: infra/data\n    when_changed: [shared/**]\n",
    );
    let expected = [
        // The configuration of the stack changes with its globs.
        (2, "one", "data unchanged 1"),
        (3, "one", "data skipped 02020202 0"),
        (4, "two", "data unchanged 1"),
    ];
    for (n, text, expected) in expected {
        let event = push_with(&cloud, n, &globs, &[("shared/a/b.json", text)]);
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert_eq!(stacks(&ended.run)[0], expected);
    }
}

/// No one knows what a stopped apply did, nor what the operator repaired.
#[tokio::test(start_paused = true)]
async fn after_a_stopped_execution_every_stack_is_planned() {
    let cloud = delivered().await;
    cloud.order(Fault {
        state: "RunApply",
        trouble: Trouble::Stops,
        error: "States.TaskFailed",
        times: 1,
    });
    let event = push(&cloud, 2, &[("infra/data/more.tf", "locals {}\n")]);
    let ended = cloud.deliver(&event).await;
    assert_eq!(ended.run.outcome(), Outcome::NeedsOperator);
    cloud.table.change_environment(|environment| {
        assert!(environment.unfreeze(samples::now()).is_some());
    });
    let jobs = cloud.batch.jobs();
    let event = push(&cloud, 3, &[]);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert!(stacks(&ended.run).iter().all(|it| !it.contains("skipped")));
    assert!(cloud.batch.jobs() >= jobs + 2);
    // Then it is known again.
    let event = push(&cloud, 4, &[]);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert!(stacks(&ended.run).iter().all(|it| it.contains("skipped")));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_restores_what_was_planned_and_leaves_skipped_stacks_alone() {
    let cloud = delivered().await;
    let event = push(&cloud, 2, &[("modules/net/main.tf", "# new\n")]);
    cloud.batch.refuse(event.commit());
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    assert_eq!(
        stacks(&ended.run),
        ["data skipped 01010101 0", "app failed 2"]
    );
    let restored = ended.run.rollback().unwrap().stacks().iter();
    let restored: Vec<&str> = restored.map(|stack| stack.name().as_str()).collect();
    assert_eq!(restored, ["app"]);
    let touched = cloud.batch.applied();
    let touched = touched.iter().filter(|apply| apply.run == *ended.run.id());
    assert!(touched.clone().count() == 2);
    assert!(
        touched
            .clone()
            .all(|apply| apply.state.ends_with("/app.tfstate"))
    );

    // The environment is as last good left it, so nothing is planned.
    let event = push(&cloud, 3, &[]);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(
        stacks(&ended.run),
        ["data skipped 01010101 0", "app skipped 01010101 0"]
    );
}

/// The rollback would delete a table, so the changes of the failed apply stay.
#[tokio::test(start_paused = true)]
async fn after_a_refused_rollback_every_stack_is_planned() {
    let cloud = delivered().await;
    let table = [("infra/app/table.tf", "# protected\n")];
    let event = push(&cloud, 2, &table);
    cloud.batch.refuse(event.commit());
    let ended = deliver(&cloud, &event, Outcome::NeedsOperator).await;
    let outcome = ended.run.rollback_outcome();
    assert_eq!(outcome, Some(RollbackOutcome::RollbackRefused));
    assert_eq!(
        stacks(&ended.run),
        ["data skipped 01010101 0", "app failed 2"]
    );

    let event = push(&cloud, 3, &table);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(stacks(&ended.run), ["data unchanged 1", "app applied 2"]);
}

/// The rollback of a commit whose application is not healthy starts no Terraform job.
#[tokio::test(start_paused = true)]
async fn a_code_only_commit_that_fails_is_rolled_back_without_a_terraform_job() {
    let cloud = delivered().await;
    let jobs = cloud.batch.jobs();
    cloud.order(Fault {
        state: "CheckDeploy",
        trouble: Trouble::Fails,
        error: "States.TaskFailed",
        times: 1,
    });
    let event = push(&cloud, 2, &[]);
    let ended = deliver(&cloud, &event, Outcome::RolledBack).await;
    assert_eq!(ended.run.rollback().unwrap().stacks(), []);
    assert_eq!(cloud.batch.jobs(), jobs);
    let event = push(&cloud, 3, &[]);
    deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(cloud.batch.jobs(), jobs);
}

#[tokio::test(start_paused = true)]
async fn a_stack_whose_outputs_have_expired_is_planned() {
    let cloud = delivered().await;
    let good = cloud.environment().await.last_good().unwrap().clone();
    cloud
        .artifacts
        .remove(&good.outputs[&samples::stack("data")].key);
    let event = push(&cloud, 2, &[]);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(
        stacks(&ended.run),
        ["data unchanged 1", "app skipped 01010101 0"]
    );
}

/// Whatever happens to the step that decides.
#[tokio::test(start_paused = true)]
async fn a_skip_is_decided_once() {
    for trouble in [Trouble::Fails, Trouble::LosesReply, Trouble::RunsTwice] {
        let cloud = delivered().await;
        let jobs = cloud.batch.jobs();
        cloud.order(Fault {
            state: "SelectFirstStacks",
            trouble,
            error: "Lambda.Unknown",
            times: 1,
        });
        let event = push(&cloud, 2, &[]);
        let ended = deliver(&cloud, &event, Outcome::Applied).await;
        assert!(cloud.disarm().is_empty());
        assert!(stacks(&ended.run).iter().all(|it| it.contains("skipped")));
        assert_eq!(cloud.batch.jobs(), jobs);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
