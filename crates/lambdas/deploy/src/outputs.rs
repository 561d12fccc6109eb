//! The Terraform outputs that name the service.

use domain::error::{ErrorName, StepError};
use domain::ids::{Sha256Digest, StackName};
use domain::plan::ObjectRef;
use domain::run::Run;
use domain::step::Outputs;
use engine::{Objects, Result};
use serde_json::Value;

/// The outputs of a stack. Errors never contain the value of an output.
pub(crate) struct StackOutputs<'run> {
    stack: &'run StackName,
    outputs: Outputs,
}

impl<'run> StackOutputs<'run> {
    /// Reads the outputs of a stack that the run's item refers to.
    pub(crate) async fn read(
        objects: &dyn Objects,
        run: &Run,
        stack: &'run StackName,
    ) -> Result<Self> {
        let Some(object) = run.outputs().remove(stack) else {
            return Err(StepError::new(
                ErrorName::Internal,
                format!("run {} knows no outputs of stack {stack}", run.id()),
            ));
        };
        let outputs = read(objects, &object).await?;
        Ok(Self { stack, outputs })
    }

    /// Returns a string output. Fails with `DeployFailed` if it is missing, sensitive, empty or not
    /// a string.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        text_of(&self.outputs, name, self.stack)
    }

    /// Returns an output that is an `http` or `https` address.
    pub(crate) fn address(&self, name: &str) -> Result<String> {
        let url = self.text(name)?;
        let scheme = ["http://", "https://"];
        let is_address = scheme.iter().any(|scheme| url.starts_with(scheme))
            && url.chars().all(|c| c.is_ascii_graphic());
        if is_address {
            return Ok(url);
        }
        let what = "is not an address: expected http:// or https:// and a host";
        Err(unfit(self.stack, name, what))
    }
}

async fn read(objects: &dyn Objects, object: &ObjectRef) -> Result<Outputs> {
    let place = format!("s3://{}/{}", objects.bucket(), object.key);
    let Some(bytes) = objects.get(&object.key).await? else {
        return Err(StepError::new(
            ErrorName::JobLost,
            format!("{place} is gone: it held the outputs of a stack"),
        ));
    };
    if Sha256Digest::of(&bytes) != object.sha256 {
        return Err(StepError::new(
            ErrorName::PlanTampered,
            format!(
                "{place} is not what the job wrote: its SHA-256 is not {}",
                object.sha256
            ),
        ));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        StepError::new(
            ErrorName::ContractViolation,
            // Only the position, because the text of the error may quote a value.
            format!(
                "{place} is not what `terraform output -json` writes, line {} column {}",
                error.line(),
                error.column()
            ),
        )
    })
}

fn text_of(outputs: &Outputs, name: &str, stack: &StackName) -> Result<String> {
    let Some(output) = outputs.get(name) else {
        return Err(unfit(
            stack,
            name,
            "is missing: a stack that is deployed from has the outputs cluster, service, task_definition and url",
        ));
    };
    if output.sensitive {
        let what = "is sensitive, but the pipeline writes it into its records: remove `sensitive`";
        return Err(unfit(stack, name, what));
    }
    match &output.value {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::String(_) => Err(unfit(stack, name, "is empty")),
        _ => Err(unfit(stack, name, "is not a string")),
    }
}

fn unfit(stack: &StackName, name: &str, what: &str) -> StepError {
    StepError::new(
        ErrorName::DeployFailed,
        format!("output `{name}` of stack {stack} {what}"),
    )
}
