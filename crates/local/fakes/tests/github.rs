//! The fake GitHub as git and API clients see it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fakes::github::{self, Change, Config, Handle, Operation, Repository};
use fakes::service::{Fault, FaultKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use support::call;

const TOKEN: &str = "t-0";
const SHOP: &str = "acme/shop";

struct Setup {
    github: Handle,
    bare: PathBuf,
    dir: TempDir,
}

impl Setup {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("git");
        let files = dir.path().join("files");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(files.join("infra/.terraform/x")).unwrap();
        write(&files, "README.md", "shop\n");
        write(&files, "infra/main.tf", "# nothing\n");
        write(&files, "infra/.terraform/x/provider", "binary");
        write(&files, "infra/terraform.tfstate", "{}");
        write(&files, ".gitignore", "*.log\n");
        write(&files, "a.log", "x");
        write(&files, "test.sh", "#!/bin/sh\n");
        let script = files.join("test.sh");
        std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let config = Config {
            root,
            token: TOKEN.to_owned(),
        };
        let github = github::start(0, config).await.unwrap();
        let bare = github.create_repository(7, SHOP, &files).await.unwrap();
        Self { github, bare, dir }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.github.url())
    }

    fn origin(&self) -> String {
        self.url("/acme/shop.git")
    }

    async fn api(&self, method: &'static str, path: &str, body: Option<Value>) -> (u16, Value) {
        let token = ("authorization".to_owned(), format!("Bearer {TOKEN}"));
        call(method, self.url(path), vec![token], body).await
    }

    async fn clone(&self, name: &str) -> Result<Repository, github::GitError> {
        Repository::clone(&self.origin(), TOKEN, &self.dir.path().join(name)).await
    }

    /// Runs git with the token and returns its output.
    async fn git(&self, dir: &Path, args: &[&str]) -> Result<String, String> {
        let basic = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("x-access-token:{TOKEN}"),
        );
        let header = format!("http.extraHeader=Authorization: Basic {basic}");
        let output = tokio::process::Command::new("git")
            .args([
                "-c",
                &header,
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.com",
            ])
            .args(args)
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .await
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

#[tokio::test]
async fn a_repository_is_cloned_pushed_to_and_seen_by_everyone() {
    let setup = Setup::new().await;
    let clone = setup.clone("one").await.unwrap();
    let files = setup
        .git(clone.dir(), &["ls-files", "--stage"])
        .await
        .unwrap();
    let files: Vec<(&str, &str)> = files
        .lines()
        .map(|line| (&line[..6], line.split('\t').nth(1).unwrap()))
        .collect();
    assert_eq!(
        files,
        [
            ("100644", ".gitignore"),
            ("100644", "README.md"),
            ("100644", "infra/main.tf"),
            ("100755", "test.sh"),
        ]
    );
    let config = std::fs::read_to_string(clone.dir().join(".git/config")).unwrap();
    assert!(
        !config.to_lowercase().contains("authorization"),
        "the token stays nowhere: {config}"
    );

    setup
        .git(clone.dir(), &["checkout", "--quiet", "-b", "audit"])
        .await
        .unwrap();
    write(clone.dir(), "1.json", "{}");
    setup.git(clone.dir(), &["add", "."]).await.unwrap();
    setup
        .git(clone.dir(), &["commit", "--quiet", "-m", "run 1"])
        .await
        .unwrap();
    setup
        .git(clone.dir(), &["push", "--quiet", "origin", "audit"])
        .await
        .unwrap();
    let bare = Repository::open(&setup.bare);
    let refs: Vec<String> = bare
        .refs()
        .await
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(refs, ["refs/heads/audit", "refs/heads/main"]);
    let second = setup.clone("two").await.unwrap();
    assert!(
        second
            .log("origin/audit")
            .await
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .ends_with("run 1")
    );

    setup
        .git(
            clone.dir(),
            &["commit", "--quiet", "--amend", "-m", "other"],
        )
        .await
        .unwrap();
    let refused = setup
        .git(clone.dir(), &["push", "--quiet", "origin", "audit"])
        .await;
    assert!(
        refused.unwrap_err().contains("rejected"),
        "history is not overwritten unasked"
    );
}

