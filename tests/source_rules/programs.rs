//! The three programs that check a tree.

use crate::Found;
use crate::corpus::Tree;
use async_trait::async_trait;
use clap::Parser as _;
use cli::args::Cli;
use cli::failure::Failure;
use cli::output::Output;
use domain::enrolment::EnrolledRepository;
use domain::error::{ErrorName, StepError};
use domain::ids::CommitId;
use domain::source_rules::{self, Problem};
use domain::step::{Claim, ValidateInput};
use engine::announce::Announcer;
use engine::fakes::{
    FakeClock, FakeEnrolments, FakeForge, FakeObjects, FakeStatusQueue, FakeTable, samples,
};
use engine::{FileKind, Snapshot, SourceFetcher, Step as _};
use forge::git::snapshot;
use git2::{ObjectType, Oid, Repository, Signature, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use validate::Validate;

/// A forge whose only commit has the files of a tree.
struct OneCommit(Snapshot);

#[async_trait]
impl SourceFetcher for OneCommit {
    async fn fetch(&self, _: &EnrolledRepository, _: &CommitId) -> Result<Snapshot, StepError> {
        Ok(self.0.clone())
    }
}

/// Commits a tree, with names that git itself would not write.
fn commit(repository: &Repository, tree: &Tree) -> CommitId {
    let root = repository
        .find_tree(directory(repository, tree, ""))
        .unwrap();
    let author = Signature::new("a", "a@example.com", &Time::new(0, 0)).unwrap();
    let id = repository.commit(None, &author, &author, "x", &root, &[]);
    CommitId::parse(&id.unwrap().to_string()).unwrap()
}

fn directory(repository: &Repository, tree: &Tree, prefix: &str) -> Oid {
    let mut entries: BTreeMap<String, (&str, Oid)> = BTreeMap::new();
    for (path, (kind, bytes)) in tree {
        let Some(path) = path.strip_prefix(prefix) else {
            continue;
        };
        match path.split_once('/') {
            Some((name, _)) => {
                // Git orders a directory as if its name ended with a slash.
                let below = format!("{name}/");
                let inner = format!("{prefix}{below}");
                entries
                    .entry(below)
                    .or_insert_with(|| ("40000", directory(repository, tree, &inner)));
            }
            None => {
                let blob = || repository.blob(bytes).unwrap();
                let entry = match kind {
                    FileKind::File => ("100644", blob()),
                    FileKind::Executable => ("100755", blob()),
                    FileKind::Symlink => ("120000", blob()),
                    FileKind::Submodule => ("160000", Oid::from_str(&"b".repeat(40)).unwrap()),
                };
                entries.insert(path.to_owned(), entry);
            }
        }
    }
    let mut bytes = Vec::new();
    for (name, (mode, id)) in entries {
        bytes.extend_from_slice(format!("{mode} {}\0", name.trim_end_matches('/')).as_bytes());
        bytes.extend_from_slice(id.as_bytes());
    }
    let odb = repository.odb().unwrap();
    odb.write(ObjectType::Tree, &bytes).unwrap()
}

/// Runs the step on fakes. Returns its result and the bucket.
async fn claim(tree: &Tree) -> (Result<(), StepError>, FakeObjects) {
    let scratch = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(scratch.path()).unwrap();
    let fetched = snapshot::read(&repository, &commit(&repository, tree)).unwrap();
    let snapshot = Snapshot {
        commit: samples::commit(1),
        ..fetched
    };
    let objects = FakeObjects::new(samples::BUCKET);
    let clock = Arc::new(FakeClock::default());
    let step = Validate {
        table: Arc::new(FakeTable::new()),
        objects: Arc::new(objects.clone()),
        source: Arc::new(OneCommit(snapshot)),
        history: Arc::new(FakeForge::new()),
        announcer: Announcer::new(Arc::new(FakeStatusQueue::new()), clock.clone()),
        enrolments: Arc::new(FakeEnrolments::of([samples::repository()])),
        clock,
    };
    let input = ValidateInput::Claim(Claim {
        event: samples::push_event(1),
        execution: samples::EXECUTION.into(),
    });
    (step.run(input).await.map(drop), objects)
}

/// Returns the problems in the error of `validate`, which has one line for each.
pub(crate) async fn validate(tree: &Tree) -> Vec<Found> {
    let (result, objects) = claim(tree).await;
    let Err(error) = result else {
        return Vec::new();
    };
    assert!(
        matches!(
            error.name,
            ErrorName::SourceRefused | ErrorName::ConfigInvalid
        ),
        "{error}"
    );
    assert!(objects.keys().is_empty(), "a refused source was sealed");
    let (problems, next) = error.message.rsplit_once('\n').unwrap();
    assert!(next.contains("sluicegate config check"), "{next}");
    problems.lines().map(line).collect()
}

/// Reads `path:line:column: code text; fix: fix`.
fn line(text: &str) -> Found {
    let (place, text) = text.split_once(": CF").unwrap();
    let text = format!("CF{text}");
    let (code, text) = text.split_once(' ').unwrap();
    let mut parts = place.split(':');
    let path = parts.next().unwrap();
    Found {
        // The escaped path of a JSON string and of a Rust string are the same here.
        path: serde_json::from_str(path).unwrap_or_else(|_| path.to_owned()),
        line: parts.next().map(|line| line.parse().unwrap()),
        code: code.to_owned(),
        text: text.to_owned(),
    }
}

/// Returns the problems that the runner finds in the tree on the disk.
pub(crate) fn runner(tree: &Tree) -> Vec<Found> {
    let root = tempfile::tempdir().unwrap();
    write(tree, root.path(), |submodule| {
        std::fs::create_dir_all(submodule).unwrap();
    });
    checked(root.path())
}

fn checked(root: &Path) -> Vec<Found> {
    let files = runner::source::read(root).unwrap();
    match source_rules::check(&files) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.into_iter().map(found).collect(),
    }
}

