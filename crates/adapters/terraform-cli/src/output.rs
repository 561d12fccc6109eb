//! Output values of a stack.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Outputs by name, in terraform's own shape (`terraform output -json`).
pub type Outputs = BTreeMap<String, Output>;

/// One output. `Debug` shows no value that terraform marks sensitive.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Terraform's mark.
    #[serde(default)]
    pub sensitive: bool,
    /// The type in terraform's notation: `"string"`, `["list","string"]` and so on.
    #[serde(default, rename = "type")]
    pub kind: Value,
    /// The value, in clear even where it is sensitive: store it encrypted, never print it.
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
