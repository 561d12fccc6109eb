//! The action `finish`: records the image that the build pushed.
//!
//! Decides whether the build of the image succeeded, and which image it made. A failed build does not
//! hide the errors of the plans: if they are being made, the run fails when they are, in `plan next`.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run keeps the first image that it records, and a failed build is
//! recorded once.
//!
//! Fails with `BuildFailed` if the build failed, and with `ImageMissing` if the registry has no image of
//! the commit's context, unless the run makes plans.

use crate::inputs::Inputs;
use crate::{BuildTrigger, Error};
use domain::error::StepError;
use domain::ids::BuildId;
use domain::run::{ArtifactOrigin, Run};
use domain::step::{BuildVerdict, CaughtError, FinishBuild, FinishBuildOutput};
use domain::text;
use engine::Result;
use engine::documents::{load_run, update_run};
use engine::status::Transition;

/// The number of lines that are read. CodeBuild's own are among them.
const TAIL: usize = 60;

/// The most lines in an error, and the most characters of each. Step Functions passes on 2,000
/// characters.
const EXCERPT_LINES: usize = 12;
const EXCERPT_WIDTH: usize = 120;

/// Returns the last lines of a log without CodeBuild's own.
fn end_of(log: &[String]) -> Vec<String> {
    let printed = log.iter().filter(|line| !line.starts_with("[Container]"));
    let lines = printed.map(|line| text::clip(text::inert(line).trim_end(), EXCERPT_WIDTH));
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.split_off(lines.len().saturating_sub(EXCERPT_LINES))
}

impl BuildTrigger {
    /// Records the image that the build pushed, or why there is none.
    pub(crate) async fn finish(&self, input: FinishBuild) -> Result<FinishBuildOutput> {
        let ended = |verdict| Ok(FinishBuildOutput { verdict });
        let run = load_run(&*self.table, &input.run).await?;
        if self.has_image(&run).await {
            return ended(BuildVerdict::Built);
        }
        if let Some(error) = input.error {
            self.failed(&run, &error).await?;
            return ended(BuildVerdict::Failed);
        }
        let inputs = Inputs::of(self, &run).await?;
        let (image, tag) = (inputs.image(), inputs.tag.clone());
        let Some(digest) = self.registry.find(image, &tag).await? else {
            let image = image.to_owned();
            let missing = Error::ImageMissing { image, tag };
            self.without_image(&run, None, missing.into()).await?;
            return ended(BuildVerdict::Failed);
        };
        self.ready(run.id(), digest, ArtifactOrigin::Built).await?;
        ended(BuildVerdict::Built)
    }

    /// Records a build that CodeBuild ended without success, with the last lines of its log.
    /// Raises the error unless the run makes plans.
    pub(crate) async fn failed(&self, run: &Run, error: &CaughtError) -> Result<()> {
        let failed = error.failed_build();
        let build = failed.as_ref().and_then(|failed| failed.id.clone());
        let log = match &build {
            Some(build) => self.excerpt(build).await,
            None => Vec::new(),
        };
        let error = Error::BuildFailed {
            part: failed.as_ref().map_or("the build", |failed| failed.part),
            commit: run.trigger().commit().clone(),
            build: build
                .clone()
                .map_or_else(|| "without id".to_owned(), String::from),
            cause: failed
                .and_then(|failed| failed.reason)
                .unwrap_or_else(|| error.to_step_error().message),
            log,
        };
        self.without_image(run, build, error.into()).await
    }

    /// Records why the run has no image. Raises the error unless the run makes plans.
    async fn without_image(
        &self,
        run: &Run,
        build: Option<BuildId>,
        error: StepError,
    ) -> Result<()> {
        let run = update_run(&*self.table, run.id(), |run| {
            run.build_failed(build.clone(), error.clone(), self.clock.now())?;
            Ok(run.clone())
        })
        .await?;
        self.announcer.announce(&run, Transition::BuildFailed).await;
        if run.is_planning() {
            return Ok(());
        }
        Err(error)
    }

    /// Returns the last lines of a build's log that the tests or Docker printed. None if the log
    /// cannot be read: the error still says why the build failed.
    async fn excerpt(&self, build: &BuildId) -> Vec<String> {
        match self.build_logs.tail(build, TAIL).await {
            Ok(lines) => end_of(&lines),
            Err(error) => {
                tracing::warn!(%build, %error, "the error has no excerpt of the build's log");
                Vec::new()
            }
        }
    }
}
