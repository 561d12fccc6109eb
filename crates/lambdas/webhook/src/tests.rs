#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::event::Trigger;
use domain::ids::{RepositoryKey, RepositoryName};
use engine::fakes::{FakeClock, FakeEnrolments, FakeEventBus, FakeSecrets, FakeTable, samples};
use forge::github::webhook::{
    DELIVERY_HEADER, EVENT_HEADER, GitHubWebhook, SIGNATURE_HEADER, sign,
};
use forge::webhook::Keys;
use jiff::SignedDuration;
use serde_json::{Value, json};

mod properties;

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:webhook";
const NEIGHBORS_ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:neighbor";
const GUID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";

struct World {
    table: FakeTable,
    bus: FakeEventBus,
    secrets: FakeSecrets,
    clock: FakeClock,
    webhook: Webhook,
}

/// The repository `acme/shop`.
fn enrolled() -> EnrolledRepository {
    EnrolledRepository {
        webhook_secret: ARN.into(),
        ..samples::repository()
    }
}

/// Another repository, with a key of its own.
fn neighbor() -> EnrolledRepository {
    EnrolledRepository {
        key: RepositoryKey::github(43),
        full_name: RepositoryName::parse("acme/billing").unwrap(),
        webhook_secret: NEIGHBORS_ARN.into(),
        ..samples::repository()
    }
}

fn key(n: u8) -> String {
    format!("{n:02}").repeat(16)
}

fn secret(n: u8) -> String {
    json!({"current": key(n)}).to_string()
}

fn world() -> World {
    let (table, bus) = (FakeTable::new(), FakeEventBus::new());
    let (secrets, clock) = (FakeSecrets::new(), FakeClock::default());
    secrets.set(ARN, &secret(1));
    secrets.set(NEIGHBORS_ARN, &secret(3));
    let webhook = Webhook::new(
        Arc::new(GitHubWebhook),
        Arc::new(table.clone()),
        Arc::new(bus.clone()),
        Arc::new(secrets.clone()),
        Arc::new(FakeEnrolments::of([enrolled(), neighbor()])),
        Arc::new(clock.clone()),
    );
    World {
        table,
        bus,
        secrets,
        clock,
        webhook,
    }
}

fn payload() -> Value {
    json!({
        "ref": "refs/heads/main",
        "before": "0".repeat(40),
        "after": samples::commit(1).as_str(),
        "deleted": false,
        "repository": {"id": 42, "full_name": "acme/shop"},
        "pusher": {"name": "octocat"},
    })
}

fn set(path: &str, value: Value) -> Value {
    let mut payload = payload();
    *payload.pointer_mut(path).unwrap() = value;
    payload
}

/// A request as GitHub makes it, its signature made by key `n`.
fn signed_by(n: u8, body: impl Into<Vec<u8>>) -> HttpRequest {
    let body = body.into();
    let signature = sign(&Keys::parse(&secret(n)).unwrap(), &body);
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "GitHub-Hookshot/044aadd"),
        (EVENT_HEADER, "push"),
        (DELIVERY_HEADER, GUID),
        (SIGNATURE_HEADER, &signature),
    ];
    HttpRequest {
        method: "POST".into(),
        path: "/".into(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: Ok(body),
    }
}

fn signed(body: impl Into<Vec<u8>>) -> HttpRequest {
    signed_by(1, body)
}

fn push() -> HttpRequest {
    signed(payload().to_string())
}

/// Changes of a request's headers.
trait Headers {
    fn with(self, name: &str, value: &str) -> Self;
    fn without(self, name: &str) -> Self;
}

impl Headers for HttpRequest {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }
    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }
}

fn down() -> StepError {
    StepError::new(ErrorName::AwsUnavailable, "503")
}

#[tokio::test]
async fn a_push_is_dispatched_before_it_is_answered() {
    let world = world();
    let answer = world.webhook.answer(push()).await;
    let event: Trigger = {
        let published = world.bus.events();
        assert_eq!(published.len(), 1);
        assert_eq!(published[0].source, "github.com");
        assert_eq!(published[0].detail_type, "push");
        serde_json::from_str(&published[0].detail).unwrap()
    };
    assert_eq!(answer.status, 202);
    assert_eq!(answer.body, format!("dispatched: run {}", event.run_id()));
    assert_eq!(event.commit(), &samples::commit(1));
    assert_eq!(event.actor(), "octocat");
    assert_eq!(event.received_at(), samples::now());
    let record = &world.table.keys()[0];
    assert_eq!(record.pk, format!("DELIVERY#{GUID}"));
    assert_eq!(
        world.table.expires(record),
        Some(samples::now() + SignedDuration::from_hours(720))
    );
}

