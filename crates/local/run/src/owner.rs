//! Starts a local run as a child process and stops it. Used by the demo and the tests.

use crate::lifeline::Lifeline;
use crate::machine::Machine;
use crate::{LocalRun, RUN_FILE, STEPS_FILE};
use anyhow::{Context as _, bail};
use fakes::process;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The file with the process id of a local run.
const PID_FILE: &str = "pid";
/// The directory with the logs of the last failed local run.
pub const LAST_FAILURE: &str = "last-failure";

/// Returns the directory of a checkout's local runs. It is outside the project, because builds must not
/// find the project's workspace, git repository or tool settings in a parent directory.
#[must_use]
pub fn runs(root: &Path) -> PathBuf {
    // Short: the path of a provider's socket, seven directories deeper, is limited to 107 bytes.
    std::env::temp_dir().join(format!("sluicegate-{}", crate::checkout(root)))
}

/// Starts `sluicegate-local up` in `dir` and waits until it is ready. Passes each step to `on_step`. The
/// local run ends when `lifeline` is dropped, and therefore also when this process ends.
///
/// # Errors
/// When it does not start. Its logs remain for [`take_down`].
pub async fn start(
    machine: &Machine,
    dir: &Path,
    args: &[String],
    on_step: impl Fn(&str),
    lifeline: &mut Lifeline,
) -> anyhow::Result<LocalRun> {
    std::fs::create_dir_all(dir)?;
    let log = std::fs::File::create(dir.join("up.err"))?;
    let mut command = tokio::process::Command::new(machine.bin.join("sluicegate-local"));
    command
        .arg("--root")
        .arg(&machine.root)
        .arg("--target")
        .arg(&machine.target)
        .args(["up", "--owned", "--dir"])
        .arg(dir)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C reaches only the owner, which then stops the local run in order.
        .process_group(0);
    let mut child = process::spawn(&mut command)?;
    lifeline.hold(child.stdin.take());
    let pid = child.id().context("the local run ended at once")?;
    std::fs::write(dir.join(PID_FILE), pid.to_string())?;
    let mut shown = 0;
    loop {
        let steps = std::fs::read_to_string(dir.join(STEPS_FILE)).unwrap_or_default();
        for step in steps.lines().skip(shown) {
            on_step(step);
            shown += 1;
        }
        if dir.join(RUN_FILE).exists() {
            return LocalRun::find(dir);
        }
        if let Some(status) = child.try_wait()? {
            let output = std::fs::read_to_string(dir.join("up.err")).unwrap_or_default();
            bail!("the local run did not start ({status}): {}", output.trim());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Stops a local run. After a failure, its logs are copied to [`LAST_FAILURE`] in `runs`.
///
/// # Errors
/// When its process does not end in time.
pub async fn take_down(dir: &Path, failed: bool, runs: &Path) -> anyhow::Result<()> {
    if failed {
        let kept = runs.join(LAST_FAILURE);
        std::fs::remove_dir_all(&kept).ok();
        std::fs::create_dir_all(&kept)?;
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let wanted = Path::new(&name)
                .extension()
                .is_some_and(|end| end == "log" || end == "err");
            if wanted {
                std::fs::copy(entry.path(), kept.join(name))?;
            }
        }
    }
    end(dir).await?;
    std::fs::remove_dir(runs).ok();
    Ok(())
}

/// Stops the local run in a directory, if one was started there, and removes the directory.
pub(crate) async fn end(dir: &Path) -> anyhow::Result<()> {
    let pid = std::fs::read_to_string(dir.join(PID_FILE));
    match pid.ok().and_then(|text| text.trim().parse().ok()) {
        Some(pid) => crate::stop(pid, dir).await,
        None => crate::remove(dir),
    }
}
