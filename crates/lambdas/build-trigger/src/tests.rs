#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::error::ErrorName;
use domain::ids::{BuildId, ImageDigest, RunId, Sha256Digest};
use domain::release::Artifact;
use domain::run::{ArtifactOrigin, Build, Run};
use domain::step::{
    BuildOrder, BuildVerdict, CaughtError, DecideBuild, DecideBuildOutput, FinishBuild,
    FinishBuildOutput, FinishTest, FinishTestOutput,
};
use engine::fakes::{World, samples, throttled};
use std::ops::Deref;

/// A sealed run and an empty registry.
struct Scene {
    world: World,
    step: BuildTrigger,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let step = BuildTrigger {
            table: Arc::new(world.table.clone()),
            registry: Arc::new(world.registry.clone()),
            build_logs: Arc::new(world.build_logs.clone()),
            announcer: world.queue_announcer(),
            enrolments: world.enrolments(),
            clock: world.clock(),
            bucket: samples::BUCKET.into(),
            settings: samples::build_settings(),
        };
        world.insert(&samples::sealed_run(1)).await;
        Self { world, step }
    }

    async fn decide(&self) -> Result<DecideBuildOutput> {
        let input = DecideBuild { run: run() };
        match self.step.run(BuildTriggerInput::Decide(input)).await? {
            BuildTriggerOutput::Decide(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    async fn finish_test(&self, error: Option<CaughtError>) -> Result<FinishTestOutput> {
        let input = FinishTest { run: run(), error };
        let input = BuildTriggerInput::FinishTest(input);
        match self.step.run(input).await? {
            BuildTriggerOutput::FinishTest(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    /// Decides, and lets the test pass.
    async fn tested(&self) -> FinishTestOutput {
        self.decide().await.unwrap();
        self.finish_test(None).await.unwrap()
    }

    async fn finish(&self, error: Option<CaughtError>) -> Result<()> {
        let input = FinishBuild { run: run(), error };
        let verdict = BuildVerdict::Built;
        let output = self.step.run(BuildTriggerInput::Finish(input)).await?;
        assert_eq!(
            output,
            BuildTriggerOutput::Finish(FinishBuildOutput { verdict })
        );
        Ok(())
    }

    async fn build(&self) -> Build {
        self.run(&run()).await.build().clone()
    }

    async fn change(&self, change: impl Fn(&mut Run)) {
        self.change_run(&run(), change).await;
    }
}

fn run() -> RunId {
    samples::run_id(1)
}

fn image() -> String {
    samples::repository().image
}

fn tag() -> String {
    let tree = samples::source(1).build_tree.unwrap();
    samples::build_settings().image_tag(&tree, &samples::config().build.unwrap())
}

fn failed() -> Option<CaughtError> {
    Some(CaughtError {
        error: "States.TaskFailed".into(),
        cause: r#"{"Build":{"Id":"shop:1","BuildStatus":"FAILED","Phases":[
            {"PhaseType":"PRE_BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"exit status 1"}]}]}}"#
            .into(),
    })
}

/// Returns a build order as text.
fn shown(order: &BuildOrder) -> Vec<String> {
    let variables = order.environment.iter();
    let variables = variables.map(|it| format!("{}={}", it.name, it.value));
    [order.project.clone(), order.source.clone()]
        .into_iter()
        .chain(variables)
        .collect()
}

fn ready(digest: ImageDigest, origin: ArtifactOrigin) -> Build {
    Build::Ready {
        artifact: Artifact::Image { digest },
        origin,
        at: samples::now(),
    }
}

#[tokio::test]
async fn a_new_source_is_tested_and_then_built_from_the_sealed_archive() {
    let world = Scene::new().await;
    let archive = format!("{}/{}", samples::BUCKET, samples::source(1).archive.key);
    for _ in 0..2 {
        let decided = world.decide().await.unwrap();
        let DecideBuildOutput::Test(test) = decided else {
            panic!("{decided:?}");
        };
        // A test gets nothing that names an image.
        assert_eq!(
            shown(&test),
            [
                "sluicegate-build-github-42-test".to_owned(),
                archive.clone(),
                format!("SLUICEGATE_RUN={}", run()),
                format!("SLUICEGATE_COMMIT={}", samples::commit(1)),
                "SLUICEGATE_CONTEXT=app".to_owned(),
                "SLUICEGATE_TEST=./test.sh".to_owned(),
            ]
        );
        assert!(matches!(world.build().await, Build::Started { .. }));
    }
    for _ in 0..2 {
        let finished = world.finish_test(None).await.unwrap();
        let FinishTestOutput::Image(image_build) = finished else {
            panic!("{finished:?}");
        };
        assert_eq!(
            shown(&image_build),
            [
                "sluicegate-build-github-42-image".to_owned(),
                archive.clone(),
                format!("SLUICEGATE_RUN={}", run()),
                format!("SLUICEGATE_COMMIT={}", samples::commit(1)),
                "SLUICEGATE_CONTEXT=app".to_owned(),
                "SLUICEGATE_DOCKERFILE=Dockerfile".to_owned(),
                format!("SLUICEGATE_IMAGE={}", image()),
                format!("SLUICEGATE_TAG={}", tag()),
            ]
        );
    }
}

#[tokio::test]
async fn the_digest_of_what_was_built_is_kept() {
    let world = Scene::new().await;
    world.tested().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&tag()]);
    for _ in 0..2 {
        world.finish(None).await.unwrap();
    }
    let origin = ArtifactOrigin::Built;
    assert_eq!(world.build().await, ready(digest, origin));
}

/// The image of the same context exists, so only the files around it may have changed.
#[tokio::test]
async fn an_image_is_reused_only_after_the_source_passed_its_test() {
    let world = Scene::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &["other", &tag()]);
    let decided = world.decide().await.unwrap();
    assert!(matches!(decided, DecideBuildOutput::Test(_)), "{decided:?}");
    for _ in 0..2 {
        let finished = world.finish_test(None).await;
        assert_eq!(finished, Ok(FinishTestOutput::Built));
    }
    assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    let origin = ArtifactOrigin::Reused;
    assert_eq!(world.build().await, ready(digest, origin));
}

#[tokio::test]
async fn a_source_that_passed_its_test_is_not_tested_again() {
    let world = Scene::new().await;
    world.tested().await;
    let decided = world.decide().await.unwrap();
    assert!(
        matches!(decided, DecideBuildOutput::Image(_)),
        "{decided:?}"
    );
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&tag()]);
    assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    let origin = ArtifactOrigin::Reused;
    assert_eq!(world.build().await, ready(digest, origin));
}

#[tokio::test]
async fn another_source_or_test_command_is_tested_again() {
    let other = Sha256Digest::of(b"a file outside the context changed").to_string();
    for (place, value) in [
        ("/forward/source/sha256", other.as_str()),
        ("/accepted/config/build/test", "./other.sh"),
        ("/accepted/config/build/context", "other"),
    ] {
        let world = Scene::new().await;
        world.tested().await;
        let digest = samples::image_digest(1);
        world.registry.push(&image(), &digest, &[&tag()]);
        world.change(|run| samples::edit(run, place, value)).await;
        let decided = world.decide().await.unwrap();
        assert!(matches!(decided, DecideBuildOutput::Test(_)), "{place}");
    }
}

#[tokio::test]
async fn another_context_or_dockerfile_is_another_image() {
    for (place, value) in [
        ("/accepted/build_tree", samples::commit(9).to_string()),
        ("/accepted/config/build/dockerfile", "Dockerfile.arm".into()),
    ] {
        let world = Scene::new().await;
        world.tested().await;
        let digest = samples::image_digest(1);
        world.registry.push(&image(), &digest, &[&tag()]);
        world.change(|run| samples::edit(run, place, &value)).await;
        let decided = world.decide().await.unwrap();
        assert!(matches!(decided, DecideBuildOutput::Image(_)), "{place}");
    }
}

#[tokio::test]
async fn a_failed_test_gives_no_image_although_one_exists() {
    let world = Scene::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&tag()]);
    world.decide().await.unwrap();
    let error = world.finish_test(failed()).await.unwrap_err();
    assert_eq!(error.name, ErrorName::BuildFailed);
    assert!(matches!(world.build().await, Build::Failed { .. }));
    let decided = world.decide().await.unwrap();
    assert!(matches!(decided, DecideBuildOutput::Test(_)), "{decided:?}");
}

