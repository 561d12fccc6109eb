//! A local run ends with its owner: after a signal, and also when the owner is killed during startup.

use crate::setup::machine;
use local_run::{STEPS_FILE, owner, wait_until};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_the_owner_nothing_of_its_local_run_is_left() {
    for signal in ["KILL", "TERM", "INT"] {
        let machine = machine();
        let mut child = Command::new(machine.bin.join("sluicegate-demo"))
            .arg("--root")
            .arg(&machine.root)
            .arg("--target")
            .arg(&machine.target)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let dir = owner::runs(&machine.root).join(format!("demo-{}", child.id()));
        // The first local run may have to build the runner's image.
        let installing = wait_until(Duration::from_secs(1200), || {
            let steps = std::fs::read_to_string(dir.join(STEPS_FILE)).unwrap_or_default();
            let installs = steps.contains("by terraform apply") && processes(&dir).len() > 2;
            installs || child.try_wait().unwrap().is_some()
        })
        .await;
        let ended = child.try_wait().unwrap();
        assert!(
            installing && ended.is_none(),
            "no local run comes up in {}: {ended:?}",
            dir.display()
        );
        send(signal, &child);
        assert!(!child.wait().unwrap().success());
        // A killed owner cannot wait for its local run, whose emulator alone may take 40 s to end. An owner
        // that receives another signal does wait.
        let patience = Duration::from_secs(if signal == "KILL" { 180 } else { 0 });
        let gone = wait_until(patience, || !dir.exists() && processes(&dir).is_empty()).await;
        assert!(
            gone,
            "SIG{signal}: {} is there: {}, and processes {:?}",
            dir.display(),
            dir.exists(),
            processes(&dir)
        );
    }
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.unwrap().success());
}

/// Returns the processes with a directory in their command line or environment: the owner's child
/// process and everything that it started.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        if line.contains(dir) || String::from_utf8_lossy(&read("environ")).contains(dir) {
            found.push(format!("{}: {line}", entry.file_name().display()));
        }
    }
    found
}
