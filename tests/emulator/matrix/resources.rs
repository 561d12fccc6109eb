//! The resources of the stacks, in AWS and in the states.

use super::{ENVIRONMENT, Matrix};
use anyhow::{Context as _, ensure};
use local_run::REGION;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The stacks of `examples/fixture/infra`, each with the name of its resource.
const STACKS: [(&str, &str); 3] = [("data", "item"), ("app", "setting"), ("alarms", "alarm")];

impl Matrix<'_> {
    /// Returns the content of the stacks from their states, without ids and serials.
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

    /// Checks that every resource with the pipeline's tag is in a state, and that those of the states exist.
    pub(super) async fn resources_are_in_states(&self) -> anyhow::Result<()> {
        // A resource whose creation failed may have no topic.
        let (mut held, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for (stack, thing) in STACKS {
            for instance in self.instances(stack).await?.into_iter().flatten() {
                let key = instance["index_key"].as_str().context("no key")?;
                let topic = format!("arn:aws:sns:{REGION}:000000000000:{thing}-{key}");
                if !is_tainted(&instance) {
                    whole.insert(topic.clone());
                }
                held.insert(topic);
            }
        }
        let tagged = story::tagged(self.harness, ENVIRONMENT).await?;
        ensure!(!tagged.is_empty(), "no resource has the pipeline's tag");
        story::compare(&tagged, &held, &whole)
    }

    /// Returns the resources in a stack's state, or none before its first apply.
    async fn instances(&self, stack: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let bucket = &self.harness.local.installed.buckets.state;
        let key = format!("github-{}/{ENVIRONMENT}/{stack}.tfstate", self.sample.id);
        let Some(bytes) = self.harness.object(bucket, &key).await? else {
            return Ok(None);
        };
        let state: Value = serde_json::from_slice(&bytes)?;
        let resources = state["resources"].as_array().into_iter().flatten();
        let instances = resources.flat_map(|resource| resource["instances"].as_array());
        Ok(Some(instances.flatten().cloned().collect()))
    }
}

fn is_tainted(instance: &Value) -> bool {
    instance["status"] == "tainted"
}
