//! The enrolments, which Terraform writes into the table.

use crate::documents::{Document, Pages, load};
use crate::{IndexKey, ItemKey, Order, Result, Table};
use async_trait::async_trait;
use domain::enrolment::{EnrolledEnvironment, EnrolledRepository, EnrolmentError};
use domain::event::Trigger;
use domain::ids::RepositoryKey;
use domain::run::Run;
use std::sync::Arc;

/// The index partition that lists enrolled repositories. `terraform/modules/repository` writes it.
pub const REPOSITORIES: &str = "REPOSITORIES";

/// Returns the key of a repository's enrolment. `terraform/modules/repository` writes it.
#[must_use]
pub fn enrolment_key(repository: RepositoryKey) -> ItemKey {
    ItemKey {
        pk: format!("REPOSITORY#{repository}"),
        sk: "ENROLMENT".into(),
    }
}

impl Document for EnrolledRepository {
    fn key(&self) -> ItemKey {
        enrolment_key(self.key)
    }
    fn index(&self) -> Option<IndexKey> {
        Some(IndexKey {
            pk: REPOSITORIES.into(),
            sk: self.key.to_string(),
        })
    }
}

/// The enrolled repositories. They are read each time, so that an enrolment has effect at once.
#[async_trait]
pub trait Enrolments: Send + Sync {
    /// Reads the enrolment of a repository. Returns none if it is not enrolled.
    async fn find(&self, repository: RepositoryKey) -> Result<Option<EnrolledRepository>>;
    /// Reads every enrolment. Logs and leaves out what cannot be read.
    async fn all(&self) -> Result<Vec<EnrolledRepository>>;
}

/// The enrolments in the table.
#[derive(Clone)]
pub struct TableEnrolments {
    table: Arc<dyn Table>,
}

impl TableEnrolments {
    /// Returns the enrolments in this table.
    #[must_use]
    pub fn new(table: Arc<dyn Table>) -> Self {
        Self { table }
    }
}

#[async_trait]
impl Enrolments for TableEnrolments {
    async fn find(&self, repository: RepositoryKey) -> Result<Option<EnrolledRepository>> {
        load(&*self.table, &enrolment_key(repository)).await
    }

    async fn all(&self) -> Result<Vec<EnrolledRepository>> {
        let mut pages = Pages::of(&*self.table, REPOSITORIES, Order::Ascending);
        let mut found = Vec::new();
        while let Some(page) = pages.next().await? {
            found.extend(page);
        }
        Ok(found)
    }
}

/// Returns the enrolment of the repository that a trigger names.
///
/// # Errors
/// Fails with `NotEnrolled` without one, and when the table cannot be read.
pub async fn enrolled(
    enrolments: &dyn Enrolments,
    trigger: &Trigger,
) -> Result<EnrolledRepository> {
    let found = enrolments.find(trigger.repository_key()).await?;
    Ok(EnrolledRepository::of(found, trigger)?)
}

/// Returns the enrolment of the environment that a run is for.
///
/// # Errors
/// Fails with `NotEnrolled` if the repository or the environment is no longer enrolled, with `Internal`
/// before the commit is accepted, and when the table cannot be read.
pub async fn enrolled_environment(
    enrolments: &dyn Enrolments,
    run: &Run,
) -> Result<EnrolledEnvironment> {
    let mut repository = enrolled(enrolments, run.trigger()).await?;
    let name = &run.config()?.environment;
    let mut environments = repository.environments.drain(..);
    match environments.find(|one| one.name == *name) {
        Some(found) => Ok(found),
        None => Err(EnrolmentError::NoEnvironment {
            run: run.id().clone(),
            name: run.trigger().repository().full_name.clone(),
            environment: name.clone(),
        }
        .into()),
    }
}
