//! Git repositories, managed with the git CLI. The git configuration of this machine is ignored.
//!
//! The author is constant, and each commit is dated one minute after its parent. The same changes
//! therefore produce the same commit ids on every machine and at any time.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use uuid::Uuid;

use crate::github::DEFAULT_BRANCH;
use crate::process::{self, StartError};

/// The time of a repository's first commit: 2026-01-01T00:00:00Z.
const FIRST_COMMIT: i64 = 1_767_225_600;
const BETWEEN_COMMITS: i64 = 60;
/// Files in a developer's directory that do not belong to the sample.
const NOT_SAMPLE: &str = ".terraform/\n*.tfstate\n*.tfstate.*\n*.tfplan\ntarget/\n__pycache__/\n";

/// A failed git command.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The repository name is invalid.
    #[error("{0:?} is not a repository name; expected owner/name")]
    Name(String),
    /// The repository already exists.
    #[error("there is a repository at {} already", .0.display())]
    Exists(PathBuf),
    /// git could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file could not be read or written.
    #[error("git {command}: {cause}")]
    File {
        /// The first words of the command.
        command: String,
        /// The cause.
        cause: io::Error,
    },
    /// git exited with an error.
    #[error("git {command}: {message}")]
    Refused {
        /// The first words of the command.
        command: String,
        /// Its standard error.
        message: String,
    },
}

/// The new content of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The path from the repository's root.
    pub path: PathBuf,
    /// The whole content. A new file that begins with `#!` is made executable.
    pub text: String,
}

/// A repository on disk: bare, or a clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repository {
    dir: PathBuf,
}

/// Returns a git command that ignores the machine's and the user's configuration.
pub(in crate::github) fn git(dir: &Path) -> Command {
    let mut command = Command::new("git");
    for variable in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_NAMESPACE",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_TEMPLATE_DIR",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ] {
        command.env_remove(variable);
    }
    command
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "false")
        .env("HOME", dir)
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    command
}