#[tokio::test]
async fn a_repository_may_have_no_image() {
    let world = Scene::new().await;
    world
        .change(|run| samples::edit(run, "/accepted/config/build", ()))
        .await;
    assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    assert_eq!(world.build().await, Build::None);
}

#[tokio::test]
async fn a_failed_test_names_its_phase() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    for _ in 0..2 {
        let error = world.finish_test(failed()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::BuildFailed);
        insta::assert_snapshot!("log_unreadable", error);
    }
    assert!(matches!(world.build().await, Build::Failed { .. }));
}

#[tokio::test]
async fn a_build_that_fails_beside_the_plans_waits_for_their_errors() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    world
        .change(|run| run.lock_held(1, samples::now()).unwrap())
        .await;
    let finished = world.finish_test(failed()).await;
    assert_eq!(finished, Ok(FinishTestOutput::Failed));
    for error in [failed(), None] {
        let input = FinishBuild { run: run(), error };
        let output = world.step.run(BuildTriggerInput::Finish(input)).await;
        let verdict = BuildVerdict::Failed;
        assert_eq!(
            output,
            Ok(BuildTriggerOutput::Finish(FinishBuildOutput { verdict }))
        );
    }
    let kept = world.run(&run()).await.build_error().cloned().unwrap();
    assert_eq!(kept.name, ErrorName::BuildFailed, "the first one");
}

