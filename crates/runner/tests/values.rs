//! Values that one stack gives to the next, with the real Terraform: they arrive as they are, and secrets
//! stay secret.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod common;

use std::collections::BTreeMap;

use common::{Bench, failure, sealed};
use domain::config::CONFIG_FILE;
use domain::error::ErrorName;
use domain::ids::StackName;
use domain::job::{Backend, JobOutcome, JobSpec, Undo, Verb};
use domain::plan::{Action, Extent, ObjectRef, PlanKind};

const CONFIG: &str = "version: 1\nenvironment: production\nstacks:\n  - { name: data, dir: infra/data }\n  \
    - { name: net, dir: infra/net }\n  - { name: app, dir: infra/app, needs: [data, net] }\n  \
    - { name: web, dir: infra/web, needs: [app] }\n";

const SECRET: &str = "canary<pass>\\word\"1";
/// The secret in base64, and as `urlencode` writes it.
const DERIVED: [&str; 2] = [
    "Y2FuYXJ5PHBhc3M+XHdvcmQiMQ==",
    "canary%3Cpass%3E%5Cword%221",
];

/// The outputs of the stack `data`.
const DATA: &str = r#"output "password" {
  value     = "canary<pass>\\word\"1"
  sensitive = true
}

output "subnets" {
  value = ["a", "b"]
}
"#;

/// Stacks, their code, and the outputs that are known of them.
struct Stacks {
    bench: Bench,
    code: BTreeMap<String, String>,
    outputs: BTreeMap<StackName, ObjectRef>,
}

impl Stacks {
    fn new() -> Option<Self> {
        let bench = Bench::real()?;
        let unused =
            || ["app", "data", "net", "web"].map(|stack| (stack.to_owned(), String::new()));
        Some(Self {
            bench,
            code: unused().into(),
            outputs: BTreeMap::new(),
        })
    }

    fn spec(&self, verb: Verb, stack: &str) -> JobSpec {
        let mut files = vec![(CONFIG_FILE.to_owned(), CONFIG.to_owned())];
        for (stack, code) in &self.code {
            files.push((format!("infra/{stack}/main.tf"), code.clone()));
            files.push((format!("infra/{stack}/.terraform.lock.hcl"), String::new()));
        }
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        let mut spec = self.bench.spec(verb, &files);
        spec.stack = StackName::parse(stack).unwrap();
        spec.dir = format!("infra/{stack}");
        spec.backend = Backend::Local {
            path: self.state_path(stack),
        };
        spec.inputs = self.outputs.clone();
        spec.inputs.remove(&spec.stack);
        spec
    }

    fn state_path(&self, stack: &str) -> String {
        let path = self.bench.temp.path().join(format!("{stack}.tfstate"));
        path.to_str().unwrap().to_owned()
    }

    fn state(&self, stack: &str) -> String {
        std::fs::read_to_string(self.state_path(stack)).unwrap()
    }

    async fn plan(&mut self, stack: &str, code: &str) -> JobOutcome {
        self.code.insert(stack.to_owned(), code.to_owned());
        self.bench.end_of(&self.spec(Verb::Plan, stack)).await
    }

    async fn apply(&mut self, stack: &str, planned: &JobOutcome) -> JobOutcome {
        let mut spec = self.spec(Verb::Apply, stack);
        spec.plan = Some(sealed(planned));
        self.bench.end_of(&spec).await
    }

    /// Plans and applies a stack, and keeps its outputs for the others. Returns the plan.
    async fn deliver(&mut self, stack: &str, code: &str) -> JobOutcome {
        let planned = self.plan(stack, code).await;
        let outputs = match &planned {
            JobOutcome::Planned {
                outputs: Some(outputs),
                ..
            } => outputs.clone(),
            JobOutcome::Planned { .. } => {
                let applied = self.apply(stack, &planned).await;
                let JobOutcome::Applied { outputs, .. } = applied else {
                    panic!("{stack}: {applied:?}")
                };
                outputs
            }
            _ => panic!("{stack}: {planned:?}"),
        };
        self.outputs
            .insert(StackName::parse(stack).unwrap(), outputs);
        planned
    }

