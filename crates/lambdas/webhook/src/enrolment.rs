//! Whether a repository and branch are enrolled.

use domain::event::EnrolledRepository;
use forge::webhook::{Push, Refusal};

/// The branch that Sluicegate pushes to.
const AUDIT_BRANCH: &str = "refs/heads/sluicegate/audit";

/// Returns a push to a watched branch of an enrolled repository, with the enrolled spelling of its
/// name.
pub(crate) fn check(enrolled: &[EnrolledRepository], mut push: Push) -> Result<Push, Refusal> {
    let (key, name) = (push.repository.key, &push.repository.full_name);
    let same_name =
        |known: &EnrolledRepository| known.full_name.as_str().eq_ignore_ascii_case(name.as_str());
    let Some(known) = EnrolledRepository::find(enrolled, key) else {
        if enrolled.iter().any(same_name) {
            let message = "repository id changed; re-enrol";
            return Err(Refusal::new(403, "WH131", message));
        }
        let message = format!("repository {key} not enrolled");
        return Err(Refusal::new(202, "WH130", message));
    };
    if !same_name(known) {
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
    if !known.watches(branch) {
        let message = format!("ignored: ref {:?} not watched", branch.as_str());
        return Err(Refusal::new(202, "WH202", message));
    }
    push.repository.full_name = known.full_name.clone();
    Ok(push)
}

/// Refuses the host of a self-managed forge that no enrolled repository is cloned from.
pub(crate) fn check_host(
    enrolled: &[EnrolledRepository],
    host: Option<&str>,
) -> Result<(), Refusal> {
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        return Ok(());
    };
    let known = |repository: &EnrolledRepository| {
        let rest = repository.clone_url.split_once("://").map(|(_, rest)| rest);
        let found = rest.and_then(|rest| rest.split('/').next());
        found.is_some_and(|found| found.eq_ignore_ascii_case(host))
    };
    if enrolled.iter().any(known) {
        return Ok(());
    }
    Err(Refusal::new(403, "WH132", "installation mismatch"))
}
