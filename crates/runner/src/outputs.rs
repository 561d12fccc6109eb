//! The outputs of a stack, as other stacks get them.

use domain::outputs::Outputs;
use domain::plan::PlanKind;

use crate::log::Log;

/// Adds the outputs that are `null`, which a state does not have, to those of a state. Finds the ones
/// that contain a known secret, so that the next stack masks them: Terraform does not mark what a stack
/// derives from a variable that is not sensitive.
pub(crate) fn complete(kind: PlanKind, found: Outputs, declared: Outputs, log: &Log) -> Outputs {
    let mut outputs = found;
    if kind == PlanKind::Normal {
        for (name, null) in declared {
            outputs.entry(name).or_insert(null);
        }
    }
    for output in outputs.values_mut() {
        // Each text by itself: a search decodes what it searches, many times.
        let mut texts = output.value.texts().into_iter();
        output.contains_secret = !output.sensitive && texts.any(|text| log.is_secret(&text));
    }
    outputs
}
