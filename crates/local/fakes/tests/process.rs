//! Processes of a job that outlive its process group.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use fakes::process::Scratch;
use nix::sys::signal::Signal;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use tempfile::TempDir;

/// As the provider of a runner that was killed.
#[test]
fn a_process_outside_the_group_of_a_job_ends_with_the_jobs_directory() {
    let parent = TempDir::new().unwrap();
    let scratch = Scratch::below(parent.path(), "job-").unwrap();
    let mut command = Command::new("setsid");
    command.args(["sleep", "300"]).current_dir(scratch.path());
    let mut process = command.spawn().unwrap();
    drop(scratch);
    let ended = process.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::SIGKILL as i32));
    assert!(std::fs::read_dir(parent.path()).unwrap().next().is_none());
}
