//! Tests of the search for the provider mirror, on machines simulated by directories.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and says what the finder's environment is"
)]
use super::*;
use tempfile::TempDir;

struct Fresh {
    dir: TempDir,
    config: Option<PathBuf>,
}

impl Fresh {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            config: None,
        }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.place(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Creates a mirror in a directory.
    fn mirror(&self, path: &str) -> PathBuf {
        let path = self.place(path);
        std::fs::create_dir_all(path.join("registry.terraform.io/hashicorp/aws")).unwrap();
        path
    }

    /// Returns the script, restricted to this simulated machine.
    fn script(&self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let mut script = Command::new(root.join(FINDER));
        script
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("SLUICEGATE_MIRROR_PLACES", self.place("opt"));
        if let Some(config) = &self.config {
            script.env("TF_CLI_CONFIG_FILE", config);
        }
        script
    }

    fn found(&self) -> anyhow::Result<PathBuf> {
        mirror_by(self.script(), &self.place("target"), &self.place("home"))
    }
}

#[test]
fn a_machine_without_a_mirror_says_what_to_do() {
    let mut machine = Fresh::new();
    let error = machine.found().unwrap_err().to_string();
    assert!(error.contains("run scripts/setup.sh"), "{error}");
    // A shell profile may set the variable to a file that does not exist.
    machine.config = Some(machine.place("nowhere.tfrc"));
    let error = machine.found().unwrap_err().to_string();
    assert!(error.contains("run scripts/setup.sh"), "{error}");
}

#[test]
fn the_users_configuration_comes_first_then_ours_then_the_usual_places() {
    let mut machine = Fresh::new();
    let usual = machine.mirror("opt/tf-plugins");
    assert_eq!(machine.found().unwrap(), usual);
    let plugins = machine.mirror("home/.terraform.d/plugins");
    assert_eq!(machine.found().unwrap(), plugins);
    let ours = machine.mirror("target/provider-mirror");
    assert_eq!(machine.found().unwrap(), ours);

    let mine = machine.mirror("somewhere/else");
    let config = format!("filesystem_mirror {{ path = {mine:?} }}");
    machine.write("home/.terraformrc", &config);
    assert_eq!(machine.found().unwrap(), mine);

    // The file that the variable names replaces the one in the home directory.
    let named = machine.mirror("named mirror");
    let text = format!(
        "# filesystem_mirror {{ path = {mine:?} }}\nprovider_installation {{\n  filesystem_mirror {{\n    path    = \"/nonexistent\"\n    include = [\"x/*/*\"]\n  }}\n  filesystem_mirror {{\n    path = {named:?}\n  }}\n  direct {{}}\n}}\n"
    );
    machine.config = Some(machine.write("named.tfrc", &text));
    assert_eq!(machine.found().unwrap(), named);

    // A missing file, or one without a mirror, does not block the other places.
    machine.config = Some(machine.place("nowhere.tfrc"));
    assert_eq!(machine.found().unwrap(), ours);
    machine.config = Some(machine.write("plain.tfrc", "disable_checkpoint = true\n"));
    assert_eq!(machine.found().unwrap(), ours);
}

/// Does what `terraform providers mirror` does, using Python's zip.
const TERRAFORM: &str = r#"#!/bin/sh
[ "$2" = get ] && exit 0
python3 - "$5" << 'P'
import pathlib, sys, zipfile
aws = pathlib.Path(sys.argv[1], "registry.terraform.io/hashicorp/aws")
aws.mkdir(parents=True)
(aws / "index.json").write_text("{}")
with zipfile.ZipFile(aws / "terraform-provider-aws_5.100.0_linux_amd64.zip", "w") as packed:
    packed.writestr("terraform-provider-aws_v5.100.0_x5", "the provider")
P
"#;

#[test]
fn a_mirror_is_made_unpacked_and_whole_or_not_at_all() {
    let machine = Fresh::new();
    let make = |terraform: &str| {
        let program = machine.write("bin/terraform", terraform);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(program, mode).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut script = machine.script();
        script
            .arg("make")
            .env("PATH", format!("{}:{path}", machine.place("bin").display()));
        mirror_by(script, &machine.place("target"), &machine.place("home"))
    };
    let offline = "#!/bin/sh\n[ \"$2\" = get ] && exit 0\necho no such host >&2\nexit 1\n";
    let error = make(offline).unwrap_err().to_string();
    assert!(error.contains("no such host"), "{error}");
    assert!(
        error.contains("next: give this machine a way to"),
        "{error}"
    );
    let left = std::fs::read_dir(machine.place("target")).unwrap().count();
    assert_eq!(left, 0, "a download that failed leaves nothing");

    let made = make(TERRAFORM).unwrap();
    assert_eq!(made, machine.place("target/provider-mirror"));
    assert_eq!(machine.found().unwrap(), made);
    let version = made.join("registry.terraform.io/hashicorp/aws/5.100.0");
    let program = version.join("linux_amd64/terraform-provider-aws_v5.100.0_x5");
    assert_eq!(std::fs::read(&program).unwrap(), b"the provider");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(program).unwrap().permissions());
    assert_eq!(mode & 0o111, 0o111);
    let beside = std::fs::read_dir(version.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "no archive is left");
}
