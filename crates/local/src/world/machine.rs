//! What this machine has: tools, a provider mirror, a Docker engine.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether containers can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Docker {
    /// An engine answers: services and image builds are real containers.
    Engine,
    /// None answers: images are built by buildah, services are not shown.
    None,
}

/// The tools of a local run.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The project's root.
    pub root: PathBuf,
    /// Where cargo puts what it builds.
    pub target: PathBuf,
    /// Where the binaries of this workspace are.
    pub bin: PathBuf,
    /// Python with the emulator.
    pub python: PathBuf,
    /// Terraform.
    pub terraform: PathBuf,
    /// The directory that holds `registry.terraform.io/hashicorp/aws`; none where the registry
    /// itself is to be used.
    pub mirror: Option<PathBuf>,
    /// The Docker engine.
    pub docker: Docker,
    /// `PATH` for all that is started.
    pub path: String,
    /// The home directory: build tools keep their caches there.
    pub home: PathBuf,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub fn inspect(root: &Path, target: &Path, path: &str, home: &Path) -> anyhow::Result<Self> {
        let python = target.join("local-tools/bin/python");
        if !python.exists() {
            bail!("{} does not exist; run scripts/setup.sh", python.display());
        }
        let terraform = find(path, "terraform").context(
            "no `terraform` on PATH; install 1.10 or newer from developer.hashicorp.com/terraform/install",
        )?;
        let program = std::env::current_exe().context("find this program")?;
        let mut bin = program.parent().map(Path::to_path_buf).unwrap_or_default();
        // A test's binary lies one directory further down.
        if bin.ends_with("deps") {
            bin.pop();
        }
        let tools = python.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            bin,
            mirror: find_mirror(home),
            docker: find_docker(path),
            path: format!("{}:{path}", tools.display()),
            python,
            terraform,
            home: home.to_owned(),
        })
    }
}

/// A terraform CLI configuration that takes providers from a mirror, where this machine has one.
#[must_use]
pub fn terraform_config(home: &Path) -> String {
    match find_mirror(home) {
        Some(mirror) => {
            let path = mirror.display().to_string();
            format!(
                "provider_installation {{\n  filesystem_mirror {{\n    path = {path:?}\n  }}\n}}\n"
            )
        }
        None => String::new(),
    }
}

fn find(path: &str, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The places where a filesystem mirror usually lies.
fn find_mirror(home: &Path) -> Option<PathBuf> {
    let mut places = vec![
        home.join(".terraform.d/plugins"),
        home.join(".terraform.d/mirror"),
        PathBuf::from("/usr/share/terraform/plugins"),
        PathBuf::from("/usr/local/share/terraform/plugins"),
    ];
    for base in ["/usr/share", "/usr/local/share", "/opt"]
        .map(PathBuf::from)
        .iter()
        .chain([&home.to_owned()])
    {
        let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
        places.push(base.clone());
        places.extend(
            entries
                .map(|entry| entry.path())
                .filter(|entry| entry.is_dir()),
        );
    }
    places
        .into_iter()
        .find(|place| place.join("registry.terraform.io/hashicorp/aws").is_dir())
}

fn find_docker(path: &str) -> Docker {
    let answered = Command::new("docker")
        .arg("info")
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if answered {
        Docker::Engine
    } else {
        Docker::None
    }
}
