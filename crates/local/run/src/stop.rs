//! Ends the process that owns a local run, and no other process.

use super::wait_until;
use anyhow::{Context as _, bail};
use fakes::process;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The holder of a process id.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    /// The process that owns the local run.
    LocalRun,
    /// No process, or another process that reuses the id.
    Another,
}

/// Ends the process that owns a local run's directory, and waits until both are gone. Sends no signal
/// to a process that is not the local run.
///
/// # Errors
/// When the process does not end in time, or its owner cannot be determined.
pub async fn stop(pid: i32, dir: &Path) -> anyhow::Result<()> {
    let holds = || holder(pid, dir).is_ok_and(|holder| holder == Holder::LocalRun);
    let holder = holder(pid, dir).with_context(|| {
        format!(
            "cannot see whether process {pid} owns {}; look with `ps -p {pid}`, end it if it is \
             `sluicegate-local up`, and remove the directory",
            dir.display()
        )
    })?;
    if holder == Holder::LocalRun {
        let process = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).ok();
        if !wait_until(Duration::from_secs(90), || !holds()).await {
            bail!(
                "process {pid} did not end within 90 s; end it with `kill -9 {pid}` and remove {}",
                dir.display()
            );
        }
    }
    remove(dir)
}

/// Removes a directory. Succeeds if it is already gone or is removed concurrently.
///
/// # Errors
/// When it still exists.
pub fn remove(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if dir.exists() => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn holder(pid: i32, dir: &Path) -> io::Result<Holder> {
    // 0 and negative ids are process groups.
    if pid < 1 {
        return Ok(Holder::Another);
    }
    let line = if Path::new("/proc/self/cmdline").exists() {
        proc_line(pid)?
    } else {
        ps_line(pid)?
    };
    let dir = dir.display().to_string();
    let ours = ["sluicegate-local", " up ", &*dir];
    Ok(match line {
        Some(line) if ours.iter().all(|part| line.contains(part)) => Holder::LocalRun,
        _ => Holder::Another,
    })
}

/// Returns a process's command line with its arguments separated by spaces. A zombie's is empty.
fn proc_line(pid: i32) -> io::Result<Option<String>> {
    match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).replace('\0', " "))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // The process ended during the read.
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`proc_line`], for systems without `/proc`, such as macOS.
fn ps_line(pid: i32) -> io::Result<Option<String>> {
    let mut ps = Command::new("ps");
    ps.args(["-ww", "-o", "args=", "-p", &pid.to_string()]);
    let said = process::output_blocking(&mut ps).map_err(io::Error::other)?;
    if !said.stderr.is_empty() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&said.stderr).into_owned(),
        ));
    }
    let line = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    Ok((said.status.success() && !line.is_empty()).then_some(line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use std::process::{Child, Stdio};
    use tempfile::TempDir;

    /// Starts a process with the command line of a local run.
    fn local(dir: &Path) -> Child {
        Command::new("sh")
            .args(["-c", "read line", "sluicegate-local", "up", "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[tokio::test]
    async fn the_process_of_a_local_run_is_ended_with_its_directory() {
        let dir = TempDir::new().unwrap();
        let mut child = local(dir.path());
        assert!(ps_line(pid(&child)).unwrap().unwrap().contains(" up "));
        stop(pid(&child), dir.path()).await.unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!dir.path().exists());
        assert_eq!(ps_line(pid(&child)).unwrap(), None);
    }

    #[tokio::test]
    async fn a_process_that_got_the_number_of_a_local_run_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let elsewhere = TempDir::new().unwrap();
        let mut child = local(elsewhere.path());
        stop(pid(&child), dir.path()).await.unwrap();
        assert!(!dir.path().exists(), "the local run is over, and goes");
        assert_eq!(child.try_wait().unwrap(), None, "it got a signal");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder(0, elsewhere.path()).unwrap(), Holder::Another);
    }
}
