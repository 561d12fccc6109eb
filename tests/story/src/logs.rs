//! Saves the logs of a local run as files, because they are lost with the emulator.

use super::Harness;
use crate::sweep;
use anyhow::Context as _;

impl Harness {
    /// Returns the names of all log groups.
    ///
    /// # Errors
    /// When the emulator does not list them.
    pub async fn log_groups(&self) -> anyhow::Result<Vec<String>> {
        let names = "logGroups[].logGroupName";
        let said = self
            .aws(&["logs", "describe-log-groups", "--query", names])
            .await?;
        sweep::list(&said)
    }

    /// Writes each log group's messages to a file in the local run's directory, named after the group with
    /// dots instead of slashes.
    ///
    /// # Errors
    /// When a group cannot be read, or a file cannot be written.
    pub async fn keep_logs(&self) -> anyhow::Result<()> {
        for group in self.log_groups().await? {
            let of_group = ["--log-group-name", &group, "--query", "events[].message"];
            let said = self
                .aws(&[&["logs", "filter-log-events"], &of_group[..]].concat())
                .await?;
            let messages: Vec<String> = serde_json::from_str(&said)
                .with_context(|| format!("not messages of {group}: {said}"))?;
            let lines: String = messages
                .iter()
                .flat_map(|message| [message.trim_end(), "\n"])
                .collect();
            let name = group.trim_matches('/').replace('/', ".");
            std::fs::write(self.local.dir.join(format!("{name}.log")), lines)?;
        }
        Ok(())
    }
}
