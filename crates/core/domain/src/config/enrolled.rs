//! What the enrolment adds to a configuration.

use super::{Config, Protected};
use crate::plan::ApprovalRule;

impl Config {
    /// Adds the approvals and protected resources that the enrolment asks for.
    pub(crate) fn tighten(&mut self, approval: ApprovalRule, protect: &[Protected]) {
        self.approval = self.approval.stricter(approval);
        for entry in protect {
            if !self.policies.protect.contains(entry) {
                self.policies.protect.push(entry.clone());
            }
        }
    }
}
