//! The tips of branches, read from git's own server over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod support;

use domain::enrolment::EnrolledRepository;
use domain::error::ErrorName;
use domain::ids::{BranchRef, ForgeId};
use engine::BranchTips as _;
use engine::fakes::{FakeSecrets, samples};
use forge::Token;
use forge::git::{Git, GitSettings};
use forge::github::GIT_USER;
use std::sync::Arc;
use std::time::Duration;
use support::{Fault, Server, git};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:git";

#[tokio::test(flavor = "multi_thread")]
async fn the_tips_of_all_branches_are_read_with_one_request() {
    let server = Server::start();
    let bare = server.repository();
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["init", "--quiet", "-b", "main"]);
    // Another branch begins with the name of a watched one.
    let mut tips = Vec::new();
    for branch in ["main", "main-2", "staging"] {
        git(
            work.path(),
            &["commit", "--quiet", "--allow-empty", "-m", branch],
        );
        tips.push(git(work.path(), &["rev-parse", "HEAD"]));
        let to = format!("HEAD:refs/heads/{branch}");
        git(
            work.path(),
            &["push", "--quiet", bare.to_str().unwrap(), &to],
        );
    }
    let secrets = FakeSecrets::new();
    secrets.set(ARN, r#"{"token":"s3cret"}"#);
    let temporary = tempfile::tempdir().unwrap();
    let token = Token::new(ForgeId::Github, Arc::new(secrets), ARN.into());
    let forge = Git::new(GitSettings {
        user: GIT_USER,
        token: Arc::new(token),
        workdir: temporary.path().to_owned(),
        pause: |_| Duration::ZERO,
    });
    let enrolled = EnrolledRepository {
        clone_url: format!("{}/acme/shop.git", server.url),
        ..samples::repository()
    };
    let branches: Vec<BranchRef> = ["main", "staging", "gone"]
        .iter()
        .map(|name| BranchRef::parse(&format!("refs/heads/{name}")).unwrap())
        .collect();

    let found = forge.tips(&enrolled, &branches).await.unwrap();
    let named = |n: usize| found.get(&branches[n]).map(ToString::to_string);
    assert_eq!(named(0).as_ref(), Some(&tips[0]));
    assert_eq!(named(1).as_ref(), Some(&tips[2]));
    assert_eq!(named(2), None);
    let posts = server
        .seen()
        .into_iter()
        .filter(|seen| seen.method == "POST");
    assert_eq!(posts.count(), 1);

    // A reply that is cut off says nothing about the branches that it lacks.
    let nothing = "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-result\r\nconnection: close\r\n\r\n";
    server.fault("shop.git/git-upload-pack", Fault::Answer(nothing));
    let error = forge.tips(&enrolled, &branches).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ForgeUnavailable, "{error}");
}
