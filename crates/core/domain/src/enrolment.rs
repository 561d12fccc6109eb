//! The enrolment of repositories: what each may reach, and who may decide for it.
//!
//! Terraform writes one record for each repository (`terraform/modules/repository`). No Lambda may
//! write one, so nothing that a repository contains can change what it may reach.

mod authority;
mod person;

pub use authority::{NotAllowed, OperatorAction};
pub use person::{Caller, Person, Principal, PrincipalKind, SelfApproval};

use crate::build::BuildKind;
use crate::config::Protected;
use crate::error::{ErrorName, NamedError};
use crate::event::{EventRepository, Trigger};
use crate::ids::{
    AccountId, BranchRef, EnvironmentName, JobDefinition, PolicyArn, ProjectName, RepositoryKey,
    RepositoryName, RoleArn, RunId,
};
use crate::job::Verb;
use crate::plan::ApprovalRule;
use serde::{Deserialize, Serialize};

/// The version of [`EnrolledRepository`] that this code reads. `terraform/modules/repository` writes it.
pub const ENROLMENT_SCHEMA: u32 = 1;

/// A repository that is enrolled in the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolledRepository {
    /// [`ENROLMENT_SCHEMA`].
    pub schema: u32,
    /// The repository's key, which survives a rename.
    pub key: RepositoryKey,
    /// The repository's full name.
    pub full_name: RepositoryName,
    /// The URL to clone the repository from. It is never taken from an event.
    pub clone_url: String,
    /// The name or ARN of the secret that holds the keys of the repository's webhook.
    pub webhook_secret: String,
    /// The image repository, as `registry/repository`.
    pub image: String,
    /// The CodeBuild projects.
    pub projects: Projects,
    /// The environments that its branches are delivered to.
    pub environments: Vec<EnrolledEnvironment>,
}

/// The CodeBuild projects of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projects {
    /// Runs the tests. Its role cannot push images.
    pub test: ProjectName,
    /// Builds the image and pushes it to the repository's own image repository.
    pub image: ProjectName,
}

impl Projects {
    /// Returns the project of a build.
    #[must_use]
    pub fn of(&self, kind: BuildKind) -> &ProjectName {
        match kind {
            BuildKind::Test => &self.test,
            BuildKind::Image => &self.image,
        }
    }
}

/// An environment of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolledEnvironment {
    /// The environment's name.
    pub name: EnvironmentName,
    /// The branches that are delivered to the environment, without `refs/heads/`.
    pub branches: Vec<String>,
    /// The AWS account of its resources.
    pub account: AccountId,
    /// The AWS region of its resources.
    pub region: String,
    /// When a plan needs an approval. `sluicegate.yaml` may ask for more approvals, not for fewer.
    pub approval: ApprovalRule,
    /// Resources whose deletion needs an approval, besides those that `sluicegate.yaml` protects.
    pub protect: Vec<Protected>,
    /// Who may approve and reject.
    pub approvers: Vec<Person>,
    /// Whether the person who pushed the commit may approve its plans.
    pub self_approval: SelfApproval,
    /// Who may cancel, retry, roll back, start, destroy, freeze, thaw and unlock.
    pub operators: Vec<Person>,
    /// The Batch job definitions, whose roles reach this environment only.
    pub jobs: JobDefinitions,
    /// The role that the deployment assumes.
    pub deploy_role: RoleArn,
    /// The ECS services that may be rolled out.
    pub services: Vec<ServicePattern>,
    /// The roles that tasks of these services may have.
    pub task_roles: Vec<RoleArn>,
    /// The permissions boundary that every IAM role that an apply creates must have. None if the
    /// enrolment does not require one.
    pub required_boundary: Option<PolicyArn>,
}

/// The Batch job definitions of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobDefinitions {
    /// Of plans and validations, which read.
    pub plan: JobDefinition,
    /// Of applies.
    pub apply: JobDefinition,
}

impl JobDefinitions {
    /// Returns the job definition of a verb.
    #[must_use]
    pub fn of(&self, verb: Verb) -> &JobDefinition {
        match verb.command() {
            Verb::Plan | Verb::Validate => &self.plan,
            Verb::Apply => &self.apply,
        }
    }
}

/// ECS services: `<cluster>/<service>`, with `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServicePattern {
    cluster: String,
    service: String,
}

impl TryFrom<String> for ServicePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let named = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_*".contains(c);
            !part.is_empty() && part.chars().all(known)
        };
        match text.split_once('/') {
            Some((cluster, service)) if named(cluster) && named(service) => Ok(Self {
                cluster: cluster.to_owned(),
                service: service.to_owned(),
            }),
            _ => Err(format!(
                "{text:?} names no ECS service: expected <cluster>/<service>, such as shop-production/shop"
            )),
        }
    }
}

impl From<ServicePattern> for String {
    fn from(pattern: ServicePattern) -> Self {
        format!("{}/{}", pattern.cluster, pattern.service)
    }
}

impl ServicePattern {
    fn matches(&self, cluster: &str, service: &str) -> bool {
        // ECS takes a cluster by its name or its ARN.
        let cluster = cluster.rsplit('/').next().unwrap_or(cluster);
        let service = service.rsplit('/').next().unwrap_or(service);
        matches_glob(&self.cluster, cluster) && matches_glob(&self.service, service)
    }
}

