#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
mod recovery;

use super::*;
use crate::failure::Failure;
use crate::pipeline::{LogSource, StreamLine};
use async_trait::async_trait;
use clap::Parser as _;
use domain::audit::{Entry, Head};
use domain::error::{ErrorName, StepError};
use domain::plan::{Action, Counts, LegKind, Reason, Reasons, Verdict};
use domain::run::{Approval, ApprovalDecision, Run, StackState};
use domain::warning::{Warning, WarningKind, Warnings};
use engine::documents::{insert, load_run, update_run};
use engine::fakes::{
    FakeBatch, FakeClock, FakeExecutions, FakeObjects, FakeStatusQueue, FakeTable, FakeTokens,
    samples,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

const PLACE: [&str; 6] = ["--table", "t", "--bucket", "b", "--audit-bucket", "a"];

#[derive(Clone, Default)]
struct FakeLogs(BTreeMap<String, Vec<StreamLine>>);

#[async_trait]
impl LogSource for FakeLogs {
    async fn read(&self, group: &str, since: Timestamp) -> Result<Vec<StreamLine>, StepError> {
        let lines = self.0.get(group).cloned().unwrap_or_default();
        Ok(lines.into_iter().filter(|line| line.at >= since).collect())
    }
}

struct Desk {
    table: FakeTable,
    artifacts: FakeObjects,
    audit: FakeObjects,
    tokens: FakeTokens,
    executions: FakeExecutions,
    batch: FakeBatch,
    states: recovery::FakeStates,
    status: FakeStatusQueue,
    logs: FakeLogs,
    groups: BTreeMap<String, String>,
    terminal: bool,
}

fn later(seconds: i64) -> Timestamp {
    samples::now()
        .saturating_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

/// Returns a run that was delivered.
fn good() -> Run {
    let mut run = samples::sealed_run(1);
    run.lock_requested(later(1)).unwrap();
    run.lock_held(1, later(2)).unwrap();
    samples::build(&mut run, 1);
    let data = samples::same_stack(&samples::last_good(7), "data");
    run.skipped(&data, later(3)).unwrap();
    samples::plan(&mut run, "app", Verdict::NoChanges, None);
    samples::roll_out(&mut run, 1);
    run.promoted(later(100)).unwrap();
    run.close(None, 1, later(120)).unwrap();
    run.audited(1).unwrap();
    run
}

/// Returns a run whose rollback failed.
fn broken() -> Run {
    let mut run = samples::sealed_run(2);
    run.lock_requested(later(1)).unwrap();
    run.lock_held(2, later(2)).unwrap();
    samples::build(&mut run, 2);
    samples::fail_apply(&mut run, "data");
    let error = StepError::new(ErrorName::ApplyFailed, "stack data: creating queue: denied");
    run.handle_error(later(50), error, Some(&samples::last_good(1)), later(50))
        .unwrap();
    run.rollout_started(LegKind::Rollback, samples::rollout(1))
        .unwrap();
    let error = StepError::new(ErrorName::Unhealthy, "/health answered 500");
    run.handle_error(later(110), error, None, later(110))
        .unwrap();
    run.close(None, 2, later(120)).unwrap();
    run.audited(2).unwrap();
    run
}

/// Returns a run that waits for an approval.
fn asking() -> Run {
    let mut run = samples::sealed_run(3);
    samples::build(&mut run, 3);
    run.lock_requested(later(1)).unwrap();
    run.lock_held(3, later(2)).unwrap();
    samples::plan(&mut run, "data", Verdict::NeedsApproval, None);
    let counts = Counts {
        create: 2,
        delete: 1,
        ..Counts::default()
    };
    samples::edit(&mut run, "/forward/stacks/0/plan/counts", counts);
    let reason = |n: u8| Reason::Stateful {
        address: format!("aws_sqs_queue.jobs[\"{n}\"]"),
        action: Action::Delete,
    };
    let reasons = Reasons::new((0..6).map(reason).collect());
    samples::edit(&mut run, "/forward/stacks/0/plan/reasons", reasons);
    let warnings = ["first", "second", "third"].map(|text| {
        let kind = match text {
            "second" => WarningKind::Check,
            _ => WarningKind::Other,
        };
        Warning::new(kind, &format!("main.tf:3:1: {text}"))
    });
    let warnings = Warnings::new(warnings);
    samples::edit(&mut run, "/forward/stacks/0/warnings", warnings);
    run.approval_requested(&samples::stack("data"), "canary-token".into(), later(40))
        .unwrap();
    run
}

impl Desk {
    async fn new() -> Self {
        let desk = Self {
            table: FakeTable::new(),
            artifacts: FakeObjects::new(samples::BUCKET),
            audit: FakeObjects::new(samples::AUDIT_BUCKET),
            tokens: FakeTokens::new(),
            executions: FakeExecutions::new(),
            batch: FakeBatch::new(),
            states: recovery::FakeStates::default(),
            status: FakeStatusQueue::new(),
            logs: FakeLogs::default(),
            groups: BTreeMap::new(),
            terminal: false,
        };
        for run in [good(), broken(), asking(), samples::claimed_run(4)] {
            insert(&desk.table, &run).await.unwrap();
        }
        desk.tokens.open("canary-token");
        let mut head: Option<Head> = None;
        for run in [good(), broken()] {
            let entry = Entry::of(&run, run.end().unwrap(), None, head.as_ref());
            let bytes = entry.to_bytes().unwrap();
            let key = domain::keys::audit(entry.trigger.repository_key(), entry.seq);
            head = Some(Head::of(entry.seq, &bytes));
            desk.audit.set(&key, bytes);
        }
        desk
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline {
            table: Arc::new(self.table.clone()),
            artifacts: Arc::new(self.artifacts.clone()),
            audit: Arc::new(self.audit.clone()),
            tokens: Arc::new(self.tokens.clone()),
            logs: Arc::new(self.logs.clone()),
            log_groups: self.groups.clone(),
            recovery: Some(self.recovery()),
            clock: Arc::new(FakeClock::default()),
        }
    }

    /// Returns what a command writes, and how it ends.
    async fn run(&self, args: &[&str]) -> String {
        let line = ["sluicegate"].iter().chain(&PLACE).chain(args);
        let cli = Cli::try_parse_from(line).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output {
            out: &mut out,
            err: &mut err,
            json: cli.json,
            terminal: self.terminal,
            drawn: 0,
        };
        let pipeline = self.pipeline();
        let end = crate::run(&cli, async |_| Ok(pipeline), &mut output).await;
        let mut text = String::from_utf8(out).unwrap();
        text.push_str(&String::from_utf8(err).unwrap());
        if let Err(failure) = end {
            text.push_str(&failure.to_output(cli.json));
            text.push_str(&format!("exit {}\n", failure.kind.exit()));
        }
        assert!(!text.contains("canary-token"), "{text}");
        text
    }
}

fn id(n: u8) -> String {
    samples::push_event(n).run_id().to_string()
}

#[tokio::test]
async fn runs_are_listed() {
    let desk = Desk::new().await;
    insta::assert_snapshot!("runs", desk.run(&["runs"]).await);
    insta::assert_snapshot!(
        "runs_json",
        desk.run(&["runs", "--limit", "1", "--json"]).await
    );
    let mut empty = Desk::new().await;
    empty.table = FakeTable::new();
    assert_eq!(empty.run(&["runs"]).await, "no runs yet\n");
}

#[tokio::test]
async fn a_run_is_shown() {
    let desk = Desk::new().await;
    for n in 1..5 {
        insta::assert_snapshot!(format!("show_{n}"), desk.run(&["show", &id(n)]).await);
    }
    insta::assert_snapshot!("show_json", desk.run(&["show", &id(2), "--json"]).await);
    insta::assert_snapshot!("show_nothing", desk.run(&["show", "shop-0"]).await);
    insta::assert_snapshot!(
        "show_nothing_json",
        desk.run(&["show", "shop-0", "--json"]).await
    );
    insta::assert_snapshot!("show_no_id", desk.run(&["show", "../x"]).await);
}

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    let desk = Desk::new().await;
    insta::assert_snapshot!("watch_good", desk.run(&["watch", &id(1)]).await);
    insta::assert_snapshot!("watch_broken", desk.run(&["watch", &id(2)]).await);
    let (table, run) = (desk.table.clone(), samples::push_event(3).run_id());
    tokio::spawn(async move {
        let step = |change: fn(&mut Run)| {
            let (table, run) = (table.clone(), run.clone());
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                let changed = update_run(&table, &run, |run| {
                    change(run);
                    Ok(())
                });
                changed.await.unwrap();
            }
        };
        step(|run| {
            run.approval_decided(
                &samples::stack("data"),
                ApprovalDecision::Approved,
                "mona",
                later(60),
            )
            .unwrap();
        })
        .await;
        step(|run| {
            run.close(None, 3, later(120)).unwrap();
        })
        .await;
    });
    insta::assert_snapshot!(
        "watch_live",
        desk.run(&["watch", &id(3), "--interval", "1"]).await
    );
}

