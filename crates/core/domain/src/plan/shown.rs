//! Parses `terraform show -json` of a plan: addresses, actions and prior outputs. The runner and the
//! Lambda that judges plans read a plan with the same code.

use super::{
    Action, Attributes, ObjectId, Origin, OutputsChange, PlanSummary, PlannedResource,
    ResourceChange, ServiceChange, ServiceField,
};
use crate::outputs::{Output, OutputValue, Outputs};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The maximum size of a plan's JSON, in bytes. The Lambda that judges it holds it in memory, and what
/// it reads from it: with outputs of this size, up to four times as much. The runner fails a plan job
/// whose plan is larger.
pub const MAX_PLAN_JSON: usize = 64 * 1024 * 1024;

/// Why the JSON of a plan is not judged. The text contains no value of the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// It is larger than [`MAX_PLAN_JSON`].
    #[error(
        "it is larger than {} MiB, the most that can be judged; move resources into another stack, or \
         take long texts out of resources and outputs",
        MAX_PLAN_JSON / (1024 * 1024)
    )]
    TooLarge,
    /// It is not JSON, or has another form. Only the position, because a text may quote a value.
    #[error(
        "it is not the JSON of a plan (line {line}, column {column}); is Terraform newer than Sluicegate?"
    )]
    OtherForm {
        /// The line of the error.
        line: usize,
        /// The column of the error.
        column: usize,
    },
    /// It has another version.
    #[error("it has format {found:?}, expected 1.x; is Terraform newer than Sluicegate?")]
    OtherFormat {
        /// The version in it.
        found: String,
    },
    /// It has actions that this version does not know.
    #[error("{address} has the unknown actions {actions:?}; is Terraform newer than Sluicegate?")]
    UnknownActions {
        /// The resource's address.
        address: String,
        /// The actions as in the plan.
        actions: Vec<String>,
    },
}

/// A plan as Terraform shows it, without the values of resources. Its JSON contains every value in
/// clear text, including sensitive ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPlan {
    /// The changes of the plan.
    pub summary: PlanSummary,
    /// The changed resources, with their objects before the plan.
    pub resources: Vec<PlannedResource>,
    /// The resources that were changed outside Terraform since its last run.
    pub drift: Vec<String>,
    /// The outputs in the state before the plan. They are the outputs of the stack only if the plan
    /// changes nothing: for a new stack, Terraform puts planned values here.
    pub prior_outputs: Outputs,
    /// The outputs that the configuration declares, all with the value `null`. A state does not have
    /// outputs that are `null`.
    pub declared_outputs: Outputs,
    /// The version of Terraform that made the plan.
    pub terraform_version: String,
}

#[derive(Deserialize)]
struct Raw {
    format_version: String,
    #[serde(default)]
    terraform_version: String,
    #[serde(default)]
    resource_changes: Vec<RawChange>,
    #[serde(default)]
    resource_drift: Vec<RawChange>,
    #[serde(default)]
    output_changes: BTreeMap<String, RawOutputChange>,
    #[serde(default)]
    prior_state: RawState,
    #[serde(default)]
    configuration: RawConfiguration,
}

#[derive(Deserialize)]
struct RawChange {
    address: String,
    #[serde(default)]
    previous_address: Option<String>,
    #[serde(default, rename = "type")]
    resource_type: String,
    #[serde(default)]
    action_reason: Option<String>,
    #[serde(default)]
    deposed: Option<serde::de::IgnoredAny>,
    change: RawActions,
}

#[derive(Deserialize)]
struct RawActions {
    actions: Vec<String>,
    #[serde(default)]
    importing: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    before: Option<Attributes>,
    #[serde(default)]
    after: Option<Attributes>,
}

#[derive(Deserialize)]
struct RawOutputChange {
    actions: Vec<String>,
    #[serde(default)]
    after: OutputValue,
}

#[derive(Default, Deserialize)]
struct RawConfiguration {
    #[serde(default)]
    root_module: RawDeclarations,
}

#[derive(Default, Deserialize)]
struct RawDeclarations {
    #[serde(default)]
    outputs: BTreeMap<String, RawDeclaration>,
}

#[derive(Deserialize)]
struct RawDeclaration {
    #[serde(default)]
    sensitive: bool,
}

#[derive(Default, Deserialize)]
struct RawState {
    #[serde(default)]
    values: RawValues,
}

#[derive(Default, Deserialize)]
struct RawValues {
    #[serde(default)]
    outputs: Outputs,
    #[serde(default)]
    root_module: RawModule,
}

#[derive(Default, Deserialize)]
struct RawModule {
    #[serde(default)]
    resources: Vec<RawResource>,
    #[serde(default)]
    child_modules: Vec<Self>,
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default)]
    mode: String,
}