fn found(problem: &Problem) -> Found {
    Found {
        path: problem.path.clone(),
        line: problem.line,
        code: problem.code.as_str().to_owned(),
        text: format!("{}; fix: {}", problem.message(), problem.fix),
    }
}

/// Returns the archive that `validate` seals.
pub(crate) async fn sealed(tree: &Tree) -> Vec<u8> {
    let (result, objects) = claim(tree).await;
    result.unwrap();
    let keys = objects.keys();
    objects.peek(&keys[0]).unwrap()
}

/// Returns the problems that the runner finds in an archive.
pub(crate) fn unpacked(archive: &[u8]) -> Vec<Found> {
    let root = tempfile::tempdir().unwrap();
    runner::archive::unpack(archive, root.path(), &runner::archive::LIMITS).unwrap();
    checked(root.path())
}

/// Returns the problems that `sluicegate --json config check` prints for the tree on the disk.
pub(crate) async fn cli(tree: &Tree) -> Vec<Found> {
    let root = tempfile::tempdir().unwrap();
    write(tree, root.path(), |submodule| {
        // What libgit2 takes for a repository.
        for directory in ["objects", "refs"] {
            std::fs::create_dir_all(submodule.join(".git").join(directory)).unwrap();
        }
        std::fs::write(submodule.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    });
    let path = root.path().to_str().unwrap();
    let cli = Cli::try_parse_from(["sluicegate", "--json", "config", "check", path]).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut output = Output {
        out: &mut out,
        err: &mut err,
        json: true,
        terminal: false,
        drawn: 0,
    };
    let connect = async |_| Err(Failure::internal("config check asked for the pipeline"));
    let end = cli::run(&cli, connect, &mut output).await;
    let printed: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(printed["valid"], end.is_ok());
    let text = |problem: &Value, key: &str| problem[key].as_str().map(str::to_owned);
    printed["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            let mut message = text(problem, "found").unwrap();
            if let Some(expected) = text(problem, "expected") {
                message.push_str(&format!("; expected {expected}"));
            }
            Found {
                path: text(problem, "path").unwrap(),
                line: problem["line"].as_u64(),
                code: text(problem, "code").unwrap(),
                text: format!("{message}; fix: {}", text(problem, "fix").unwrap()),
            }
        })
        .collect()
}

/// Writes the files of a tree. `submodule` makes the directory of a submodule.
fn write(tree: &Tree, root: &Path, submodule: impl Fn(&Path)) {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    for (path, (kind, bytes)) in tree {
        let on_disk = root.join(path);
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        match kind {
            FileKind::Submodule => submodule(&on_disk),
            FileKind::Symlink => {
                let target = std::ffi::OsStr::from_bytes(bytes);
                std::os::unix::fs::symlink(target, &on_disk).unwrap();
            }
            FileKind::File | FileKind::Executable => {
                std::fs::write(&on_disk, bytes).unwrap();
                let mode = if *kind == FileKind::File {
                    0o644
                } else {
                    0o755
                };
                std::fs::set_permissions(&on_disk, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}
