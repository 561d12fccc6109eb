//! What all fakes share: ports, the list of calls, faults, and the end.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fakes::service::{Fault, FaultKind, Handle, Service};
use fakes::{batch, codebuild, github};
use serde_json::{Value, json};
use tempfile::TempDir;

use support::{MemoryCloud, call, host};

async fn start_batch(port: u16, scratch: &Path) -> std::io::Result<batch::Handle> {
    let config = batch::Config {
        host: host(scratch),
        images: Vec::new(),
        timing: batch::Timing::default(),
    };
    batch::start(port, config, Arc::new(MemoryCloud::default())).await
}

/// One call of a fake: how it is sent, and what it calls.
struct Sample<O> {
    method: &'static str,
    path: &'static str,
    headers: Vec<(String, String)>,
    operation: O,
    /// The name in the control API.
    name: &'static str,
    /// The statuses of a success, an internal error and a rate limit.
    statuses: [u16; 3],
}

impl<O: Copy + Debug + Eq + serde::Serialize> Sample<O> {
    async fn send<S: Service<Operation = O>>(&self, fake: &Handle<S>) -> u16 {
        let url = format!("{}{}", fake.url(), self.path);
        let body = (self.method == "POST").then(|| json!({}));
        call(self.method, url, self.headers.clone(), body).await.0
    }

    /// Injects each kind of fault, through the handle and through the control API, and removes it.
    async fn fails_as_asked<S: Service<Operation = O>>(&self, fake: Handle<S>) {
        let [success, internal, limited] = self.statuses;
        let fault = |kind, count| Fault {
            operation: self.operation,
            kind,
            count,
        };
        fake.fail(fault(FaultKind::ServerError, Some(2)));
        for expected in [internal, internal, success] {
            assert_eq!(self.send(&fake).await, expected);
        }
        fake.fail(fault(FaultKind::Hang, None));
        let hung = tokio::time::timeout(Duration::from_millis(300), self.send(&fake)).await;
        assert!(hung.is_err());
        fake.heal();
        assert_eq!(self.send(&fake).await, success);

        let faults = format!("{}/_fake/faults", fake.url());
        let order = |body: Value| call("POST", faults.clone(), vec![], Some(body));
        let unknown = order(json!({ "operation": "Nothing", "kind": "hang" })).await;
        assert_eq!(unknown.0, 400, "{unknown:?}");
        let known = json!({ "operation": self.name, "kind": "rate-limit" });
        assert_eq!(order(known).await.0, 204);
        for _ in 0..2 {
            assert_eq!(self.send(&fake).await, limited);
        }
        assert_eq!(call("DELETE", faults, vec![], None).await.0, 204);
        assert_eq!(self.send(&fake).await, success);

        let calls = fake.calls();
        let applied: Vec<_> = calls.iter().map(|call| call.fault).collect();
        let (error, limit) = (Some(FaultKind::ServerError), Some(FaultKind::RateLimit));
        let hang = Some(FaultKind::Hang);
        assert_eq!(
            applied,
            [error, error, None, hang, None, limit, limit, None]
        );
        for call in &calls {
            assert_eq!(call.operation, Some(self.operation));
            assert_eq!(
                (call.method.as_str(), call.path.as_str()),
                (self.method, self.path)
            );
        }
        let url = format!("{}/_fake/calls", fake.url());
        let (_, listed) = call("GET", url, vec![], None).await;
        assert_eq!(listed, serde_json::to_value(&calls).unwrap());

        let address = fake.address();
        tokio::time::timeout(Duration::from_secs(5), fake.shutdown())
            .await
            .unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn batch_fails_as_asked() {
    let dir = TempDir::new().unwrap();
    let sample = Sample {
        method: "POST",
        path: "/v1/describejobqueues",
        headers: vec![],
        operation: batch::Operation::DescribeJobQueues,
        name: "describejobqueues",
        statuses: [200, 500, 429],
    };
    let fake = start_batch(0, dir.path()).await.unwrap();
    sample.fails_as_asked(fake).await;
}

#[tokio::test]
async fn codebuild_fails_as_asked() {
    let dir = TempDir::new().unwrap();
    let config = codebuild::Config {
        host: host(dir.path()),
        tools: None,
        images: Vec::new(),
        env: BTreeMap::new(),
        timing: codebuild::Timing::default(),
    };
    let sample = Sample {
        method: "POST",
        path: "/",
        headers: vec![(
            "x-amz-target".to_owned(),
            "CodeBuild_20161006.ListProjects".to_owned(),
        )],
        operation: codebuild::Operation::ListProjects,
        name: "ListProjects",
        statuses: [200, 500, 400],
    };
    let fake = codebuild::start(0, config, Arc::new(MemoryCloud::default())).await;
    sample.fails_as_asked(fake.unwrap()).await;
}

#[tokio::test]
async fn github_fails_as_asked() {
    let dir = TempDir::new().unwrap();
    let config = github::Config {
        root: dir.path().join("git"),
        token: "t-0".to_owned(),
    };
    let files = dir.path().join("files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("README.md"), "shop").unwrap();
    let fake = github::start(0, config).await.unwrap();
    fake.create_repository(7, "acme/shop", &files)
        .await
        .unwrap();
    let sample = Sample {
        method: "GET",
        path: "/repos/acme/shop",
        headers: vec![("authorization".to_owned(), "Bearer t-0".to_owned())],
        operation: github::Operation::Api,
        name: "api",
        statuses: [200, 500, 403],
    };
    sample.fails_as_asked(fake).await;
}

#[tokio::test]
async fn a_fake_takes_a_given_port_and_says_when_it_is_taken() {
    let dir = TempDir::new().unwrap();
    let first = start_batch(0, dir.path()).await.unwrap();
    let port = first.address().port();
    let taken = start_batch(port, dir.path()).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert!(
        taken
            .to_string()
            .starts_with(&format!("bind 127.0.0.1:{port}: "))
    );
    first.shutdown().await;
    let second = start_batch(port, dir.path()).await.unwrap();
    assert_eq!(second.address().port(), port);
    second.shutdown().await;
}
