//! The states of the minimal Terraform.

use domain::plan::{ObjectId, StateObjects, StateVersion};
use std::collections::BTreeMap;

/// A resource in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Managed {
    /// The id of its object in the account.
    pub(crate) object: u64,
    pub(crate) value: String,
    /// Whether its creation was interrupted.
    pub(crate) tainted: bool,
}

/// The resources of a stack, by address.
pub(crate) type Resources = BTreeMap<String, Managed>;

impl Managed {
    /// Returns a resource that was made without the pipeline.
    pub(crate) fn imported(object: u64) -> Self {
        Self {
            object,
            value: "made by hand".to_owned(),
            tainted: false,
        }
    }
}

/// An object in the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// The tag that names the state of its stack. Empty for an object that was made without the
    /// pipeline, and stays so.
    pub(crate) state: String,
}

/// The state of a stack.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackState {
    pub(crate) serial: u64,
    pub(crate) resources: Resources,
}

impl StackState {
    /// Returns the addresses of the tainted resources.
    pub(crate) fn tainted(&self) -> Vec<String> {
        let tainted = self.resources.iter().filter(|(_, held)| held.tainted);
        tainted.map(|(address, _)| address.clone()).collect()
    }
}

/// Returns the state as the runner reads it for a rollback.
pub(crate) fn objects(held: &StackState) -> StateObjects {
    let id = |resource: &Managed| Some(ObjectId::new(resource.object.to_string()));
    let objects = held.resources.iter();
    StateObjects {
        version: version(held),
        objects: objects
            .map(|(address, resource)| (address.clone(), id(resource)))
            .collect(),
    }
}

/// Returns the version of a state.
pub(crate) fn version(state: &StackState) -> StateVersion {
    let lineage = if state.serial == 0 { "" } else { "one" };
    StateVersion {
        lineage: lineage.to_owned(),
        serial: state.serial,
        resources: if state.resources.is_empty() {
            domain::plan::Resources::None
        } else {
            domain::plan::Resources::Some
        },
    }
}
