//! The action `finish`: records the image that the build pushed.
//!
//! Decides whether the build succeeded, and which image it made.
//!
//! Undo: none, because an image that is not deployed has no effect.
//!
//! Running it twice is safe. A run keeps the first image that it records, and a failed build is
//! recorded once.
//!
//! Fails with `BuildFailed` if the tests or the build failed, and with `ImageMissing` if the registry
//! has no image of the commit.

use crate::{BuildTrigger, Error};
use domain::ids::BuildId;
use domain::keys;
use domain::run::ArtifactOrigin;
use domain::step::{FinishBuild, NoOutput};
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
    /// Records the image that the build pushed.
    pub(crate) async fn finish(&self, input: FinishBuild) -> Result<NoOutput> {
        let run = load_run(&*self.table, &input.run).await?;
        if self.has_image(&run).await {
            return Ok(NoOutput {});
        }
        if let Some(error) = input.error {
            let failed = error.failed_build();
            let build = failed.as_ref().and_then(|failed| failed.id.clone());
            let log = match &build {
                Some(build) => self.excerpt(build).await,
                None => Vec::new(),
            };
            let run = update_run(&*self.table, run.id(), |run| {
                run.build_failed(build.clone(), self.clock.now())?;
                Ok(run.clone())
            })
            .await?;
            self.announcer.announce(&run, Transition::BuildFailed).await;
            return Err(Error::BuildFailed {
                part: failed.as_ref().map_or("the build", |failed| failed.part),
                commit: run.trigger().commit().clone(),
                build: build.map_or_else(|| "without id".to_owned(), String::from),
                cause: failed
                    .and_then(|failed| failed.reason)
                    .unwrap_or_else(|| error.to_step_error().message),
                log,
            }
            .into());
        }
        let image = self.image(&run)?;
        let tag = keys::commit_tag(run.trigger().commit());
        let Some(digest) = self.registry.find(image, &tag).await? else {
            let image = image.to_owned();
            return Err(Error::ImageMissing { image, tag }.into());
        };
        self.ready(run.id(), digest, ArtifactOrigin::Built).await?;
        Ok(NoOutput {})
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
