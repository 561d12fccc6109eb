#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;
use domain::environment::LastGood;
use domain::error::{ErrorName, StepError};
use domain::ids::{RunId, Sha256Digest};
use domain::plan::{LegKind, ObjectRef};
use domain::release::TargetState;
use domain::rollout::Rollout;
use domain::run::Run;
use domain::step::{CheckDeploy, CheckDeployVerdict, StartDeploy, StartDeployVerdict};
use engine::fakes::{FakeTargetRoles, World, samples};
use std::ops::Deref;

mod reach;

const TEMPLATE: &str = "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:7";
const OUTPUTS: &str = r#"{
    "cluster": {"value": "main", "type": "string"},
    "service": {"value": "shop", "type": "string"},
    "task_definition": {"value": "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:7"},
    "url": {"value": "http://shop.example/"},
    "password": {"value": "canary-secret", "sensitive": true}
}"#;

/// A run whose stacks are applied and whose image is built. It holds its environment, where commit 1
/// was verified.
struct Scene {
    world: World,
    run: RunId,
}

impl Deref for Scene {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Scene {
    async fn new() -> Self {
        let mut run = samples::sealed_run(2);
        samples::build(&mut run, 2);
        samples::find_unchanged(&mut run);
        let world = Self {
            world: World::new(),
            run: run.id().clone(),
        };
        world.services.add_service("main", "shop", TEMPLATE);
        let verified = format!("r/shop@{}", samples::image_digest(1));
        world.services.set_image(TEMPLATE, &verified);
        for n in [1, 2] {
            let (image, tag) = (samples::repository().image, samples::commit(n));
            let digest = samples::image_digest(n);
            world.registry.push(&image, &digest, &[tag.as_str()]);
        }
        world.insert(&run).await;
        world.set_outputs(OUTPUTS).await;
        world.table.deliver(&samples::last_good(1));
        world.table.give_environment_to(&run);
        world
    }

    async fn set_outputs(&self, text: &str) {
        let object = ObjectRef {
            key: "runs/r/jobs/j/outputs.json".into(),
            sha256: Sha256Digest::of(text.as_bytes()),
        };
        self.artifacts.set(&object.key, text);
        self.change(|run| {
            samples::edit(run, "/forward/stacks/1/outputs", &object);
        })
        .await;
    }

    async fn change(&self, change: impl Fn(&mut Run)) {
        self.change_run(&self.run, change).await;
    }

    fn deploy(&self) -> Deploy {
        Deploy {
            table: Arc::new(self.table.clone()),
            objects: Arc::new(self.artifacts.clone()),
            target_roles: Arc::new(FakeTargetRoles::new(self.world.targets())),
            registry: Arc::new(self.registry.clone()),
            probe: Arc::new(self.probe.clone()),
            announcer: self.announcer(),
            enrolments: self.enrolments(),
            clock: self.clock(),
        }
    }

    async fn start(&self) -> Result<StartDeployVerdict> {
        let run = self.run.clone();
        let input = DeployInput::Start(StartDeploy { run });
        match self.deploy().run(input).await? {
            DeployOutput::Start(output) => Ok(output.verdict),
            other @ DeployOutput::Check(_) => panic!("{other:?}"),
        }
    }

    async fn check(&self) -> Result<CheckDeployVerdict> {
        let run = self.run.clone();
        let input = DeployInput::Check(CheckDeploy { run });
        match self.deploy().run(input).await? {
            DeployOutput::Check(output) => Ok(output.verdict),
            other @ DeployOutput::Start(_) => panic!("{other:?}"),
        }
    }

    async fn stored(&self) -> Run {
        self.world.run(&self.run).await
    }

    /// Returns the rollout of the current leg.
    async fn rollout(&self) -> Rollout {
        self.stored().await.rollout().unwrap().clone()
    }

    async fn task_definition(&self) -> String {
        let target = self.rollout().await.release.target;
        target.ecs().unwrap().task_definition.clone()
    }

    /// Creates a rollout that has finished, of an application that responds.
    async fn rolled_out() -> Self {
        let world = Self::new().await;
        world.start().await.unwrap();
        world.services.finish_rollout("main", "shop");
        world.answers_with(2);
        world
    }

    /// Returns the tags of the `n`th image, except the tag of its build.
    fn deployed_tags(&self, n: u8) -> Vec<String> {
        let digest = samples::image_digest(n);
        let mut tags = self.registry.tags(&samples::repository().image, &digest);
        tags.retain(|tag| tag != samples::commit(n).as_str());
        tags
    }

