//! A local run for a test, which is stopped however the test ends.

use local_run::LocalRun;
use local_run::containers::LABEL;
use local_run::lifeline::Lifeline;
use local_run::machine::{Homes, Machine};
use local_run::owner;
use std::path::{Path, PathBuf};
use story::{Harness, Progress};

/// Returns the tools of this machine.
pub(crate) fn machine() -> Machine {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let target = variable("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target"));
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let homes = Homes {
        home: variable("HOME").unwrap(),
        cargo: variable("CARGO_HOME"),
        rustup: variable("RUSTUP_HOME"),
    };
    Machine::inspect(&root, &target, &path, &homes).unwrap()
}

/// Starts a local run, passes it to a test, and stops it.
pub(crate) async fn with_local_run<F>(name: &str, args: &[String], test: F)
where
    F: AsyncFnOnce(&Harness) -> anyhow::Result<()>,
{
    let machine = machine();
    let runs = owner::runs(&machine.root);
    let dir = runs.join(format!("{name}-{}", std::process::id()));
    let progress = Progress::new(Box::new(std::io::stdout()));
    // A test that panics or is killed drops it, and the local run then ends by itself.
    let mut lifeline = Lifeline::default();
    let result = async {
        let local = owner::start(
            &machine,
            &dir,
            args,
            |step| progress.step(step),
            &mut lifeline,
        )
        .await?;
        let harness = Harness::new(local, progress.clone()).await;
        let result = test(&harness).await;
        if result.is_err()
            && let Err(error) = harness.keep_logs().await
        {
            progress.text(&format!("Its log groups were not kept: {error:#}"));
        }
        harness.end();
        result
    }
    .await;
    let local = LocalRun::find(&dir);
    owner::take_down(&dir, result.is_err(), &runs)
        .await
        .unwrap();
    assert!(!dir.exists(), "the local run left {}", dir.display());
    if let (Ok(local), Some(engine)) = (local, &machine.engine) {
        let label = format!("--filter=label={LABEL}={}", local.instance);
        let containers = engine.docker(&["ps", "--all", "--quiet", &label]).await;
        assert_eq!(containers.unwrap(), "", "the local run left containers");
        let names = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
        let images = engine.docker(&names).await.unwrap();
        let registry = format!("{}/", local.registry());
        let mut left = images.lines().filter(|name| name.starts_with(&registry));
        assert_eq!(left.next(), None, "the local run left images");
    }
    if let Err(error) = result {
        let logs = runs.join(owner::LAST_FAILURE);
        panic!("{error:#}\nLogs: {}", logs.display());
    }
}
