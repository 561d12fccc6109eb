#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use crate::{
    AuditBranch, EventBus, IndexKey, ItemBody, ItemKey, Limited, Objects, Order, Probe, Registry,
    RolloutProgress, Secrets, Services, SourceFetcher, StatusQueue, Table, TaskRevision,
    TokenState, Tokens, Written, documents,
};
use domain::error::ErrorName;
use domain::ids::RepositoryKey;
use std::time::Duration;

fn key(sk: &str) -> ItemKey {
    ItemKey {
        pk: "RUN#one".into(),
        sk: sk.into(),
    }
}

fn body(doc: &str, place: &str) -> ItemBody {
    ItemBody {
        doc: doc.into(),
        index: Some(IndexKey {
            pk: "RUNS".into(),
            sk: place.into(),
        }),
        expires: None,
    }
}

fn throttled() -> StepError {
    StepError::new(ErrorName::AwsThrottled, "slow down")
}

#[tokio::test]
async fn items_are_written_only_under_their_conditions() {
    let table = FakeTable::new();
    assert_eq!(
        table.insert(&key("a"), &body("1", "1")).await.unwrap(),
        Written::Yes
    );
    assert_eq!(
        table.insert(&key("a"), &body("2", "1")).await.unwrap(),
        Written::No
    );
    assert_eq!(
        table.replace(&key("a"), &body("3", "1"), 2).await.unwrap(),
        Written::No
    );
    assert_eq!(
        table.replace(&key("a"), &body("4", "1"), 1).await.unwrap(),
        Written::Yes
    );
    assert_eq!(
        table.replace(&key("b"), &body("5", "1"), 1).await.unwrap(),
        Written::No
    );
    let found = table.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((found.doc.as_str(), found.version), ("4", 2));
}

