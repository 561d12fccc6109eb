//! Whether a push is one that the enrolment delivers.

use domain::enrolment::EnrolledRepository;
use forge::webhook::{Push, Refusal};

/// The branch that Sluicegate pushes to.
const AUDIT_BRANCH: &str = "refs/heads/sluicegate/audit";

/// Returns a push to a branch of the repository whose key signed it, with the enrolled spelling of
/// its name.
pub(crate) fn check(known: &EnrolledRepository, mut push: Push) -> Result<Push, Refusal> {
    let (key, name) = (push.repository.key, &push.repository.full_name);
    if key != known.key {
        let message = format!("signed with the key of {}, not of {key}", known.key);
        return Err(Refusal::new(401, "WH130", message));
    }
    if !known.full_name.as_str().eq_ignore_ascii_case(name.as_str()) {
        let message = format!(
            "repository {} is now called {name}; re-enrol",
            known.full_name
        );
        return Err(Refusal::new(403, "WH133", message));
    }
    let branch = &push.branch;
    if branch.as_str() == AUDIT_BRANCH {
        return Err(Refusal::new(202, "WH204", "ignored: own push"));
    }
    if known.environment_of(branch).is_none() {
        let message = format!("ignored: ref {:?} not watched", branch.as_str());
        return Err(Refusal::new(202, "WH202", message));
    }
    push.repository.full_name = known.full_name.clone();
    Ok(push)
}

/// Refuses the host of a self-managed forge that the repository is not cloned from.
pub(crate) fn check_host(known: &EnrolledRepository, host: Option<&str>) -> Result<(), Refusal> {
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return Ok(());
    };
    let rest = known.clone_url.split_once("://").map(|(_, rest)| rest);
    let found = rest.and_then(|rest| rest.split('/').next());
    if found.is_some_and(|found| found.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Refusal::new(403, "WH132", "installation mismatch"))
}