/// Returns whether a text has the form of a pattern, where `*` stands for any characters.
fn matches_glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter()
                .any(|at| text.get(at..).is_some_and(|text| matches_glob(rest, text)))
        }),
    }
}

/// Why a trigger's commit is not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its variant means")]
pub enum EnrolmentError {
    #[error("repository {name} ({key}) is not enrolled")]
    NotEnrolled {
        key: RepositoryKey,
        name: RepositoryName,
    },
    #[error("repository {name} ({key}) is enrolled as {enrolled}")]
    OtherName {
        key: RepositoryKey,
        name: RepositoryName,
        enrolled: RepositoryName,
    },
    #[error(
        "branch {branch} of {name} belongs to no environment; {}",
        shown(watched)
    )]
    NotWatched {
        name: RepositoryName,
        branch: BranchRef,
        watched: Vec<String>,
    },
    #[error(
        "environment {environment} of {name} is no longer enrolled; run {run} needs it to go on"
    )]
    NoEnvironment {
        run: RunId,
        name: RepositoryName,
        environment: EnvironmentName,
    },
    #[error(
        "the enrolment of {name} ({key}) has schema {found}, expected {ENROLMENT_SCHEMA}: apply \
         the Terraform that writes it, of the same version as the pipeline"
    )]
    OtherSchema {
        key: RepositoryKey,
        name: RepositoryName,
        found: u32,
    },
}

fn shown(watched: &[String]) -> String {
    if watched.is_empty() {
        return "none does".to_owned();
    }
    format!("these do: {}", watched.join(", "))
}

impl NamedError for EnrolmentError {
    fn name(&self) -> ErrorName {
        match self {
            Self::OtherSchema { .. } => ErrorName::ContractViolation,
            Self::NotEnrolled { .. }
            | Self::OtherName { .. }
            | Self::NotWatched { .. }
            | Self::NoEnvironment { .. } => ErrorName::NotEnrolled,
        }
    }
}

impl EnrolledRepository {
    /// Returns the enrolment of the repository that a trigger names.
    ///
    /// # Errors
    /// Fails with `NotEnrolled` without one, and with `ContractViolation` if it has another schema.
    pub fn of(found: Option<Self>, trigger: &Trigger) -> Result<Self, EnrolmentError> {
        let EventRepository { key, full_name } = trigger.repository();
        let (key, name) = (*key, full_name.clone());
        let found = found.ok_or_else(|| EnrolmentError::NotEnrolled {
            key,
            name: name.clone(),
        })?;
        if found.schema != ENROLMENT_SCHEMA {
            let found = found.schema;
            return Err(EnrolmentError::OtherSchema { key, name, found });
        }
        Ok(found)
    }

    /// Returns the environment that a trigger's commit is delivered to: the repository has the
    /// enrolled name, and the branch belongs to an environment.
    ///
    /// # Errors
    /// Fails with `NotEnrolled` otherwise.
    pub fn admit(&self, trigger: &Trigger) -> Result<&EnrolledEnvironment, EnrolmentError> {
        let EventRepository { key, full_name } = trigger.repository();
        if self.full_name != *full_name {
            return Err(EnrolmentError::OtherName {
                key: *key,
                name: full_name.clone(),
                enrolled: self.full_name.clone(),
            });
        }
        self.environment_of(trigger.branch())
            .ok_or_else(|| EnrolmentError::NotWatched {
                name: full_name.clone(),
                branch: trigger.branch().clone(),
                watched: self.branches().map(str::to_owned).collect(),
            })
    }

    /// Returns the environment with this name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&EnrolledEnvironment> {
        self.environments.iter().find(|one| one.name == *name)
    }

    /// Returns the environment that a branch is delivered to.
    #[must_use]
    pub fn environment_of(&self, branch: &BranchRef) -> Option<&EnrolledEnvironment> {
        let short = branch.as_str().strip_prefix("refs/heads/")?;
        let delivers = |one: &&EnrolledEnvironment| one.branches.iter().any(|name| name == short);
        self.environments.iter().find(delivers)
    }

    /// Returns the branches of all environments, without `refs/heads/`.
    fn branches(&self) -> impl Iterator<Item = &str> {
        let branches = self.environments.iter().flat_map(|one| &one.branches);
        branches.map(String::as_str)
    }

    /// Returns the branches that are delivered. A name that git does not accept is left out.
    pub fn watched(&self) -> impl Iterator<Item = BranchRef> {
        self.branches()
            .filter_map(|name| BranchRef::parse(&format!("refs/heads/{name}")).ok())
    }
}

impl EnrolledEnvironment {
    /// Returns whether a service may be rolled out.
    #[must_use]
    pub fn may_roll_out(&self, cluster: &str, service: &str) -> bool {
        self.services
            .iter()
            .any(|pattern| pattern.matches(cluster, service))
    }

    /// Returns whether tasks may have a role.
    #[must_use]
    pub fn may_use(&self, role: &str) -> bool {
        let allowed = |known: &RoleArn| matches_glob(known.as_str(), role);
        self.task_roles.iter().any(allowed)
    }
}

#[cfg(test)]
mod tests;