#[tokio::test]
async fn a_terminal_gets_a_picture() {
    let mut desk = Desk::new().await;
    desk.terminal = true;
    assert_eq!(
        desk.run(&["watch", &id(1)]).await,
        desk.run(&["show", &id(1)]).await
    );
}

#[tokio::test]
async fn logs_come_from_jobs_builds_and_functions() {
    let mut desk = Desk::new().await;
    let run = id(1);
    let job = |stack: &str| {
        let job = domain::ids::JobId::seal("plan", &samples::stack(stack), 1, b"{}");
        let run = domain::ids::RunId::parse(&run).unwrap();
        samples::objects(&run).job(&job, domain::keys::JobFile::Log)
    };
    desk.artifacts.set(
        &job("app"),
        r#"{"@level":"info","@message":"Plan: 1 to add","@timestamp":"2026-03-01T12:01:00.5Z","type":"change_summary"}
"#,
    );
    desk.artifacts.set(
        &job("data"),
        r#"{"@level":"error","@message":"Error: bad","@timestamp":"2026-03-01T14:00:30.000001+02:00","type":"diagnostic","diagnostic":{"detail":"first\nsecond","range":{"filename":"main.tf","start":{"line":3}}}}
not JSON, with a bell"#,
    );
    insta::assert_snapshot!("logs_jobs_only", desk.run(&["logs", &run]).await);
    let line = |seconds: i64, stream: &str, text: &str| StreamLine {
        at: later(seconds),
        stream: stream.into(),
        text: text.into(),
    };
    for (source, lines) in [
        (
            "build-github-42-test",
            vec![
                line(5, "a", &format!("run {run}")),
                line(6, "b", "another run"),
                line(7, "a", "tests passed"),
                line(900, "a", "much later"),
            ],
        ),
        ("build-github-2-test", vec![line(5, "c", &run)]),
        (
            "plan",
            vec![
                line(5, "l", "another run"),
                line(8, "l", &format!("{{\"run\":\"{run}\"}}")),
            ],
        ),
        ("network", vec![line(5, "n", &run)]),
    ] {
        desk.groups
            .insert(source.into(), format!("/group/{source}"));
        desk.logs.0.insert(format!("/group/{source}"), lines);
    }
    insta::assert_snapshot!("logs", desk.run(&["logs", &run]).await);
    insta::assert_snapshot!("logs_stack", desk.run(&["logs", &run, "data"]).await);
    insta::assert_snapshot!(
        "logs_json",
        desk.run(&["logs", &run, "app", "--json"]).await
    );
    insta::assert_snapshot!("logs_no_stack", desk.run(&["logs", &run, "nope"]).await);
    insta::assert_snapshot!("logs_none", desk.run(&["logs", &id(3), "data"]).await);
}

