#![doc = include_str!("../README.md")]
//!
//! ## Action `claim`
//!
//! Decides whether this execution owns the run, and whether the commit may be delivered.
//!
//! Undo: the state `Record` ends the claimed run.
//!
//! Running it twice is safe. The claim is a conditional write that the same execution recognizes as
//! its own, the archive is stored under its digest, and an accepted run is not fetched again.

mod archive;

use async_trait::async_trait;
use domain::config::Config;
use domain::error::{ErrorName, StepError};
use domain::event::{EVENT_SCHEMA, EnrolledRepository, Trigger};
use domain::ids::{Sha256Digest, StackName};
use domain::keys;
use domain::plan::ObjectRef;
use domain::run::{Run, Source};
use domain::source_rules::{self, SourceFile};
use domain::stack_digest::{self, CommitFile, Coverage, Destination, SourceTree, StackDigest};
use domain::step::{ClaimVerdict, ValidateInput, ValidateOutput};
use engine::announce::Announcer;
use engine::documents::{insert, load_run, update_run};
use engine::status::Transition;
use engine::{Clock, Objects, Result, Snapshot, SourceFetcher, Step, Table, Written};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest author name and subject that an item keeps, in characters.
const AUTHOR_LIMIT: usize = 100;
const SUBJECT_LIMIT: usize = 200;

/// The `validate` Lambda.
pub struct Validate {
    /// The DynamoDB table.
    pub table: Arc<dyn Table>,
    /// The artifacts bucket.
    pub objects: Arc<dyn Objects>,
    /// Fetches commits from the forge.
    pub source: Arc<dyn SourceFetcher>,
    /// Announces the run's transitions.
    pub announcer: Announcer,
    /// The enrolled repositories.
    pub repositories: Arc<[EnrolledRepository]>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Step for Validate {
    type Input = ValidateInput;
    type Output = ValidateOutput;

    async fn run(&self, input: ValidateInput) -> Result<ValidateOutput> {
        let ValidateInput::Claim { event, execution } = input;
        if event.schema() != EVENT_SCHEMA {
            let message = format!(
                "the event has schema {}, expected {EVENT_SCHEMA}",
                event.schema()
            );
            return Err(StepError::new(ErrorName::ContractViolation, message));
        }
        let id = event.run_id();
        let Some(mut run) = self.claim(&event, execution).await? else {
            tracing::info!(run = %id, "another execution has this run");
            return Ok(ValidateOutput {
                run: id,
                verdict: ClaimVerdict::Duplicate,
            });
        };
        if run.accepted_at().is_none() {
            self.announcer.announce(&run, Transition::Claimed).await;
            run = self.seal(&run).await?;
        }
        self.announcer.announce(&run, Transition::Sealed).await;
        Ok(ValidateOutput {
            run: id,
            verdict: ClaimVerdict::Accepted,
        })
    }
}

impl Validate {
    /// Claims the run. Returns `None` when another execution has claimed it.
    async fn claim(&self, event: &Trigger, execution: String) -> Result<Option<Run>> {
        let run = Run::claim(event.clone(), execution, self.clock.now());
        if insert(self.table.as_ref(), &run).await? == Written::Yes {
            return Ok(Some(run));
        }
        let known = load_run(self.table.as_ref(), run.id()).await?;
        Ok((known.execution() == run.execution()).then_some(known))
    }

    /// Fetches and checks the commit, stores its archive and marks the run as accepted.
    async fn seal(&self, run: &Run) -> Result<Run> {
        let repository = self.enrolled(run)?;
        let snapshot = self
            .source
            .fetch(repository, run.trigger().commit())
            .await?;
        let config = check(&snapshot)?;
        let digests = digests(run, &snapshot, &config);
        let source = self.store(&snapshot, &config, digests).await?;
        let now = self.clock.now();
        update_run(self.table.as_ref(), run.id(), |run| {
            run.accept(source.clone(), config.clone(), now)?;
            Ok(run.clone())
        })
        .await
    }

    fn enrolled(&self, run: &Run) -> Result<&EnrolledRepository> {
        let repository = run.trigger().repository();
        let branch = run.trigger().branch().as_str();
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        let found = self
            .repositories
            .iter()
            .find(|known| known.key == repository.key && known.full_name == repository.full_name);
        match found {
            Some(known) if known.branches.iter().any(|watched| watched == branch) => Ok(known),
            Some(known) => Err(StepError::new(
                ErrorName::NotEnrolled,
                format!(
                    "branch {branch:?} of {} is not watched; watched are {:?}",
                    known.full_name, known.branches
                ),
            )),
            None => Err(StepError::new(
                ErrorName::NotEnrolled,
                format!(
                    "repository {} ({}) is not enrolled",
                    repository.full_name, repository.key
                ),
            )),
        }
    }

    /// Stores the archive under its digest, if it is absent.
    async fn store(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        digests: BTreeMap<StackName, StackDigest>,
    ) -> Result<Source> {
        let archive = archive::pack(snapshot)?;
        let sha256 = Sha256Digest::of(&archive);
        let key = keys::source(&sha256);
        let written = self.objects.put_if_absent(&key, archive).await?;
        tracing::info!(key, new = written == Written::Yes, "source sealed");
        let build_tree = config
            .build
            .as_ref()
            .and_then(|build| snapshot.trees.get(&build.context).cloned());
        Ok(Source {
            archive: ObjectRef { key, sha256 },
            digests,
            build_tree,
            author: plain(&snapshot.author, AUTHOR_LIMIT),
            subject: plain(&snapshot.subject, SUBJECT_LIMIT),
        })
    }
}

/// Returns the digest of each stack, unless the commit does not decide what the stack reads.
fn digests(run: &Run, snapshot: &Snapshot, config: &Config) -> BTreeMap<StackName, StackDigest> {
    let tree = SourceTree::new(snapshot.files.iter().map(|file| CommitFile {
        path: &file.path,
        kind: file.kind,
        bytes: &file.bytes,
    }));
    let destination = Destination {
        repository: run.trigger().repository(),
        environment: &config.environment,
    };
    let mut digests = BTreeMap::new();
    for stack in &config.stacks {
        let (digest, coverage) = stack_digest::digest(&tree, stack, destination);
        match coverage {
            Coverage::Files => {}
            Coverage::WholeTree(reason) => tracing::info!(run = %run.id(), stack = %stack.name,
                %reason, "the stack is planned after every change of the repository"),
            Coverage::Unknown(reason) => tracing::info!(run = %run.id(), stack = %stack.name,
                %reason, "the stack is planned in every run"),
        }
        digests.extend(digest.map(|digest| (stack.name.clone(), digest)));
    }
    digests
}

/// Checks the commit's files. Returns its configuration.
fn check(snapshot: &Snapshot) -> Result<Config> {
    let files = snapshot.files.iter();
    let files: Vec<SourceFile> = files
        .map(|file| SourceFile::new(&file.path, file.kind, &file.bytes))
        .collect();
    source_rules::check(&files).map_err(|problems| problems.to_error())
}

/// Removes control characters, and truncates the text to `limit` characters.
fn plain(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests;