    /// Returns an output of a stack as JSON.
    fn output(&self, stack: &str, name: &str) -> String {
        let outputs = self
            .bench
            .outputs(&self.outputs[&StackName::parse(stack).unwrap()]);
        outputs[name].value.json().to_owned()
    }

    /// Checks that neither the secret nor a form of it is in a text.
    fn has_no_secret(text: &str) {
        let json = serde_json::to_string(SECRET).unwrap();
        let json = json.trim_matches('"');
        for form in DERIVED.into_iter().chain([SECRET, json, "canary"]) {
            assert!(!text.contains(form), "{form}: {text}");
        }
    }
}

/// Returns the code of a stack that takes the outputs of another one. Its plan fails, and prints this
/// text.
fn fails_with(needed: &str, text: &str) -> String {
    format!(
        r#"variable "{needed}" {{
  type = any
}}

resource "terraform_data" "check" {{
  lifecycle {{
    precondition {{
      condition     = length(var.{needed}) == 0
      error_message = "{text}"
    }}
  }}
}}
"#
    )
}

fn warnings(planned: &JobOutcome) -> Vec<String> {
    let JobOutcome::Planned { warnings, .. } = planned else {
        panic!("{planned:?}")
    };
    warnings.first.iter().map(|one| one.text.clone()).collect()
}

/// Variables and a command that gets an ephemeral value.
fn ephemeral(file: &str) -> String {
    format!(
        r#"variable "environment" {{
  type      = string
  ephemeral = true
}}

variable "data" {{
  type = object({{
    password = string
  }})
  ephemeral = true
}}

variable "net" {{
  type = any
}}

resource "terraform_data" "job" {{
  input = var.net.zone

  provisioner "local-exec" {{
    command     = "printf '%s %s' \"$NAME\" \"$PASSWORD\" > {file}"
    environment = {{ NAME = var.environment, PASSWORD = var.data.password }}
  }}
}}
"#
    )
}

#[tokio::test]
async fn an_ephemeral_variable_has_the_same_value_in_the_plan_and_in_the_apply() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    stacks
        .deliver("net", "output \"zone\" {\n  value = \"z\"\n}\n")
        .await;
    let file = stacks.bench.temp.path().join("written");
    let planned = stacks
        .deliver("app", &ephemeral(file.to_str().unwrap()))
        .await;
    assert_eq!(warnings(&planned), [""; 0]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written, format!("production {SECRET}"));
    Stacks::has_no_secret(&stacks.state("app"));
    Stacks::has_no_secret(&stacks.bench.printed.text());
}

#[tokio::test]
async fn a_rollback_passes_ephemeral_variables_again() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    stacks
        .deliver("net", "output \"zone\" {\n  value = \"z\"\n}\n")
        .await;
    let file = stacks.bench.temp.path().join("written");
    let good = ephemeral(file.to_str().unwrap());
    stacks.deliver("app", &good).await;

    let failing = "resource \"terraform_data\" \"fails\" {\n  provisioner \"local-exec\" {\n    command = \"exit 3\"\n  }\n}\n";
    let planned = stacks.plan("app", failing).await;
    let failed = stacks.apply("app", &planned).await;
    assert_eq!(failure(&failed).0, ErrorName::ApplyFailed);
    std::fs::remove_file(&file).unwrap();
    let spec = stacks.spec(Verb::Plan, "app");
    let undo = Undo {
        applied: sealed(&planned),
        extent: Extent::Unknown,
        source: spec.source,
        dir: spec.dir,
    };

    stacks.code.insert("app".to_owned(), good);
    let mut back = stacks.spec(Verb::Plan, "app");
    back.undo = Some(undo);
    let planned = stacks.bench.end_of(&back).await;
    let mut apply = back.clone();
    apply.verb = Verb::Apply;
    apply.plan = Some(sealed(&planned));
    let applied = stacks.bench.end_of(&apply).await;
    assert!(matches!(applied, JobOutcome::Applied { .. }), "{applied:?}");
    assert!(std::fs::read_to_string(&file).unwrap().ends_with(SECRET));
}

#[tokio::test]
async fn a_null_output_is_null_in_the_next_stack() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    let data = "output \"replica\" {\n  value = null\n}\n\noutput \"key\" {\n  value     = null\n  sensitive = true\n}\n\n\
                output \"name\" {\n  value = \"db\"\n}\n";
    // Only `sensitive` marks the key. Without a mark on the variable, `null` could be compared.
    let app = r#"variable "data" {
  type = object({
    replica = string
    key     = string
    name    = string
  })
  sensitive = false
}

