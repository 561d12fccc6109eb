//! Parses `terraform show -json` of a plan: addresses, actions and prior outputs. The runner and the
//! Lambda that judges plans read a plan with the same code.

mod raw;

use super::{PlanSummary, PlannedResource};
use crate::outputs::{Output, Outputs};
use raw::{Changes, OutputChanges, PriorOutputs, Raw, RawValues, ServiceOutput};
use serde::Deserialize;

/// The maximum size of a plan's JSON, in bytes. The Lambda that judges it holds it in memory, and the
/// changes in it. The runner fails a plan job whose plan is larger.
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
    /// The outputs in the state before the plan. They are the outputs of the stack only if the plan
    /// changes nothing: for a new stack, Terraform puts planned values here.
    pub prior_outputs: Outputs,
    /// The outputs that the configuration declares, all with the value `null`. A state does not have
    /// outputs that are `null`.
    pub declared_outputs: Outputs,
}

impl ShownPlan {
    /// Parses the output of `terraform show -json <plan>`.
    ///
    /// # Errors
    /// Fails when it is not a plan of format 1, has an unknown action, or is too large. Guessing what
    /// a plan does would be worse than stopping.
    pub fn parse(json: &[u8]) -> Result<Self, NotJudged> {
        let raw: Raw<Outputs> = read(json)?;
        let declared = raw.configuration.root_module.outputs.into_iter();
        let resources = raw.resource_changes.0.resources.clone();
        Ok(Self {
            resources,
            declared_outputs: declared
                .map(|(name, declared)| (name, Output::null(declared.sensitive)))
                .collect(),
            summary: summary(
                raw.resource_changes.0,
                raw.output_changes,
                &raw.prior_state.values,
            ),
            prior_outputs: raw.prior_state.values.outputs,
        })
    }
}

impl PlanSummary {
    /// Parses the output of `terraform show -json <plan>` as [`ShownPlan::parse`] does, and keeps only
    /// what a verdict is computed from.
    ///
    /// # Errors
    /// Fails as [`ShownPlan::parse`] does.
    pub fn parse(json: &[u8]) -> Result<Self, NotJudged> {
        let raw: Raw<ServiceOutput> = read(json)?;
        Ok(summary(
            raw.resource_changes.0,
            raw.output_changes,
            &raw.prior_state.values,
        ))
    }
}

fn read<'json, O: Deserialize<'json> + Default>(json: &'json [u8]) -> Result<Raw<O>, NotJudged> {
    if json.len() > MAX_PLAN_JSON {
        return Err(NotJudged::TooLarge);
    }
    let mut raw: Raw<O> = serde_json::from_slice(json).map_err(|error| NotJudged::OtherForm {
        line: error.line(),
        column: error.column(),
    })?;
    if raw.format_version.split('.').next() != Some("1") {
        let found = raw.format_version;
        return Err(NotJudged::OtherFormat { found });
    }
    match raw.resource_changes.0.unknown.take() {
        Some(unknown) => Err(unknown),
        None => Ok(raw),
    }
}

fn summary<O: PriorOutputs>(
    changes: Changes,
    outputs: OutputChanges,
    prior: &RawValues<O>,
) -> PlanSummary {
    let named = [prior.outputs.service(), outputs.service];
    let is_named = |id: &String| named.iter().flatten().any(|name| name == id);
    let services = changes.services.into_iter();
    PlanSummary {
        changes: changes
            .resources
            .into_iter()
            .map(|one| one.change)
            .collect(),
        outputs_change: outputs.change,
        tainted: changes.tainted,
        services: services
            .filter(|service| service.ids.iter().any(is_named))
            .map(|service| service.change)
            .collect(),
        resources: prior.root_module.managed(),
    }
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