/// A branch that goes to a commit, back, and to it again is pushed three times: the first and the
/// third push name the same commits. GitHub's redelivery of one has its time.
#[tokio::test]
async fn the_time_of_a_push_makes_it_another_run() {
    let mut runs = Vec::new();
    for pushed_at in [
        json!(1_772_366_400),
        json!(1_772_366_461),
        json!("2026-03-01T12:00:00Z"),
        json!("soon"),
        json!(null),
    ] {
        let world = world();
        let mut payload = payload();
        payload["repository"]["pushed_at"] = pushed_at;
        let answer = world.webhook.answer(signed(payload.to_string())).await;
        assert_eq!(answer.status, 202);
        let event: Trigger = serde_json::from_str(&world.bus.events()[0].detail).unwrap();
        runs.push(event.run_id());
    }
    assert_ne!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2], "the same second, as a text");
    assert_eq!(runs[3], runs[4], "no time");
}

/// Every bad input: what is sent, the status, and what the caller reads.
fn bad_inputs() -> Vec<(&'static str, HttpRequest, u16, &'static str)> {
    let good = push();
    let signature = good.headers[SIGNATURE_HEADER].clone();
    let json = |value: Value| signed(value.to_string());
    let event = |name: &str| push().with(EVENT_HEADER, name);
    let mut undecodable = push();
    undecodable.body = Err("not base64".into());
    let mut changed = push();
    changed.body = Ok(payload().to_string().replace("octocat", "octodog").into());
    let mut put = push();
    put.method = "PUT".into();
    let mut get = push();
    get.method = "GET".into();
    let mut path = push();
    path.path = "/admin".into();
    let twice = r#"{"repository":{"id":42},"after":"1","after":"2"}"#;
    vec![
        ("B1", push().without(SIGNATURE_HEADER), 401, "unauthorized"),
        (
            "B2",
            push()
                .without(SIGNATURE_HEADER)
                .with("x-hub-signature", "sha1=00"),
            401,
            "unauthorized",
        ),
        (
            "B3",
            push().with(SIGNATURE_HEADER, &signature[..70]),
            401,
            "unauthorized",
        ),
        (
            "B3",
            push().with(SIGNATURE_HEADER, &format!("sha256={}", "g".repeat(64))),
            401,
            "unauthorized",
        ),
        (
            "B3",
            push().with(SIGNATURE_HEADER, &format!("{signature}{}", &signature[7..])),
            401,
            "unauthorized",
        ),
        ("B4", changed, 401, "unauthorized"),
        (
            "B4",
            signed_by(2, payload().to_string()),
            401,
            "unauthorized",
        ),
        (
            "B5",
            push().with(SIGNATURE_HEADER, &format!("{signature}, {signature}")),
            401,
            "unauthorized",
        ),
        ("B6", undecodable, 400, "bad request"),
        ("B7", signed(""), 400, "WH107 the body names no repository"),
        (
            "B8",
            signed(vec![b' '; BODY_LIMIT + 1]),
            413,
            "WH111 body is 5242881 bytes, limit 5242880",
        ),
        (
            "B9",
            push().with("content-type", "application/x-www-form-urlencoded"),
            415,
            "WH112",
        ),
        ("B9", push().without("content-type"), 415, "WH112"),
        ("B10", push().with("content-encoding", "gzip"), 415, "WH113"),
        ("B11", signed("{"), 400, "WH107"),
        ("B11", signed(b"{\"a\":\"\xff\"}".as_slice()), 400, "WH107"),
        ("B11", signed("{\"a\":NaN}"), 400, "WH107"),
        ("B11", signed(format!("{} x", payload())), 400, "WH107"),
        (
            "B12",
            signed(format!(
                r#"{{"repository":{{"id":42}},"a":{}{}}}"#,
                "[".repeat(65),
                "]".repeat(65)
            )),
            400,
            "WH115",
        ),
        ("B13", signed(twice), 400, "WH116 duplicate key \"after\""),
        ("B14", push().without(DELIVERY_HEADER), 400, "WH117"),
        ("B14", push().with(DELIVERY_HEADER, "../../x"), 400, "WH117"),
        ("B15", event("star"), 202, "WH200 ignored: event \"star\""),
        ("B15", event("pull_request"), 202, "WH200"),
        ("B16", event("ping"), 200, "pong: webhook unknown"),
        (
            "B17",
            json(set("/deleted", true.into())),
            202,
            "WH201 ignored: ref deleted",
        ),
        (
            "B17",
            json(set("/after", "0".repeat(40).into())),
            202,
            "WH201",
        ),
        (
            "B18",
            json(set("/ref", "refs/tags/v1".into())),
            202,
            "WH202 ignored: ref \"refs/tags/v1\" not watched",
        ),
        (
            "B18",
            json(set("/ref", "refs/heads/feature".into())),
            202,
            "WH202",
        ),
        (
            "B19",
            json(set("/after", "HEAD".into())),
            400,
            "WH120 \"after\" is not a commit id",
        ),
        ("B19", json(set("/after", "--help".into())), 400, "WH120"),
        (
            "B20",
            json(set("/ref", "refs/heads/a..b".into())),
            400,
            "WH121",
        ),
        (
            "B20",
            json(set("/ref", "refs/heads/--upload-pack=x".into())),
            400,
            "WH121",
        ),
        (
            "B21",
            json(set(
                "/repository",
                json!({"id": 7, "full_name": "evil/shop"}),
            )),
            401,
            "unauthorized",
        ),
        (
            "B22",
            json(set("/repository/id", 4242.into())),
            401,
            "unauthorized",
        ),
        // Whoever has the key of one repository cannot speak for another.
        (
            "S4",
            json(set(
                "/repository",
                json!({"id": 43, "full_name": "acme/billing"}),
            )),
            401,
            "unauthorized",
        ),
        (
            "B22",
            json(set("/repository/full_name", "acme/store".into())),
            403,
            "WH133",
        ),
        (
            "B23",
            push().with("x-github-enterprise-host", "ghe.evil.test"),
            403,
            "WH132",
        ),
        (
            "B24",
            json(set("/repository/id", "42".into())),
            400,
            "WH107",
        ),
        (
            "B24",
            json(set("/repository/id", (-1).into())),
            400,
            "WH107",
        ),
        (
            "B24",
            json(set("/repository/id", 42.5.into())),
            400,
            "WH107",
        ),
        (
            "B24",
            json(set("/repository/id", (1_u64 << 63).into())),
            401,
            "unauthorized",
        ),
        (
            "B26",
            json(set("/ref", "refs/heads/sluicegate/audit".into())),
            202,
            "WH204 ignored: own push",
        ),
        (
            "B29",
            push().with("x-gitlab-token", "x"),
            401,
            "unauthorized",
        ),
        ("B31", put, 405, "method not allowed"),
        ("B31", get, 405, "method not allowed"),
        ("B31", path, 404, "not found"),
    ]
}