output "found" {
  value = [var.data.replica == null, var.data.key == null, var.data.name]
}
"#;
    stacks.deliver("data", data).await;
    assert_eq!(stacks.output("data", "replica"), "null");
    stacks.deliver("app", app).await;
    assert_eq!(stacks.output("app", "found"), r#"[true,true,"db"]"#);

    // Without changes, the outputs are the same object.
    let before = stacks.outputs.clone();
    let again = stacks.deliver("data", data).await;
    assert!(matches!(
        &again,
        JobOutcome::Planned {
            outputs: Some(_),
            ..
        }
    ));
    let sha256 = |outputs: &BTreeMap<StackName, ObjectRef>| {
        outputs[&StackName::parse("data").unwrap()].sha256.clone()
    };
    assert_eq!(sha256(&stacks.outputs), sha256(&before));

    // A stack that is destroyed has no outputs.
    let mut spec = stacks.spec(Verb::Plan, "data");
    spec.plan_kind = PlanKind::Destroy;
    let planned = stacks.bench.end_of(&spec).await;
    spec.verb = Verb::Apply;
    spec.plan = Some(sealed(&planned));
    let JobOutcome::Applied { outputs, .. } = stacks.bench.end_of(&spec).await else {
        panic!("not destroyed")
    };
    assert!(stacks.bench.outputs(&outputs).is_empty());
}

#[tokio::test]
async fn a_number_beyond_64_bits_is_the_same_in_the_next_stack() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    let numbers = "123456789012345678901234567890, 0.1234567890123456789012345, -9007199254740993";
    let data = format!(
        "output \"numbers\" {{\n  value = [{numbers}]\n}}\n\noutput \"map\" {{\n  value = {{ a = 1e30, b = null }}\n}}\n"
    );
    let app = r#"variable "data" {
  type = any
}

resource "terraform_data" "numbers" {
  input = var.data
}

output "numbers" {
  value = terraform_data.numbers.output.numbers
}

output "text" {
  value = [for number in var.data.numbers : tostring(number)]
}
"#;
    stacks.deliver("data", &data).await;
    stacks.deliver("app", app).await;
    let expected = format!("[{}]", numbers.replace(' ', ""));
    assert_eq!(stacks.output("app", "numbers"), expected);
    let texts = expected
        .replace('[', "[\"")
        .replace(',', "\",\"")
        .replace(']', "\"]");
    assert_eq!(stacks.output("app", "text"), texts);
    assert_eq!(
        stacks.output("data", "map"),
        r#"{"a":1000000000000000000000000000000,"b":null}"#
    );

    // Outputs from a state and from an apply are the same object.
    let before = stacks.outputs.clone();
    stacks.deliver("data", &data).await;
    stacks.deliver("app", app).await;
    for (stack, outputs) in &before {
        assert_eq!(stacks.outputs[stack].sha256, outputs.sha256, "{stack}");
    }
}

#[tokio::test]
async fn a_sensitive_output_is_sensitive_in_the_next_stack_and_in_the_one_after() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    let app = r#"variable "data" {
  type = any
}

resource "terraform_data" "user" {
  input = var.data.password
}

output "dsn" {
  value     = "user:${var.data.password}@db"
  sensitive = true
}
"#;
    let planned = stacks.deliver("app", app).await;
    assert_eq!(warnings(&planned), [""; 0]);
    assert!(
        stacks
            .state("app")
            .contains("\"sensitive_attributes\": [\n            [\n")
    );

    let text = "It is ${var.app.dsn}, ${base64encode(var.app.dsn)}, ${upper(var.app.dsn)}.";
    let failed = stacks.plan("web", &fails_with("app", text)).await;
    let (name, message) = failure(&failed);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(
        message.contains("Resource precondition failed"),
        "{message}"
    );
    let text = format!("{failed:?} {}", stacks.bench.printed.text());
    Stacks::has_no_secret(&text);
    assert!(!text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn an_error_that_prints_a_form_of_a_sensitive_output_is_masked() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    // The block of the variable decides that it has no mark.
    let app = r#"variable "data" {
  type      = any
  sensitive = false
}

