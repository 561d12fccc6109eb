//! The parts of a plan's JSON that are read. Lists are not kept: each element is added to a result.

use super::NotJudged;
use crate::outputs::Outputs;
use crate::plan::{
    Action, Attributes, ObjectId, Origin, OutputsChange, PlannedResource, ResourceChange,
    ServiceChange, ServiceField,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A plan. `O` is what is read of the outputs in the state before it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "O: Deserialize<'de> + Default"))]
pub(super) struct Raw<O> {
    pub(super) format_version: String,
    #[serde(default)]
    pub(super) resource_changes: Sum<Changes>,
    #[serde(default)]
    pub(super) output_changes: OutputChanges,
    #[serde(default)]
    pub(super) prior_state: RawState<O>,
    #[serde(default)]
    pub(super) configuration: RawConfiguration,
}

#[derive(Default, Deserialize)]
#[serde(bound(deserialize = "O: Deserialize<'de> + Default"))]
pub(super) struct RawState<O> {
    #[serde(default)]
    pub(super) values: RawValues<O>,
}

#[derive(Default, Deserialize)]
#[serde(bound(deserialize = "O: Deserialize<'de> + Default"))]
pub(super) struct RawValues<O> {
    #[serde(default)]
    pub(super) outputs: O,
    #[serde(default)]
    pub(super) root_module: RawModule,
}

#[derive(Default, Deserialize)]
pub(super) struct RawConfiguration {
    #[serde(default)]
    pub(super) root_module: RawDeclarations,
}

#[derive(Default, Deserialize)]
pub(super) struct RawDeclarations {
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, RawDeclaration>,
}

#[derive(Deserialize)]
pub(super) struct RawDeclaration {
    #[serde(default)]
    pub(super) sensitive: bool,
}

/// The result of a list's elements.
#[derive(Default)]
pub(super) struct Sum<T>(pub(super) T);

/// A result to which the elements of a list are added.
pub(super) trait Add: Default {
    type Element: DeserializeOwned;
    fn add(&mut self, element: Self::Element);
}

impl<'de, T: Add> Deserialize<'de> for Sum<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(PhantomData)).map(Sum)
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Add> Visitor<'de> for List<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut sum = T::default();
        while let Some(element) = list.next_element()? {
            sum.add(element);
        }
        Ok(sum)
    }
}

#[derive(Default, Deserialize)]
pub(super) struct RawModule {
    #[serde(default)]
    resources: Sum<ManagedResources>,
    #[serde(default)]
    child_modules: Sum<Modules>,
}

impl RawModule {
    /// Returns the number of managed resources, those of modules included.
    pub(super) fn managed(&self) -> usize {
        self.resources.0.0 + self.child_modules.0.0
    }
}

#[derive(Default)]
struct ManagedResources(usize);

#[derive(Deserialize)]
struct RawResource {
    #[serde(default)]
    mode: String,
}

impl Add for ManagedResources {
    type Element = RawResource;
    fn add(&mut self, resource: RawResource) {
        self.0 += usize::from(resource.mode == "managed");
    }
}

/// The number of managed resources in modules.
#[derive(Default)]
struct Modules(usize);

impl Add for Modules {
    type Element = RawModule;
    fn add(&mut self, module: RawModule) {
        self.0 += module.managed();
    }
}

/// The output of a stack that names the ECS service of the deployment.
const SERVICE: &str = "service";

/// The outputs in the state before the plan.
pub(super) trait PriorOutputs {
    /// Returns the name or the ARN of the ECS service.
    fn service(&self) -> Option<String>;
}

impl PriorOutputs for Outputs {
    fn service(&self) -> Option<String> {
        self.get(SERVICE)?.value.text()
    }
}

/// The only output that a verdict depends on.
#[derive(Default, Deserialize)]
pub(super) struct ServiceOutput {
    #[serde(default)]
    service: Option<RawServiceOutput>,
}

#[derive(Deserialize)]
struct RawServiceOutput {
    #[serde(default)]
    value: Option<Box<RawValue>>,
}

