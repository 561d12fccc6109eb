//! A world for a test, taken down whatever the test does.

use local::command;
use local::story::{Narrator, Teller};
use local::world::World;
use local::world::containers;
use local::world::lifeline::Lifeline;
use local::world::machine::{Docker, Homes, Machine};
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
    let homes = Homes {
        home: variable("HOME").unwrap(),
        cargo: variable("CARGO_HOME"),
        rustup: variable("RUSTUP_HOME"),
    };
    Machine::inspect(&root, &target, &path, &homes).unwrap()
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
    // A test that panics or is killed drops it, and the world ends by itself.
    let mut lifeline = Lifeline::default();
    let result = async {
        let world = command::start(&machine, &dir, args, &narrator, &mut lifeline).await?;
        let teller = Teller::new(world, narrator.clone()).await;
        let result = test(&teller).await;
        if result.is_err()
            && let Err(error) = teller.keep_logs().await
        {
            narrator.text(&format!("Its log groups were not kept: {error:#}"));
        }
        teller.end();
        result
    }
    .await;
    let world = World::find(&dir);
    command::take_down(&dir, result.is_err(), &runs)
        .await
        .unwrap();
    assert!(!dir.exists(), "the world left {}", dir.display());
    if let Some(world) = world.ok().filter(|_| machine.docker == Docker::Engine) {
        let left = containers::left(&machine.path, &world.instance).await;
        assert_eq!(left.unwrap(), [""; 0], "the world left containers");
        let left = containers::images(&machine.path, world.registry()).await;
        assert_eq!(left.unwrap(), [""; 0], "the world left images");
    }
    if let Err(error) = result {
        let logs = runs.join(command::LAST_FAILURE);
        panic!("{error:#}\nLogs: {}", logs.display());
    }
}
