//! The service that the sample deploys to. No container runs.

use domain::ids::CommitId;
use local_run::Sample;
use story::Harness;

/// The service that the sample deploys to: ECS's control plane, and a healthy address.
pub(super) struct Service {
    pub(super) commit: CommitId,
    server: tokio::task::JoinHandle<()>,
}

impl Service {
    pub(super) async fn make(harness: &Harness, sample: &Sample) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(answer_everything(listener));
        harness
            .aws(&["ecs", "create-cluster", "--cluster-name", "fixture"])
            .await?;
        let containers = r#"[{"name":"fixture","image":"none","essential":true}]"#;
        let register = [
            "ecs",
            "register-task-definition",
            "--family",
            "fixture",
            "--container-definitions",
            containers,
        ];
        harness.aws(&register).await?;
        let create = [
            "ecs",
            "create-service",
            "--cluster",
            "fixture",
            "--service-name",
            "fixture",
            "--task-definition",
            "fixture",
            "--desired-count",
            "0",
        ];
        harness.aws(&create).await?;
        let edits = [
            (
                "infra/app/service.tf",
                "http://127.0.0.1:8080",
                &*format!("http://{address}"),
            ),
            ("sluicegate.yaml", "  version: { path: /version }\n", ""),
        ];
        let commit = harness
            .commit(sample, &edits, "Where the service is")
            .await?;
        Ok(Self { commit, server })
    }

    pub(super) fn end(self) {
        self.server.abort();
    }
}

/// Responds with 200 to every request.
async fn answer_everything(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 2048];
        if stream.read(&mut request).await.is_ok() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            stream.write_all(answer).await.ok();
        }
    }
}