#[tokio::test]
async fn commits_made_from_outside_are_the_same_every_time() {
    let (one, two) = (Setup::new().await, Setup::new().await);
    let change = |text: &str| Change {
        path: "README.md".into(),
        text: text.to_owned(),
    };
    let script = Change {
        path: "new/run.sh".into(),
        text: "#!/bin/sh\n".to_owned(),
    };
    let mut ids = Vec::new();
    for setup in [&one, &two] {
        let repository = Repository::open(&setup.bare);
        let first = repository.head("main").await.unwrap();
        let changes = [change("shop 2\n"), script.clone()];
        let second = repository.commit("main", &changes, "Second").await.unwrap();
        assert_eq!(repository.head("main").await.unwrap(), second);
        assert_eq!(
            repository.read("main", "README.md").await.unwrap(),
            "shop 2\n"
        );
        assert_eq!(
            repository.read(&first, "README.md").await.unwrap(),
            "shop\n"
        );
        let clone = setup.clone("c").await.unwrap();
        let tree = setup
            .git(clone.dir(), &["ls-tree", "-r", "HEAD"])
            .await
            .unwrap();
        assert!(
            tree.contains("100755 blob") && tree.contains("new/run.sh"),
            "{tree}"
        );
        ids.push((first, second));
    }
    assert_eq!(ids[0], ids[1]);
    let missing = Repository::open(&one.bare)
        .commit("nope", &[], "x")
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("rev-parse"), "{missing}");
    let left = std::fs::read_dir(&one.bare).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("index-"));
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn any_commit_can_be_fetched_by_its_id_also_one_that_no_branch_has() {
    let setup = Setup::new().await;
    let repository = Repository::open(&setup.bare);
    let change = Change {
        path: "README.md".into(),
        text: "lost\n".to_owned(),
    };
    let lost = repository.commit("main", &[change], "Lost").await.unwrap();
    setup
        .git(&setup.bare, &["update-ref", "refs/heads/main", "main~1"])
        .await
        .unwrap();
    let dir = setup.dir.path().join("shallow");
    std::fs::create_dir(&dir).unwrap();
    setup.git(&dir, &["init", "--quiet"]).await.unwrap();
    let fetch = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--filter=blob:none",
        &setup.origin(),
        &lost,
    ];
    setup.git(&dir, &fetch).await.unwrap();
}

#[tokio::test]
async fn nothing_is_served_without_the_token() {
    let setup = Setup::new().await;
    let wrong = Repository::clone(&setup.origin(), "wrong", &setup.dir.path().join("w")).await;
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.starts_with("git clone: "), "{wrong}");
    let (status, body) = call("GET", setup.url("/repos/acme/shop"), vec![], None).await;
    assert_eq!((status, &body["message"]), (401, &json!("Bad credentials")));
    let (status, body) = setup.api("GET", "/repos/acme/shop", None).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&body["id"], &body["default_branch"]),
        (&json!(7), &json!("main"))
    );
    assert_eq!(setup.api("GET", "/repos/acme/other", None).await.0, 404);
    let basic = ("authorization".to_owned(), "Basic eDp0LTA=".to_owned());
    for path in [
        "/acme/shop.git/config",
        "/acme/shop.git/objects/info/packs",
        "/acme/no.git/info/refs",
    ] {
        assert_eq!(
            call("GET", setup.url(path), vec![basic.clone()], None)
                .await
                .0,
            404,
            "{path}"
        );
    }
    let again = setup
        .github
        .create_repository(8, SHOP, setup.dir.path())
        .await;
    assert!(again.unwrap_err().to_string().contains("already"));
    let bad = setup
        .github
        .create_repository(8, "acme/../x", setup.dir.path())
        .await;
    assert!(bad.unwrap_err().to_string().contains("owner/name"));
}