impl Repository {
    /// Opens an existing repository.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        // git runs in this directory, so a relative path would resolve differently.
        Self {
            dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
        }
    }

    /// Creates a bare repository with one commit on `main` that contains the files of a directory.
    pub(in crate::github) async fn create(bare: &Path, files: &Path) -> Result<Self, GitError> {
        if bare.exists() {
            return Err(GitError::Exists(bare.to_owned()));
        }
        let io_error = |cause| GitError::File {
            command: "init".to_owned(),
            cause,
        };
        std::fs::create_dir_all(bare).map_err(io_error)?;
        let repository = Self::open(bare);
        let branch = format!("--initial-branch={DEFAULT_BRANCH}");
        repository
            .run(&["init", "--quiet", "--bare", "--template=", &branch, "."])
            .await?;
        for (name, value) in [
            ("http.receivepack", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
            ("gc.auto", "0"),
        ] {
            repository.run(&["config", name, value]).await?;
        }
        std::fs::create_dir_all(bare.join("info")).map_err(io_error)?;
        std::fs::write(bare.join("info/exclude"), NOT_SAMPLE).map_err(io_error)?;
        let files = files.canonicalize().map_err(io_error)?;
        let work_tree = format!("--work-tree={}", files.display());
        let dir = format!("--git-dir={}", repository.dir.display());
        let add = [dir.as_str(), &work_tree, "add", "--all", "."];
        let tree = {
            let index = Index::new(&repository);
            index.git(&files, &add, None).await?;
            index.run(&["write-tree"]).await?
        };
        repository
            .commit_tree(DEFAULT_BRANCH, &tree, None, "Begin")
            .await?;
        Ok(repository)
    }

    /// Clones over HTTP with a token. The token is not written to the clone.
    ///
    /// # Errors
    /// When git fails.
    pub async fn clone(url: &str, token: &str, dir: &Path) -> Result<Self, GitError> {
        let parent = dir.parent().unwrap_or(Path::new("/"));
        let basic = base64::engine::general_purpose::STANDARD;
        let basic = basic.encode(format!("x-access-token:{token}"));
        let mut command = git(parent);
        command
            .args(["clone", "--quiet", "--template=", url])
            .arg(dir)
            // In the environment, because any user can read a command line.
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
        finish(command, "clone", None).await?;
        Ok(Self::open(dir))
    }

    /// Returns the repository's path.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the commit of a branch.
    ///
    /// # Errors
    /// When the branch does not exist.
    pub async fn head(&self, branch: &str) -> Result<String, GitError> {
        let reference = format!("{branch}^{{commit}}");
        self.run(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &reference,
        ])
        .await
    }

    /// Returns how many commits only `base` has, and how many only `head` has.
    ///
    /// # Errors
    /// When the repository does not have one of them.
    pub async fn compare(&self, base: &str, head: &str) -> Result<(u64, u64), GitError> {
        let range = format!("{base}...{head}");
        let counts = [
            "rev-list",
            "--left-right",
            "--count",
            "--end-of-options",
            &range,
        ];
        let said = self.run(&counts).await?;
        let mut numbers = said.split_whitespace().map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(behind), Some(ahead)) => Ok((behind, ahead)),
            _ => Err(GitError::Refused {
                command: "rev-list".to_owned(),
                message: said,
            }),
        }
    }

    /// Returns the content of a file on a branch or at a commit.
    ///
    /// # Errors
    /// When the file does not exist.
    pub async fn read(&self, revision: &str, path: &str) -> Result<String, GitError> {
        finish(
            self.git(&["cat-file", "blob", &format!("{revision}:{path}")]),
            "cat-file",
            None,
        )
        .await
    }

    /// Returns the log of a revision, newest first. Each line has the short id, the time and the subject.
    ///
    /// # Errors
    /// When the revision does not exist.
    pub async fn log(&self, revision: &str) -> Result<String, GitError> {
        self.run(&[
            "log",
            "--format=%h %cI %s",
            "--end-of-options",
            revision,
            "--",
        ])
        .await
    }

    /// Returns all refs with their commits.
    ///
    /// # Errors
    /// When the directory is not a repository.
    pub async fn refs(&self) -> Result<Vec<(String, String)>, GitError> {
        let refs = self
            .run(&["for-each-ref", "--format=%(refname) %(objectname)"])
            .await?;
        let pair = |line: &str| {
            line.split_once(' ')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        Ok(refs.lines().filter_map(pair).collect())
    }

    /// Returns whether a full commit id exists here.
    pub(in crate::github) async fn has_commit(&self, commit: &str) -> bool {
        let is_id = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id
            && self
                .run(&["cat-file", "-e", &format!("{commit}^{{commit}}")])
                .await
                .is_ok()
    }

    /// Commits changes to a branch of a bare repository, as a push would, and returns the commit.
    ///
    /// # Errors
    /// When the branch does not exist, or changed concurrently.
    pub async fn commit(
        &self,
        branch: &str,
        changes: &[Change],
        message: &str,
    ) -> Result<String, GitError> {
        let parent = self.head(&format!("refs/heads/{branch}")).await?;
        let index = Index::new(self);
        index.run(&["read-tree", &parent]).await?;
        for change in changes {
            let path = change.path.display().to_string();
            let text = change.text.as_bytes();
            let hash = ["hash-object", "-w", "--stdin"];
            let blob = index.git(&self.dir, &hash, Some(text)).await?;
            let known = index.run(&["ls-files", "--stage", "--", &path]).await?;
            let mode = match known.split(' ').next().filter(|mode| !mode.is_empty()) {
                Some(mode) => mode.to_owned(),
                None if change.text.starts_with("#!") => "100755".to_owned(),
                None => "100644".to_owned(),
            };
            let entry = format!("{mode},{blob},{path}");
            index
                .run(&["update-index", "--add", "--cacheinfo", &entry])
                .await?;
        }
        let tree = index.run(&["write-tree"]).await?;
        self.commit_tree(branch, &tree, Some(&parent), message)
            .await
    }

    async fn commit_tree(
        &self,
        branch: &str,
        tree: &str,
        parent: Option<&str>,
        message: &str,
    ) -> Result<String, GitError> {
        let mut args = vec!["commit-tree", tree, "-m", message];
        let mut time = FIRST_COMMIT;
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
            let before = self
                .run(&["show", "--no-patch", "--format=%ct", parent])
                .await?;
            time = before.parse().unwrap_or(FIRST_COMMIT) + BETWEEN_COMMITS;
        }
        let time = format!("@{time} +0000");
        let mut command = self.git(&args);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Mona Octocat")
                .env(format!("GIT_{who}_EMAIL"), "octocat@example.com")
                .env(format!("GIT_{who}_DATE"), &time);
        }
        let commit = trimmed(&finish(command, "commit-tree", None).await?);
        let reference = format!("refs/heads/{branch}");
        // An empty old value: the branch must not exist.
        let old = parent.unwrap_or("");
        self.run(&["update-ref", "-m", message, &reference, &commit, old])
            .await?;
        Ok(commit)
    }

    fn git(&self, args: &[&str]) -> Command {
        let mut command = git(&self.dir);
        command.args(args);
        command
    }

    async fn run(&self, args: &[&str]) -> Result<String, GitError> {
        let name = args.first().copied().unwrap_or_default();
        finish(self.git(args), name, None)
            .await
            .map(|text| trimmed(&text))
    }
}

/// A separate index file: a bare repository has none, and two commits must not share one.
struct Index<'a> {
    repository: &'a Repository,
    file: PathBuf,
}

impl<'a> Index<'a> {
    fn new(repository: &'a Repository) -> Self {
        let file = repository
            .dir
            .join(format!("index-{}", Uuid::new_v4().simple()));
        Self { repository, file }
    }

    async fn run(&self, args: &[&str]) -> Result<String, GitError> {
        self.git(&self.repository.dir, args, None).await
    }

    async fn git(
        &self,
        dir: &Path,
        args: &[&str],
        input: Option<&[u8]>,
    ) -> Result<String, GitError> {
        let mut command = git(dir);
        command.args(args).env("GIT_INDEX_FILE", &self.file);
        let name = args
            .iter()
            .find(|arg| !arg.starts_with('-'))
            .copied()
            .unwrap_or_default();
        finish(command, name, input)
            .await
            .map(|text| trimmed(&text))
    }
}

impl Drop for Index<'_> {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).ok();
    }
}

async fn finish(
    mut command: Command,
    name: &str,
    input: Option<&[u8]>,
) -> Result<String, GitError> {
    let failed = |cause| GitError::File {
        command: name.to_owned(),
        cause,
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    let mut child = process::spawn(&mut command)?;
    let mut stdin = child.stdin.take();
    let feed = async {
        if let (Some(stdin), Some(input)) = (&mut stdin, input) {
            stdin.write_all(input).await.ok();
        }
        drop(stdin);
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let message = if message.is_empty() {
        output.status.to_string()
    } else {
        message
    };
    Err(GitError::Refused {
        command: name.to_owned(),
        message,
    })
}

fn trimmed(text: &str) -> String {
    text.trim_end().to_owned()
}