    /// Returns the task definition that a service runs.
    async fn target(&self, service: &str) -> String {
        let state = self.targets().services.describe("main", service).await;
        state.unwrap().task_definition
    }

    fn answers_with(&self, n: u8) {
        self.probe.answer("http://shop.example/health", 200, "ok");
        let version = format!("{{\"commit\":\"{}\"}}", samples::commit(n));
        self.probe
            .answer("http://shop.example/version", 200, &version);
    }
}

#[tokio::test]
async fn an_image_is_rolled_out_and_verified() {
    let world = Scene::new().await;
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    let (arn, revision) = world.services.revisions().remove(0);
    assert_eq!(revision.template, TEMPLATE);
    assert_eq!(revision.container, "shop");
    let image = format!(
        "{}@{}",
        samples::repository().image,
        samples::image_digest(2)
    );
    assert_eq!(revision.image, image);
    assert_eq!(
        revision.environment["SLUICEGATE_COMMIT"],
        samples::commit(2).as_str()
    );
    assert_eq!(revision.environment["SLUICEGATE_RUN"], world.run.as_str());
    assert_eq!(world.task_definition().await, arn);

    assert_eq!(world.check().await, Ok(CheckDeployVerdict::InProgress));
    world.services.finish_rollout("main", "shop");
    assert_eq!(
        world.check().await,
        Ok(CheckDeployVerdict::InProgress),
        "nothing answers yet"
    );
    world.answers_with(1);
    assert_eq!(
        world.check().await,
        Ok(CheckDeployVerdict::InProgress),
        "the old one answers"
    );
    assert!(world.deployed_tags(2).is_empty(), "it is not verified yet");
    world.answers_with(2);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    let tag = domain::keys::deployed_tag(&samples::image_digest(2));
    assert_eq!(world.deployed_tags(2), [tag]);
    assert!(world.rollout().await.healthy_at.is_some());
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    assert_eq!(world.services.revisions().len(), 1);
}

/// The application answers with the commit, because Sluicegate sets the variable that it reads.
#[tokio::test]
async fn a_task_definition_with_another_image_is_not_healthy() {
    for other in [
        format!("r/shop@{}", samples::image_digest(1)),
        "r/shop:latest".to_owned(),
    ] {
        let world = Scene::rolled_out().await;
        let running = world.task_definition().await;
        world.services.set_image(&running, &other);
        let error = world.check().await.unwrap_err();
        assert_eq!(error.name, ErrorName::DeployFailed);
        assert!(error.message.contains(&other), "{error}");
        assert_eq!(world.rollout().await.healthy_at, None);
    }
}

#[tokio::test]
async fn an_image_that_has_its_tag_already_is_fine() {
    let world = Scene::rolled_out().await;
    let tag = domain::keys::deployed_tag(&samples::image_digest(2));
    let image = samples::repository().image;
    world
        .registry
        .push(&image, &samples::image_digest(2), &[&tag]);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert_eq!(world.deployed_tags(2), [tag]);
}

#[tokio::test]
async fn a_rollout_whose_image_could_not_be_tagged_is_not_healthy_yet() {
    let world = Scene::rolled_out().await;
    let down = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.registry.fail_next("tag", down.clone(), 1);
    world.registry.lose_reply("tag", down.clone(), 1);
    // Both errors are transient, so the state machine repeats the call.
    for _ in 0..2 {
        assert_eq!(world.check().await, Err(down.clone()));
        assert_eq!(world.rollout().await.healthy_at, None);
    }
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert_eq!(world.deployed_tags(2).len(), 1);
}

/// A rollback of a healthy release would do more harm than an image that may expire.
#[tokio::test]
async fn a_healthy_rollout_is_not_taken_back_for_a_tag() {
    let world = Scene::rolled_out().await;
    let denied = StepError::new(ErrorName::AwsDenied, "ecr:PutImage");
    world.registry.fail_next("tag", denied, 1);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert!(world.rollout().await.healthy_at.is_some());
    assert!(world.deployed_tags(2).is_empty());

    // The tag is immutable, so it cannot be moved from another image.
    let world = Scene::rolled_out().await;
    let tag = domain::keys::deployed_tag(&samples::image_digest(2));
    let image = samples::repository().image;
    world
        .registry
        .push(&image, &samples::image_digest(1), &[&tag]);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert!(world.deployed_tags(2).is_empty());
}

#[tokio::test]
async fn a_start_that_is_repeated_registers_nothing_twice() {
    let world = Scene::new().await;
    let lost = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.services.lose_reply("update", lost.clone(), 1);
    assert_eq!(
        world.start().await.unwrap_err().name,
        ErrorName::AwsUnavailable
    );
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    assert_eq!(world.services.revisions().len(), 1);
    assert_eq!(world.services.calls("update"), 1);
}

/// Autoscaling has scaled the service out, or Terraform has just created it without tasks.
#[tokio::test]
async fn a_deployment_keeps_the_number_of_tasks_unless_the_file_says_otherwise() {
    use domain::config::TaskCount::{Tasks, Terraform};
    for (count, live, expected) in [
        (Terraform, 5, 5),
        (Terraform, 0, 1),
        (Tasks(2), 5, 2),
        (Tasks(2), 0, 2),
    ] {
        let world = Scene::new().await;
        world
            .change(|run| samples::edit(run, "/accepted/config/deploy/count", count))
            .await;
        world.services.scale("main", "shop", live);
        world.start().await.unwrap();
        let service = world.targets().services.describe("main", "shop").await;
        assert_eq!(service.unwrap().desired, expected, "{count:?}, {live}");
        // A later change of autoscaling stays, too.
        world.services.scale("main", "shop", expected + 1);
        world.start().await.unwrap();
        let service = world.targets().services.describe("main", "shop").await;
        let again = if count == Terraform { expected + 1 } else { 2 };
        assert_eq!(service.unwrap().desired, again, "{count:?}, {live}");
    }
}

#[tokio::test]
async fn nothing_is_rolled_out_without_a_deployment_or_the_environment() {
    let world = Scene::new().await;
    world.table.change_environment(|environment| {
        environment.release(&world.run, samples::now());
    });
    assert_eq!(world.start().await.unwrap_err().name, ErrorName::LockLost);
    world
        .change(|run| samples::edit(run, "/accepted/config/deploy", ()))
        .await;
    assert_eq!(world.start().await, Ok(StartDeployVerdict::None));
    world
        .change(|run| {
            *run = samples::sealed_run(2);
            let error = StepError::new(ErrorName::BuildFailed, "the tests failed");
            run.build_failed(None, error, samples::now()).unwrap();
        })
        .await;
    assert_eq!(
        world.start().await.unwrap_err().name,
        ErrorName::ImageMissing
    );
    assert!(world.services.revisions().is_empty());
}

#[tokio::test]
async fn what_already_runs_is_not_registered_again() {
    let world = Scene::new().await;
    let good = LastGood {
        releases: vec![samples::release(2)],
        commit: samples::commit(2),
        ..samples::last_good(1)
    };
    world.table.deliver(&with_template(good));
    world.table.give_environment_to(&world.stored().await);
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    assert!(world.services.revisions().is_empty());
    assert_eq!(world.task_definition().await, TEMPLATE);
}

#[tokio::test]
async fn outputs_that_do_not_serve_are_named_without_their_values() {
    let mut errors = Vec::new();
    for (name, text) in [
        ("missing", OUTPUTS.replace("\"service\"", "\"servis\"")),
        (
            "sensitive",
            OUTPUTS.replace("\"main\"", "\"canary-secret\", \"sensitive\": true"),
        ),
        (
            "no text",
            OUTPUTS.replace("\"main\"", "{\"a\": \"canary-secret\"}"),
        ),
        (
            "no address",
            OUTPUTS.replace("http://shop.example/", "canary-secret"),
        ),
        ("no JSON", "{\"cluster\": \"canary-secret\"".into()),
        ("no outputs", "{\"cluster\": \"canary-secret\"}".into()),
    ] {
        let world = Scene::new().await;
        world.set_outputs(&text).await;
        errors.push(format!("{name}: {}", world.start().await.unwrap_err()));
    }
    let world = Scene::new().await;
    world.artifacts.set("runs/r/jobs/j/outputs.json", "{}");
    errors.push(format!("changed: {}", world.start().await.unwrap_err()));
    world.artifacts.remove("runs/r/jobs/j/outputs.json");
    errors.push(format!("gone: {}", world.start().await.unwrap_err()));
    let errors = errors.join("\n");
    assert!(!errors.contains("canary-secret"), "{errors}");
    insta::assert_snapshot!(errors);
}

#[tokio::test]
async fn a_rollout_that_fails_is_named() {
    let world = Scene::new().await;
    world.start().await.unwrap();
    world.services.fail_rollout_and_roll_back(
        "main",
        "shop",
        "circuit breaker: tasks failed to start",
    );
    assert_eq!(
        world.check().await.unwrap_err().name,
        ErrorName::DeployFailed
    );

    let world = Scene::new().await;
    world.start().await.unwrap();
    world.clock.advance(300);
    assert_eq!(
        world.check().await.unwrap_err().name,
        ErrorName::DeployFailed
    );

    let world = Scene::new().await;
    world.start().await.unwrap();
    world.services.finish_rollout("main", "shop");
    world
        .probe
        .answer("http://shop.example/health", 500, "broken");
    world.clock.advance(299);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::InProgress));
    world.clock.advance(1);
    let error = world.check().await.unwrap_err();
    assert_eq!(error.name, ErrorName::Unhealthy);
    assert!(
        error.message.contains("/health answered 500 \"broken\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_rollback_deploys_what_was_verified() {
    let world = Scene::new().await;
    world.start().await.unwrap();
    let bad = world.stored().await.forward().clone();
    let mut target = with_template(samples::last_good(1));
    target.outputs.insert(
        samples::stack("app"),
        world.stored().await.outputs()[&samples::stack("app")].clone(),
    );
    let restore = |target: LastGood| {
        move |run: &mut Run| {
            let (error, now) = (
                StepError::new(ErrorName::Unhealthy, "no answer"),
                samples::now(),
            );
            run.handle_error(now, error, Some(&target), now).unwrap();
        }
    };
    world.change(restore(target.clone())).await;
    assert_eq!(world.stored().await.leg().kind(), LegKind::Rollback);
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    assert_eq!(
        world.services.revisions().len(),
        1,
        "none is registered for a rollback"
    );
    world.services.finish_rollout("main", "shop");
    world.answers_with(1);
    let down = StepError::new(ErrorName::AwsUnavailable, "no reply");
    world.registry.fail_next("tag", down.clone(), 1);
    assert_eq!(world.check().await, Err(down));
    // The restored release is healthy without the tag too.
    let denied = StepError::new(ErrorName::AwsDenied, "ecr:PutImage");
    world.registry.fail_next("tag", denied, 1);
    assert_eq!(world.check().await, Ok(CheckDeployVerdict::Healthy));
    assert!(world.deployed_tags(2).is_empty(), "it was never healthy");
    let run = world.stored().await;
    assert_eq!(
        run.forward(),
        &bad,
        "the leg towards the commit stays as it was"
    );
    assert_eq!(run.rollout().unwrap().commit, samples::commit(1));

    // The last good commit released nothing.
    let world = Scene::new().await;
    world.start().await.unwrap();
    target.releases.clear();
    world.change(restore(target)).await;
    assert_eq!(world.start().await, Ok(StartDeployVerdict::None));
}

/// Returns last good with the task definition that the service runs.
fn with_template(mut good: LastGood) -> LastGood {
    for release in &mut good.releases {
        let mut state = release.target.ecs().unwrap().clone();
        state.task_definition = TEMPLATE.into();
        release.target = TargetState::Ecs(state);
    }
    good
}

#[test]
fn every_error_says_what_happened() {
    let stack = || samples::stack("app");
    let output = || "url".to_owned();
    let run = || samples::run_id(1);
    let object = || "s3://artifacts/outputs.json".to_owned();
    let errors = [
        Error::NoRollout { run: run() },
        Error::NoOutputs {
            run: run(),
            stack: stack(),
        },
        Error::OutputsGone { object: object() },
        Error::OutputsChanged {
            object: object(),
            sha256: samples::sha256(1),
        },
        Error::OutputsUnreadable {
            object: object(),
            line: 1,
            column: 2,
        },
        Error::OutputMissing {
            stack: stack(),
            output: output(),
            expected: &["cluster", "url"],
        },
        Error::OutputSensitive {
            stack: stack(),
            output: output(),
        },
        Error::OutputEmpty {
            stack: stack(),
            output: output(),
        },
        Error::OutputNotText {
            stack: stack(),
            output: output(),
        },
        Error::OutputNotAddress {
            stack: stack(),
            output: output(),
        },
        Error::ServiceNotEnrolled {
            stack: stack(),
            cluster: "billing".into(),
            service: "billing".into(),
            environment: samples::environment(),
        },
        Error::RoleNotEnrolled {
            stack: stack(),
            template: TEMPLATE.into(),
            role: "arn:aws:iam::111122223333:role/billing-task".into(),
            environment: samples::environment(),
        },
    ];
    insta::assert_snapshot!(samples::texts(errors));
}