#[tokio::test]
async fn a_comparison_says_whether_a_branch_has_a_commit() {
    let setup = Setup::new().await;
    let repository = Repository::open(&setup.bare);
    let change = |text: &str| Change {
        path: "README.md".into(),
        text: text.into(),
    };
    let first = repository.head("main").await.unwrap();
    let changes = [change("shop 2\n")];
    let second = repository.commit("main", &changes, "Second").await.unwrap();
    // A force-push: the second commit is on no branch any more.
    let back = ["update-ref", "refs/heads/main", &first];
    setup.git(&setup.bare, &back).await.unwrap();
    let changes = [change("shop 3\n")];
    let third = repository.commit("main", &changes, "Third").await.unwrap();
    for (commit, expected) in [
        (&first, "ahead"),
        (&third, "identical"),
        (&second, "diverged"),
    ] {
        let path = format!("/repos/acme/shop/compare/{commit}...refs%2Fheads%2Fmain");
        let (status, body) = setup.api("GET", &path, None).await;
        assert_eq!(
            (status, &body["status"]),
            (200, &json!(expected)),
            "{commit}"
        );
    }
    let unknown = format!("/repos/acme/shop/compare/{}...main", "0".repeat(40));
    assert_eq!(setup.api("GET", &unknown, None).await.0, 404);
}

#[tokio::test]
async fn statuses_are_kept_by_commit_and_context() {
    let setup = Setup::new().await;
    let commit = Repository::open(&setup.bare).head("main").await.unwrap();
    let statuses = format!("/repos/acme/shop/statuses/{commit}");
    let post = async |state: &str, context: &str| {
        let body = json!({ "state": state, "context": context, "description": "d" });
        setup.api("POST", &statuses, Some(body)).await.0
    };
    let combined = async || {
        let path = format!("/repos/acme/shop/commits/{commit}/status");
        let (_, body) = setup.api("GET", &path, None).await;
        (
            body["state"].as_str().unwrap().to_owned(),
            body["total_count"].as_u64().unwrap(),
        )
    };
    assert_eq!(combined().await, ("pending".to_owned(), 0));
    assert_eq!(post("pending", "sluicegate/production").await, 201);
    assert_eq!(post("success", "ci").await, 201);
    assert_eq!(combined().await, ("pending".to_owned(), 2));
    assert_eq!(post("success", "sluicegate/production").await, 201);
    assert_eq!(combined().await, ("success".to_owned(), 2));
    assert_eq!(post("error", "ci").await, 201);
    assert_eq!(combined().await, ("failure".to_owned(), 2));
    let (_, list) = setup.api("GET", &statuses, None).await;
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(list[0]["state"], "error");
    assert_eq!(setup.github.statuses(SHOP, &commit)[0].context, "ci");

    assert_eq!(post("done", "ci").await, 422);
    let long = json!({ "state": "success", "description": "x".repeat(141) });
    assert_eq!(setup.api("POST", &statuses, Some(long)).await.0, 422);
    let unknown = format!("/repos/acme/shop/statuses/{}", "a".repeat(40));
    let body = json!({ "state": "success" });
    assert_eq!(setup.api("POST", &unknown, Some(body)).await.0, 422);
}

#[tokio::test]
async fn faults_of_git_leave_the_api_alone() {
    let setup = Setup::new().await;
    for kind in [
        FaultKind::Close,
        FaultKind::ServerError,
        FaultKind::RateLimit,
    ] {
        setup.github.fail(Fault {
            operation: Operation::Git,
            kind,
            count: None,
        });
        assert!(setup.clone(&format!("{kind:?}")).await.is_err());
        let (status, _) = setup.api("GET", "/repos/acme/shop", None).await;
        assert_eq!(status, 200, "the API works during {kind:?}");
    }
    setup.github.fail(Fault {
        operation: Operation::Git,
        kind: FaultKind::Hang,
        count: Some(1),
    });
    let hung = tokio::time::timeout(Duration::from_millis(500), setup.clone("hung")).await;
    assert!(hung.is_err());
    setup.clone("healed").await.unwrap();
    setup.github.fail(Fault {
        operation: Operation::Api,
        kind: FaultKind::RateLimit,
        count: Some(1),
    });
    let (status, body) = setup.api("GET", "/repos/acme/shop", None).await;
    let limited = "API rate limit exceeded for user ID 1.";
    assert_eq!((status, &body["message"]), (403, &json!(limited)));
}
