//! The output values of a stack.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The outputs by name, in the form of `terraform output -json`.
pub type Outputs = BTreeMap<String, Output>;

/// An output. `Debug` hides a value that Terraform marks as sensitive.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Whether Terraform marks it as sensitive.
    #[serde(default)]
    pub sensitive: bool,
    /// The type in the notation of Terraform: `"string"`, `["list","string"]` and so on.
    #[serde(default, rename = "type")]
    pub kind: Value,
    /// The value, in clear text even if it is sensitive. Store it encrypted, and never print it.
    #[serde(default)]
    pub value: Value,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Output");
        shown.field("sensitive", &self.sensitive);
        if self.sensitive {
            shown.finish_non_exhaustive()
        } else {
            shown
                .field("kind", &self.kind)
                .field("value", &self.value)
                .finish()
        }
    }
}
