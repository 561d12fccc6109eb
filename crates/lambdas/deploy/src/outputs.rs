//! The Terraform outputs that name the service.

use crate::Error;
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
    /// The outputs that the target needs.
    expected: &'static [&'static str],
}

impl<'run> StackOutputs<'run> {
    /// Reads the outputs of a stack that the run's item refers to.
    pub(crate) async fn read(
        objects: &dyn Objects,
        run: &Run,
        stack: &'run StackName,
        expected: &'static [&'static str],
    ) -> Result<Self> {
        let Some(object) = run.outputs().remove(stack) else {
            let (run, stack) = (run.id().clone(), stack.clone());
            return Err(Error::NoOutputs { run, stack }.into());
        };
        let outputs = read(objects, &object).await?;
        Ok(Self {
            stack,
            outputs,
            expected,
        })
    }

    /// Returns a string output. Fails with `DeployFailed` if it is missing, sensitive, empty or not
    /// a string.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        Ok(self.find(name)?)
    }

    fn find(&self, name: &str) -> std::result::Result<String, Error> {
        let (stack, output) = (self.stack.clone(), name.to_owned());
        let Some(found) = self.outputs.get(name) else {
            let expected = self.expected;
            return Err(Error::OutputMissing {
                stack,
                output,
                expected,
            });
        };
        if found.sensitive {
            return Err(Error::OutputSensitive { stack, output });
        }
        match &found.value {
            Value::String(text) if !text.is_empty() => Ok(text.clone()),
            Value::String(_) => Err(Error::OutputEmpty { stack, output }),
            _ => Err(Error::OutputNotText { stack, output }),
        }
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
        let (stack, output) = (self.stack.clone(), name.to_owned());
        Err(Error::OutputNotAddress { stack, output }.into())
    }
}

async fn read(objects: &dyn Objects, stored: &ObjectRef) -> Result<Outputs> {
    let object = format!("s3://{}/{}", objects.bucket(), stored.key);
    let Some(bytes) = objects.get(&stored.key).await? else {
        return Err(Error::OutputsGone { object }.into());
    };
    if Sha256Digest::of(&bytes) != stored.sha256 {
        let sha256 = stored.sha256.clone();
        return Err(Error::OutputsChanged { object, sha256 }.into());
    }
    let outputs = serde_json::from_slice(&bytes);
    // Only the position, because the text of the error may quote a value.
    Ok(outputs.map_err(|error| Error::OutputsUnreadable {
        object,
        line: error.line(),
        column: error.column(),
    })?)
}
