//! What a build reads: its inputs identify its result.
//!
//! An image is built from its context alone, and a test may read the whole source. So an image is
//! reused when its context is the same, but the test of a changed source is run again.

use crate::config;
use crate::ids::{CommitId, RepositoryKey, Sha256Digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Changes when the pipeline builds images in another way, so that no earlier image is reused.
const IMAGE_VERSION: &str = "image-1";

/// Changes when the pipeline runs tests in another way, so that every source is tested again.
const TEST_VERSION: &str = "test-1";

/// The two builds of a commit. Each has its own CodeBuild project, with its own role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildKind {
    /// Runs the test command of the repository. Cannot push an image.
    Test,
    /// Builds and pushes the image. Runs nothing of the repository outside `docker build`.
    Image,
}

impl BuildKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Test, Self::Image];

    /// Returns the kind as it is written in the names of projects and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Image => "image",
        }
    }
}

impl fmt::Display for BuildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How an installation builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// The processor of the images, such as `x86_64`.
    pub architecture: String,
}

impl BuildSettings {
    /// Returns the tag of the image that is built from this context. It stands for everything
    /// that `docker build` gets: the context's tree, the path of the Dockerfile in it, and the
    /// processor.
    #[must_use]
    pub fn image_tag(&self, tree: &CommitId, build: &config::Build) -> String {
        let inputs = [
            IMAGE_VERSION,
            tree.as_str(),
            &build.dockerfile,
            &self.architecture,
        ];
        format!("inputs-{}", digest(&inputs))
    }

    /// Returns the digest of everything that a test gets: the sealed archive, the directory in
    /// which the test starts, the command, and the processor.
    #[must_use]
    pub fn test_digest(&self, archive: &Sha256Digest, build: &config::Build) -> Sha256Digest {
        digest(&[
            TEST_VERSION,
            archive.as_str(),
            &build.context,
            &build.test,
            &self.architecture,
        ])
    }
}

/// Returns one digest for several texts. None of them contains a NUL, so no two lists are alike.
fn digest(texts: &[&str]) -> Sha256Digest {
    Sha256Digest::of(texts.join("\0").as_bytes())
}

/// The version of [`PassedTest`] that this code writes and reads.
pub const PASSED_TEST_SCHEMA: u32 = 1;

/// A test that passed. It is not run again for the same inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassedTest {
    schema: u32,
    repository: RepositoryKey,
    inputs: Sha256Digest,
}

impl PassedTest {
    /// Returns the record of a test that passed.
    #[must_use]
    pub fn new(repository: RepositoryKey, inputs: Sha256Digest) -> Self {
        Self {
            schema: PASSED_TEST_SCHEMA,
            repository,
            inputs,
        }
    }

    /// Returns the repository whose test passed.
    #[must_use]
    pub fn repository(&self) -> RepositoryKey {
        self.repository
    }

    /// Returns the digest of everything that the test got.
    #[must_use]
    pub fn inputs(&self) -> &Sha256Digest {
        &self.inputs
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use std::collections::BTreeSet;

    fn settings() -> BuildSettings {
        BuildSettings {
            architecture: "x86_64".into(),
        }
    }

    fn build() -> config::Build {
        config::Build {
            context: "app".into(),
            dockerfile: "Dockerfile".into(),
            test: "make -C .. proto && cargo test".into(),
        }
    }

    fn tree(letter: char) -> CommitId {
        CommitId::parse(&letter.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn an_image_is_identified_by_all_that_docker_gets() {
        let arm = BuildSettings {
            architecture: "arm64".into(),
        };
        let other_file = config::Build {
            dockerfile: "Dockerfile.arm".into(),
            ..build()
        };
        let other_test = config::Build {
            test: "true".into(),
            ..build()
        };
        let tag = settings().image_tag(&tree('a'), &build());
        assert_eq!(tag, settings().image_tag(&tree('a'), &other_test));
        let tags = [
            tag.clone(),
            settings().image_tag(&tree('b'), &build()),
            settings().image_tag(&tree('a'), &other_file),
            arm.image_tag(&tree('a'), &build()),
        ];
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
        // ECR accepts 128 characters.
        assert_eq!(tag.len(), "inputs-".len() + 64);
    }

    #[test]
    fn a_test_is_identified_by_all_that_it_gets() {
        let (one, two) = (Sha256Digest::of(b"1"), Sha256Digest::of(b"2"));
        let change = |edit: fn(&mut config::Build)| {
            let mut changed = build();
            edit(&mut changed);
            settings().test_digest(&one, &changed)
        };
        let digests = [
            settings().test_digest(&one, &build()),
            settings().test_digest(&two, &build()),
            change(|build| build.context = String::new()),
            change(|build| build.test = "true".into()),
        ];
        assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
        assert_eq!(
            change(|build| build.dockerfile = "other".into()),
            digests[0],
            "a test does not get the path of the Dockerfile"
        );
    }
}
