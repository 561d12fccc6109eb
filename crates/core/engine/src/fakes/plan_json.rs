use domain::plan::{
    Action, Origin, OutputsChange, PlanSummary, ResourceChange, ServiceChange, ServiceField,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The name of the ECS service, and the output that names it.
const SERVICE: &str = "service";

/// A plan that is rendered as `terraform show -json` shows it. [`domain::plan::ShownPlan`] reads the
/// same summary from it, if only what is moved or imported is kept, and each service is changed.
#[derive(Debug, Clone, Default)]
pub struct PlanJson {
    /// What the plan changes.
    pub summary: PlanSummary,
    /// The ids of the objects before the plan, by address.
    pub before: BTreeMap<String, String>,
    /// The value of a sensitive output in the state. The JSON has it in clear text.
    pub secret: Option<String>,
}

impl PlanJson {
    /// Returns a plan with these changes, of a state with 100 resources.
    #[must_use]
    pub fn of(changes: impl IntoIterator<Item = ResourceChange>) -> Self {
        Self {
            summary: PlanSummary {
                changes: changes.into_iter().collect(),
                resources: 100,
                ..PlanSummary::default()
            },
            ..Self::default()
        }
    }

    /// Returns the plan as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let summary = &self.summary;
        let changes: Vec<Value> = summary.changes.iter().map(|one| self.change(one)).collect();
        let output_changes = match summary.outputs_change {
            OutputsChange::Some => json!({"own": {"actions": ["update"], "after": "new"}}),
            OutputsChange::None => json!({}),
        };
        let held = json!({"mode": "managed", "type": "terraform_data"});
        let plan = json!({
            "format_version": "1.2",
            "terraform_version": "1.11.4",
            "resource_changes": changes,
            "output_changes": output_changes,
            "prior_state": {"format_version": "1.0", "values": {
                "outputs": self.outputs(),
                "root_module": {"resources": vec![held; summary.resources]},
            }},
            "configuration": {"root_module": {}},
        });
        format!("{plan}\n").into_bytes()
    }

    fn outputs(&self) -> Value {
        let mut outputs = Map::new();
        if !self.summary.services.is_empty() {
            let service = json!({"value": SERVICE, "type": "string", "sensitive": false});
            outputs.insert(SERVICE.to_owned(), service);
        }
        if let Some(secret) = &self.secret {
            let secret = json!({"value": secret, "type": "string", "sensitive": true});
            outputs.insert("secret".to_owned(), secret);
        }
        outputs.into()
    }

    fn change(&self, change: &ResourceChange) -> Value {
        let id = self.before.get(&change.address);
        let mut services = self.summary.services.iter();
        let service = services.find(|service| service.address == change.address);
        let attributes = service.map_or_else(
            || {
                let held = id.map(|id| json!({"id": id, "name": id}));
                [held.clone(), held]
            },
            |service| [Some(service_before()), Some(service_after(service))],
        );
        let [before, after] = attributes;
        let mut inner =
            json!({"actions": actions(change.action), "before": before, "after": after});
        let mut outer = json!({"address": change.address, "type": change.resource_type});
        match &change.origin {
            Some(Origin::Moved { from }) => set(&mut outer, "previous_address", json!(from)),
            Some(Origin::Imported) => set(&mut inner, "importing", json!({"id": id})),
            None => {}
        }
        if change.action == Action::DeleteDeposed {
            set(&mut outer, "deposed", json!("a1b2c3d4"));
        }
        if self.summary.tainted.contains(&change.address) {
            set(
                &mut outer,
                "action_reason",
                json!("replace_because_tainted"),
            );
        }
        set(&mut outer, "change", inner);
        outer
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

fn service_before() -> Value {
    json!({"name": SERVICE, "task_definition": "service:1", "desired_count": 1})
}

fn service_after(change: &ServiceChange) -> Value {
    let mut after = service_before();
    for field in &change.fields {
        let value = match field {
            ServiceField::TaskDefinition => json!("service:2"),
            ServiceField::DesiredCount => json!(2),
        };
        set(&mut after, field.as_str(), value);
    }
    after
}

fn actions(action: Action) -> &'static [&'static str] {
    match action {
        Action::Create => &["create"],
        Action::Update => &["update"],
        Action::Delete | Action::DeleteDeposed => &["delete"],
        Action::Replace => &["delete", "create"],
        Action::Forget => &["forget"],
        Action::Keep => &["no-op"],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use domain::plan::ShownPlan;

    #[test]
    fn a_plan_is_read_as_it_was_rendered() {
        let change = |address: &str, origin, action| ResourceChange {
            address: address.to_owned(),
            resource_type: "terraform_data".to_owned(),
            origin,
            action,
        };
        let from = "t.old".to_owned();
        let mut service = change("aws_ecs_service.web", None, Action::Update);
        service.resource_type = "aws_ecs_service".to_owned();
        let summary = PlanSummary {
            changes: vec![
                change("t.a", None, Action::Create),
                change("t.b", None, Action::Update),
                change("t.c", None, Action::Delete),
                change("t.d", None, Action::Replace),
                change("t.e", None, Action::Forget),
                change("t.f", None, Action::DeleteDeposed),
                change("t.g", Some(Origin::Moved { from }), Action::Keep),
                change("t.h", Some(Origin::Imported), Action::Update),
                service,
            ],
            outputs_change: OutputsChange::Some,
            tainted: vec!["t.d".to_owned()],
            services: vec![ServiceChange {
                address: "aws_ecs_service.web".to_owned(),
                fields: vec![ServiceField::TaskDefinition],
            }],
            resources: 7,
        };
        let plan = PlanJson {
            summary: summary.clone(),
            before: [("t.c".to_owned(), "own".to_owned())].into(),
            secret: Some("canary".to_owned()),
        };
        let bytes = plan.to_bytes();
        assert!(String::from_utf8_lossy(&bytes).contains("canary"));
        let shown = ShownPlan::parse(&bytes).unwrap();
        assert_eq!(shown.summary, summary);
        let deleted = shown.resources.get(2).unwrap();
        assert_eq!(deleted.before.as_ref().unwrap().as_str(), "own");
        assert_eq!(deleted.import_id, deleted.before);
        assert!(
            ShownPlan::parse(&PlanJson::of([]).to_bytes())
                .unwrap()
                .summary
                .is_empty()
        );
    }
}
