//! The installation itself. It shares the local run of the failure matrix: the second apply comes
//! before the first delivery, the destroy after the last, so that it has runs, states and images
//! to remove.

use crate::planted;
use crate::setup::machine;
use anyhow::{bail, ensure};
use std::collections::BTreeMap;
use story::Harness;
use story::sweep::list;

/// The name of the installation, which is part of the names of its resources.
const NAME: &str = "sluicegate";

pub(crate) async fn a_second_apply_changes_nothing(harness: &Harness) -> anyhow::Result<()> {
    let plan = ["plan", "-lock=false"];
    let plan = harness.local.terraform(&machine(), &plan).await?;
    if !plan.contains("No changes.") {
        let changed: Vec<&str> = plan
            .lines()
            .filter(|line| line.contains(" will be "))
            .collect();
        bail!("a second apply would change: {changed:?}");
    }
    harness
        .progress
        .fact("a second apply of the local root changes nothing");
    Ok(())
}

pub(crate) async fn the_sweep_finds_planted_secrets(harness: &Harness) -> anyhow::Result<()> {
    planted::is_found(harness).await?;
    harness
        .progress
        .fact("the sweep finds a secret planted in each kind of place, and nothing before that");
    Ok(())
}

/// The kinds of resources that an installation consists of, each with the call that lists their names.
const KINDS: [(&str, &[&str]); 9] = [
    (
        "bucket",
        &["s3api", "list-buckets", "--query", "Buckets[].Name"],
    ),
    (
        "table",
        &["dynamodb", "list-tables", "--query", "TableNames"],
    ),
    (
        "function",
        &[
            "lambda",
            "list-functions",
            "--query",
            "Functions[].FunctionName",
        ],
    ),
    (
        "state machine",
        &[
            "stepfunctions",
            "list-state-machines",
            "--query",
            "stateMachines[].name",
        ],
    ),
    (
        "log group",
        &[
            "logs",
            "describe-log-groups",
            "--query",
            "logGroups[].logGroupName",
        ],
    ),
    (
        "ECR repository",
        &[
            "ecr",
            "describe-repositories",
            "--query",
            "repositories[].repositoryName",
        ],
    ),
    ("queue", &["sqs", "list-queues", "--query", "QueueUrls"]),
    (
        "secret",
        &[
            "secretsmanager",
            "list-secrets",
            "--query",
            "SecretList[].Name",
        ],
    ),
    (
        "event rule",
        &["events", "list-rules", "--query", "Rules[].Name"],
    ),
];

/// Returns the names of the installation's resources of a kind, as AWS lists them.
async fn installed(harness: &Harness, call: &[&str]) -> anyhow::Result<Vec<String>> {
    let said = harness.aws(call).await?;
    let mut names = match said.trim() {
        "" | "null" => Vec::new(),
        said => list(said)?,
    };
    names.retain(|name| name.contains(NAME));
    Ok(names)
}

pub(crate) async fn destroy_removes_everything(harness: &Harness) -> anyhow::Result<()> {
    for (kind, call) in KINDS {
        let names = installed(harness, call).await?;
        ensure!(!names.is_empty(), "no {kind} is installed");
    }
    let destroy = ["destroy", "-auto-approve", "-parallelism=40"];
    harness.local.terraform(&machine(), &destroy).await?;
    let mut left = BTreeMap::new();
    for (kind, call) in KINDS {
        let names = installed(harness, call).await?;
        if !names.is_empty() {
            left.insert(kind, names);
        }
    }
    ensure!(left.is_empty(), "after the destroy, AWS still has {left:?}");
    harness.progress.fact("destroy removes it");
    Ok(())
}
