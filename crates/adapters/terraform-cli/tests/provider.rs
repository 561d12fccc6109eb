//! Tests a shared provider process. The provider is a shell script, or the real AWS provider if the
//! machine has a provider mirror.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and looks for terraform on the PATH"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use terraform_cli::{
    Cancel, CancelHandle, Environment, Error, InitOptions, PlanOptions, Provider, ProviderCommand,
    ProviderError, Terraform, cli_config, package_hash,
};

const SOURCE: &str = "registry.terraform.io/hashicorp/aws";
const LIMIT: Duration = Duration::from_secs(60);
/// Prints the handshake of a provider, and never ends.
const GOOD: &str = "echo \"1|5|unix|$TMPDIR/plugin1|grpc|\"\nexec sleep 600";

/// A directory with a script that acts as a provider.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("provider");
        let script = format!("#!/bin/sh\necho $$ > \"$TMPDIR/pid\"\n{script}\n");
        std::fs::write(&binary, script).unwrap();
        make_executable(&binary);
        Self { dir }
    }

    fn environment(&self) -> Environment {
        let ambient = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("AWS_REGION", "eu-central-1"),
            ("SLUICEGATE_BUCKET", "canary"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Environment::scrubbed(ambient, self.dir.path(), Path::new("/rc"))
    }

    async fn start(&self, limit: Duration, cancel: &Cancel) -> Result<Provider, ProviderError> {
        let command = ProviderCommand {
            source: SOURCE,
            binary: &self.dir.path().join("provider"),
            dir: self.dir.path(),
            environment: &self.environment(),
            limit,
        };
        Provider::start(command, cancel).await
    }

    /// Checks that the process which the script became has ended.
    async fn is_over(&self) {
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        ended(pid.trim().parse().unwrap()).await;
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until a process has ended. A zombie has ended too.
async fn ended(pid: u32) {
    for _ in 0..500 {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} still runs");
}

#[tokio::test]
async fn the_provider_gets_the_environment_of_terraform_and_the_commands_get_its_socket() {
    let stage = Stage::new(&format!(
        "env | cut -d= -f1 | sort > seen\npwd >> seen\n{GOOD}"
    ));
    let provider = stage.start(LIMIT, &Cancel::never()).await.unwrap();
    assert!(provider.is_running());
    let seen = std::fs::read_to_string(stage.dir.path().join("seen")).unwrap();
    let names: Vec<&str> = seen
        .lines()
        .filter(|name| !matches!(*name, "PWD" | "_" | "OLDPWD" | "SHLVL"))
        .collect();
    let dir = stage.dir.path().to_str().unwrap();
    assert_eq!(
        names,
        [
            "AWS_REGION",
            "CHECKPOINT_DISABLE",
            "GIT_CONFIG_NOSYSTEM",
            "GIT_SSH_COMMAND",
            "GIT_TEMPLATE_DIR",
            "GIT_TERMINAL_PROMPT",
            "GOGC",
            "HOME",
            "PATH",
            "PLUGIN_MAX_PORT",
            "PLUGIN_MIN_PORT",
            "PLUGIN_PROTOCOL_VERSIONS",
            "TF_CLI_CONFIG_FILE",
            "TF_INPUT",
            "TF_IN_AUTOMATION",
            "TF_PLUGIN_MAGIC_COOKIE",
            "TMPDIR",
            dir,
        ]
    );

    std::fs::write(
        stage.dir.path().join("show"),
        "echo \"$TF_REATTACH_PROVIDERS\" >&2; exit 1",
    )
    .unwrap();
    let terraform =
        Terraform::new("/bin/sh", stage.dir.path(), stage.environment()).with_provider(&provider);
    let error = terraform.show(Path::new("p")).await.unwrap_err();
    let socket = format!(
        r#"{{"{SOURCE}":{{"Addr":{{"Network":"unix","String":"{dir}/plugin1"}},"Pid":{},"Protocol":"grpc","ProtocolVersion":5,"Test":true}}}}"#,
        provider.pid()
    );
    assert!(error.to_string().contains(&socket), "{error}");
    provider.end().await;
    stage.is_over().await;
}

#[tokio::test]
async fn a_provider_that_is_not_ready_leaves_no_process() {
    let short = Duration::from_millis(300);
    for (script, limit, expected) in [
        ("exec sleep 600", short, "it sent no handshake within 0 s"),
        ("echo why >&2", LIMIT, "it ended without a handshake: why"),
        (
            "echo '1|5|tcp|127.0.0.1:10000|grpc|'; exec sleep 600",
            LIMIT,
            "its handshake has no Unix socket: \"1|5|tcp|127.0.0.1:10000|grpc|\"",
        ),
        (
            "echo '1|5|unix|/tmp/plugin1|grpc|'; exec sleep 600",
            LIMIT,
            "its handshake has a socket outside the job's directory: \"1|5|unix|/tmp/plugin1|grpc|\"",
        ),
    ] {
        let stage = Stage::new(script);
        let error = stage.start(limit, &Cancel::never()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        stage.is_over().await;
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_refused_before_the_start() {
    let mut stage = Stage::new(GOOD);
    stage.dir = tempfile::Builder::new()
        .prefix(&"x".repeat(100))
        .tempdir()
        .unwrap();
    let error = stage.start(LIMIT, &Cancel::never()).await.unwrap_err();
    assert!(matches!(error, ProviderError::LongPath { .. }), "{error}");
}

#[tokio::test]
async fn a_stop_while_it_starts_leaves_no_process() {
    let stage = Stage::new("exec sleep 600");
    let (handle, cancel) = CancelHandle::new();
    let (result, ()) = tokio::join!(stage.start(LIMIT, &cancel), async {
        while std::fs::read_to_string(stage.dir.path().join("pid")).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        handle.cancel();
    });
    assert!(matches!(result, Err(ProviderError::Stopped)));
    stage.is_over().await;
}

#[tokio::test]
async fn a_panic_and_a_dropped_value_leave_no_process() {
    let stage = Stage::new(GOOD);
    drop(stage.start(LIMIT, &Cancel::never()).await.unwrap());
    stage.is_over().await;

    let stage = Stage::new(GOOD);
    let provider = stage.start(LIMIT, &Cancel::never()).await.unwrap();
    let panicked = tokio::spawn(async move {
        let _held = provider;
        panic!("for the test");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    stage.is_over().await;
}

#[tokio::test]
async fn a_provider_that_ends_by_itself_leaves_its_stack_trace() {
    let stage = Stage::new(
        "echo \"1|6|unix|$TMPDIR/plugin1|grpc|\"\necho '{\"@level\":\"trace\"}' >&2\nread go < \"$TMPDIR/fifo\"\necho 'panic: boom' >&2\nexit 2",
    );
    let fifo = stage.dir.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let provider = stage.start(LIMIT, &Cancel::never()).await.unwrap();
    assert_eq!(provider.crashed(Duration::from_millis(50)).await, None);
    std::fs::write(&fifo, "go\n").unwrap();
    assert_eq!(
        provider.crashed(LIMIT).await.as_deref(),
        Some("panic: boom")
    );
    assert!(!provider.is_running());
}

/// A stack with the real AWS provider.
struct Real {
    dir: tempfile::TempDir,
    terraform: Terraform,
    package: PathBuf,
}

/// The lock file of a sample, which pins the AWS provider.
const LOCK: &str = include_str!("../../../../examples/shop/infra/data/.terraform.lock.hcl");

impl Real {
    /// Returns `None`, and prints the reason, if the machine lacks Terraform or the provider.
    async fn new(main: &str) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let path = std::env::var("PATH").ok()?;
        let binary = std::env::split_paths(&path)
            .map(|dir| dir.join("terraform"))
            .find(|file| file.is_file());
        let output = Command::new(root.join("scripts/provider-mirror.sh")).output();
        let mirror = String::from_utf8(output.unwrap().stdout).unwrap();
        let (Some(binary), false) = (binary, mirror.trim().is_empty()) else {
            eprintln!("skipped: no terraform on the PATH, or no provider mirror");
            return None;
        };
        let mirror = PathBuf::from(mirror.trim());
        let dir = tempfile::tempdir().unwrap();
        let (stack, home) = (dir.path().join("stack"), dir.path().join("home"));
        std::fs::create_dir(&stack).unwrap();
        std::fs::create_dir(&home).unwrap();
        std::fs::write(stack.join("main.tf"), main).unwrap();
        std::fs::write(stack.join(".terraform.lock.hcl"), LOCK).unwrap();
        let rc = dir.path().join("terraform.rc");
        std::fs::write(&rc, cli_config(Some(&mirror)).unwrap()).unwrap();
        let ambient = [
            ("PATH", path.as_str()),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "x"),
            ("AWS_SECRET_ACCESS_KEY", "y"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let environment =
            Environment::scrubbed(ambient, &home, &rc).with_default_tag("sluicegate_stack", "app");
        let terraform = Terraform::new(binary, stack, environment);
        let platform = terraform.version().await.unwrap().platform;
        let options = InitOptions {
            backend: true,
            ..InitOptions::default()
        };
        terraform.init(&options).await.unwrap();
        Some(Self {
            package: mirror.join(SOURCE).join("5.100.0").join(platform),
            dir,
            terraform,
        })
    }

    async fn provider(&self) -> Provider {
        let binary = self.package.join("terraform-provider-aws_v5.100.0_x5");
        let started = self.terraform.start_provider(SOURCE, &binary, LIMIT);
        started.await.unwrap()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Plans into `file`, and returns the plan as JSON without its time.
    async fn plan(&self, terraform: &Terraform, file: &str) -> serde_json::Value {
        let options = PlanOptions {
            out: self.path(file),
            ..PlanOptions::default()
        };
        terraform.plan(&options).await.unwrap();
        let (json, _) = terraform.show(&options.out).await.unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["timestamp"] = serde_json::Value::Null;
        json
    }
}

const STACK: &str = r#"provider "aws" {
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
}

data "aws_iam_policy_document" "x" {
  statement {
    actions   = ["s3:*"]
    resources = ["*"]
  }
}

resource "terraform_data" "x" {
  input = data.aws_iam_policy_document.x.json
}
"#;

#[tokio::test]
async fn the_hash_is_the_one_of_the_lock_file_that_terraform_wrote() {
    let Some(real) = Real::new(STACK).await else {
        return;
    };
    let hash = package_hash(&real.package).unwrap();
    assert!(LOCK.contains(&format!("\"{hash}\"")), "{hash}");
}

#[tokio::test]
async fn plan_show_and_apply_are_the_same_with_a_shared_provider() {
    let parameter = "resource \"aws_ssm_parameter\" \"p\" {\n  name  = \"/x\"\n  type  = \"String\"\n  value = \"v\"\n}\n";
    let Some(real) = Real::new(&format!("{STACK}\n{parameter}")).await else {
        return;
    };
    let provider = real.provider().await;
    let shared = real.terraform.clone().with_provider(&provider);
    let alone = real.plan(&real.terraform, "alone").await;
    let together = real.plan(&shared, "together").await;
    assert_eq!(alone, together);
    assert_eq!(alone["resource_changes"].as_array().unwrap().len(), 2);
    // A plan that was made with a shared provider is shown by Terraform alone, byte for byte.
    let (one, _) = shared.show(&real.path("together")).await.unwrap();
    let (other, _) = real.terraform.show(&real.path("together")).await.unwrap();
    assert_eq!(one, other);

    // Applied without the resource that needs an API.
    std::fs::write(real.path("stack/main.tf"), STACK).unwrap();
    provider.end().await;
    let provider = real.provider().await;
    let pid = provider.pid();
    let shared = real.terraform.clone().with_provider(&provider);
    real.plan(&shared, "second").await;
    shared
        .apply(&real.path("second"), None)
        .await
        .unwrap()
        .end
        .unwrap();
    assert!(provider.is_running(), "terraform must not end it");
    provider.end().await;
    ended(pid).await;
    let after = real.plan(&real.terraform, "after").await;
    let changes = after["resource_changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["change"]["actions"][0], "no-op");
}

/// Returns the provider process that works in a directory.
async fn provider_in(dir: &Path) -> u32 {
    for _ in 0..3000 {
        for entry in std::fs::read_dir("/proc").unwrap() {
            let entry = entry.unwrap().path();
            let link = |name: &str| std::fs::read_link(entry.join(name)).unwrap_or_default();
            let named = link("exe").to_string_lossy().contains("terraform-provider");
            if named && link("cwd") == dir {
                return entry
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .parse()
                    .unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no provider works in {}", dir.display());
}

/// Plans a stack whose provider calls an API that does not answer, and kills the provider meanwhile.
async fn killed_in_a_call(
    real: &Real,
    terraform: &Terraform,
    api: &tokio::net::TcpListener,
) -> Error {
    let options = PlanOptions {
        out: real.path("p"),
        ..PlanOptions::default()
    };
    let (planned, ()) = tokio::join!(terraform.plan(&options), async {
        let _open = api.accept().await.unwrap();
        let pid = provider_in(&real.path("stack").canonicalize().unwrap()).await;
        let kill = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(kill.unwrap().success());
    });
    planned.unwrap_err()
}

#[tokio::test]
async fn a_killed_provider_is_an_error_of_the_call_with_and_without_sharing() {
    let api = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", api.local_addr().unwrap());
    let main = STACK.replacen(
        "{\n",
        &format!("{{\n  endpoints {{\n    ssm = \"{endpoint}\"\n  }}\n"),
        1,
    ) + "\ndata \"aws_ssm_parameter\" \"p\" {\n  name = \"/x\"\n}\n";
    let Some(real) = Real::new(&main).await else {
        return;
    };
    let alone = killed_in_a_call(&real, &real.terraform, &api).await;
    let provider = real.provider().await;
    let shared = real.terraform.clone().with_provider(&provider);
    let together = killed_in_a_call(&real, &shared, &api).await;
    // Time decides whether the stack's other data source was read before the kill, and whether
    // Terraform notices the end of the process or of the connection first.
    for error in [&alone, &together] {
        let mut found = error.diagnostics().iter();
        let call = found
            .find(|found| found.address.as_deref() == Some("data.aws_ssm_parameter.p"))
            .unwrap();
        let line = call.position.as_ref().map(|position| position.line);
        assert_eq!(line, Some(21), "{call:?}");
        let summaries = ["Plugin did not respond", "Request cancelled"];
        assert!(summaries.contains(&call.summary.as_str()), "{call:?}");
    }
    assert!(provider.crashed(LIMIT).await.is_some());
}