resource "terraform_data" "check" {
  lifecycle {
    precondition {
      condition     = var.data.password == ""
      error_message = <<-EOT
        Plain ${var.data.password}, base64 ${base64encode(var.data.password)},
        with more ${base64encode("ab${var.data.password}cd")}, URL ${urlencode(var.data.password)},
        JSON ${jsonencode(var.data)}, both ${base64encode(jsonencode(var.data))}.
      EOT
    }
  }
}
"#;
    let failed = stacks.plan("app", app).await;
    let (_, message) = failure(&failed);
    assert_eq!(message.matches("[redacted]").count(), 6, "{message}");
    assert!(message.contains("URL [redacted],"), "{message}");
    let text = format!("{failed:?} {}", stacks.bench.printed.text());
    Stacks::has_no_secret(&text);
}

#[tokio::test]
async fn a_stack_where_terraform_accepts_no_sensitive_value_is_delivered_with_a_warning() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    let app = r#"variable "data" {
  type = any
}

resource "terraform_data" "subnet" {
  for_each = toset(var.data.subnets)
}

output "dsn" {
  value = "user:${var.data.password}@db"
}
"#;
    let planned = stacks.deliver("app", app).await;
    let summary = stacks.bench.summary(&planned);
    assert_eq!(summary.count(Action::Create), 2);
    let found = warnings(&planned);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("var.data not marked as sensitive: "),
        "{found:?}"
    );
    assert!(found[0].contains("write nonsensitive(...)"), "{found:?}");
    let log = stacks.bench.printed.text();
    assert!(
        log.contains("because stack data has the sensitive output password."),
        "{log}"
    );

    // What the stack derives from the secret is masked in the next stack.
    let text = "It is ${var.app.dsn}, ${base64encode(var.app.dsn)}.";
    let failed = stacks.plan("web", &fails_with("app", text)).await;
    assert!(
        failure(&failed).1.contains("It is [redacted], [redacted]."),
        "{failed:?}"
    );
    Stacks::has_no_secret(&format!("{failed:?} {}", stacks.bench.printed.text()));

    // With nonsensitive(), the rest stays sensitive.
    let fixed = app
        .replace(
            "toset(var.data.subnets)",
            "toset(nonsensitive(var.data.subnets))",
        )
        .replace("@db\"\n", "@db\"\n  sensitive = true\n")
        .replace("  value = ", "  value     = ");
    let planned = stacks.deliver("app", &fixed).await;
    assert_eq!(warnings(&planned), [""; 0]);
}

#[tokio::test]
async fn an_error_after_a_refused_mark_is_shown_without_the_secret() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    stacks.deliver("data", DATA).await;
    let app = fails_with("data", "It is ${upper(var.data.password)}.")
        + "\noutput \"subnets\" {\n  value = var.data.subnets\n}\n";
    let failed = stacks.plan("app", &app).await;
    let (_, message) = failure(&failed);
    assert!(message.contains("It is [redacted]."), "{message}");
    let text = format!("{failed:?} {}", stacks.bench.printed.text());
    assert!(!text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn an_error_in_an_output_of_another_stack_names_the_stack_and_not_a_file_of_the_job() {
    let Some(mut stacks) = Stacks::new() else {
        return;
    };
    let data = "output \"port\" {\n  value = \"http\"\n}\n";
    stacks.deliver("data", data).await;
    let app = "variable \"data\" {\n  type = object({ port = number })\n}\n";
    let failed = stacks.plan("app", app).await;
    let (name, message) = failure(&failed);
    assert_eq!(name, ErrorName::PlanFailed);
    assert!(
        message.contains("the outputs of stack data: Invalid value"),
        "{message}"
    );
    let log = stacks.bench.printed.text();
    assert!(log.contains("(the outputs of stack data)"), "{log}");

    // The same of a variable that is marked.
    stacks.deliver("data", &format!("{DATA}\n{data}")).await;
    let failed = stacks.plan("app", app).await;
    let (_, message) = failure(&failed);
    assert!(
        message.contains("defined at the outputs of stack data."),
        "{message}"
    );
    let text = format!("{failed:?} {}", stacks.bench.printed.text());
    assert!(!text.contains("sluicegate.tfvars.json"), "{text}");
}