impl PriorOutputs for ServiceOutput {
    fn service(&self) -> Option<String> {
        text(self.service.as_ref()?.value.as_deref())
    }
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

/// What the plan changes of outputs.
#[derive(Default)]
pub(super) struct OutputChanges {
    pub(super) change: OutputsChange,
    /// The name or the ARN of the ECS service after the plan.
    pub(super) service: Option<String>,
}

#[derive(Deserialize)]
struct RawOutputChange<'json> {
    actions: Vec<String>,
    #[serde(default, borrow)]
    after: Option<&'json RawValue>,
}

impl<'de> Deserialize<'de> for OutputChanges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutputMap)
    }
}

struct OutputMap;

impl<'de> Visitor<'de> for OutputMap {
    type Value = OutputChanges;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of outputs")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut outputs: A) -> Result<OutputChanges, A::Error> {
        let mut changes = OutputChanges::default();
        while let Some((name, output)) = outputs.next_entry::<String, RawOutputChange<'de>>()? {
            if output.actions.iter().any(|action| action != "no-op") {
                changes.change = OutputsChange::Some;
            }
            if name == SERVICE {
                changes.service = text(output.after);
            }
        }
        Ok(changes)
    }
}

/// What the plan changes of resources.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) resources: Vec<PlannedResource>,
    /// The addresses that are replaced because they are tainted.
    pub(super) tainted: Vec<String>,
    pub(super) services: Vec<ServiceUpdate>,
    /// The first change whose actions are not known.
    pub(super) unknown: Option<NotJudged>,
}

/// An update of an ECS service that changes what a deployment sets.
pub(super) struct ServiceUpdate {
    /// The service's name, and its id.
    pub(super) ids: Vec<String>,
    pub(super) change: ServiceChange,
}

#[derive(Deserialize)]
pub(super) struct RawChange {
    address: String,
    #[serde(default)]
    previous_address: Option<String>,
    #[serde(default, rename = "type")]
    resource_type: String,
    #[serde(default)]
    action_reason: Option<String>,
    #[serde(default)]
    deposed: Option<IgnoredAny>,
    change: RawActions,
}

#[derive(Deserialize)]
struct RawActions {
    actions: Vec<String>,
    #[serde(default)]
    importing: Option<IgnoredAny>,
    #[serde(default)]
    before: Option<Attributes>,
    #[serde(default)]
    after: Option<Attributes>,
}

impl Add for Changes {
    type Element = RawChange;
    fn add(&mut self, change: RawChange) {
        let origin = match (&change.previous_address, &change.change.importing) {
            (Some(from), _) => Some(Origin::Moved { from: from.clone() }),
            (None, Some(_)) => Some(Origin::Imported),
            (None, None) => None,
        };
        let object = match (&change.deposed, &origin) {
            (Some(_), _) => Object::Deposed,
            (None, Some(_)) => Object::Arriving,
            (None, None) => Object::Standing,
        };
        let action = match action(&change.change.actions, object) {
            Some(Some(action)) => action,
            Some(None) => return,
            None => {
                self.unknown.get_or_insert(NotJudged::UnknownActions {
                    address: change.address,
                    actions: change.change.actions,
                });
                return;
            }
        };
        if change.action_reason.as_deref() == Some("replace_because_tainted") {
            self.tainted.push(change.address.clone());
        }
        self.services.extend(service_update(&change));
        let before = change.change.before.unwrap_or_default();
        self.resources.push(PlannedResource {
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
}

/// Returns the update of an ECS service, if it changes what a deployment sets.
fn service_update(change: &RawChange) -> Option<ServiceUpdate> {
    if change.resource_type != "aws_ecs_service" || change.change.actions != ["update"] {
        return None;
    }
    let before = change.change.before.as_ref()?;
    // A value that is known after the apply is missing from `after`.
    let after = change.change.after.as_ref();
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
    let ids = [before.name(), before.id()].into_iter().flatten();
    (!fields.is_empty()).then(|| ServiceUpdate {
        ids: ids.map(str::to_owned).collect(),
        change: ServiceChange {
            address: change.address.clone(),
            fields,
        },
    })
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
