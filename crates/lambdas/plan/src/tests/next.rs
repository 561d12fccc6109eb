//! The selection of stacks: what it raises, and how long it takes.

use super::*;
use domain::step::StackFailure;

#[tokio::test]
async fn every_failure_is_raised_and_nothing_else_is_done() {
    let world = Scene::held().await;
    world
        .change(1, |run| {
            let error = StepError::new(ErrorName::BuildFailed, "the tests failed");
            run.build_failed(None, error, samples::now()).unwrap();
        })
        .await;
    let failure = |stack: &str, error| StackFailure {
        stack: samples::stack(stack),
        error: caught(error),
    };
    let failures = vec![
        failure("data", "StateLocked"),
        failure("app", "ApplyFailed"),
    ];
    let input = SelectStacks {
        run: run(1),
        failures,
    };
    let error = world.plan.run(PlanInput::Next(input)).await.unwrap_err();
    insta::assert_snapshot!(error, @r"
    BuildFailed: 3 failures
    the build: BuildFailed: the tests failed
    stack data: StateLocked: it broke
    stack app: ApplyFailed: it broke
    ");
    assert!(world.artifacts.keys().is_empty());
}

/// A queue that never answers.
struct Silent;

#[async_trait]
impl engine::StatusQueue for Silent {
    async fn send(&self, _: &str, _: &str, _: &str) -> Result<()> {
        std::future::pending().await
    }
}

/// The Lambda has a time limit of one minute, so it must not wait five seconds for each stack.
#[tokio::test(start_paused = true)]
async fn a_silent_queue_is_waited_for_once_for_all_stacks() {
    let mut world = Scene::held().await;
    world.plan.announcer = Announcer::new(Arc::new(Silent), Arc::clone(&world.plan.clock));
    let name = |n: usize| domain::ids::StackName::parse(&format!("s{n}")).unwrap();
    let stack = |n: usize| domain::config::Stack {
        name: name(n),
        dir: format!("infra/{n}"),
        renamed_from: None,
        needs: Vec::new(),
        when_changed: domain::config::WhenChanged::default(),
    };
    let mut config = samples::config();
    config.stacks = (0..20).map(stack).collect();
    let accepted = samples::accepted_run(1, config);
    world.change(1, |run| *run = accepted.clone()).await;
    let began = tokio::time::Instant::now();
    assert_eq!(world.next(1).await.unwrap().len(), 20);
    assert!(began.elapsed() < std::time::Duration::from_secs(11));
}
