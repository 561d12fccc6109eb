//! The Lambdas: the sizes of their zips, and the memory of their processes.

use crate::Harness;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is known about a Lambda.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Lambda {
    /// The step.
    pub name: String,
    /// The size of the zip for AWS, in bytes, by architecture.
    pub zips: BTreeMap<String, u64>,
    /// The peak memory of the development build in this run, in bytes.
    pub local_peak: Option<u64>,
    /// The peak memory of the build for AWS in one call, in bytes.
    pub aws_peak: Option<u64>,
}

/// An entry of the file that `scripts/call-lambdas.py --json` writes.
#[derive(Debug, Deserialize)]
pub(super) struct Called {
    name: String,
    #[serde(default)]
    peak_bytes: Option<u64>,
}

/// Reads the file that `scripts/call-lambdas.py --json` wrote.
///
/// # Errors
/// When the file cannot be read or has another format.
pub(super) fn called(file: &Path) -> anyhow::Result<Vec<Called>> {
    let context = || format!("--lambdas {}", file.display());
    let bytes = fs::read(file).with_context(context)?;
    serde_json::from_slice(&bytes).with_context(context)
}

/// Reads the sizes of the zips and the memory of running Lambdas, if they exist. Adds the memory of the
/// calls.
pub(super) fn read(harness: &Harness, target: &Path, called: &[Called]) -> Vec<Lambda> {
    let functions = &harness.local.installed.functions;
    let peaks = peaks(&harness.local.dir);
    let lambdas = functions.iter().map(|(name, function)| Lambda {
        name: name.clone(),
        zips: ["arm64", "x86_64"]
            .into_iter()
            .filter_map(|architecture| {
                let zip = target.join(format!("lambda-{architecture}/{name}.zip"));
                Some((architecture.to_owned(), fs::metadata(zip).ok()?.len()))
            })
            .collect(),
        local_peak: peaks.get(function).copied(),
        aws_peak: called
            .iter()
            .find(|one| one.name == *name)
            .and_then(|one| one.peak_bytes),
    });
    lambdas.collect()
}

/// Returns the largest peak memory of each function's processes, by the function's name. The emulator
/// keeps the processes after a call. Empty where there is no `/proc`.
fn peaks(dir: &Path) -> BTreeMap<String, u64> {
    let mut peaks = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = process.path();
        let program = fs::read_link(process.join("exe")).unwrap_or_default();
        if !program.starts_with(dir) {
            continue;
        }
        let variables = fs::read(process.join("environ")).unwrap_or_default();
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        if let (Some(name), Some(peak)) = (function(&variables), peak(&status)) {
            let known: &mut u64 = peaks.entry(name).or_default();
            *known = peak.max(*known);
        }
    }
    peaks
}

/// Returns the function's name in the environment of a process.
fn function(variables: &[u8]) -> Option<String> {
    let mut variables = variables.split(|byte| *byte == 0);
    let name = variables.find_map(|variable| variable.strip_prefix(b"AWS_LAMBDA_FUNCTION_NAME="));
    Some(String::from_utf8_lossy(name?).into_owned())
}

/// Returns the peak memory in `/proc/<pid>/status`, in bytes.
fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn a_file_of_calls_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lambdas.json");
        assert!(called(&file).is_err(), "missing");
        fs::write(&file, "[{}]").unwrap();
        assert!(called(&file).is_err(), "without a name");
        fs::write(
            &file,
            r#"[{"name": "plan", "peak_bytes": 9}, {"name": "apply"}]"#,
        )
        .unwrap();
        let peaks: Vec<_> = called(&file)
            .unwrap()
            .into_iter()
            .map(|one| (one.name, one.peak_bytes))
            .collect();
        assert_eq!(
            peaks,
            [("plan".to_owned(), Some(9)), ("apply".to_owned(), None)]
        );
    }

    #[test]
    fn name_and_peak_memory_of_a_process_are_read() {
        let variables = b"HOME=/tmp\0AWS_LAMBDA_FUNCTION_NAME=sluicegate-plan\0A=B\0";
        assert_eq!(function(variables).as_deref(), Some("sluicegate-plan"));
        assert_eq!(function(b"HOME=/tmp\0"), None);
        let status = "Name:\tbootstrap\nVmPeak:\t  90000 kB\nVmHWM:\t   12345 kB\n";
        assert_eq!(peak(status), Some(12_345 * 1024));
        assert_eq!(peak("Name:\tkthread\n"), None);
    }
}
