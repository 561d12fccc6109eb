//! Stacks of the last good commit that the configuration removes or renames.

use super::*;

const DATA: &str = "  - name: data\n    dir: infra/data\n";
const NEEDS: &str = "    needs: [data]\n";

/// Returns a forge with commit 1, whose configuration has these changes, and an environment in which
/// another commit with the usual configuration is last good.
fn changed(changes: &[(&str, &str)]) -> Scene {
    let world = scene();
    world.table.deliver(&samples::last_good(9));
    let mut text = samples::CONFIG.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let key = samples::repository().key;
    world.forge.push(key, replace_config(&text));
    world
}

/// Returns the name and the text of the error, without the last good commit.
async fn refused(world: &Scene) -> String {
    let error = world.claim().await.unwrap_err();
    assert!(world.artifacts.keys().is_empty(), "nothing is sealed");
    error.to_string().replace("09090909", "COMMIT")
}

#[tokio::test]
async fn a_stack_that_left_the_file_needs_a_decision() {
    let world = changed(&[(DATA, ""), (NEEDS, "")]);
    insta::assert_snapshot!(refused(&world).await);
}

#[tokio::test]
async fn another_name_for_the_same_directory_is_probably_a_rename() {
    let world = changed(&[("name: data", "name: database"), ("[data]", "[database]")]);
    insta::assert_snapshot!(refused(&world).await);
}

#[tokio::test]
async fn a_rename_stays_in_the_file() {
    let rename = "name: database\n    renamed_from: data";
    let world = changed(&[("name: data", rename), ("[data]", "[database]")]);
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
    let good = samples::last_good(9);
    let renamed = world.stored().config().unwrap().clone();
    assert_eq!(renamed.stacks[0].state(), &samples::stack("data"));

    let world = changed(&[("name: data", "name: database"), ("[data]", "[database]")]);
    world.table.change_environment(|environment| {
        *environment = domain::environment::Environment::new(
            environment.repository(),
            environment.name().clone(),
        );
    });
    world.table.deliver(&domain::environment::LastGood {
        config: renamed,
        ..good
    });
    insta::assert_snapshot!(refused(&world).await);
}

#[tokio::test]
async fn every_stack_and_every_other_problem_is_named_at_once() {
    let world = changed(&[
        (DATA, ""),
        ("  - name: app\n    dir: infra/app\n    needs: [data]\n", ""),
        ("stacks:\n", ""),
        (
            "deploy:\n  target: ecs\n  stack: app\n  container: shop\n  count: 2\n  health: { path: /health, timeout_seconds: 300 }\n  version: { path: /version }\n",
            "",
        ),
        ("context: app", "context: none"),
    ]);
    let text = refused(&world).await;
    assert!(text.starts_with("SourceRefused: "), "{text}");
    for part in ["CF022", "`data: destroy`", "`app: destroy`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("does not know the last good one"), "{text}");
}

#[tokio::test]
async fn a_decision_lets_the_commit_pass() {
    for decision in ["destroy", "keep"] {
        let removed = format!("removed: {{ data: {decision} }}\nbuild:\n");
        let world = changed(&[(DATA, ""), (NEEDS, ""), ("build:\n", &removed)]);
        assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
        // The stacks are destroyed by the run that holds the environment.
        assert_eq!(world.stored().forward().stacks().len(), 1);
    }
}

/// Returns a forge with commit 1, whose configuration does this with stack `data`, which the last good
/// commit has removed with `keep`.
fn kept_before(decision: &str) -> Scene {
    let removed = |what: &str| format!("removed: {{ data: {what} }}\nbuild:\n");
    let (now, before) = (removed(decision), removed("keep"));
    let world = changed(&[(DATA, ""), (NEEDS, ""), ("build:\n", &now)]);
    let text = samples::CONFIG.replace(DATA, "").replace(NEEDS, "");
    let text = text.replace("build:\n", &before);
    world.table.change_environment(|environment| {
        *environment = domain::environment::Environment::new(
            environment.repository(),
            environment.name().clone(),
        );
    });
    world.table.deliver(&domain::environment::LastGood {
        config: domain::config::parse(text.as_bytes()).unwrap(),
        ..samples::last_good(9)
    });
    world
}

#[tokio::test]
async fn a_stack_that_was_kept_cannot_be_destroyed_before_it_is_put_back() {
    insta::assert_snapshot!(refused(&kept_before("destroy")).await);
    let world = kept_before("keep");
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
}

#[tokio::test]
async fn a_name_that_is_given_to_another_stack_leaves_its_first_state_without_a_stack() {
    let world = changed(&[
        (DATA, ""),
        (NEEDS, ""),
        ("  - name: app\n", "  - name: data\n    renamed_from: app\n"),
        ("stack: app", "stack: data"),
    ]);
    insta::assert_snapshot!(refused(&world).await);
}

#[tokio::test]
async fn a_first_delivery_has_nothing_to_compare_with() {
    let world = changed(&[(DATA, ""), (NEEDS, "")]);
    world.table.change_environment(|environment| {
        *environment = domain::environment::Environment::new(
            environment.repository(),
            environment.name().clone(),
        );
    });
    assert_eq!(world.claim().await.unwrap(), ClaimVerdict::Accepted);
}
