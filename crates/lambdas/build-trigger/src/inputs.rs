use crate::BuildTrigger;
use domain::build::{BuildKind, PassedTest};
use domain::config::Build;
use domain::enrolment::EnrolledRepository;
use domain::run::Run;
use domain::step::{BuildOrder, BuildVariable, build_variable};
use engine::Result;

/// What the two builds of a run read.
pub(crate) struct Inputs<'a> {
    run: &'a Run,
    build: &'a Build,
    repository: EnrolledRepository,
    /// The sealed archive, in the form of CodeBuild's S3 source: `bucket/key`.
    source: String,
    /// The tag of the image that is built from this context.
    pub(crate) tag: String,
    /// The record of the run's test, once it passed.
    pub(crate) test: PassedTest,
}

impl<'a> Inputs<'a> {
    /// Reads the inputs from a run whose configuration has a build.
    pub(crate) async fn of(step: &BuildTrigger, run: &'a Run) -> Result<Self> {
        let tree = run.build_tree()?;
        let build = run.build_config()?;
        let source = run.sealed_source()?;
        let test = step.settings.test_digest(&source.sha256, build);
        Ok(Self {
            run,
            build,
            repository: step.repository(run).await?,
            source: format!("{}/{}", step.bucket, source.key),
            tag: step.settings.image_tag(tree, build),
            test: PassedTest::new(run.trigger().repository_key(), test),
        })
    }

    /// Returns the image repository: `registry/repository`.
    pub(crate) fn image(&self) -> &str {
        &self.repository.image
    }

    /// Returns the test of the source.
    pub(crate) fn test_order(&self) -> BuildOrder {
        self.order(BuildKind::Test, &[(build_variable::TEST, &self.build.test)])
    }

    /// Returns the build of the image.
    pub(crate) fn image_order(&self) -> BuildOrder {
        let variables = [
            (build_variable::DOCKERFILE, self.build.dockerfile.as_str()),
            (build_variable::IMAGE, self.image()),
            (build_variable::TAG, &self.tag),
        ];
        self.order(BuildKind::Image, &variables)
    }

    fn order(&self, kind: BuildKind, own: &[(&str, &str)]) -> BuildOrder {
        let context = match self.build.context.as_str() {
            "" => ".",
            context => context,
        };
        let shared = [
            (build_variable::RUN, self.run.id().as_str()),
            (build_variable::COMMIT, self.run.trigger().commit().as_str()),
            (build_variable::CONTEXT, context),
        ];
        BuildOrder {
            project: self.repository.projects.of(kind).to_string(),
            source: self.source.clone(),
            environment: shared
                .iter()
                .chain(own)
                .map(|(name, value)| variable(name, value))
                .collect(),
        }
    }
}

fn variable(name: &str, value: &str) -> BuildVariable {
    BuildVariable {
        name: name.into(),
        value: value.into(),
        kind: "PLAINTEXT".into(),
    }
}
