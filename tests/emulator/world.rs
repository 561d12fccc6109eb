//! A world for a test, taken down whatever the test does.

use local::command;
use local::story::{Narrator, Teller};
use local::world::machine::Machine;
use std::path::{Path, PathBuf};

/// This machine.
pub(crate) fn machine() -> Machine {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let target = variable("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target"));
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    Machine::inspect(&root, &target, &path, &variable("HOME").unwrap()).unwrap()
}

/// Brings a world up, lets a test look at it, and takes it down.
pub(crate) async fn with_world<F>(name: &str, args: &[String], test: F)
where
    F: AsyncFnOnce(&Teller) -> anyhow::Result<()>,
{
    let machine = machine();
    let runs = command::runs(&machine.root);
    let dir = runs.join(format!("{name}-{}", std::process::id()));
    let narrator = Narrator::new(Box::new(std::io::stdout()));
    let result = async {
        let world = command::start(&machine, &dir, args, &narrator).await?;
        let teller = Teller::new(world, narrator.clone()).await;
        let result = test(&teller).await;
        teller.end();
        result
    }
    .await;
    command::take_down(&dir, result.is_err(), &runs)
        .await
        .unwrap();
    assert!(!dir.exists(), "the world left {}", dir.display());
    result.unwrap();
}