#[tokio::test]
async fn bad_inputs_have_their_answers_and_start_nothing() {
    for (row, request, status, body) in bad_inputs() {
        let world = world();
        let answer = world.webhook.answer(request).await;
        assert_eq!(answer.status, status, "{row}: {}", answer.body);
        assert!(answer.body.starts_with(body), "{row}: {}", answer.body);
        if matches!(status, 401 | 404 | 405) {
            assert_eq!(answer.body, body, "{row}");
        }
        assert!(world.bus.events().is_empty(), "{row}");
        assert!(world.table.keys().is_empty(), "{row}");
    }
}

#[tokio::test]
async fn a_ping_names_its_webhook() {
    let world = world();
    let request = signed(json!({"hook_id": 7, "repository": {"id": 42}}).to_string())
        .with(EVENT_HEADER, "ping");
    let answer = world.webhook.answer(request).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "pong: webhook 7")
    );
}

#[tokio::test]
async fn a_name_in_another_case_is_the_same_repository() {
    let world = world();
    let body = set("/repository/full_name", "Acme/Shop".into()).to_string();
    assert_eq!(world.webhook.answer(signed(body)).await.status, 202);
    assert!(world.bus.events()[0].detail.contains("acme/shop"));
}

#[tokio::test]
async fn a_redelivery_of_what_was_dispatched_does_nothing() {
    let world = world();
    world.webhook.answer(push()).await;
    let again = world
        .webhook
        .answer(push().with(DELIVERY_HEADER, &GUID.to_uppercase()))
        .await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(world.bus.events().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_was_not_dispatched_is_so_when_it_comes_again() {
    let world = world();
    world.bus.fail_next("publish", down(), 1);
    let first = world.webhook.answer(push()).await;
    assert_eq!(first.status, 503);
    assert!(first.body.starts_with("WH150"), "{}", first.body);
    assert!(world.bus.events().is_empty());
    world.clock.advance(600);
    assert_eq!(world.webhook.answer(push()).await.status, 202);
    // Its place in the order of arrival is that of its first copy.
    let event: Trigger = serde_json::from_str(&world.bus.events()[0].detail).unwrap();
    assert_eq!(event.received_at(), samples::now());
    assert_eq!(world.webhook.answer(push()).await.status, 200);
    assert_eq!(world.bus.events().len(), 1);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused() {
    let world = world();
    world.webhook.answer(push()).await;
    let other = set("/after", samples::commit(2).as_str().into()).to_string();
    let answer = world.webhook.answer(signed(other)).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body.starts_with("WH140"));
    assert_eq!(world.bus.events().len(), 1);
}

#[tokio::test]
async fn without_the_table_nothing_is_dispatched() {
    let world = world();
    world.table.fail_next("insert", down(), 1);
    assert_eq!(world.webhook.answer(push()).await.status, 503);
    assert!(world.bus.events().is_empty());
    // The record was written, only the answer was lost: the redelivery is dispatched.
    world.table.lose_reply("insert", down(), 1);
    assert_eq!(world.webhook.answer(push()).await.status, 503);
    assert_eq!(world.webhook.answer(push()).await.status, 202);
}

#[tokio::test]
async fn a_dispatched_delivery_is_accepted_even_if_that_cannot_be_noted() {
    let world = world();
    world.table.fail_next("replace", down(), 1);
    assert_eq!(world.webhook.answer(push()).await.status, 202);
    // A redelivery publishes a second copy: the run that the first one claimed meets it.
    assert_eq!(world.webhook.answer(push()).await.status, 202);
    assert_eq!(world.webhook.answer(push()).await.status, 200);
    assert_eq!(world.bus.events().len(), 2);
}

#[tokio::test]
async fn with_a_secret_that_is_missing_or_weak_every_delivery_is_refused() {
    for text in ["", "{}", r#"{"current":""}"#, r#"{"current":"short"}"#] {
        let world = world();
        world.secrets.set(ARN, text);
        let answer = world.webhook.answer(push()).await;
        assert_eq!(answer.status, 503, "{text}");
        assert!(!answer.body.contains("short"));
    }
    let world = world();
    world.secrets.fail_next("get", down(), 1);
    assert_eq!(world.webhook.answer(push()).await.status, 503);
    assert_eq!(world.webhook.answer(push()).await.status, 202);
}

#[tokio::test]
async fn a_rotated_secret_costs_no_delivery_and_strangers_cause_no_calls() {
    let world = world();
    world.webhook.warm().await;
    assert_eq!(world.webhook.answer(push()).await.status, 202);
    assert_eq!(world.secrets.calls("get"), 1);
    for _ in 0..10 {
        let stranger = signed_by(9, payload().to_string());
        assert_eq!(world.webhook.answer(stranger).await.status, 401);
    }
    assert_eq!(world.secrets.calls("get"), 1);
    world.secrets.set(ARN, &secret(2));
    world.clock.advance(6);
    let rotated = signed_by(2, payload().to_string());
    assert_eq!(world.webhook.answer(rotated).await.status, 200);
    assert_eq!(world.secrets.calls("get"), 2);
}

#[test]
fn every_error_of_a_record_says_what_happened() {
    let delivery = || samples::push(1).delivery;
    let source = serde_json::from_str::<u8>("x").unwrap_err();
    let errors = [
        Error::Deleted {
            delivery: delivery(),
        },
        Error::OtherFormat {
            delivery: delivery(),
            source,
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
