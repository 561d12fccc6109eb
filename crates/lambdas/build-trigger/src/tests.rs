#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::error::ErrorName;
use domain::ids::{BuildId, ImageDigest, RunId};
use domain::keys;
use domain::release::Artifact;
use domain::run::{ArtifactOrigin, Build, Run};
use domain::step::{
    BuildVerdict, CaughtError, DecideBuild, DecideBuildOutput, FinishBuild, FinishBuildOutput,
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
        };
        world.insert(&samples::sealed_run(1)).await;
        Self { world, step }
    }

    async fn decide(&self) -> Result<DecideBuildOutput> {
        let input = DecideBuild { run: run() };
        match self.step.run(BuildTriggerInput::Decide(input)).await? {
            BuildTriggerOutput::Decide(output) => Ok(output),
            other @ BuildTriggerOutput::Finish(_) => panic!("{other:?}"),
        }
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

fn commit_tag() -> String {
    keys::commit_tag(&samples::commit(1))
}

fn tree_tag() -> String {
    let tree = samples::source(1).build_tree.unwrap();
    keys::tree_tag(&tree, "Dockerfile", "./test.sh")
}

fn failed() -> Option<CaughtError> {
    Some(CaughtError {
        error: "States.TaskFailed".into(),
        cause: r#"{"Build":{"Id":"shop:1","BuildStatus":"FAILED","Phases":[
            {"PhaseType":"PRE_BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"exit status 1"}]}]}}"#
            .into(),
    })
}

fn ready(digest: ImageDigest, origin: ArtifactOrigin) -> Build {
    Build::Ready {
        artifact: Artifact::Image { digest },
        origin,
        at: samples::now(),
    }
}

#[tokio::test]
async fn a_new_tree_is_built_from_the_sealed_archive() {
    let world = Scene::new().await;
    let DecideBuildOutput::Build {
        source,
        environment,
    } = world.decide().await.unwrap()
    else {
        panic!();
    };
    let archive = samples::source(1).archive.key;
    assert_eq!(source, format!("{}/{archive}", samples::BUCKET));
    let variables: Vec<String> = environment
        .iter()
        .map(|it| format!("{}={}", it.name, it.value))
        .collect();
    assert_eq!(
        variables,
        [
            format!("SLUICEGATE_RUN={}", run()),
            format!("SLUICEGATE_COMMIT={}", samples::commit(1)),
            "SLUICEGATE_CONTEXT=app".to_owned(),
            "SLUICEGATE_DOCKERFILE=Dockerfile".to_owned(),
            "SLUICEGATE_TEST=./test.sh".to_owned(),
            format!("SLUICEGATE_IMAGE={}", image()),
            format!("SLUICEGATE_TAGS={} {}", commit_tag(), tree_tag()),
        ]
    );
    assert!(matches!(world.build().await, Build::Started { .. }));
    assert!(world.decide().await.is_ok());
}

#[tokio::test]
async fn the_digest_of_what_was_built_is_kept() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    let digest = samples::image_digest(1);
    world
        .registry
        .push(&image(), &digest, &[&commit_tag(), &tree_tag()]);
    for _ in 0..2 {
        world.finish(None).await.unwrap();
    }
    let origin = ArtifactOrigin::Built;
    assert_eq!(world.build().await, ready(digest, origin));
}

#[tokio::test]
async fn the_same_files_are_not_built_twice() {
    let world = Scene::new().await;
    let digest = samples::image_digest(1);
    world
        .registry
        .push(&image(), &digest, &["other", &tree_tag()]);
    for _ in 0..2 {
        assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    }
    // An image that is delivered a thousand times must not get a thousand tags.
    let tags = world.registry.tags(&image(), &digest);
    assert!(!tags.contains(&commit_tag()), "{tags:?}");
    let origin = ArtifactOrigin::Reused;
    assert_eq!(world.build().await, ready(digest, origin));
}

/// Two builds of the same files ran at once and made two images.
#[tokio::test]
async fn the_commits_own_image_counts_when_another_one_has_the_same_files() {
    let world = Scene::new().await;
    let (own, other) = (samples::image_digest(1), samples::image_digest(2));
    world.registry.push(&image(), &other, &[&tree_tag()]);
    world.registry.push(&image(), &own, &[&commit_tag()]);
    assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    let origin = ArtifactOrigin::Reused;
    let digest = own;
    assert_eq!(world.build().await, ready(digest, origin));
}

/// Tags are immutable, so a second build of the commit could not push its tag.
#[tokio::test]
async fn an_image_of_the_commit_itself_is_taken_as_it_is() {
    let world = Scene::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&commit_tag()]);
    assert_eq!(world.decide().await, Ok(DecideBuildOutput::NoBuild));
    assert!(world.registry.tags(&image(), &digest).contains(&tree_tag()));
}

#[tokio::test]
async fn another_dockerfile_or_test_command_is_another_image() {
    let world = Scene::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&tree_tag()]);
    for (key, value) in [("dockerfile", "Dockerfile.arm"), ("test", "./other.sh")] {
        let place = format!("/accepted/config/build/{key}");
        world.change(|run| samples::edit(run, &place, value)).await;
        let decided = world.decide().await.unwrap();
        assert!(matches!(decided, DecideBuildOutput::Build { .. }));
    }
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
async fn a_failed_build_names_its_phase() {
    let world = Scene::new().await;
    world.decide().await.unwrap();
    for _ in 0..2 {
        let error = world.finish(failed()).await.unwrap_err();
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
    let error = world.finish(failed()).await.unwrap_err();
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
    assert!(error.message.contains(&commit_tag()), "{error}");
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
            world.registry.push(&image(), &digest, &[&commit_tag()]);
        }
        faults(&world);
        while world.decide().await.is_err() {}
        if !reuse {
            let tags = [commit_tag(), tree_tag()];
            world
                .registry
                .push(&image(), &digest, &[&tags[0], &tags[1]]);
            faults(&world);
            while world.finish(None).await.is_err() {}
        }
        world.shown()
    }
    for reuse in [true, false] {
        let good = story(reuse, |_| {}).await;
        for operation in ["get", "replace"] {
            let failed = story(reuse, |it| it.table.fail_next(operation, throttled(), 2)).await;
            assert_eq!(failed, good);
            let lost = story(reuse, |it| it.table.lose_reply(operation, throttled(), 2)).await;
            assert_eq!(lost, good);
        }
        for operation in ["find", "tag"] {
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
            tag: commit_tag(),
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
