//! Fetching commits and writing the audit branch, against git's own server over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod support;

use domain::audit::{Entry, Head};
use domain::enrolment::EnrolledRepository;
use domain::error::ErrorName;
use domain::ids::{CommitId, ForgeId};
use engine::fakes::{FakeSecrets, samples};
use engine::{
    AuditBranch as _, AuditFile, CommitState, CommitStatus, CommitStatuses as _, FileKind,
    SourceFetcher as _,
};
use forge::Token;
use forge::git::{Git, GitSettings};
use forge::github::{GIT_USER, GitHubStatuses};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{Fault, Server, git};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:git";

struct World {
    server: Server,
    bare: PathBuf,
    work: tempfile::TempDir,
    temporary: tempfile::TempDir,
    secrets: FakeSecrets,
    enrolled: EnrolledRepository,
    git: Git,
    statuses: GitHubStatuses,
}

/// The ports that share a token.
fn ports(server: &Server, secrets: &FakeSecrets, workdir: &Path) -> (Git, GitHubStatuses) {
    let secrets = Arc::new(secrets.clone());
    let token = Arc::new(Token::new(ForgeId::Github, secrets, ARN.into()));
    let git = Git::new(GitSettings {
        user: GIT_USER,
        token: Arc::clone(&token),
        workdir: workdir.to_owned(),
        pause: |_| Duration::ZERO,
    });
    (git, GitHubStatuses::new(&server.url, token).unwrap())
}

fn world() -> World {
    let server = Server::start();
    let bare = server.repository();
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["init", "--quiet", "-b", "main"]);
    let secrets = FakeSecrets::new();
    secrets.set(ARN, r#"{"token":"s3cret"}"#);
    let temporary = tempfile::tempdir().unwrap();
    let enrolled = EnrolledRepository {
        clone_url: format!("{}/acme/shop.git", server.url),
        ..samples::repository()
    };
    let (git, statuses) = ports(&server, &secrets, temporary.path());
    World {
        server,
        bare,
        work,
        temporary,
        secrets,
        enrolled,
        git,
        statuses,
    }
}