#[tokio::test]
async fn a_failed_build_is_shown_although_its_log_does_not_name_the_run() {
    let mut desk = Desk::new().await;
    let build = domain::ids::BuildId::parse("shop-build:0a1b-2c3d").unwrap();
    update_run(&desk.table, &samples::run_id(4), |run| {
        let error = StepError::new(ErrorName::BuildFailed, "the tests failed");
        Ok(run.build_failed(Some(build.clone()), error, later(30))?)
    })
    .await
    .unwrap();
    let source = "build-github-42-image".into();
    desk.groups.insert(source, "/group/build".into());
    let line = |stream: &str, text: &str| StreamLine {
        at: later(20),
        stream: stream.into(),
        text: text.into(),
    };
    let lines = vec![
        line("0a1b-2c3d", "test keys failed"),
        line("other", "of another run"),
    ];
    desk.logs.0.insert("/group/build".into(), lines);
    let shown = desk.run(&["logs", &id(4)]).await;
    assert!(shown.contains("test keys failed"), "{shown}");
    assert!(!shown.contains("of another run"), "{shown}");
}

#[tokio::test]
async fn the_audit_is_listed_and_checked() {
    let desk = Desk::new().await;
    insta::assert_snapshot!("audit_list", desk.run(&["audit", "list"]).await);
    insta::assert_snapshot!("audit_verify", desk.run(&["audit", "verify"]).await);
    insta::assert_snapshot!(
        "audit_verify_json",
        desk.run(&["audit", "verify", "--json"]).await
    );
    let other = desk
        .run(&["audit", "verify", "--repository", "github-7"])
        .await;
    insta::assert_snapshot!("audit_verify_unknown", other);
    // A failure is changed to a success.
    let key = desk.audit.keys()[0].clone();
    let text = String::from_utf8(desk.audit.peek(&key).unwrap()).unwrap();
    desk.audit
        .set(&key, text.replace("\"applied\"", "\"no-op\""));
    insta::assert_snapshot!("audit_verify_edited", desk.run(&["audit", "verify"]).await);
    desk.audit.set(&key, "{}");
    insta::assert_snapshot!("audit_list_edited", desk.run(&["audit", "list"]).await);
}

