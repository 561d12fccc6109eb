//! Tests the driver with a fake Terraform: `/bin/sh`, whose first argument (`plan`, `apply`) is a
//! script in the working directory. It replays output, exit codes and reactions to signals that the
//! real Terraform shows only occasionally.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use terraform_cli::{Cancel, CancelHandle, Environment, Error, Terraform};

const GRACE: Duration = Duration::from_millis(700);

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(command: &str, script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(command), script).unwrap();
        Self { dir }
    }

    fn environment(&self) -> Environment {
        let ambient = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("AWS_REGION", "eu-central-1"),
            ("SLUICEGATE_BUCKET", "canary"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Environment::scrubbed(ambient, self.dir.path(), Path::new("/rc"))
    }

    fn terraform(&self) -> Terraform {
        Terraform::new("/bin/sh", self.dir.path(), self.environment())
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    async fn wait_for(&self, file: &str) {
        for _ in 0..500 {
            if !self.read(file).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{file} did not appear");
    }
}

fn message(diagnostic: &str) -> String {
    format!(r#"echo '{{"type":"diagnostic","@message":"x","diagnostic":{diagnostic}}}'"#)
}

#[tokio::test]
async fn the_child_sees_the_allowed_variables_only() {
    let stage = Stage::new(
        "apply",
        "env | cut -d= -f1 | grep -v -x -e PWD -e _ -e OLDPWD -e SHLVL",
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let terraform = stage
        .terraform()
        .on_line(move |line| sink.lock().unwrap().push(line.text.to_owned()));
    terraform
        .apply(Path::new("p"), None)
        .await
        .unwrap()
        .end
        .unwrap();
    let mut names = seen.lock().unwrap().clone();
    names.sort();
    assert_eq!(
        names,
        [
            "AWS_REGION",
            "CHECKPOINT_DISABLE",
            "GIT_CONFIG_NOSYSTEM",
            "GIT_SSH_COMMAND",
            "GIT_TEMPLATE_DIR",
            "GIT_TERMINAL_PROMPT",
            "GOGC",
            "HOME",
            "PATH",
            "TF_CLI_CONFIG_FILE",
            "TF_INPUT",
            "TF_IN_AUTOMATION",
            "TMPDIR"
        ]
    );
}

#[tokio::test]
async fn a_failure_keeps_its_diagnostics_and_what_was_done() {
    let hook = |kind: &str, address: &str| {
        format!(
            r#"echo '{{"type":"{kind}","@message":"x","hook":{{"resource":{{"addr":"{address}","resource_type":"t"}},"action":"create"}}}}'"#
        )
    };
    let failed = message(
        r#"{"severity":"error","summary":"boom","detail":"why","address":"t.b","range":{"filename":"main.tf","start":{"line":4,"column":2}}}"#,
    );
    let stage = Stage::new(
        "apply",
        &[
            hook("apply_start", "t.a"),
            hook("apply_complete", "t.a"),
            hook("apply_start", "t.b"),
            hook("apply_errored", "t.b"),
            failed,
            "exit 1".to_owned(),
        ]
        .join("\n"),
    );
    let report = stage.terraform().apply(Path::new("p"), None).await.unwrap();
    let Err(Error::Failed(failure)) = report.end else {
        panic!("{:?}", report.end)
    };
    assert_eq!(
        failure.to_string(),
        "terraform apply failed: main.tf:4:2: t.b: boom: why"
    );
    let addresses = |hooks: &[terraform_cli::Hook]| -> Vec<String> {
        hooks.iter().map(|hook| hook.address.clone()).collect()
    };
    assert_eq!(addresses(&report.transcript.completed), ["t.a"]);
    assert_eq!(addresses(&report.transcript.errored), ["t.b"]);
}

#[tokio::test]
async fn a_stale_plan_and_a_held_lock_have_their_own_names() {
    let stale = message(r#"{"severity":"error","summary":"Saved plan is stale","detail":""}"#);
    let stage = Stage::new("apply", &format!("{stale}\nexit 1"));
    let report = stage.terraform().apply(Path::new("p"), None).await.unwrap();
    assert!(
        matches!(report.end, Err(Error::StalePlan { .. })),
        "{:?}",
        report.end
    );

    let locked = message(
        r#"{"severity":"error","summary":"Error acquiring the state lock","detail":"412\\nLock Info:\\n  ID:        abc\\n  Who:       root@job\\n  Created:   then\\n"}"#,
    );
    let stage = Stage::new("plan", &format!("{locked}\nexit 1"));
    let error = stage
        .terraform()
        .plan(&terraform_cli::PlanOptions::default())
        .await
        .unwrap_err();
    let Error::StateLocked { lock } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((lock.id.as_str(), lock.who.as_str()), ("abc", "root@job"));
    assert!(
        error
            .to_string()
            .contains("root@job since then (lock id abc"),
        "{error}"
    );
}

#[tokio::test]
async fn output_that_is_not_a_message_does_no_harm() {
    let script = "printf '\\377\\376{\\n\\n'; head -c 700000 /dev/zero | tr '\\0' x; echo; \
                  echo last >&2; printf 'no line end'; exit 1";
    let stage = Stage::new("apply", script);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let terraform = stage
        .terraform()
        .on_line(move |line| sink.lock().unwrap().push(line.text.to_owned()));
    let report = terraform.apply(Path::new("p"), None).await.unwrap();
    let Err(Error::Failed(failure)) = report.end else {
        panic!("{:?}", report.end)
    };
    assert_eq!(failure.to_string(), "terraform apply failed: last");
    let lines = seen.lock().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("\u{fffd}\u{fffd}{"))
    );
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with("x [cut]") && line.len() < 300_000)
    );
    assert!(lines.iter().any(|line| line == "no line end"));
}

async fn stop(stage: &Stage, handle: &CancelHandle) {
    stage.wait_for("ready").await;
    handle.cancel();
    handle.cancel();
}

#[tokio::test]
async fn a_stop_sends_one_sigterm_and_waits() {
    let script = "trap 'echo term >> terms' TERM\n: > terms\necho yes > ready\n\
                  for i in 1 2 3 4 5; do sleep 0.1; done\nexit 1";
    let stage = Stage::new("apply", script);
    let (handle, cancel) = CancelHandle::new();
    let terraform = stage
        .terraform()
        .cancelled_by(cancel, Duration::from_secs(20));
    let plan = Path::new("p");
    let (report, ()) = tokio::join!(terraform.apply(plan, None), stop(&stage, &handle));
    let Err(Error::Interrupted(interruption)) = report.unwrap().end else {
        panic!()
    };
    assert!(interruption.asked && !interruption.killed);
    assert_eq!(stage.read("terms"), "term\n");
}

#[tokio::test]
async fn work_that_was_done_in_spite_of_the_stop_counts() {
    let stage = Stage::new("apply", "trap '' TERM\necho yes > ready\nsleep 0.3\nexit 0");
    let (handle, cancel) = CancelHandle::new();
    let terraform = stage
        .terraform()
        .cancelled_by(cancel, Duration::from_secs(20));
    let (report, ()) = tokio::join!(terraform.apply(Path::new("p"), None), stop(&stage, &handle));
    report.unwrap().end.unwrap();
}

#[tokio::test]
async fn past_the_budget_the_whole_group_is_killed() {
    let script = "trap '' TERM\nsh -c \"trap '' TERM; echo \\$\\$ > grandchild; sleep 60; :\" &\n\
                  while ! [ -s grandchild ]; do sleep 0.02; done\necho yes > ready\nwait";
    let stage = Stage::new("apply", script);
    let (handle, cancel) = CancelHandle::new();
    let terraform = stage.terraform().cancelled_by(cancel, GRACE);
    let began = Instant::now();
    let (report, ()) = tokio::join!(terraform.apply(Path::new("p"), None), stop(&stage, &handle));
    let Err(Error::Interrupted(interruption)) = report.unwrap().end else {
        panic!()
    };
    assert!(interruption.asked && interruption.killed);
    assert!(began.elapsed() >= GRACE && began.elapsed() < Duration::from_secs(10));
    assert!(
        is_gone(&stage.read("grandchild")).await,
        "the grandchild lives on"
    );
}

/// Returns whether the process has ended or is a zombie.
async fn is_gone(pid: &str) -> bool {
    let status = format!("/proc/{}/status", pid.trim());
    for _ in 0..100 {
        match std::fs::read_to_string(&status) {
            Err(_) => return true,
            Ok(text) if text.contains("State:\tZ") => return true,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    false
}

#[tokio::test]
async fn dropping_the_work_kills_the_group() {
    let script = "sh -c 'echo $$ > grandchild; sleep 60; :' &\n\
                  while ! [ -s grandchild ]; do sleep 0.02; done\necho yes > ready\nwait";
    let stage = Stage::new("apply", script);
    let terraform = stage.terraform();
    tokio::select! {
        _ = terraform.apply(Path::new("p"), None) => panic!("it cannot end"),
        () = stage.wait_for("ready") => {}
    }
    assert!(
        is_gone(&stage.read("grandchild")).await,
        "the grandchild lives on"
    );
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipe_open_delays_the_end_by_two_seconds_at_most() {
    let stage = Stage::new("apply", "setsid sleep 20 &\necho started\nexit 0");
    let began = Instant::now();
    stage
        .terraform()
        .apply(Path::new("p"), None)
        .await
        .unwrap()
        .end
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_kill_from_elsewhere_is_an_interruption_without_a_stop() {
    let stage = Stage::new("apply", "kill -9 $$");
    let report = stage.terraform().apply(Path::new("p"), None).await.unwrap();
    let Err(Error::Interrupted(interruption)) = report.end else {
        panic!("{:?}", report.end)
    };
    assert!(!interruption.asked && interruption.killed);
}

#[tokio::test]
async fn a_command_that_was_cancelled_before_is_not_started() {
    let stage = Stage::new("apply", "echo yes > ready");
    let (handle, cancel) = CancelHandle::new();
    handle.cancel();
    let terraform = stage.terraform().cancelled_by(cancel, GRACE);
    let error = terraform.apply(Path::new("p"), None).await.unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error:?}");
    assert_eq!(stage.read("ready"), "");
}

#[tokio::test]
async fn versions_are_checked() {
    let answer = |text: &str| Stage::new("version", &format!("echo '{text}'"));
    let old = answer(r#"{"terraform_version":"1.9.8","platform":"linux_amd64"}"#);
    let error = old.terraform().version().await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("terraform 1.9.8 is too old: 1.10.0 or newer"),
        "{error}"
    );
    let new = answer(r#"{"terraform_version":"1.10.0","platform":"linux_arm64"}"#);
    assert_eq!(
        new.terraform().version().await.unwrap().platform,
        "linux_arm64"
    );
    let odd = answer("Terraform v1.11.4");
    assert!(matches!(
        odd.terraform().version().await,
        Err(Error::Unreadable { .. })
    ));
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let stage = Stage::new("version", "");
    let terraform = Terraform::new("/no/terraform", stage.dir.path(), stage.environment())
        .cancelled_by(Cancel::never(), GRACE);
    let error = terraform.version().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("could not start terraform at /no/terraform"),
        "{error}"
    );
}
