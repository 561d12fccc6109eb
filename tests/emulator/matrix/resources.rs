//! The resources that the stacks made, as AWS and as the states tell of them.

use super::{ENVIRONMENT, LIMIT, Matrix};
use anyhow::{Context as _, ensure};
use local::http;
use local::world::REGION;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The tag that the pipeline puts on all that it makes.
const TAG: &str = "sluicegate_environment";
/// The stacks, and what each calls its things: `examples/fixture/infra`.
const STACKS: [(&str, &str); 3] = [("data", "item"), ("app", "setting"), ("alarms", "alarm")];

impl Matrix<'_> {
    /// What the stacks hold, from their states: the things, without ids and serials.
    pub(super) async fn states(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut held = BTreeMap::new();
        for (stack, _) in STACKS {
            let Some(instances) = self.instances(stack).await? else {
                continue;
            };
            let mut inputs: Vec<String> = Vec::new();
            for instance in instances {
                ensure!(!is_tainted(&instance), "{stack} holds a tainted resource");
                inputs.push(instance["attributes"]["input"].to_string());
            }
            inputs.sort();
            held.insert(stack.to_owned(), inputs.join(" "));
        }
        Ok(held)
    }

    /// Every resource with the pipeline's tag is in a state, and what the states hold is there.
    pub(super) async fn resources_are_in_states(&self) -> anyhow::Result<()> {
        // A thing that failed while it was made has no topic, but for one that was stopped.
        let (mut held, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for (stack, thing) in STACKS {
            for instance in self.instances(stack).await?.into_iter().flatten() {
                let key = instance["index_key"].as_str().context("no key")?;
                let topic = format!("{thing}-{key}");
                if !is_tainted(&instance) {
                    whole.insert(topic.clone());
                }
                held.insert(topic);
            }
        }
        let tagged = self.tagged().await?;
        let orphans: Vec<_> = tagged.difference(&held).collect();
        ensure!(
            orphans.is_empty(),
            "expected every resource tagged {TAG} in a state, these are in none: {orphans:?}"
        );
        let missing: Vec<_> = whole.difference(&tagged).collect();
        ensure!(
            missing.is_empty(),
            "expected every resource of the states in AWS, these are not there: {missing:?}"
        );
        ensure!(!tagged.is_empty(), "no resource is tagged {TAG}");
        Ok(())
    }

    /// What a stack's state tells of its things; none before its first apply.
    async fn instances(&self, stack: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let bucket = &self.teller.world.installed.buckets.state;
        let key = format!("{}/{ENVIRONMENT}/{stack}.tfstate", self.sample.id);
        let Some(bytes) = self.teller.object(bucket, &key).await? else {
            return Ok(None);
        };
        let state: Value = serde_json::from_slice(&bytes)?;
        let resources = state["resources"].as_array().into_iter().flatten();
        let instances = resources.flat_map(|resource| resource["instances"].as_array());
        Ok(Some(instances.flatten().cloned().collect()))
    }

    /// The names of the topics that bear the environment's tag.
    async fn tagged(&self) -> anyhow::Result<BTreeSet<String>> {
        let scope = format!("Credential=test/20260101/{REGION}/tagging/aws4_request");
        let headers = [
            (
                "Authorization",
                format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
            ),
            ("Content-Type", "application/x-amz-json-1.1".to_owned()),
            (
                "X-Amz-Target",
                "ResourceGroupsTaggingAPI_20170126.GetResources".to_owned(),
            ),
        ];
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec();
        let filter = json!({
            "ResourceTypeFilters": ["sns"],
            "TagFilters": [{"Key": TAG, "Values": [ENVIRONMENT]}],
        });
        let body = filter.to_string().into_bytes();
        let answer = http::post(&self.teller.world.endpoint, headers, body, LIMIT).await;
        let answer = answer.map_err(anyhow::Error::msg)?;
        let said: Value = serde_json::from_str(&answer.body)?;
        let found = said["ResourceTagMappingList"].as_array();
        let found = found.with_context(|| format!("the tagging API answered {answer:?}"))?;
        let arns = found.iter().filter_map(|one| one["ResourceARN"].as_str());
        Ok(arns
            .filter_map(|arn| Some(arn.rsplit_once(':')?.1.to_owned()))
            .collect())
    }
}

fn is_tainted(instance: &Value) -> bool {
    instance["status"] == "tainted"
}
