//! Who may do what in an environment.

use super::{Caller, EnrolledEnvironment, Person, SelfApproval};
use crate::ids::EnvironmentName;
use std::fmt;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// Approve a plan.
    Approve,
    /// Reject a plan.
    Reject,
    /// End a run.
    Cancel,
    /// Run a commit again.
    Retry,
    /// Deliver an earlier commit.
    RollBack,
    /// Deliver a commit of a branch.
    Start,
    /// Let no run change the environment.
    Freeze,
    /// Let runs change the environment again.
    Unfreeze,
    /// Release the environment, or remove the lock of a state.
    Unlock,
}

impl OperatorAction {
    /// Every action.
    pub const ALL: [Self; 9] = [
        Self::Approve,
        Self::Reject,
        Self::Cancel,
        Self::Retry,
        Self::RollBack,
        Self::Start,
        Self::Freeze,
        Self::Unfreeze,
        Self::Unlock,
    ];

    /// Returns the action as it is written in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::RollBack => "rollback",
            Self::Start => "start",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Unlock => "unlock",
        }
    }
}

impl fmt::Display for OperatorAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a person may not do what they ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum NotAllowed {
    #[error(
        "{caller} may not {action} in {environment}: its `approvers` in the enrolment do not name them"
    )]
    NotApprover {
        caller: Box<Caller>,
        action: OperatorAction,
        environment: EnvironmentName,
    },
    #[error(
        "{caller} may not {action} in {environment}: its `operators` in the enrolment do not name them"
    )]
    NotOperator {
        caller: Box<Caller>,
        action: OperatorAction,
        environment: EnvironmentName,
    },
    #[error(
        "{caller} pushed the commit as {login}, so another approver of {environment} must approve it"
    )]
    Pusher {
        caller: Box<Caller>,
        login: String,
        environment: EnvironmentName,
    },
    #[error(
        "{caller} has no `login` among the `approvers` of {environment}, so it is not known whether \
         they pushed the commit: add their login at the forge to the enrolment"
    )]
    NoLogin {
        caller: Box<Caller>,
        environment: EnvironmentName,
    },
    #[error(
        "it is not known who pushed the commit, so no approver of {environment} is known to be \
         someone else: push an empty commit (`git commit --allow-empty`) to deliver it again"
    )]
    PusherUnknown { environment: EnvironmentName },
}

impl EnrolledEnvironment {
    /// Checks that a caller may do something in the environment. `pusher` is the login of the person
    /// who pushed the run's commit, or none if the forge did not say it; only an approval reads it.
    ///
    /// # Errors
    /// Fails unless the enrolment names the caller for the action, and if the caller approves what they
    /// pushed, or may have pushed, in an environment that does not allow it.
    pub fn authorise(
        &self,
        caller: &Caller,
        action: OperatorAction,
        pusher: Option<&str>,
    ) -> Result<(), NotAllowed> {
        let environment = self.name.clone();
        let is_caller = |person: &&Person| person.is(caller);
        let caller = Box::new(caller.clone());
        match action {
            OperatorAction::Approve | OperatorAction::Reject => {
                if !self.approvers.iter().any(|person| is_caller(&person)) {
                    return Err(NotAllowed::NotApprover {
                        caller,
                        action,
                        environment,
                    });
                }
            }
            OperatorAction::Cancel
            | OperatorAction::Retry
            | OperatorAction::RollBack
            | OperatorAction::Start
            | OperatorAction::Freeze
            | OperatorAction::Unfreeze
            | OperatorAction::Unlock => {
                if !self.operators.iter().any(|person| is_caller(&person)) {
                    return Err(NotAllowed::NotOperator {
                        caller,
                        action,
                        environment,
                    });
                }
            }
        }
        if action != OperatorAction::Approve || self.self_approval == SelfApproval::Allowed {
            return Ok(());
        }
        let Some(pusher) = pusher else {
            return Err(NotAllowed::PusherUnknown { environment });
        };
        let entries = self.approvers.iter().filter(is_caller);
        let logins: Vec<&String> = entries.filter_map(|one| one.login.as_ref()).collect();
        // Forges do not distinguish upper and lower case in logins.
        if let Some(login) = logins.iter().find(|one| one.eq_ignore_ascii_case(pusher)) {
            let login = (*login).clone();
            return Err(NotAllowed::Pusher {
                caller,
                login,
                environment,
            });
        }
        if logins.is_empty() {
            return Err(NotAllowed::NoLogin {
                caller,
                environment,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