impl RawModule {
    /// Returns the number of managed resources, those of modules included.
    fn managed(&self) -> usize {
        let own = self.resources.iter().filter(|one| one.mode == "managed");
        own.count() + self.child_modules.iter().map(Self::managed).sum::<usize>()
    }
}

/// The output of a stack that names the ECS service of the deployment.
const SERVICE: &str = "service";

impl ShownPlan {
    /// Parses the output of `terraform show -json <plan>`.
    ///
    /// # Errors
    /// Fails when it is not a plan of format 1, has an unknown action, or is too large. Guessing what
    /// a plan does would be worse than stopping.
    pub fn parse(json: &[u8]) -> Result<Self, NotJudged> {
        if json.len() > MAX_PLAN_JSON {
            return Err(NotJudged::TooLarge);
        }
        let raw: Raw = serde_json::from_slice(json).map_err(|error| NotJudged::OtherForm {
            line: error.line(),
            column: error.column(),
        })?;
        if raw.format_version.split('.').next() != Some("1") {
            let found = raw.format_version;
            return Err(NotJudged::OtherFormat { found });
        }
        let mut resources = Vec::new();
        let mut tainted = Vec::new();
        let services = raw.services();
        for change in raw.resource_changes {
            let origin = match (change.previous_address, &change.change.importing) {
                (Some(from), _) => Some(Origin::Moved { from }),
                (None, Some(_)) => Some(Origin::Imported),
                (None, None) => None,
            };
            let object = match (&change.deposed, &origin) {
                (Some(_), _) => Object::Deposed,
                (None, Some(_)) => Object::Arriving,
                (None, None) => Object::Standing,
            };
            let known = action(&change.change.actions, object);
            let Some(action) = known.ok_or_else(|| NotJudged::UnknownActions {
                address: change.address.clone(),
                actions: change.change.actions.clone(),
            })?
            else {
                continue;
            };
            if change.action_reason.as_deref() == Some("replace_because_tainted") {
                tainted.push(change.address.clone());
            }
            let before = change.change.before.unwrap_or_default();
            resources.push(PlannedResource {
                before: before.identity().map(ObjectId::new),
                import_id: before.import_id(&change.resource_type).map(ObjectId::new),
                change: ResourceChange {
                    address: change.address,
                    resource_type: change.resource_type,
                    origin,
                    action,
                },
            });
        }
        let changes = resources.iter().map(|one| one.change.clone()).collect();
        let outputs_change = if raw
            .output_changes
            .values()
            .any(|output| output.actions.iter().any(|action| action != "no-op"))
        {
            OutputsChange::Some
        } else {
            OutputsChange::None
        };
        Ok(Self {
            summary: PlanSummary {
                changes,
                outputs_change,
                tainted,
                services,
                resources: raw.prior_state.values.root_module.managed(),
            },
            resources,
            drift: raw
                .resource_drift
                .into_iter()
                .map(|change| change.address)
                .collect(),
            prior_outputs: raw.prior_state.values.outputs,
            declared_outputs: raw
                .configuration
                .root_module
                .outputs
                .into_iter()
                .map(|(name, declared)| (name, Output::null(declared.sensitive)))
                .collect(),
            terraform_version: raw.terraform_version,
        })
    }
}

impl Raw {
    /// Returns the updates of the service that the output `service` names, by name or ARN, as far as
    /// they change what a deployment sets.
    fn services(&self) -> Vec<ServiceChange> {
        let before = self.prior_state.values.outputs.get(SERVICE);
        let before = before.map(|output| &output.value);
        let after = self.output_changes.get(SERVICE).map(|change| &change.after);
        let named: Vec<String> = before
            .into_iter()
            .chain(after)
            .filter_map(OutputValue::text)
            .collect();
        let is_service = |change: &&RawChange| {
            change.resource_type == "aws_ecs_service" && change.change.actions == ["update"]
        };
        let changes = self.resource_changes.iter().filter(is_service);
        changes
            .filter_map(|change| {
                let (before, after) = (change.change.before.as_ref()?, &change.change.after);
                let ids = [before.name(), before.id()];
                if !ids
                    .into_iter()
                    .flatten()
                    .any(|id| named.iter().any(|name| name == id))
                {
                    return None;
                }
                // A value that is known after the apply is missing from `after`.
                let after = after.as_ref();
                let task = after.map(Attributes::task_definition);
                let count = after.map(Attributes::desired_count);
                let differs = [
                    (
                        ServiceField::TaskDefinition,
                        task != Some(before.task_definition()),
                    ),
                    (
                        ServiceField::DesiredCount,
                        count != Some(before.desired_count()),
                    ),
                ];
                let fields = differs.into_iter().filter(|(_, differs)| *differs);
                let fields: Vec<ServiceField> = fields.map(|(field, _)| field).collect();
                let address = change.address.clone();
                (!fields.is_empty()).then_some(ServiceChange { address, fields })
            })
            .collect()
    }
}

