//! Stories of a stack: commits, applies that fail, and rollbacks.

use std::collections::BTreeMap;

use domain::error::ErrorName;
use domain::job::{JobOutcome, JobSpec, Undo, Verb};
use domain::plan::{
    Counts, Extent, PlanKind, PlanSummary, ResourceChange, Verdict, judge_rollback,
};
use serde_json::Value;

use super::{Bench, failure, repository, sealed};

/// A resource that fails when it is created.
pub const FAILS: &str = r#"
resource "terraform_data" "fails" {
  provisioner "local-exec" {
    command = "exit 3"
  }
}
"#;

/// The ids of the objects in the stack's state, by address.
pub type Objects = BTreeMap<String, String>;

/// A stack, and the files of its commits.
pub struct Story {
    pub bench: Bench,
}

/// A plan of a rollback, with what the run did before.
pub struct Back {
    pub spec: JobSpec,
    pub outcome: JobOutcome,
    pub summary: PlanSummary,
    pub made: Vec<ResourceChange>,
    pub unrecorded: Vec<ResourceChange>,
}

impl Story {
    pub fn new() -> Option<Self> {
        let bench = Bench::real()?;
        Some(Self { bench })
    }

    pub fn spec(&self, verb: Verb, files: &[(&str, &str)]) -> JobSpec {
        self.bench.spec(verb, files)
    }

    /// Plans and applies. Returns the sealed plan, and how the apply ended.
    pub async fn apply(&self, files: &[(&str, &str)]) -> (JobOutcome, JobOutcome) {
        let planned = self.bench.end_of(&self.spec(Verb::Plan, files)).await;
        let mut apply = self.spec(Verb::Apply, files);
        apply.plan = Some(sealed(&planned));
        let ended = self.bench.end_of(&apply).await;
        (planned, ended)
    }

    /// Delivers a commit that succeeds.
    pub async fn deliver(&self, main: &str) {
        let (_, ended) = self.apply(&repository(main)).await;
        assert!(matches!(ended, JobOutcome::Applied { .. }), "{ended:?}");
    }

    /// Delivers a commit whose apply fails. Returns what its rollback undoes.
    pub async fn fail(&self, files: &[(&str, &str)]) -> Undo {
        let (planned, ended) = self.apply(files).await;
        assert_eq!(failure(&ended).0, ErrorName::ApplyFailed);
        self.undo_of(&planned, Extent::Part, files)
    }

    pub fn undo_of(&self, planned: &JobOutcome, extent: Extent, files: &[(&str, &str)]) -> Undo {
        let spec = self.spec(Verb::Plan, files);
        Undo {
            applied: sealed(planned),
            extent,
            source: spec.source,
            dir: spec.dir,
        }
    }

    /// Plans the rollback to these files.
    pub async fn plan_back(&self, files: &[(&str, &str)], undo: Undo) -> Back {
        self.plan_back_as(files, undo, PlanKind::Normal).await
    }

    pub async fn plan_back_as(&self, files: &[(&str, &str)], undo: Undo, kind: PlanKind) -> Back {
        let mut spec = self.spec(Verb::Plan, files);
        spec.undo = Some(undo);
        spec.plan_kind = kind;
        let outcome = self.bench.end_of(&spec).await;
        let JobOutcome::Planned {
            made, unrecorded, ..
        } = outcome.clone()
        else {
            panic!("{outcome:?}")
        };
        let summary = self.bench.summary(&outcome);
        Back {
            spec,
            outcome,
            summary,
            made,
            unrecorded,
        }
    }

    /// Rolls back: plans, judges and applies.
    pub async fn roll_back(&self, main: &str, undo: Undo) -> Back {
        let back = self.plan_back(&repository(main), undo).await;
        self.finish(&back).await;
        back
    }

    /// Judges and applies the plan of a rollback.
    pub async fn finish(&self, back: &Back) {
        assert_eq!(back.verdict(), Ok(Verdict::Auto), "{:?}", back.summary);
        let mut apply = back.spec.clone();
        apply.verb = Verb::Apply;
        apply.plan = Some(sealed(&back.outcome));
        let ended = self.bench.end_of(&apply).await;
        assert!(matches!(ended, JobOutcome::Applied { .. }), "{ended:?}");
    }

    pub fn objects(&self) -> Objects {
        let state: Value = serde_json::from_slice(&self.bench.state().unwrap()).unwrap();
        let mut objects = Objects::new();
        for resource in state["resources"].as_array().unwrap() {
            let part = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            for instance in resource["instances"].as_array().unwrap() {
                let key = instance
                    .get("index_key")
                    .map_or_else(String::new, Value::to_string);
                let address = format!("{} {} {key}", part("module"), part("name"));
                let id = instance["attributes"]["id"].as_str().unwrap().to_owned();
                objects.insert(address.trim().to_owned(), id);
            }
        }
        objects
    }
}

impl Back {
    pub fn verdict(&self) -> Result<Verdict, String> {
        let verdict = judge_rollback(&self.summary, &self.made, |_| false);
        verdict.map_err(|refused| refused.to_string())
    }

    pub fn made(&self) -> Counts {
        Counts::of(&self.made)
    }
}

/// A resource without arguments.
pub fn data(name: &str) -> String {
    format!("resource \"terraform_data\" \"{name}\" {{}}\n")
}

pub fn moved(from: &str, to: &str) -> String {
    format!("\nmoved {{\n  from = {from}\n  to   = {to}\n}}\n")
}

pub fn import(to: &str, id: &str) -> String {
    format!("\nimport {{\n  to = {to}\n  id = \"{id}\"\n}}\n")
}

pub fn forget(from: &str) -> String {
    format!("\nremoved {{\n  from = {from}\n\n  lifecycle {{\n    destroy = false\n  }}\n}}\n")
}