#[tokio::test]
async fn the_newest_entry_is_checked_against_the_noted_head() {
    let desk = Desk::new().await;
    let keys = desk.audit.keys();
    let newest = desk.audit.peek(&keys[1]).unwrap();
    let body = engine::ItemBody {
        doc: serde_json::to_string(&Head::of(2, &newest)).unwrap(),
        index: None,
        expires: None,
    };
    let key = engine::ItemKey {
        pk: "AUDIT#github-42".into(),
        sk: "HEAD".into(),
    };
    desk.table.overwrite(&key, &body);
    assert!(
        desk.run(&["audit", "verify"])
            .await
            .contains("the chain is whole")
    );
    desk.audit.remove(&keys[1]);
    insta::assert_snapshot!("audit_verify_cut", desk.run(&["audit", "verify"]).await);
}

#[tokio::test]
async fn a_plan_is_answered_once() {
    let desk = Desk::new().await;
    let run = id(3);
    let down = StepError::new(ErrorName::AwsUnavailable, "SendTaskSuccess: no answer");
    desk.tokens.fail_next("succeed", down, 1);
    let args = ["approve", &run, "data", "--by", "mona"];
    insta::assert_snapshot!("approve_down", desk.run(&args).await);
    insta::assert_snapshot!("approve", desk.run(&args).await);
    insta::assert_snapshot!("approve_again", desk.run(&args).await);
    let outputs = desk.tokens.outputs();
    assert_eq!(
        outputs,
        [(
            "canary-token".to_owned(),
            "{\"decision\":\"approved\"}".to_owned()
        )]
    );
    let late = desk.run(&["reject", &run, "data"]).await;
    insta::assert_snapshot!("reject_late", late);
    insta::assert_snapshot!(
        "approve_not_waiting",
        desk.run(&["approve", &run, "app"]).await
    );
    let stored = load_run(&desk.table, &samples::push_event(3).run_id())
        .await
        .unwrap();
    let StackState::Planned { approval, .. } = stored.forward().stacks()[0].state() else {
        panic!("{stored:?}")
    };
    assert!(matches!(approval, Some(Approval::Decided { by, .. }) if by == "mona"));

    let gone = Desk::new().await;
    gone.tokens.abandon("canary-token");
    insta::assert_snapshot!("approve_gone", gone.run(&args).await);
}

#[tokio::test]
async fn an_environment_is_freed() {
    let desk = Desk::new().await;
    let run = samples::sealed_run(2);
    let error = StepError::new(ErrorName::Unhealthy, "no answer");
    desk.table.give_environment_to(&run);
    desk.table.change_environment(|environment| {
        environment.freeze(run.id(), &error, samples::now());
        environment.release(run.id(), samples::now());
    });
    let args = ["unfreeze", "github-42", "production"];
    insta::assert_snapshot!("unfreeze", desk.run(&args).await);
    insta::assert_snapshot!("unfreeze_again", desk.run(&args).await);
    insta::assert_snapshot!(
        "unfreeze_unknown",
        desk.run(&["unfreeze", "github-7", "production"]).await
    );
    let environment = desk.table.environment();
    assert_eq!(environment.frozen(), None);
    assert_eq!(environment.holder(), None);
}

