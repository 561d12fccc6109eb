//! The JSON of sealed plans: what the verdict is computed from.

use crate::Error;
use domain::ids::{Sha256Digest, StackName};
use domain::plan::{
    self, MAX_PLAN_JSON, NotJudged, NotPlanned, ObjectRef, PlanSummary, ResourceChange,
};
use domain::run::Run;
use engine::{Limited, Objects, Result};

/// What the verdict on a plan is computed from.
pub(crate) struct Judged {
    /// What the plan changes.
    pub(crate) summary: PlanSummary,
    /// What the run did to the stack before, for a rollback.
    pub(crate) made: Vec<ResourceChange>,
}

/// Reads the JSON of a stack's sealed plan, and for a rollback that of the plan that the run applied. That
/// plan bounds `said`, what the job says that the run did to the stack: only the job knows the state.
///
/// # Errors
/// Fails as [`read`] does, and with `PlanTampered` when the applied plan does not have a change that the
/// job names.
pub(crate) async fn judged(
    objects: &dyn Objects,
    run: &Run,
    stack: &StackName,
    sealed: &ObjectRef,
    said: Vec<ResourceChange>,
) -> Result<Judged> {
    let summary = read(objects, stack, sealed).await?;
    let Some(undo) = run.undo(stack) else {
        let made = Vec::new();
        return Ok(Judged { summary, made });
    };
    let applied = undo.applied.json;
    let planned = read(objects, stack, &applied).await?.changes;
    let made = plan::confirmed(&planned, said, undo.extent);
    let made = made.map_err(|NotPlanned { address }| Error::MadeOtherwise {
        stack: stack.clone(),
        key: applied.key,
        address,
    })?;
    Ok(Judged { summary, made })
}

/// Reads the JSON of a stack's sealed plan. The apply job renders the plan again and compares its digest
/// with the sealed one, so what is judged here is what is applied.
///
/// # Errors
/// Fails with `PlanTampered` when the object is missing or has another digest, with `PlanFailed` when it
/// is too large, with `ContractViolation` when it is not a plan that this version reads, and when the
/// bucket cannot be called.
async fn read(objects: &dyn Objects, stack: &StackName, sealed: &ObjectRef) -> Result<PlanSummary> {
    let (stack, key) = (stack.clone(), sealed.key.clone());
    let bytes = match objects.get_limited(&key, MAX_PLAN_JSON).await? {
        Some(Limited::Whole(bytes)) => bytes,
        Some(Limited::TooLarge) => {
            let cause = NotJudged::TooLarge;
            return Err(Error::NotJudged { stack, key, cause }.into());
        }
        None => return Err(Error::PlanGone { stack, key }.into()),
    };
    let found = Sha256Digest::of(&bytes);
    if found != sealed.sha256 {
        let expected = sealed.sha256.clone();
        return Err(Error::PlanChanged {
            stack,
            key,
            found,
            expected,
        }
        .into());
    }
    let summary = PlanSummary::parse(&bytes);
    Ok(summary.map_err(|cause| Error::NotJudged { stack, key, cause })?)
}