/// The object that a change is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Object {
    /// At its address in the state, or not created yet.
    Standing,
    /// Moved to its address, or imported.
    Arriving,
    /// Left behind by an earlier replacement.
    Deposed,
}

/// Returns the action for a list of actions; `Some(None)` if nothing changes, `None` if the list is
/// unknown.
fn action(actions: &[String], object: Object) -> Option<Option<Action>> {
    let words: Vec<&str> = actions.iter().map(String::as_str).collect();
    Some(match words.as_slice() {
        ["no-op"] if object == Object::Arriving => Some(Action::Keep),
        ["delete"] if object == Object::Deposed => Some(Action::DeleteDeposed),
        ["no-op" | "read" | "open" | "renew" | "close"] => None,
        ["create"] => Some(Action::Create),
        ["update"] => Some(Action::Update),
        ["delete"] => Some(Action::Delete),
        ["delete", "create"]
        | ["create", "delete"]
        // The object that is replaced stays, outside of the state.
        | ["create", "forget"]
        | ["forget", "create"] => Some(Action::Replace),
        ["forget"] => Some(Action::Forget),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "tests may stop at once"
    )]
    use super::*;
    use proptest::prelude::*;

    fn change(address: &str, actions: &str, more: &str) -> String {
        format!(
            r#"{{"address":"{address}","type":"terraform_data","change":{{"actions":{actions},
            "after":{{"input":"canary"}}}}{more}}}"#
        )
    }

    fn imported(address: &str, actions: &str) -> String {
        let importing = r#""change":{"importing":{"id":"canary"},"#;
        change(address, actions, "").replace(r#""change":{"#, importing)
    }

    fn plan(changes: &[String]) -> Result<ShownPlan, NotJudged> {
        ShownPlan::parse(
            format!(
                r#"{{"format_version":"1.2","terraform_version":"1.11.4","resource_changes":[{}],
                "resource_drift":[{}],"output_changes":{{"o":{{"actions":["no-op"]}}}},
                "prior_state":{{"values":{{"outputs":{{"o":{{"sensitive":true,"type":"string",
                "value":"canary"}}}}}}}}}}"#,
                changes.join(","),
                change("t.drifted", r#"["update"]"#, ""),
            )
            .as_bytes(),
        )
    }

    #[test]
    fn each_set_of_actions_is_one_word() {
        let tainted = r#","action_reason":"replace_because_tainted""#;
        let shown = plan(&[
            change("t.a", r#"["create"]"#, ""),
            change("t.b", r#"["no-op"]"#, ""),
            change("t.c", r#"["no-op"]"#, r#","previous_address":"t.x""#),
            change("t.d", r#"["delete","create"]"#, tainted),
            change("t.e", r#"["create","delete"]"#, ""),
            change("t.f", r#"["delete"]"#, ""),
            change("t.g", r#"["forget"]"#, ""),
            change("data.t.h", r#"["read"]"#, ""),
            change("t.i", r#"["update"]"#, r#","previous_address":"t.y""#),
            change("t.j", r#"["delete"]"#, r#","deposed":"a1b2c3d4""#),
            imported("t.k", r#"["no-op"]"#),
            imported("t.l", r#"["update"]"#),
            change("t.m", r#"["create","forget"]"#, ""),
        ])
        .unwrap();
        let words: Vec<_> = shown
            .summary
            .changes
            .iter()
            .map(|c| (c.address.as_str(), c.origin.clone(), c.action))
            .collect();
        let moved = |from: &str| Some(Origin::Moved { from: from.into() });
        assert_eq!(
            words,
            [
                ("t.a", None, Action::Create),
                ("t.c", moved("t.x"), Action::Keep),
                ("t.d", None, Action::Replace),
                ("t.e", None, Action::Replace),
                ("t.f", None, Action::Delete),
                ("t.g", None, Action::Forget),
                ("t.i", moved("t.y"), Action::Update),
                ("t.j", None, Action::DeleteDeposed),
                ("t.k", Some(Origin::Imported), Action::Keep),
                ("t.l", Some(Origin::Imported), Action::Update),
                ("t.m", None, Action::Replace),
            ]
        );
        assert_eq!(shown.summary.tainted, ["t.d"]);
        assert_eq!(shown.drift, ["t.drifted"]);
        assert_eq!(shown.summary.outputs_change, OutputsChange::None);
        assert_eq!(shown.prior_outputs["o"].value.json(), "\"canary\"");
        assert!(
            !format!("{shown:?}").contains("canary"),
            "no value is shown"
        );
    }

    #[test]
    fn the_resources_of_every_module_are_counted() {
        let json = br#"{"format_version":"1.2","prior_state":{"values":{"root_module":{
            "resources":[{"mode":"managed"},{"mode":"data"}],"child_modules":[
            {"resources":[{"mode":"managed"}],"child_modules":[{"resources":[{"mode":"managed"}]}]},
            {}]}}}}"#;
        assert_eq!(ShownPlan::parse(json).unwrap().summary.resources, 3);
        assert_eq!(plan(&[]).unwrap().summary.resources, 0);
    }

    /// A plan with one service, which the output `service` names.
    fn service(actions: &str, before: &str, after: &str, output: &str) -> Vec<ServiceChange> {
        let json = format!(
            r#"{{"format_version":"1.2","resource_changes":[{{"address":"aws_ecs_service.web",
            "type":"aws_ecs_service","change":{{"actions":{actions},"before":{before},
            "after":{after}}}}},{{"address":"t.x","type":"t","change":{{"actions":["update"],
            "before":{{"name":["a"],"desired_count":{{}}}},"after":{{"name":1}}}}}}],
            "prior_state":{{"values":{{"outputs":{{"service":{output}}}}}}}}}"#
        );
        ShownPlan::parse(json.as_bytes()).unwrap().summary.services
    }

    #[test]
    fn a_change_of_what_a_deployment_sets_is_found_by_the_name_of_the_service() {
        use ServiceField::{DesiredCount, TaskDefinition};
        let before = r#"{"name":"shop","id":"arn:shop","task_definition":"arn:td:7","desired_count":5,"tags":{}}"#;
        let output = r#"{"value":"shop","type":"string"}"#;
        let changed = |fields: &[ServiceField]| {
            let (address, fields) = ("aws_ecs_service.web".to_owned(), fields.to_vec());
            vec![ServiceChange { address, fields }]
        };
        let update = r#"["update"]"#;
        let both = before.replace(":7", ":1").replace("5", "0");
        assert_eq!(
            service(update, before, &both, output),
            changed(&[TaskDefinition, DesiredCount])
        );
        // Known after the apply, and named by its ARN.
        let unknown = before.replace(r#""task_definition":"arn:td:7","#, "");
        let arn = output.replace("shop", "arn:shop");
        assert_eq!(
            service(update, before, &unknown, &arn),
            changed(&[TaskDefinition])
        );
        // Another value, another service, or another service object.
        let tags = before.replace("{}", r#"{"a":"b"}"#);
        assert_eq!(service(update, before, &tags, output), []);
        let other = output.replace("shop", "jobs");
        assert_eq!(service(update, before, &both, &other), []);
        assert_eq!(service(r#"["delete","create"]"#, before, &both, output), []);
        assert_eq!(service(r#"["create"]"#, "null", &both, output), []);
    }

    #[test]
    fn an_unknown_action_or_format_is_refused() {
        assert!(plan(&[change("t.a", r#"["explode"]"#, "")]).is_err());
        let error = ShownPlan::parse(br#"{"format_version":"2.0"}"#).unwrap_err();
        assert!(
            error.to_string().contains("\"2.0\", expected 1.x"),
            "{error}"
        );
    }

    /// The position of an error is enough, and its text would quote the value.
    #[test]
    fn an_error_quotes_no_value() {
        let changes = [r#"{"address":"t.a","change":{"actions":"canary"}}"#.to_owned()];
        let error = plan(&changes).unwrap_err();
        assert!(matches!(error, NotJudged::OtherForm { line: 1, .. }));
        assert!(!error.to_string().contains("canary"), "{error}");
    }

    #[test]
    fn a_plan_that_is_too_large_is_not_read() {
        let mut json = br#"{"format_version":"1.2"}"#.to_vec();
        json.resize(MAX_PLAN_JSON, b' ');
        assert!(ShownPlan::parse(&json).is_ok());
        json.push(b' ');
        assert_eq!(ShownPlan::parse(&json), Err(NotJudged::TooLarge));
    }

    #[test]
    fn every_error_says_what_was_expected() {
        let errors = [
            NotJudged::TooLarge,
            NotJudged::OtherForm { line: 1, column: 7 },
            NotJudged::OtherFormat {
                found: "2.0".into(),
            },
            NotJudged::UnknownActions {
                address: "aws_sqs_queue.a".into(),
                actions: vec!["explode".into()],
            },
        ];
        insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_a_plan(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _result = ShownPlan::parse(&bytes);
        }
    }
}
