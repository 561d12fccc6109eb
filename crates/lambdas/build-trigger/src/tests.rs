#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::run::Build;
use engine::documents::insert;
use engine::fakes::{FakeClock, FakeRegistry, FakeStatusQueue, FakeTable, samples};

struct World {
    table: FakeTable,
    registry: FakeRegistry,
    status: FakeStatusQueue,
    step: BuildTrigger,
}

impl World {
    /// Creates a sealed run and an empty registry.
    async fn new() -> Self {
        let table = FakeTable::new();
        let registry = FakeRegistry::new();
        let status = FakeStatusQueue::new();
        let clock = Arc::new(FakeClock::default());
        let repositories: Arc<[EnrolledRepository]> = Arc::new([samples::repository()]);
        let step = BuildTrigger {
            table: Arc::new(table.clone()),
            registry: Arc::new(registry.clone()),
            announcer: Announcer::new(Arc::new(status.clone()), clock.clone()),
            repositories,
            clock,
            bucket: samples::BUCKET.into(),
        };
        insert(&table, &samples::sealed_run(1)).await.unwrap();
        Self {
            table,
            registry,
            status,
            step,
        }
    }

    async fn decide(&self) -> Result<BuildTriggerOutput> {
        self.step
            .run(BuildTriggerInput::Decide { run: run() })
            .await
    }

    async fn finish(&self, error: Option<CaughtError>) -> Result<BuildTriggerOutput> {
        let run = run();
        self.step
            .run(BuildTriggerInput::Finish { run, error })
            .await
    }

    async fn build(&self) -> Build {
        load_run(&self.table, &run()).await.unwrap().build().clone()
    }

    async fn change(&self, change: impl Fn(&mut Run)) {
        update_run(&self.table, &run(), |run| {
            change(run);
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Returns everything that other processes can see.
    fn shown(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for key in self.table.keys() {
            lines.push(self.table.peek(&key).unwrap().doc);
        }
        lines.extend(self.registry.tags(&image(), &samples::image_digest(1)));
        let messages = self.status.messages().into_iter();
        lines.extend(messages.map(|message| message.id));
        lines.join("\n")
    }
}

fn run() -> RunId {
    samples::push_event(1).run_id()
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
            {"PhaseType":"BUILD","PhaseStatus":"FAILED","Contexts":[{"Message":"exit status 1"}]}]}}"#
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

fn throttled() -> StepError {
    StepError::new(ErrorName::AwsThrottled, "slow down")
}

#[tokio::test]
async fn a_new_tree_is_built_from_the_sealed_archive() {
    let world = World::new().await;
    let BuildTriggerOutput::Build {
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
    let world = World::new().await;
    world.decide().await.unwrap();
    let digest = samples::image_digest(1);
    world
        .registry
        .push(&image(), &digest, &[&commit_tag(), &tree_tag()]);
    for _ in 0..2 {
        assert_eq!(world.finish(None).await, Ok(BuildTriggerOutput::Ready));
    }
    let origin = ArtifactOrigin::Built;
    assert_eq!(world.build().await, ready(digest, origin));
}

#[tokio::test]
async fn the_same_files_are_not_built_twice() {
    let world = World::new().await;
    let digest = samples::image_digest(1);
    world
        .registry
        .push(&image(), &digest, &["other", &tree_tag()]);
    for _ in 0..2 {
        assert_eq!(world.decide().await, Ok(BuildTriggerOutput::Ready));
    }
    assert!(
        world
            .registry
            .tags(&image(), &digest)
            .contains(&commit_tag())
    );
    let origin = ArtifactOrigin::Reused;
    assert_eq!(world.build().await, ready(digest, origin));
}

/// Two builds of the same files ran at once and made two images.
#[tokio::test]
async fn the_commits_own_image_counts_when_another_one_has_the_same_files() {
    let world = World::new().await;
    let (own, other) = (samples::image_digest(1), samples::image_digest(2));
    world.registry.push(&image(), &other, &[&tree_tag()]);
    world.registry.push(&image(), &own, &[&commit_tag()]);
    assert_eq!(world.decide().await, Ok(BuildTriggerOutput::Ready));
    let origin = ArtifactOrigin::Reused;
    let digest = own;
    assert_eq!(world.build().await, ready(digest, origin));
}

/// Tags are immutable, so a second build of the commit could not push its tag.
#[tokio::test]
async fn an_image_of_the_commit_itself_is_taken_as_it_is() {
    let world = World::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&commit_tag()]);
    assert_eq!(world.decide().await, Ok(BuildTriggerOutput::Ready));
    assert!(world.registry.tags(&image(), &digest).contains(&tree_tag()));
}

#[tokio::test]
async fn another_dockerfile_or_test_command_is_another_image() {
    let world = World::new().await;
    let digest = samples::image_digest(1);
    world.registry.push(&image(), &digest, &[&tree_tag()]);
    for (key, value) in [("dockerfile", "Dockerfile.arm"), ("test", "./other.sh")] {
        let place = format!("/accepted/config/build/{key}");
        world.change(|run| samples::edit(run, &place, value)).await;
        let decided = world.decide().await.unwrap();
        assert!(matches!(decided, BuildTriggerOutput::Build { .. }));
    }
}

#[tokio::test]
async fn a_repository_may_have_no_image() {
    let world = World::new().await;
    world
        .change(|run| samples::edit(run, "/accepted/config/build", ()))
        .await;
    assert_eq!(world.decide().await, Ok(BuildTriggerOutput::None));
    assert_eq!(world.build().await, Build::None);
}

#[tokio::test]
async fn a_failed_build_names_its_phase() {
    let world = World::new().await;
    world.decide().await.unwrap();
    for _ in 0..2 {
        let error = world.finish(failed()).await.unwrap_err();
        assert_eq!(error.name, ErrorName::BuildFailed);
        assert!(
            error.message.contains("phase BUILD: exit status 1"),
            "{error}"
        );
    }
    assert!(matches!(world.build().await, Build::Failed { .. }));
}

#[tokio::test]
async fn a_build_that_pushed_nothing_is_noticed() {
    let world = World::new().await;
    world.decide().await.unwrap();
    let error = world.finish(None).await.unwrap_err();
    assert_eq!(error.name, ErrorName::ImageMissing);
    assert!(error.message.contains(&commit_tag()), "{error}");
}

#[tokio::test]
async fn a_repository_that_is_not_enrolled_any_more_is_not_built() {
    let mut world = World::new().await;
    world.step.repositories = Arc::new([]);
    let error = world.decide().await.unwrap_err();
    assert_eq!(error.name, ErrorName::NotEnrolled);
}

/// Every call to an outside system fails, or loses its reply after it took effect. The state
/// machine repeats the action until it succeeds, and the result is the same as without faults.
#[tokio::test]
async fn what_is_asked_again_is_done_once() {
    async fn story(reuse: bool, faults: impl Fn(&World)) -> String {
        let world = World::new().await;
        let digest = samples::image_digest(1);
        if reuse {
            world.registry.push(&image(), &digest, &[&tree_tag()]);
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
