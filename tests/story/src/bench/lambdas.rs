//! The Lambdas: the sizes of their zips, and the memory of their processes.

use crate::Harness;
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
#[derive(Deserialize)]
struct Called {
    name: String,
    #[serde(default)]
    peak_bytes: Option<u64>,
}

/// Reads the sizes of the zips, the memory of running Lambdas, and the results of
/// `scripts/call-lambdas.py`, as far as each exists.
pub(super) fn read(harness: &Harness, target: &Path, called: Option<&Path>) -> Vec<Lambda> {
    let called: Vec<Called> = called
        .and_then(|file| fs::read(file).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
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
    use super::*;

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