/// Runs a command that must not connect to the pipeline.
async fn without_aws(args: &[&str]) -> String {
    let cli = Cli::try_parse_from(["sluicegate"].iter().chain(args)).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output {
        out: &mut out,
        err: &mut err,
        json: cli.json,
        terminal: false,
        drawn: 0,
    };
    let connect = async |_| Err(Failure::internal("this command asked for the pipeline"));
    let end = crate::run(&cli, connect, &mut output).await;
    let mut text = String::from_utf8(out).unwrap();
    if let Err(failure) = end {
        text.push_str(&failure.to_output(cli.json));
        text.push_str(&format!("exit {}\n", failure.kind.exit()));
    }
    text
}

#[tokio::test]
async fn a_directory_is_checked_without_the_pipeline() {
    let folder = std::env::temp_dir().join(format!("sluicegate-cli-{}", std::process::id()));
    let path = folder.to_string_lossy().into_owned();
    let check = async |arguments: &[&str]| {
        let text = without_aws(arguments).await;
        text.replace(&path, "FOLDER")
    };
    let missing = check(&["config", "check", &path]).await;
    insta::assert_snapshot!("config_missing", missing);
    std::fs::create_dir_all(&folder).unwrap();
    let nothing = check(&["config", "check", &path]).await;
    insta::assert_snapshot!("config_nothing", nothing);
    for file in samples::snapshot(1).files {
        let on_disk = folder.join(&file.path);
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        std::fs::write(on_disk, &file.bytes).unwrap();
    }
    let good = check(&["config", "check", &path]).await;
    insta::assert_snapshot!("config_good", good);
    let file = format!("{path}/sluicegate.yaml");
    assert_eq!(check(&["config", "check", &file]).await, good);
    let other = format!("{path}/app/Dockerfile");
    let other = check(&["config", "check", &other]).await;
    assert!(
        other.contains("a file other than sluicegate.yaml"),
        "{other}"
    );

    let backend = "terraform {\n  backend \"local\" {}\n}\nterraform {\n  cloud {}\n}\n";
    std::fs::write(folder.join("infra/app/main.tf"), backend).unwrap();
    std::fs::write(folder.join("infra/data/old.tfstate"), "{}").unwrap();
    let bad = check(&["config", "check", &path]).await;
    insta::assert_snapshot!("config_bad", bad);
    let wrong = samples::CONFIG.replace("needs: [data]", "needs: [date]");
    std::fs::write(folder.join("sluicegate.yaml"), wrong).unwrap();
    let bad = check(&["--json", "config", "check", &path]).await;
    insta::assert_snapshot!("config_bad_json", bad);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_clone_is_needed_where_one_is_named() {
    let text = without_aws(&["audit", "verify", "--repo", "/nonexistent/clone"]).await;
    insta::assert_snapshot!("audit_no_clone", text);
}

#[test]
fn the_pipeline_is_found_by_options_or_file() {
    let path = std::env::temp_dir().join(format!("sluicegate-settings-{}", std::process::id()));
    let file = r#"{
        "webhook_url": {"value": "https://example.com", "sensitive": false},
        "installation": {"sensitive": false, "value": {
            "table_name": "t",
            "buckets": {"artifacts": "b", "audit": "a", "state": "s"},
            "log_groups": {"plan": "/plan"},
            "secret_arns": {"git": "arn"}
        }}
    }"#;
    std::fs::write(&path, file).unwrap();
    let place = args::Place {
        settings: Some(path.clone()),
        bucket: Some("mine".into()),
        ..args::Place::default()
    };
    let settings = Settings::read(&place).unwrap();
    assert_eq!(
        (settings.table.as_str(), settings.bucket.as_str()),
        ("t", "mine")
    );
    assert_eq!(settings.audit_bucket, "a");
    assert_eq!(settings.log_groups["plan"], "/plan");
    std::fs::write(&path, "{").unwrap();
    assert!(
        Settings::read(&place)
            .unwrap_err()
            .what
            .contains("is not what")
    );
    std::fs::remove_file(path).unwrap();
    let missing = Settings::read(&args::Place::default()).unwrap_err();
    insta::assert_snapshot!("settings_missing", missing.to_output(false));
}

#[test]
fn the_command_line_is_well_made() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
    for wrong in [
        vec!["sluicegate"],
        vec!["sluicegate", "show"],
        vec!["sluicegate", "runs", "--limit", "0"],
        vec![
            "sluicegate",
            "audit",
            "verify",
            "--repo",
            ".",
            "--repository",
            "1",
        ],
    ] {
        assert_eq!(
            Cli::try_parse_from(&wrong).unwrap_err().exit_code(),
            2,
            "{wrong:?}"
        );
    }
}
