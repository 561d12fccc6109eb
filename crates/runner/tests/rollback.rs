//! Rollbacks with the real Terraform: what existed before a run is the same object afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod common;

use common::story::{FAILS, Objects, Story, data, forget, import, moved};
use common::{LOCK, failure, provider_mirror, repository};
use domain::error::ErrorName;
use domain::job::{JobOutcome, Undo, Verb};
use domain::plan::{Extent, Origin, PlanKind, ResourceChange, Verdict};
use serde_json::Value;

/// The lock file of a sample, which pins the AWS provider.
const PINNED: &str = include_str!("../../../examples/shop/infra/data/.terraform.lock.hcl");

#[tokio::test]
async fn an_object_that_a_failed_commit_imported_leaves_the_state_and_stays() {
    let Some(story) = Story::new() else { return };
    let good = data("own");
    story.deliver(&good).await;
    let before = story.objects();
    let bad =
        good.clone() + &data("adopted") + &import("terraform_data.adopted", "by-hand") + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    assert_eq!(story.objects()["adopted"], "by-hand");

    let back = story.roll_back(&good, undo).await;
    assert_eq!((back.made().import, back.summary.counts().forget), (1, 1));
    // Only the resource whose creation failed is deleted.
    assert_eq!(back.summary.counts().delete, 1);
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn a_move_of_a_failed_commit_is_undone_by_a_move() {
    let Some(story) = Story::new() else { return };
    let good = data("old");
    story.deliver(&good).await;
    let before = story.objects();
    let bad = data("new") + &moved("terraform_data.old", "terraform_data.new") + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    assert_eq!(story.objects()["new"], before["old"]);

    let back = story.roll_back(&good, undo).await;
    assert_eq!((back.made().moved, back.summary.counts().moved), (1, 1));
    assert_eq!(back.summary.counts().create, 0);
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn a_resource_that_a_failed_commit_removed_from_the_state_is_imported_again() {
    let Some(story) = Story::new() else { return };
    let good = data("kept") + &data("own");
    story.deliver(&good).await;
    let before = story.objects();
    let undo = story
        .fail(&repository(
            &(data("own") + &forget("terraform_data.kept") + FAILS),
        ))
        .await;
    assert!(!story.objects().contains_key("kept"));

    let back = story.roll_back(&good, undo).await;
    let counts = back.summary.counts();
    assert_eq!(
        (back.made().forget, counts.import, counts.create),
        (1, 1, 0)
    );
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn an_import_block_of_the_last_good_commit_imports_the_resource_again() {
    let Some(story) = Story::new() else { return };
    let good = data("kept") + &import("terraform_data.kept", "by-hand");
    story.deliver(&good).await;
    let before = story.objects();
    let bad = forget("terraform_data.kept").trim_start().to_owned() + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    story.roll_back(&good, undo).await;
    assert_eq!(story.objects(), before);
}

/// The `import` block stayed in the file after another object had taken the address.
#[tokio::test]
async fn a_removed_resource_is_imported_by_its_own_id_and_not_by_that_of_an_old_import_block() {
    let Some(story) = Story::new() else { return };
    story.deliver(&data("kept")).await;
    let before = story.objects();
    let good = data("kept") + &import("terraform_data.kept", "another-object");
    story.deliver(&good).await;
    assert_eq!(story.objects(), before);
    let bad = forget("terraform_data.kept").trim_start().to_owned() + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    let back = story.roll_back(&good, undo).await;
    assert_eq!(back.summary.counts().import, 1);
    assert_eq!(story.objects(), before);
}

/// The object that the block imported is deleted, so it is made again and not imported.
#[tokio::test]
async fn a_deleted_resource_is_created_again_although_the_last_good_commit_imported_it() {
    let Some(story) = Story::new() else { return };
    let good = data("gone") + &import("terraform_data.gone", "by-hand");
    story.deliver(&good).await;
    let undo = story.fail(&repository(FAILS.trim_start())).await;
    assert!(!story.objects().contains_key("gone"));
    let back = story.roll_back(&good, undo).await;
    let counts = back.summary.counts();
    assert_eq!((counts.create, counts.import), (1, 0));
    assert_ne!(story.objects()["gone"], "by-hand");
}

#[tokio::test]
async fn a_removed_resource_of_an_unknown_type_refuses_the_rollback_and_is_named() {
    let Some(story) = Story::new() else { return };
    let good = data("kept") + &data("own");
    story.deliver(&good).await;
    let bad = data("own") + &forget("terraform_data.kept") + FAILS;
    let mut undo = story.fail(&repository(&bad)).await;
    let shown = story.bench.objects.peek(&undo.applied.json.key).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    let shown = shown.replace("\"type\":\"terraform_data\"", "\"type\":\"aws_instance\"");
    undo.applied.json = story.bench.put("plans/other.json", shown.as_bytes());
    let mut spec = story.spec(Verb::Plan, &repository(&good));
    let serial = undo.applied.state.serial;
    spec.undo = Some(undo);
    let outcome = story.bench.end_of(&spec).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanRefused);
    assert!(
        message.contains("removed terraform_data.kept from the state"),
        "{message}"
    );
    assert!(
        message.contains(&format!("serial {serial}, lineage ")),
        "{message}"
    );
}

/// Keys of `for_each` with characters that Terraform escapes, in one commit with an import.
#[tokio::test]
async fn moves_and_imports_of_instances_in_one_commit_are_undone() {
    let Some(story) = Story::new() else { return };
    let many = |name: &str, keys: &str| {
        format!(
            "resource \"terraform_data\" \"{name}\" {{\n  for_each = toset([{keys}])\n  input    = each.key\n}}\n"
        )
    };
    let odd = r#""a", "b $${x} \"é\\""#;
    let good = many("old", odd) + &many("pool", "\"own\"");
    story.deliver(&good).await;
    let before = story.objects();
    let bad = many("new", odd)
        + &many("pool", r#""own", "k/ö\"""#)
        + &moved("terraform_data.old", "terraform_data.new")
        + &import(r#"terraform_data.pool["k/ö\""]"#, "by-hand")
        + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    assert_eq!(story.objects()["pool \"k/ö\\\"\""], "by-hand");

    let back = story.roll_back(&good, undo).await;
    assert_eq!((back.made().moved, back.made().import), (2, 1));
    let counts = back.summary.counts();
    assert_eq!((counts.moved, counts.forget, counts.create), (3, 1, 0));
    assert_eq!(story.objects(), before);
}

/// Returns a repository whose stack calls a module under this name.
fn with_module<'a>(main: &'a str, module: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut files = repository(main);
    files.push(("infra/modules/part/main.tf", module));
    files
}

#[tokio::test]
async fn the_move_of_a_module_is_undone_for_everything_in_it() {
    let Some(story) = Story::new() else { return };
    let part = "resource \"terraform_data\" \"in\" {\n  count = 2\n}\n";
    let call = |name: &str| format!("module \"{name}\" {{\n  source = \"../modules/part\"\n}}\n");
    let good = call("old");
    let (_, ended) = story.apply(&with_module(&good, part)).await;
    assert!(matches!(ended, JobOutcome::Applied { .. }), "{ended:?}");
    let before = story.objects();
    let bad = call("new") + &moved("module.old", "module.new") + FAILS;
    let undo = story.fail(&with_module(&bad, part)).await;

    let back = story.plan_back(&with_module(&good, part), undo).await;
    story.finish(&back).await;
    assert_eq!((back.made().moved, back.summary.counts().moved), (2, 2));
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn what_was_moved_and_updated_or_imported_and_updated_is_both() {
    let Some(story) = Story::new() else { return };
    let input = |name: &str, value: &str| {
        format!("resource \"terraform_data\" \"{name}\" {{\n  input = \"{value}\"\n}}\n")
    };
    let good = input("old", "one");
    story.deliver(&good).await;
    let before = story.objects();
    let bad = input("new", "two")
        + &input("adopted", "three")
        + &moved("terraform_data.old", "terraform_data.new")
        + &import("terraform_data.adopted", "by-hand")
        + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    let back = story.roll_back(&good, undo).await;
    let made = back.made();
    assert_eq!((made.moved, made.import, made.update), (1, 1, 2));
    let counts = back.summary.counts();
    assert_eq!((counts.moved, counts.update, counts.forget), (2, 1, 1));
    assert_eq!(story.objects(), before);
}

/// The apply succeeded; a rollout or another stack failed later.
#[tokio::test]
async fn a_commit_that_failed_after_its_apply_is_undone_the_same_way() {
    let Some(story) = Story::new() else { return };
    let good = data("old") + &data("kept") + &data("gone");
    story.deliver(&good).await;
    let before = story.objects();
    let bad = data("new")
        + &data("adopted")
        + &data("made")
        + &moved("terraform_data.old", "terraform_data.new")
        + &import("terraform_data.adopted", "by-hand")
        + &forget("terraform_data.kept");
    let files = repository(&bad);
    let (planned, ended) = story.apply(&files).await;
    assert!(matches!(ended, JobOutcome::Applied { .. }), "{ended:?}");
    let summary = story.bench.summary(&planned);
    let counts = summary.counts();
    assert_eq!((counts.moved, counts.import, counts.forget), (1, 1, 1));
    let undo = story.undo_of(&planned, Extent::Whole, &files);

    let back = story.roll_back(&good, undo).await;
    assert_eq!(&back.made, &summary.changes);
    let counts = back.summary.counts();
    // The deleted resource is created again, as a new object.
    assert_eq!((counts.create, counts.delete), (1, 1));
    let after = story.objects();
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    for (address, id) in before.iter().filter(|(address, _)| *address != "gone") {
        assert_eq!(&after[address], id, "{address}");
    }
}

#[tokio::test]
async fn what_a_killed_terraform_did_is_found_in_the_state() {
    let Some(story) = Story::new() else { return };
    let good = data("old");
    story.deliver(&good).await;
    let before = story.objects();
    let killed = "\nresource \"terraform_data\" \"last\" {\n  depends_on = [terraform_data.made]\n\n  \
                  provisioner \"local-exec\" {\n    command = \"kill -9 $PPID\"\n  }\n}\n";
    let bad = data("new")
        + &data("made")
        + &data("adopted")
        + &moved("terraform_data.old", "terraform_data.new")
        + &import("terraform_data.adopted", "by-hand")
        + killed;
    let (planned, ended) = story.apply(&repository(&bad)).await;
    assert_eq!(failure(&ended).0, ErrorName::Interrupted);
    let undo = story.undo_of(&planned, Extent::Unknown, &repository(&bad));
    let back = story.roll_back(&good, undo).await;
    let made = back.made();
    assert_eq!((made.moved, made.import), (1, 1));
    assert!(made.create >= 1, "{made:?}");
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn a_rename_after_an_earlier_rename_is_undone_through_the_moved_block_of_the_last_good_commit()
 {
    let Some(story) = Story::new() else { return };
    story.deliver(&data("first")).await;
    let good = data("second") + &moved("terraform_data.first", "terraform_data.second");
    story.deliver(&good).await;
    let before = story.objects();
    let third = data("third")
        + &moved("terraform_data.first", "terraform_data.second")
        + &moved("terraform_data.second", "terraform_data.third")
        + FAILS;
    let undo = story.fail(&repository(&third)).await;
    story.roll_back(&good, undo).await;
    assert_eq!(story.objects(), before);

    // A commit that takes the rename back.
    let again = data("first") + &moved("terraform_data.second", "terraform_data.first") + FAILS;
    let undo = story.fail(&repository(&again)).await;
    story.roll_back(&good, undo).await;
    assert_eq!(story.objects(), before);
}

#[tokio::test]
async fn a_rollback_that_would_replace_what_existed_before_is_refused_with_its_address() {
    let Some(story) = Story::new() else { return };
    let good = "resource \"terraform_data\" \"own\" {\n  triggers_replace = \"one\"\n}\n";
    story.deliver(good).await;
    // The run changes nothing of it, but the last good source differs from the state.
    let files = repository(good);
    let undo = story.fail(&repository(&(good.to_owned() + FAILS))).await;
    let drifted = good.replace("one", "two");
    let back = story.plan_back(&repository(&drifted), undo.clone()).await;
    let refused = back.verdict().unwrap_err();
    assert_eq!(
        refused,
        "replace terraform_data.own, which existed before the run"
    );
    let back = story.plan_back(&files, undo).await;
    assert_eq!(back.verdict(), Ok(Verdict::Auto));
}

#[tokio::test]
async fn a_resource_that_was_replaced_is_replaced_again() {
    let Some(story) = Story::new() else { return };
    let own = |value: &str| {
        format!("resource \"terraform_data\" \"own\" {{\n  triggers_replace = \"{value}\"\n}}\n")
    };
    story.deliver(&own("one")).await;
    let failing = FAILS.replace(
        "{\n  provisioner",
        "{\n  depends_on = [terraform_data.own]\n  provisioner",
    );
    let undo = story.fail(&repository(&(own("two") + &failing))).await;
    let back = story.roll_back(&own("one"), undo).await;
    assert_eq!((back.made().replace, back.summary.counts().replace), (1, 1));
}

/// A new stack is destroyed by its rollback, but not what it imported.
#[tokio::test]
async fn a_new_stack_that_imported_something_is_not_destroyed() {
    let Some(story) = Story::new() else { return };
    let new =
        data("made") + &data("adopted") + &import("terraform_data.adopted", "by-hand") + FAILS;
    let files = repository(&new);
    let undo = story.fail(&files).await;
    assert_eq!(undo.applied.state.resources, domain::plan::Resources::None);
    let back = story.plan_back_as(&files, undo, PlanKind::Destroy).await;
    let refused = back.verdict().unwrap_err();
    assert_eq!(
        refused,
        "delete terraform_data.adopted, which existed before the run"
    );
    let imported = |change: &&ResourceChange| change.origin == Some(Origin::Imported);
    assert_eq!(back.made.iter().filter(imported).count(), 1);
}

#[tokio::test]
async fn a_new_stack_is_destroyed_whole() {
    let Some(story) = Story::new() else { return };
    let files = repository(FAILS);
    let undo = story.fail(&files).await;
    let back = story.plan_back_as(&files, undo, PlanKind::Destroy).await;
    story.finish(&back).await;
    assert_eq!(story.objects(), Objects::new());
}

/// The last good commit has a resource that was not in the state, and the failed one imported it.
#[tokio::test]
async fn an_import_that_terraform_cannot_undo_refuses_the_rollback() {
    let Some(story) = Story::new() else { return };
    story.deliver(&data("other")).await;
    let good = data("other") + &data("own");
    let bad = good.clone() + &import("terraform_data.own", "by-hand") + FAILS;
    let undo = story.fail(&repository(&bad)).await;
    let mut spec = story.spec(Verb::Plan, &repository(&good));
    spec.undo = Some(undo);
    let outcome = story.bench.end_of(&spec).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanRefused);
    assert!(message.contains("Moved object still exists"), "{message}");
    assert_eq!(story.objects()["own"], "by-hand");
}

/// The failed commit uses the AWS provider, which the last good commit does not. Returns what its
/// rollback undoes.
async fn with_a_provider(story: &mut Story) -> Option<Undo> {
    story.bench.mirror = Some(provider_mirror()?);
    story.deliver(&data("own")).await;
    let bad = data("own")
        + r#"
provider "aws" {
  region                      = "eu-west-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

data "aws_iam_policy_document" "own" {
  statement {
    actions   = ["s3:*"]
    resources = ["*"]
  }
}

resource "terraform_data" "policy" {
  input = data.aws_iam_policy_document.own.json
}
"# + &FAILS.replace(
        "{\n  provisioner",
        "{\n  depends_on = [terraform_data.policy]\n\n  provisioner",
    );
    let mut files = repository(&bad);
    files.retain(|(path, _)| *path != LOCK);
    files.push((LOCK, PINNED));
    Some(story.fail(&files).await)
}

#[tokio::test]
async fn the_lock_file_is_completed_with_the_providers_that_the_state_uses() {
    let Some(mut story) = Story::new() else {
        return;
    };
    let Some(undo) = with_a_provider(&mut story).await else {
        return;
    };
    let back = story.roll_back(&data("own"), undo).await;
    assert_eq!((back.made().create, back.summary.counts().delete), (2, 2));
    assert_eq!(story.objects().into_keys().collect::<Vec<_>>(), ["own"]);
}

#[tokio::test]
async fn a_provider_block_that_the_last_good_commit_lacks_refuses_the_rollback_and_is_named() {
    let Some(mut story) = Story::new() else {
        return;
    };
    let Some(undo) = with_a_provider(&mut story).await else {
        return;
    };
    // As if the run had made a topic in another region.
    let state = std::fs::read(story.bench.state_path()).unwrap();
    let mut state: Value = serde_json::from_slice(&state).unwrap();
    let topic = serde_json::json!({
        "mode": "managed", "type": "aws_sns_topic", "name": "made",
        "provider": "provider[\"registry.terraform.io/hashicorp/aws\"].other",
        "instances": [{"schema_version": 0, "attributes": {"id": "arn"}}],
    });
    state["resources"].as_array_mut().unwrap().push(topic);
    std::fs::write(story.bench.state_path(), state.to_string()).unwrap();
    let mut spec = story.spec(Verb::Plan, &repository(&data("own")));
    spec.undo = Some(undo);
    let outcome = story.bench.end_of(&spec).await;
    let (name, message) = failure(&outcome);
    assert_eq!(name, ErrorName::PlanRefused);
    assert!(
        message.contains("Provider configuration not present"),
        "{message}"
    );
    assert!(message.contains("hashicorp/aws\"].other"), "{message}");
}