#[tokio::test]
async fn a_failed_test_shows_the_last_lines_that_it_printed() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    let build = BuildId::parse("shop:1").unwrap();
    for number in 0..60_000 {
        world
            .build_logs
            .print(&build, &[&format!("test {number} ok")]);
    }
    world.build_logs.print(
        &build,
        &[
            "test keys ... \u{1b}[31mFAILED\u{1b}[0m",
            "",
            "  left: 64",
            &"x".repeat(500),
            "[Container] 2026/03/01 12:00:00.000000 Command did not exit successfully exit status 1",
        ],
    );
    let error = world.finish_test(failed()).await.unwrap_err();
    insta::assert_snapshot!("log_end", error);
    let recorded = world.build().await;
    assert!(matches!(recorded, Build::Failed { build: Some(known), .. } if known == build));
    // Step Functions passes on the whole message.
    assert!(error.message.chars().count() < 2000);
}

#[tokio::test]
async fn a_build_that_pushed_nothing_is_noticed() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    let error = world.finish(None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ImageMissing);
    assert!(error.message.contains(&tag()), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_not_enrolled_any_more_is_not_built() {
    let world = Scene::new().await;
    world.enrolments.remove(samples::repository().key);
    let error = world.decide().await.unwrap_err();
    assert_eq!(error.name, ErrorName::NotEnrolled);
}

/// Every call to an outside system fails, or loses its reply after it took effect. The state
/// machine repeats the action until it succeeds, and the result is the same as without faults.
#[tokio::test]
async fn repeated_calls_have_one_effect() {
    async fn story(reuse: bool, faults: impl Fn(&Scene)) -> String {
        let world = Scene::new().await;
        let digest = samples::image_digest(1);
        if reuse {
            world.registry.push(&image(), &digest, &[&tag()]);
        }
        faults(&world);
        while world.decide().await.is_err() {}
        faults(&world);
        while world.finish_test(None).await.is_err() {}
        if !reuse {
            world.registry.push(&image(), &digest, &[&tag()]);
            faults(&world);
            while world.finish(None).await.is_err() {}
        }
        world.shown()
    }
    for reuse in [true, false] {
        let good = story(reuse, |_| {}).await;
        for operation in ["get", "insert", "replace"] {
            let failed = story(reuse, |it| it.table.fail_next(operation, throttled(), 2)).await;
            assert_eq!(failed, good);
            let lost = story(reuse, |it| it.table.lose_reply(operation, throttled(), 2)).await;
            assert_eq!(lost, good);
        }
        for operation in ["find"] {
            let failed = story(reuse, |it| it.registry.fail_next(operation, throttled(), 2)).await;
            assert_eq!(failed, good);
            let lost = story(reuse, |it| {
                it.registry.lose_reply(operation, throttled(), 2);
            })
            .await;
            assert_eq!(lost, good);
        }
    }
}

#[test]
fn every_error_says_what_happened() {
    let errors = [
        Error::BuildFailed {
            part: "the tests",
            build: "shop:1".into(),
            log: Vec::new(),
            commit: samples::commit(1),
            cause: "exit status 1".into(),
        },
        Error::ImageMissing {
            image: image(),
            tag: "inputs-1".into(),
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
