//! The resources of the sample's stacks, in AWS and in the states.

use crate::Harness;
use anyhow::{Context as _, bail, ensure};
use domain::ids::RunId;
use local_run::Sample;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The tag that the pipeline puts on every resource.
const TAG: &str = "sluicegate_environment";

/// The sample's resource types that the emulator's tagging API supports.
const LISTED: [&str; 2] = ["aws_dynamodb_table", "aws_ecs_cluster"];

/// Checks that AWS and the states contain the same resources: none is left over and none is missing.
/// Returns the number of compared resources.
pub(super) async fn are_those_of_the_states(
    harness: &Harness,
    shop: &Sample,
    environment: &str,
    parameters: &[String],
) -> anyhow::Result<usize> {
    let mut held = Held::default();
    for stack in ["data", "app"] {
        held.read(harness, shop, environment, stack).await?;
    }
    held.parameters.sort();
    ensure!(
        held.parameters == parameters,
        "expected the parameters of the state, {:?}, found {parameters:?}",
        held.parameters
    );
    let tagged = tagged(harness, environment).await?;
    compare(&tagged, &held.arns, &held.listed)?;
    ensure!(
        held.listed.len() >= LISTED.len(),
        "expected a table and a cluster in the states, found {:?}",
        held.listed
    );
    Ok(tagged.len() + parameters.len())
}

#[derive(Default)]
struct Held {
    arns: BTreeSet<String>,
    /// The ARNs of [`LISTED`] types.
    listed: BTreeSet<String>,
    /// Each as `name=value`.
    parameters: Vec<String>,
}

impl Held {
    async fn read(
        &mut self,
        harness: &Harness,
        shop: &Sample,
        environment: &str,
        stack: &str,
    ) -> anyhow::Result<()> {
        let key = format!("github-{}/{environment}/{stack}.tfstate", shop.id);
        let bytes = harness
            .object(&harness.local.installed.buckets.state, &key)
            .await?
            .with_context(|| format!("stack {stack} has no state at {key}"))?;
        let state: State = serde_json::from_slice(&bytes)?;
        for resource in state.resources {
            for instance in resource.instances {
                let text = |name: &str| instance.attributes.get(name).and_then(Value::as_str);
                if resource.kind == "aws_ssm_parameter" {
                    let (name, value) = text("name").zip(text("value")).context("no parameter")?;
                    self.parameters.push(format!("{name}={value}"));
                }
                if let Some(arn) = text("arn") {
                    self.arns.insert(arn.to_owned());
                    if LISTED.contains(&resource.kind.as_str()) {
                        self.listed.insert(arn.to_owned());
                    }
                }
                // A service's ARN is its id.
                if let Some(id) = text("id").filter(|id| id.starts_with("arn:")) {
                    self.arns.insert(id.to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The compared parts of a state file.
#[derive(Deserialize)]
struct State {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    attributes: BTreeMap<String, Value>,
}

/// Returns the ARNs of the resources with the environment's tag, except each delivery's tasks and task
/// definition revisions, which are in no state.
///
/// Does not use the AWS CLI, which takes a second, because the failure matrix needs a hundred calls.
///
/// # Errors
/// When the emulator does not respond, or has more than one page.
pub async fn tagged(harness: &Harness, environment: &str) -> anyhow::Result<BTreeSet<String>> {
    let filter = json!({"TagFilters": [{"Key": TAG, "Values": [environment]}]});
    let target = "ResourceGroupsTaggingAPI_20170126.GetResources";
    let said: Tagged = harness.call("tagging", target, &filter).await?;
    ensure!(
        said.pagination_token.is_empty(),
        "the tagging API has more than one page"
    );
    let arns = said.resources.into_iter().map(|resource| resource.arn);
    let others = |arn: &String| !arn.contains(":task-definition/") && !arn.contains(":task/");
    Ok(arns.filter(others).collect())
}

/// Checks that every tagged resource is in a state (`held`), and that every needed resource is tagged.
///
/// # Errors
/// Names the resources that are in no state or are missing.
pub fn compare(
    tagged: &BTreeSet<String>,
    held: &BTreeSet<String>,
    needed: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let orphans: Vec<_> = tagged.difference(held).collect();
    ensure!(
        orphans.is_empty(),
        "expected every resource tagged {TAG} in a state, these are in none: {orphans:?}"
    );
    let missing: Vec<_> = needed.difference(tagged).collect();
    ensure!(
        missing.is_empty(),
        "expected every resource of the states in AWS, these are not there: {missing:?}"
    );
    Ok(())
}

/// A response of the tagging API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tagged {
    #[serde(rename = "ResourceTagMappingList")]
    resources: Vec<TaggedResource>,
    #[serde(default)]
    pagination_token: String,
}

#[derive(Deserialize)]
struct TaggedResource {
    #[serde(rename = "ResourceARN")]
    arn: String,
}

/// A line of a job's log.
#[derive(Deserialize)]
struct Line {
    source: String,
    text: String,
}

/// Checks that one job of the run changed a resource and was then refused another one.
pub(super) async fn were_changed_half_way(
    harness: &Harness,
    run: &RunId,
    stack: &str,
    changed: &str,
    refused: &str,
) -> anyhow::Result<()> {
    let said = harness
        .sluicegate(&["logs", run.as_str(), stack, "--json"])
        .await?;
    let lines: Vec<Line> = serde_json::from_str(&said)?;
    let mut jobs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lines {
        jobs.entry(&line.source).or_default().push(&line.text);
    }
    for (job, texts) in &jobs {
        let says = |resource: &str, what: &str| {
            let line = texts
                .iter()
                .find(|text| text.contains(resource) && text.contains(what));
            line.copied()
        };
        let (done, failed) = (
            says(changed, "Modifications complete"),
            says(refused, "errored"),
        );
        if let (Some(done), Some(failed)) = (done, failed) {
            harness
                .progress
                .fact(&format!("job {job} got half-way: {done}; {failed}"));
            return Ok(());
        }
    }
    bail!(
        "expected a job of stack {stack} that says `{changed}: Modifications complete` and that \
         {refused} failed; the jobs of run {run} say {jobs:?}"
    )
}
