//! The commits that are delivered.

use crate::cloud::{Cloud, neighbor};
use domain::enrolment::EnrolledRepository;
use domain::event::Trigger;
use domain::ids::{CommitId, RepositoryKey, Sha256Digest};
use domain::run::Outcome;
use engine::fakes::samples;
use engine::{FileKind, Snapshot, SnapshotFile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// The line with which a stack uses the module in `modules/net`.
pub(crate) const MODULE: &str = "module \"net\" { source = \"../../modules/net\" }";

/// Returns git's digest of the application's directory in commit `n`.
pub(crate) fn app_tree(n: u8) -> CommitId {
    samples::commit(0x50 + n)
}

/// The texts of a commit's files, by path.
type Texts = BTreeMap<String, String>;

/// The files of every commit, which stand for the sealed archives. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Code(Arc<Mutex<BTreeMap<(RepositoryKey, CommitId), Texts>>>);

impl Code {
    fn know(&self, repository: RepositoryKey, snapshot: &Snapshot) {
        let text = |file: &SnapshotFile| String::from_utf8_lossy(&file.bytes).into_owned();
        let files = snapshot.files.iter();
        let texts = files.map(|file| (file.path.clone(), text(file))).collect();
        let key = (repository, snapshot.commit.clone());
        self.0.lock().unwrap().insert(key, texts);
    }

    /// Returns the code of a stack at a commit: its files, and those of the module that it uses.
    pub(crate) fn of(&self, repository: RepositoryKey, commit: &CommitId, dir: &str) -> String {
        let texts = self.0.lock().unwrap()[&(repository, commit.clone())].clone();
        let below = |dir: &str| -> String {
            let prefix = format!("{dir}/");
            let files = texts.iter().filter(|(path, _)| path.starts_with(&prefix));
            files
                .map(|(path, text)| format!("{path}: {text}\n"))
                .collect()
        };
        let own = below(dir);
        if own.contains(MODULE) {
            own + &below("modules/net")
        } else {
            own
        }
    }

    /// Returns the release that a stack has at a commit. It is the same at another commit with the same
    /// code.
    pub(crate) fn release(
        &self,
        repository: RepositoryKey,
        commit: &CommitId,
        dir: &str,
    ) -> String {
        Sha256Digest::of(self.of(repository, commit, dir).as_bytes()).to_string()
    }
}

impl Cloud {
    /// Delivers commit 1 of the other repository, so that the runs of two repositories can be compared.
    pub(crate) async fn deliver_to_neighbor(&self) {
        let event = self.push_to(&neighbor(), 1, samples::CONFIG);
        let ended = self.deliver(&event).await;
        assert_eq!(ended.run.outcome(), Outcome::Applied);
    }

    /// Pushes commit `n` with this configuration, and returns its event.
    pub(crate) fn push(&self, n: u8, config: &str) -> Trigger {
        self.push_to(&samples::repository(), n, config)
    }

    /// Pushes commit `n` to a repository. Every stack of the commit differs from those of other commits.
    pub(crate) fn push_to(&self, to: &EnrolledRepository, n: u8, config: &str) -> Trigger {
        let code = format!("# commit {n}\n");
        let files = ["infra/data/commit.tf", "infra/app/commit.tf"].map(|path| (path, &*code));
        self.push_code(to, n, config, &files)
    }

    /// Pushes commit `n` with these files beside those of the samples.
    pub(crate) fn push_code(
        &self,
        to: &EnrolledRepository,
        n: u8,
        config: &str,
        code: &[(&str, &str)],
    ) -> Trigger {
        // Each commit changes the application, so each needs its own image.
        self.push_with_app(to, n, app_tree(n), config, code)
    }

    /// Pushes commit `n` with this directory of the application, and these files beside those of the
    /// samples.
    pub(crate) fn push_with_app(
        &self,
        to: &EnrolledRepository,
        n: u8,
        app: CommitId,
        config: &str,
        code: &[(&str, &str)],
    ) -> Trigger {
        let mut snapshot = samples::snapshot(n);
        let mut add = |path: &str, text: &str| {
            snapshot.files.retain(|file| file.path != path);
            snapshot.files.push(SnapshotFile {
                path: path.to_owned(),
                kind: FileKind::File,
                bytes: text.as_bytes().to_vec(),
            });
        };
        add("sluicegate.yaml", config);
        // The sources of the two repositories differ: equal ones would be the same object.
        add("README.md", &to.key.to_string());
        for (path, text) in code {
            add(path, text);
        }
        snapshot.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.batch.code.know(to.key, &snapshot);
        snapshot.trees.insert("app".to_owned(), app);
        let mut push = samples::push(n);
        push.repository.key = to.key;
        push.received_at = self.time(Instant::now());
        self.forge.push(push.repository.key, snapshot);
        Trigger::Push(push)
    }
}