#[tokio::test]
async fn the_index_lists_the_greatest_first() {
    let table = FakeTable::new();
    for n in ["1", "3", "2"] {
        table.insert(&key(n), &body(n, n)).await.unwrap();
    }
    let found = table.list("RUNS", 2).await.unwrap();
    let docs: Vec<_> = found.iter().map(|record| record.doc.as_str()).collect();
    assert_eq!(docs, ["3", "2"]);
    assert!(table.list("OTHER", 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_pages_of_the_index_hold_every_item_once() {
    let table = FakeTable::new();
    let expected: Vec<String> = (1..=7).map(|n| n.to_string()).collect();
    for n in &expected {
        table.insert(&key(n), &body(n, n)).await.unwrap();
    }
    for order in [Order::Ascending, Order::Descending] {
        let (mut docs, mut after) = (Vec::new(), None);
        loop {
            let page = table.page("RUNS", order, after.as_ref()).await.unwrap();
            docs.extend(page.items.into_iter().map(|item| item.doc));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if order == Order::Descending {
            docs.reverse();
        }
        assert_eq!(docs, expected, "{order:?}");
    }
}

#[tokio::test]
async fn a_race_is_met_by_the_next_write() {
    let table = FakeTable::new();
    let run = samples::sealed_run(1);
    documents::insert(&table, &run).await.unwrap();
    let (other, key) = (table.clone(), documents::run_key(run.id()));
    table.race_next_write(move || {
        let stands = other.peek(&key).unwrap();
        let body = ItemBody {
            doc: stands.doc.replace("octocat", "hubot"),
            index: None,
            expires: None,
        };
        other.overwrite(&key, &body);
    });
    documents::update_run(&table, run.id(), |run| Ok(run.promoted(samples::now())?))
        .await
        .unwrap();
    let after = documents::load_run(&table, run.id()).await.unwrap();
    assert_eq!(after.trigger().actor(), "hubot");
    assert!(after.promoted_at().is_some());
    assert_eq!(table.calls("replace"), 2);
}

#[tokio::test]
async fn a_lost_reply_leaves_the_effect_and_a_failure_leaves_nothing() {
    let objects = FakeObjects::new("bucket");
    objects.fail_next("put_if_absent", throttled(), 1);
    objects.lose_reply("put_if_absent", throttled(), 1);
    assert_eq!(
        objects.put_if_absent("k", b"1".to_vec()).await,
        Err(throttled())
    );
    assert_eq!(objects.peek("k"), None);
    assert_eq!(
        objects.put_if_absent("k", b"1".to_vec()).await,
        Err(throttled())
    );
    assert_eq!(
        objects.put_if_absent("k", b"2".to_vec()).await,
        Ok(Written::No)
    );
    assert_eq!(objects.get("k").await, Ok(Some(b"1".to_vec())));
    assert_eq!(objects.calls("put_if_absent"), 3);
}

#[test]
#[should_panic(expected = "no operation")]
fn a_misspelt_operation_fails_the_test() {
    FakeTable::new().fail_next("put", throttled(), 1);
}

#[tokio::test]
async fn clones_are_one_world() {
    let queue = FakeStatusQueue::new();
    queue.clone().send("run", "1", "a").await.unwrap();
    queue.send("run", "1", "again").await.unwrap();
    queue.send("run", "2", "b").await.unwrap();
    let bodies: Vec<_> = queue
        .messages()
        .into_iter()
        .map(|message| message.body)
        .collect();
    assert_eq!(bodies, ["a", "b"]);
    let bus = FakeEventBus::new();
    bus.clone()
        .publish("github.com", "push", "{}")
        .await
        .unwrap();
    assert_eq!(bus.events()[0].detail_type, "push");
}

#[tokio::test]
async fn a_wait_is_answered_once() {
    let tokens = FakeTokens::new();
    tokens.open("t");
    tokens.lose_reply("succeed", throttled(), 1);
    assert_eq!(tokens.succeed("t", "{}").await, Err(throttled()));
    assert_eq!(tokens.succeed("t", "{}").await, Ok(TokenState::Closed));
    let frozen = StepError::new(ErrorName::EnvironmentFrozen, "no");
    let fail = async |token: &str| tokens.fail(token, frozen.name, "no").await;
    assert_eq!(fail("t").await, Ok(TokenState::Closed));
    assert_eq!(tokens.outputs(), [("t".to_owned(), "{}".to_owned())]);
    assert!(tokens.errors().is_empty());
    tokens.open("u");
    assert_eq!(fail("u").await, Ok(TokenState::Open));
    assert_eq!(fail("u").await, Ok(TokenState::Closed));
    assert_eq!(tokens.errors(), [("u".to_owned(), frozen.clone())]);
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_refused() {
    let secrets = FakeSecrets::new();
    assert_eq!(
        secrets.get("arn").await.unwrap_err().name,
        ErrorName::AwsRefused
    );
    secrets.set("arn", "s");
    assert_eq!(secrets.get("arn").await.unwrap(), "s");
}

#[tokio::test]
async fn tags_are_immutable() {
    let registry = FakeRegistry::new();
    let (one, two) = (samples::image_digest(1), samples::image_digest(2));
    registry.push("r/shop", &one, &["a"]);
    registry.push("r/shop", &two, &[]);
    registry.tag("r/shop", &one, "b").await.unwrap();
    registry.tag("r/shop", &one, "b").await.unwrap();
    assert_eq!(registry.tags("r/shop", &one), ["a", "b"]);
    let refused = registry.tag("r/shop", &two, "b").await.unwrap_err();
    assert!(
        refused.message.contains("ImageTagAlreadyExists"),
        "{refused}"
    );
    assert!(registry.tag("r/other", &one, "b").await.is_err());
    assert_eq!(registry.find("r/shop", "b").await.unwrap(), Some(one));
    assert_eq!(registry.find("r/shop", "c").await.unwrap(), None);
}

#[tokio::test]
async fn a_rollout_goes_on_until_the_test_ends_it() {
    let services = FakeServices::new();
    let template = "arn:aws:ecs:eu-central-1:1:task-definition/shop:1";
    services.add_service("c", "s", template);
    let revision = TaskRevision {
        template: template.into(),
        container: "shop".into(),
        image: "r/shop@sha256:0".into(),
        environment: [("SLUICEGATE_COMMIT".to_owned(), "1".to_owned())].into(),
    };
    let arn = services.register(&revision).await.unwrap();
    assert_eq!(services.revisions(), [(arn.clone(), revision)]);
    services.update("c", "s", &arn, Some(2)).await.unwrap();
    services.update("c", "s", &arn, Some(2)).await.unwrap();
    let state = services.describe("c", "s").await.unwrap();
    assert_eq!(state.rollouts.len(), 2);
    assert_eq!(state.rollouts[0].progress, RolloutProgress::InProgress);
    services.finish_rollout("c", "s");
    let state = services.describe("c", "s").await.unwrap();
    assert_eq!((state.rollouts.len(), state.rollouts[0].running), (1, 2));
    services.update("c", "s", template, Some(2)).await.unwrap();
    services.fail_rollout_and_roll_back("c", "s", "tasks failed to start");
    let state = services.describe("c", "s").await.unwrap();
    assert_eq!(state.task_definition, arn);
    assert_eq!(state.rollouts[1].progress, RolloutProgress::Failed);
    assert!(
        services
            .update("c", "s", "arn:unknown", Some(1))
            .await
            .is_err()
    );
    assert!(services.describe("c", "other").await.is_err());
}

#[tokio::test]
async fn an_address_answers_what_was_set() {
    let probe = FakeProbe::new();
    let ask = |url: &'static str| {
        let probe = probe.clone();
        async move { probe.get(url, Duration::from_secs(1)).await }
    };
    assert!(ask("http://a/").await.unwrap_err().contains("refused"));
    probe.answer("http://a/", 200, "ok");
    assert_eq!(ask("http://a/").await.unwrap().status, 200);
    probe.silence("http://a/", "no answer in 1 s");
    assert_eq!(ask("http://a/").await.unwrap_err(), "no answer in 1 s");
    assert_eq!(probe.asked().len(), 3);
}

#[tokio::test]
async fn the_audit_branch_takes_a_file_once() {
    let forge = FakeForge::new();
    let repository = samples::repository();
    assert_eq!(forge.newest(&repository, 99).await.unwrap(), None);
    let file = |n: u64| crate::AuditFile {
        path: format!("runs/{n:08}-shop-0a1b2c3-d4e5f6.json"),
        bytes: vec![1],
        message: format!("run {n}"),
        at: samples::now(),
    };
    forge
        .append(&repository, &[file(1), file(2)])
        .await
        .unwrap();
    forge
        .append(&repository, &[file(2), file(3)])
        .await
        .unwrap();
    assert_eq!(forge.audit_commits(repository.key).len(), 3);
    assert_eq!(forge.newest(&repository, 99).await.unwrap(), Some(3));
    forge.set_unreachable(true);
    let error = forge.append(&repository, &[file(4)]).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ForgeUnavailable);
    assert_eq!(forge.audit_files(repository.key).len(), 3);
}

#[tokio::test]
async fn a_commit_is_found_in_its_own_repository() {
    let forge = FakeForge::new();
    let mut repository = samples::repository();
    forge.push(repository.key, samples::snapshot(1));
    assert!(forge.fetch(&repository, &samples::commit(1)).await.is_ok());
    repository.key = RepositoryKey::github(7);
    let error = forge
        .fetch(&repository, &samples::commit(1))
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound);
}

#[tokio::test]
async fn an_object_beyond_the_limit_is_not_read() {
    let objects = FakeObjects::new("one");
    objects.set("key", "12345");
    let read = async |limit| objects.get_limited("key", limit).await;
    assert_eq!(read(4).await, Ok(Some(Limited::TooLarge)));
    let whole = Limited::Whole(b"12345".to_vec());
    assert_eq!(read(5).await, Ok(Some(whole)));
    assert_eq!(objects.get_limited("other", 5).await, Ok(None));
}

#[test]
fn the_clock_moves_only_when_it_is_set() {
    let clock = FakeClock::default();
    clock.clone().advance(60);
    assert_eq!(clock.now().as_second() - samples::now().as_second(), 60);
    assert_eq!(samples::now().to_string(), "2026-03-01T12:00:00Z");
}

#[test]
fn the_samples_fit_each_other() {
    let run = samples::sealed_run(1);
    assert_eq!(run.id(), &samples::push_event(1).run_id());
    assert_eq!(run.forward().stacks().len(), 2);
    let last = samples::last_good(1);
    assert_eq!(last.outputs.len(), 2);
    let snapshot = samples::snapshot(1);
    let tree = snapshot.trees.get(&config_context()).cloned();
    assert_eq!(samples::source(1).build_tree, tree);
    assert!(snapshot.files.is_sorted_by(|a, b| a.path <= b.path));
}

fn config_context() -> String {
    samples::config().build.unwrap().context
}