impl World {
    fn write(&self, path: &str, text: &str) {
        let path = self.work.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits everything and pushes it.
    fn push(&self, message: &str) -> CommitId {
        git(self.work.path(), &["add", "-A"]);
        git(
            self.work.path(),
            &["commit", "--quiet", "--allow-empty", "-m", message],
        );
        let bare = self.bare.to_str().unwrap();
        git(
            self.work.path(),
            &["push", "--quiet", "--force", bare, "main"],
        );
        CommitId::parse(&git(self.work.path(), &["rev-parse", "HEAD"])).unwrap()
    }

    async fn audited_up_to(&self, up_to: u64) -> Option<u64> {
        self.git.newest(&self.enrolled, up_to).await.unwrap()
    }

    fn audit_log(&self) -> Vec<String> {
        let log = git(
            &self.bare,
            &[
                "log",
                "--reverse",
                "--format=%an <%ae> %at %s",
                "sluicegate/audit",
            ],
        );
        log.lines().map(str::to_owned).collect()
    }

    fn audit_files(&self) -> String {
        git(
            &self.bare,
            &["ls-tree", "-r", "--name-only", "sluicegate/audit"],
        )
    }
}

/// The path that Record gives an entry of this number.
fn path(n: u64) -> String {
    let run = samples::claimed_run(1);
    let end = domain::run::End {
        outcome: run.outcome(),
        at: samples::now(),
        audit_from: n,
        announced_at: None,
        audit_seq: None,
    };
    let previous = n.checked_sub(1).map(|seq| Head::of(seq, b"before"));
    Entry::of(&run, &end, None, previous.as_ref()).path()
}

fn entry(n: u64) -> AuditFile {
    AuditFile {
        path: path(n),
        bytes: format!("{{\"seq\":{n}}}\n").into_bytes(),
        message: format!("audit {n}"),
        at: samples::now(),
    }
}

#[tokio::test]
async fn a_commit_is_fetched_with_all_its_files() {
    let world = world();
    world.write("README.md", "old");
    world.push("first");
    world.write("README.md", "hello\n");
    world.write("infra/data/main.tf", "terraform {}\n");
    world.write("app/test.sh", "#!/bin/sh\n");
    let app = world.work.path().join("app");
    git(&app, &["add", "test.sh"]);
    git(&app, &["update-index", "--chmod=+x", "test.sh"]);
    git(&app, &["config", "core.fileMode", "false"]);
    std::os::unix::fs::symlink("test.sh", app.join("link")).unwrap();
    let oid = "b".repeat(40);
    git(
        world.work.path(),
        &[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{oid},vendor"),
        ],
    );
    std::fs::create_dir(world.work.path().join("vendor")).unwrap();
    git(
        world.work.path(),
        &["commit", "--quiet", "-m", "with a submodule"],
    );
    let commit = world.push("second\n\nbody");
    let snapshot = world.git.fetch(&world.enrolled, &commit).await.unwrap();

    let files: Vec<_> = snapshot
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.kind, file.bytes.as_slice()))
        .collect();
    assert_eq!(
        files,
        [
            ("README.md", FileKind::File, b"hello\n".as_slice()),
            ("app/link", FileKind::Symlink, b"test.sh"),
            ("app/test.sh", FileKind::Executable, b"#!/bin/sh\n"),
            ("infra/data/main.tf", FileKind::File, b"terraform {}\n"),
            ("vendor", FileKind::Submodule, b""),
        ]
    );
    assert_eq!(snapshot.author, "Mona Lisa");
    assert_eq!(snapshot.subject, "second");
    let tree = |spec: &str| CommitId::parse(&git(&world.bare, &["rev-parse", spec])).unwrap();
    assert_eq!(snapshot.trees[""], tree("main^{tree}"));
    assert_eq!(snapshot.trees["app"], tree("main:app"));
    assert_eq!(snapshot.trees["infra/data"], tree("main:infra/data"));
    let left: Vec<_> = std::fs::read_dir(world.temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_commit_that_no_branch_has_any_more_is_fetched_still() {
    let world = world();
    world.write("a", "1");
    let first = world.push("first");
    git(
        world.work.path(),
        &["commit", "--quiet", "--amend", "-m", "other"],
    );
    let second = world.push("on top");
    assert_ne!(first, second);
    let snapshot = world.git.fetch(&world.enrolled, &first).await.unwrap();
    assert_eq!(snapshot.subject, "first");
}

#[tokio::test]
async fn every_call_carries_the_token_and_asks_for_one_commit() {
    let world = world();
    world.write("a", "1");
    let commit = world.push("first");
    world.git.fetch(&world.enrolled, &commit).await.unwrap();
    let seen = world.server.seen();
    assert!(seen.iter().all(|request| {
        request.headers["authorization"] == "Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0"
    }));
    let body = String::from_utf8_lossy(&seen[1].body).into_owned();
    assert!(body.contains("deepen 1\n"), "{body}");
    assert!(body.contains(&format!("want {commit}\n")), "{body}");
    // No call is made for a repository of another forge, and the secret is not read.
    let reads = world.secrets.calls("get");
    let mut other = world.enrolled.clone();
    other.key.forge = ForgeId::Gitlab;
    let error = world.git.fetch(&other, &commit).await.unwrap_err();
    assert_eq!(error.name, ErrorName::NotEnrolled, "{error}");
    assert_eq!(world.server.seen().len(), seen.len());
    assert_eq!(world.secrets.calls("get"), reads);
}

#[tokio::test]
async fn errors_have_names() {
    let world = world();
    world.write("a", "1");
    let commit = world.push("first");
    let unknown = CommitId::parse(&"e".repeat(40)).unwrap();
    let error = world
        .git
        .fetch(&world.enrolled, &unknown)
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound, "{error}");

    let cases: [(&'static str, Fault, ErrorName); 9] = [
        (
            "info/refs",
            Fault::Answer(
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            ErrorName::ForgeDenied,
        ),
        (
            "info/refs",
            Fault::Answer(
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            ErrorName::ForgeDenied,
        ),
        (
            "info/refs",
            Fault::Answer("HTTP/1.1 503 Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            ErrorName::ForgeUnavailable,
        ),
        (
            "info/refs",
            Fault::Answer(
                "HTTP/1.1 403 No\r\nretry-after: 9\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            ErrorName::ForgeUnavailable,
        ),
        (
            "info/refs",
            Fault::Answer(
                "HTTP/1.1 301 Moved\r\nlocation: http://evil.test/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            ErrorName::NotEnrolled,
        ),
        (
            "info/refs",
            Fault::Answer(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
            ),
            ErrorName::ForgeUnavailable,
        ),
        ("info/refs", Fault::Lose, ErrorName::ForgeUnavailable),
        (
            "/git-upload-pack",
            Fault::Cut(300),
            ErrorName::ForgeUnavailable,
        ),
        ("/git-upload-pack", Fault::Lose, ErrorName::ForgeUnavailable),
    ];
    for (path, fault, name) in cases {
        world.server.fault(path, fault);
        let error = world.git.fetch(&world.enrolled, &commit).await.unwrap_err();
        assert_eq!(error.name, name, "{error}");
        assert!(!error.message.contains("s3cret"), "{error}");
    }
    world.git.fetch(&world.enrolled, &commit).await.unwrap();

    drop(world.server);
    let gone = EnrolledRepository {
        clone_url: "http://127.0.0.1:1/acme/shop.git".into(),
        ..world.enrolled.clone()
    };
    let error = world.git.fetch(&gone, &commit).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ForgeUnavailable, "{error}");
}

#[tokio::test]
async fn a_token_that_was_changed_is_read_again() {
    let world = world();
    world.write("a", "1");
    let commit = world.push("first");
    world.git.fetch(&world.enrolled, &commit).await.unwrap();
    world.git.fetch(&world.enrolled, &commit).await.unwrap();
    assert_eq!(world.secrets.calls("get"), 1);
    let refuse = || {
        let answer = "HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        world.server.fault("info/refs", Fault::Answer(answer));
    };
    // The secret holds the token that was refused: no second try.
    refuse();
    let refused = world.git.fetch(&world.enrolled, &commit).await;
    assert_eq!(refused.unwrap_err().name, ErrorName::ForgeDenied);
    assert_eq!(world.secrets.calls("get"), 2);
    // A changed token in the secret fails nothing.
    refuse();
    world.secrets.set(ARN, r#"{"token":"n3w"}"#);
    world.git.fetch(&world.enrolled, &commit).await.unwrap();
    assert_eq!(world.secrets.calls("get"), 3);
}

#[tokio::test]
async fn a_secret_of_another_shape_is_not_shown() {
    let world = world();
    let commit = samples::commit(1);
    for text in [
        r#""hunter2""#,
        "hunter2",
        "{}",
        r#"{"token":""}"#,
        r#"{"token":"a\nhunter2"}"#,
    ] {
        world.secrets.set(ARN, text);
        let error = world.git.fetch(&world.enrolled, &commit).await.unwrap_err();
        assert_eq!(error.name, ErrorName::ForgeDenied);
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_audit_branch_starts_empty_and_grows() {
    let world = world();
    world.write("a", "1");
    world.push("first");
    assert_eq!(world.audited_up_to(99).await, None);
    world
        .git
        .append(&world.enrolled, &[entry(1), entry(2)])
        .await
        .unwrap();
    // The branch holds number 2 already; it is not added twice.
    world
        .git
        .append(&world.enrolled, &[entry(2), entry(3)])
        .await
        .unwrap();
    let line =
        |n: u32| format!("Sluicegate <sluicegate@users.noreply.github.com> 1772366400 audit {n}");
    assert_eq!(world.audit_log(), [line(1), line(2), line(3)]);
    assert_eq!(world.audit_files(), [path(1), path(2), path(3)].join("\n"));
    assert_eq!(world.audited_up_to(99).await, Some(3));
    let shown = git(
        &world.bare,
        &["show", &format!("sluicegate/audit:{}", path(3))],
    );
    assert_eq!(shown, "{\"seq\":3}");
    git(&world.bare, &["fsck", "--strict"]);
    assert!(git(&world.bare, &["log", "--format=%s", "main"]) == "first");
}

#[tokio::test]
async fn a_branch_that_lags_far_behind_is_brought_on_call_by_call() {
    let world = world();
    // As Record does it: at most so many entries a call, counted on from what the branch holds.
    const CALL: u64 = 200;
    const ALL: u64 = 450;
    let mut reached = Vec::new();
    loop {
        let known = world.audited_up_to(ALL).await;
        let next = known.unwrap_or(0) + 1;
        let files: Vec<_> = (next..next + CALL)
            .take_while(|n| *n <= ALL)
            .map(entry)
            .collect();
        if files.is_empty() {
            break;
        }
        assert!(reached.len() < 3, "the branch stopped at {known:?}");
        let appended = world.git.append(&world.enrolled, &files).await;
        appended.unwrap();
        reached.push(known);
    }
    assert_eq!(reached, [None, Some(200), Some(400)]);
    let there: Vec<_> = (1..=ALL).map(path).collect();
    assert_eq!(world.audit_files(), there.join("\n"));
    assert_eq!(world.audit_log().len(), 450);
}

#[tokio::test]
async fn what_people_put_on_the_branch_has_no_number() {
    let world = world();
    let stray = |path: &str| AuditFile {
        path: path.into(),
        ..entry(1)
    };
    let files = [
        entry(1),
        stray("00000007.json"),
        stray("notes/00000008-shop-0a1b2c3.json"),
        stray("runs/old/00000009-shop-0a1b2c3.json"),
        // As an entry is named, but of a number that was never written.
        stray("runs/99999999-shop-0a1b2c3.json"),
    ];
    let appended = world.git.append(&world.enrolled, &files).await;
    appended.unwrap();
    assert_eq!(world.audited_up_to(99).await, Some(1));
}

#[tokio::test]
async fn nothing_new_is_not_pushed() {
    let world = world();
    world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap();
    world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap();
    let pushes = world
        .server
        .seen()
        .iter()
        .filter(|request| request.path.ends_with("git-receive-pack") && request.method == "POST")
        .count();
    assert_eq!(pushes, 1);
    assert_eq!(world.audit_log().len(), 1);
}

#[tokio::test]
async fn the_first_to_write_is_kept() {
    let world = world();
    world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap();
    let (bare, work) = (world.bare.clone(), tempfile::tempdir().unwrap());
    let race = move || {
        let path = work.path();
        git(
            path,
            &[
                "clone",
                "--quiet",
                "-b",
                "sluicegate/audit",
                bare.to_str().unwrap(),
                ".",
            ],
        );
        std::fs::write(path.join("other"), "x").unwrap();
        git(path, &["add", "-A"]);
        git(path, &["commit", "--quiet", "-m", "other"]);
        git(path, &["push", "--quiet", "origin", "sluicegate/audit"]);
    };
    world
        .server
        .fault("/git-receive-pack", Fault::First(Box::new(race)));
    world
        .git
        .append(&world.enrolled, &[entry(2)])
        .await
        .unwrap();
    assert_eq!(world.audit_log().len(), 3);
    assert_eq!(
        world.audit_files(),
        ["other".to_owned(), path(1), path(2)].join("\n")
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_push_adds_no_second_entry() {
    let world = world();
    world.server.fault("/git-receive-pack", Fault::Lose);
    let error = world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::ForgeUnavailable, "{error}");
    world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap();
    assert_eq!(world.audit_log().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_lose_nothing() {
    let world = world();
    let (other, _) = ports(&world.server, &world.secrets, world.temporary.path());
    let odd = async {
        for n in [1, 3, 5] {
            world
                .git
                .append(&world.enrolled, &[entry(n)])
                .await
                .unwrap();
        }
    };
    let even = async {
        for n in [2, 4, 6] {
            other.append(&world.enrolled, &[entry(n)]).await.unwrap();
        }
    };
    tokio::join!(odd, even);
    assert_eq!(world.audit_log().len(), 6);
    assert_eq!(world.audit_files().lines().count(), 6);
}

#[tokio::test]
async fn a_protected_branch_is_named() {
    let world = world();
    let hook = world.bare.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    let error = world
        .git
        .append(&world.enrolled, &[entry(1)])
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::ForgeDenied, "{error}");
    assert!(
        error.message.contains("pre-receive hook declined"),
        "{error}"
    );
}

#[tokio::test]
async fn a_status_is_set_by_the_api() {
    let world = world();
    let commit = samples::commit(1);
    let status = CommitStatus {
        state: CommitState::Failure,
        context: "sluicegate/production".into(),
        description: "ApplyFailed: no".into(),
    };
    world
        .statuses
        .set(&world.enrolled, &commit, &status)
        .await
        .unwrap();
    let seen = world.server.seen().remove(0);
    assert_eq!(seen.path, format!("/repos/acme/shop/statuses/{commit}"));
    assert_eq!(seen.headers["authorization"], "Bearer s3cret");
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    let expected = serde_json::json!({
        "state": "failure", "context": "sluicegate/production", "description": "ApplyFailed: no",
    });
    assert_eq!(body, expected);

    let message = "HTTP/1.1 422 No\r\ncontent-length: 36\r\nconnection: close\r\n\r\n{\"message\":\"No commit found for SHA\"}";
    world.server.fault("/statuses/", Fault::Answer(message));
    let error = world
        .statuses
        .set(&world.enrolled, &commit, &status)
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::CommitNotFound, "{error}");
    assert!(error.message.contains("No commit found"), "{error}");
}
