//! The action `claim`: claims the run, checks its commit and seals its source.
//!
//! Decides whether this execution owns the run, and whether the commit may be delivered.
//!
//! Undo: the state `Record` ends the claimed run.
//!
//! Running it twice is safe. The claim is a conditional write that the same execution recognizes as
//! its own, the archive is stored under its digest, and an accepted run is not fetched again.
//!
//! Fails with `NotEnrolled`, `ConfigInvalid`, `SourceRefused` or `StackMissing` if the commit may not
//! be delivered, with `CommitNotFound` if the forge or the branch does not have it, and with
//! `ContractViolation` if the event has another version.

use crate::{Error, Validate, archive};
use domain::config::Config;
use domain::enrolment::{EnrolledEnvironment, EnrolledRepository};
use domain::event::{EVENT_SCHEMA, Trigger};
use domain::ids::{RepositoryKey, Sha256Digest, StackName};
use domain::keys;
use domain::plan::ObjectRef;
use domain::run::{Run, Source};
use domain::source_rules::{self, Examined, LeftOut, SourceFile};
use domain::stack_digest::{self, CommitFile, Coverage, Destination, SourceTree, StackDigest};
use domain::step::{Claim, ClaimOutput, ClaimVerdict};
use domain::text;
use engine::documents::{insert, load_run, update_branch, update_run};
use engine::enrolment::enrolled;
use engine::environments;
use engine::status::Transition;
use engine::{OnBranch, Result, Snapshot, Written};
use std::collections::BTreeMap;

/// The longest author name and subject that an item keeps, in characters.
const AUTHOR_LIMIT: usize = 100;
const SUBJECT_LIMIT: usize = 200;

impl Validate {
    pub(crate) async fn claim(&self, input: Claim) -> Result<ClaimOutput> {
        let Claim { event, execution } = input;
        if event.schema() != EVENT_SCHEMA {
            let schema = event.schema();
            return Err(Error::OtherSchema { schema }.into());
        }
        let id = event.run_id();
        let Some(mut run) = self.claim_run(&event, execution).await? else {
            tracing::info!(run = %id, "another execution has this run");
            return Ok(ClaimOutput {
                run: id,
                verdict: ClaimVerdict::Duplicate,
            });
        };
        // Before the commit is checked: a commit that is refused was not missed.
        let (repository, received_at) = (event.repository_key(), event.received_at());
        update_branch(&*self.table, repository, event.branch(), |branch| {
            branch.claim(event.commit(), received_at);
            Ok(())
        })
        .await?;
        if run.accepted_at().is_none() {
            self.announcer.announce(&run, Transition::Claimed).await;
            run = self.seal(&run).await?;
        }
        self.announcer.announce(&run, Transition::Sealed).await;
        Ok(ClaimOutput {
            run: id,
            verdict: ClaimVerdict::Accepted,
        })
    }

    /// Claims the run. Returns `None` when another execution has claimed it.
    async fn claim_run(&self, event: &Trigger, execution: String) -> Result<Option<Run>> {
        let run = Run::claim(event.clone(), execution, self.clock.now());
        if insert(self.table.as_ref(), &run).await? == Written::Yes {
            return Ok(Some(run));
        }
        let known = load_run(self.table.as_ref(), run.id()).await?;
        Ok((known.execution() == run.execution()).then_some(known))
    }

    /// Fetches and checks the commit, stores its archive and marks the run as accepted.
    async fn seal(&self, run: &Run) -> Result<Run> {
        let repository = enrolled(&*self.enrolments, run.trigger()).await?;
        let environment = repository.admit(run.trigger())?;
        self.check_branch(&repository, run.trigger()).await?;
        let snapshot = self
            .source
            .fetch(&repository, run.trigger().commit())
            .await?;
        let (config, left_out) = self.check(run, environment, &snapshot).await?;
        let digests = digests(run, &snapshot, &config);
        let archive = archive::pack(&snapshot, &left_out.paths)?;
        let source = self
            .store(repository.key, &snapshot, archive, &config, digests)
            .await?;
        let now = self.clock.now();
        update_run(self.table.as_ref(), run.id(), |run| {
            run.accept(source.clone(), config.clone(), now)?;
            Ok(run.clone())
        })
        .await
    }

    /// Fails with `CommitNotFound` if the branch does not have the commit. An event says which commit was
    /// pushed, and git serves every commit by its id: of a fork, of a pull request, and one that was
    /// retracted.
    async fn check_branch(&self, repository: &EnrolledRepository, event: &Trigger) -> Result<()> {
        let (branch, commit) = (event.branch(), event.commit());
        match self.history.has(repository, branch, commit).await? {
            OnBranch::Yes => Ok(()),
            OnBranch::No => Err(Error::NotOnBranch {
                repository: repository.full_name.clone(),
                branch: branch.clone(),
                commit: commit.clone(),
            }
            .into()),
        }
    }

    /// Checks the commit's files, and compares its stacks with those of the last good commit.
    /// Returns its configuration, and the files that are not sealed.
    async fn check(
        &self,
        run: &Run,
        enrolled: &EnrolledEnvironment,
        snapshot: &Snapshot,
    ) -> Result<(Config, LeftOut)> {
        let files = snapshot.files.iter();
        let files = files.map(|file| SourceFile::new(&file.path, file.kind, &file.bytes));
        let unread = snapshot.unread.iter();
        let unread = unread.map(|file| SourceFile::unread(&file.path, file.kind, file.size));
        let files: Vec<SourceFile<'_>> = files.chain(unread).collect();
        let mut examined = Examined::new(&files);
        if let Some(config) = examined.config() {
            let repository = run.trigger().repository_key();
            let table = self.table.as_ref();
            let environment = environments::find(table, repository, &config.environment).await?;
            if let Some(good) = environment.as_ref().and_then(|it| it.last_good()) {
                examined = examined.compared(good);
            }
        }
        let left_out = examined.left_out().clone();
        let config = examined
            .within(enrolled)
            .result()
            .map_err(|problems| problems.to_error())?;
        for warning in source_rules::unmatched_globs(&files, &config) {
            tracing::warn!(run = %run.id(), commit = %snapshot.commit, "{warning}");
        }
        if !left_out.paths.is_empty() {
            tracing::warn!(run = %run.id(), commit = %snapshot.commit, "{left_out}");
        }
        Ok((config, left_out))
    }

    /// Stores the archive under its digest, if it is absent.
    async fn store(
        &self,
        repository: RepositoryKey,
        snapshot: &Snapshot,
        archive: Vec<u8>,
        config: &Config,
        digests: BTreeMap<StackName, StackDigest>,
    ) -> Result<Source> {
        let sha256 = Sha256Digest::of(&archive);
        let key = keys::source(repository, &sha256);
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
            author: text::line(&snapshot.author, AUTHOR_LIMIT),
            subject: text::line(&snapshot.subject, SUBJECT_LIMIT),
        })
    }
}

/// Returns the digest of each stack, unless the commit does not decide what the stack reads.
fn digests(run: &Run, snapshot: &Snapshot, config: &Config) -> BTreeMap<StackName, StackDigest> {
    let read = snapshot.files.iter().map(|file| CommitFile {
        path: &file.path,
        kind: file.kind,
        bytes: &file.bytes,
    });
    // Git's digest changes with the content.
    let unread = snapshot.unread.iter().map(|file| CommitFile {
        path: &file.path,
        kind: file.kind,
        bytes: file.id.as_bytes(),
    });
    let tree = SourceTree::new(read.chain(unread));
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
