use super::{Faults, Shared, can_fail};
use crate::{Enrolments, Result};
use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::StepError;
use domain::ids::RepositoryKey;
use std::collections::BTreeMap;

/// The enrolled repositories, as Terraform wrote them.
#[derive(Debug, Clone, Default)]
pub struct FakeEnrolments {
    enrolled: Shared<BTreeMap<RepositoryKey, EnrolledRepository>>,
    faults: Faults,
}

can_fail!(FakeEnrolments: "find", "all");

impl FakeEnrolments {
    /// Returns a fake with these repositories.
    #[must_use]
    pub fn of<const N: usize>(repositories: [EnrolledRepository; N]) -> Self {
        let found = Self::default();
        for repository in repositories {
            found.enrol(repository);
        }
        found
    }

    /// Enrols a repository, or changes its enrolment.
    pub fn enrol(&self, repository: EnrolledRepository) {
        self.enrolled.lock().insert(repository.key, repository);
    }

    /// Removes an enrolment.
    pub fn remove(&self, repository: RepositoryKey) {
        self.enrolled.lock().remove(&repository);
    }
}

#[async_trait]
impl Enrolments for FakeEnrolments {
    async fn find(&self, repository: RepositoryKey) -> Result<Option<EnrolledRepository>> {
        self.faults.before("find")?;
        let found = self.enrolled.lock().get(&repository).cloned();
        self.faults.after("find")?;
        Ok(found)
    }

    async fn all(&self) -> Result<Vec<EnrolledRepository>> {
        self.faults.before("all")?;
        let found = self.enrolled.lock().values().cloned().collect();
        self.faults.after("all")?;
        Ok(found)
    }
}
