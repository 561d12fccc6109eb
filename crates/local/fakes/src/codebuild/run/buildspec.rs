//! Parses buildspecs, version 0.2.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A buildspec. Unsupported sections are refused, not ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Buildspec {
    version: Version,
    #[serde(default)]
    pub(super) env: Env,
    #[serde(default)]
    pub(super) phases: Phases,
    #[serde(default)]
    artifacts: Option<Anything>,
    #[serde(default)]
    reports: Option<Anything>,
    #[serde(default)]
    batch: Option<Anything>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Version {
    Number(f64),
    Text(String),
}

/// A section that is only checked for presence.
#[derive(Debug, Deserialize)]
struct Anything {}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Env {
    pub(super) shell: Option<Shell>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) exported_variables: Vec<String>,
    #[serde(default)]
    parameter_store: BTreeMap<String, String>,
    #[serde(default)]
    secrets_manager: BTreeMap<String, String>,
    #[serde(default, rename = "git-credential-helper")]
    _git_credential_helper: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) enum Shell {
    #[default]
    #[serde(rename = "/bin/sh", alias = "sh")]
    Sh,
    #[serde(rename = "bash", alias = "/bin/bash")]
    Bash,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phases {
    #[serde(default)]
    pub(super) install: Phase,
    #[serde(default)]
    pub(super) pre_build: Phase,
    #[serde(default)]
    pub(super) build: Phase,
    #[serde(default)]
    pub(super) post_build: Phase,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Phase {
    pub(super) on_failure: Option<OnFailure>,
    #[serde(default)]
    pub(super) commands: Vec<String>,
    #[serde(default)]
    pub(super) finally: Vec<String>,
    /// Ignored: a native build uses the versions of the host.
    #[serde(default, rename = "runtime-versions")]
    _runtime_versions: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum OnFailure {
    Abort,
    Continue,
}

impl Buildspec {
    /// Parses and validates a buildspec. The error is for the build's phase context.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let spec: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let version = match &spec.version {
            Version::Number(number) => number.to_string(),
            Version::Text(text) => text.clone(),
        };
        if version != "0.2" {
            return Err(format!(
                "the fake runs version 0.2 of the buildspec, not {version}"
            ));
        }
        let refused = [
            ("artifacts", spec.artifacts.is_some()),
            ("reports", spec.reports.is_some()),
            ("batch", spec.batch.is_some()),
            ("env.parameter-store", !spec.env.parameter_store.is_empty()),
            ("env.secrets-manager", !spec.env.secrets_manager.is_empty()),
        ];
        match refused.iter().find(|(_, used)| *used) {
            Some((section, _)) => Err(format!("this fake does not support the section {section}")),
            None => Ok(spec),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn a_buildspec_is_read() {
        let spec = Buildspec::parse(
            "version: 0.2\nenv:\n  shell: bash\n  variables: {A: b}\n  exported-variables: [A]\n\
             phases:\n  build:\n    on-failure: CONTINUE\n    commands:\n      - |\n        a\n        \
             b\n      - c\n    finally: [d]\n",
        )
        .unwrap();
        assert_eq!(spec.phases.build.commands, ["a\nb\n", "c"]);
        assert_eq!(spec.phases.build.finally, ["d"]);
        assert_eq!(spec.phases.build.on_failure, Some(OnFailure::Continue));
        assert!(spec.phases.install.commands.is_empty());
        assert!(matches!(spec.env.shell, Some(Shell::Bash)));
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        for (text, word) in [
            ("version: 0.1\n", "0.2"),
            ("phases: {}\n", "version"),
            ("version: 0.2\nartifacts: {files: [a]}\n", "artifacts"),
            (
                "version: 0.2\nenv: {secrets-manager: {A: b}}\n",
                "secrets-manager",
            ),
            ("version: 0.2\nphases: {biuld: {commands: []}}\n", "biuld"),
            (
                "version: 0.2\nphases: {build: {on-failure: RETRY}}\n",
                "RETRY",
            ),
        ] {
            let error = Buildspec::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
