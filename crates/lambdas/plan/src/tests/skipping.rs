//! Stacks that are the same as in the last good commit.

use super::*;
use domain::environment::LastGood;
use domain::ids::Sha256Digest;
use domain::stack_digest::StackDigest;
use engine::status::TransitionKind;

fn digest(n: u8) -> StackDigest {
    serde_json::from_value(serde_json::to_value(samples::sha256(n)).unwrap()).unwrap()
}

/// Creates a world in which commit 1 is last good, and run 2 holds the environment. The stacks of
/// commit 2 are the same.
async fn delivered() -> (Scene, LastGood) {
    let world = Scene::new().await;
    let mut good = samples::last_good(1);
    let mut source = samples::source(2);
    for (stack, n) in good.config.stacks.iter().zip(1..) {
        good.digests.insert(stack.name.clone(), digest(n));
        let text = format!("{{\"of\": \"{}\"}}", stack.name);
        let outputs = good.outputs.get_mut(&stack.name).unwrap();
        outputs.sha256 = Sha256Digest::of(text.as_bytes());
        world.artifacts.set(&outputs.key, text);
    }
    source.digests.clone_from(&good.digests);
    let mut accepted = samples::claimed_run(2);
    let at = accepted.started_at();
    accepted.accept(source, samples::config(), at).unwrap();
    world.change(2, |run| *run = accepted.clone()).await;
    world.table.deliver(&good);
    world.table.give_environment_to(&accepted);
    (world, good)
}

/// Returns the stacks of run 2, as `name state`.
async fn states(world: &Scene) -> Vec<String> {
    let run = world.load(2).await;
    let stacks = run.forward().stacks().iter();
    stacks
        .map(|stack| {
            let state = match stack.state() {
                StackState::Skipped { same_as } => format!("skipped {}", same_as.short()),
                StackState::Planning { .. } => "planning".to_owned(),
                other => format!("{other:?}"),
            };
            format!("{} {state}", stack.name())
        })
        .collect()
}

#[tokio::test]
async fn stacks_that_are_the_same_get_no_job_and_keep_their_outputs() {
    let (world, good) = delivered().await;
    assert!(world.next(2).await.unwrap().is_empty());
    assert_eq!(
        states(&world).await,
        ["data skipped 01010101", "app skipped 01010101"]
    );
    let run_2 = world.load(2).await;
    for (name, outputs) in run_2.outputs() {
        // The run has its own copy, with its own time to live.
        assert_eq!(outputs.key, run_2.objects().unwrap().outputs(&name));
        assert_eq!(
            world.artifacts.peek(&outputs.key),
            world.artifacts.peek(&good.outputs[&name].key)
        );
    }
    let announced = || -> Vec<_> {
        let sent = world.announced().into_iter();
        sent.filter(|data| data.transition == TransitionKind::StackSkipped)
            .map(|data| format!("{} {}", data.stack.unwrap(), data.same_as.unwrap()))
            .collect()
    };
    let commit = samples::commit(1);
    assert_eq!(
        announced(),
        [format!("data {commit}"), format!("app {commit}")]
    );

    // A repeated call decides nothing new. It announces again what was decided, and the queue drops
    // the copies.
    let sent = world.status.calls("send");
    assert!(world.next(2).await.unwrap().is_empty());
    assert_eq!(world.load(2).await, run_2);
    assert_eq!(world.status.calls("send"), sent + 2);
    assert_eq!(announced().len(), 2);
}

#[tokio::test]
async fn a_stack_whose_outputs_have_expired_is_planned() {
    let (world, good) = delivered().await;
    let data = samples::stack("data");
    world.artifacts.remove(&good.outputs[&data].key);
    let jobs = world.next(2).await.unwrap();
    assert_eq!(jobs[0].stack, data);
    assert_eq!(states(&world).await[0], "data planning");
    assert_eq!(world.next(2).await.unwrap(), jobs);
}

#[tokio::test]
async fn a_stack_whose_outputs_are_not_the_recorded_ones_is_planned() {
    let (world, good) = delivered().await;
    let data = samples::stack("data");
    let other = "{\"of\": \"another\"}";
    world.artifacts.set(&good.outputs[&data].key, other);
    let jobs = world.next(2).await.unwrap();
    assert_eq!(jobs[0].stack, data);
    assert_eq!(states(&world).await[0], "data planning");
    let copied = samples::objects(&run(2)).outputs(&data);
    assert_eq!(world.artifacts.peek(&copied), None);
}

#[tokio::test]
async fn a_stack_that_needs_a_skipped_one_is_planned_in_the_same_call() {
    let (world, mut good) = delivered().await;
    good.digests.insert(samples::stack("app"), digest(9));
    world.table.deliver(&good);
    world.table.give_environment_to(&world.load(2).await);
    let jobs = world.next(2).await.unwrap();
    assert_eq!(
        states(&world).await,
        ["data skipped 01010101", "app planning"]
    );
    let spec = world.spec(2, &jobs[0].job);
    let data = samples::stack("data");
    assert_eq!(
        spec.inputs[&data].key,
        samples::objects(&run(2)).outputs(&data)
    );
}

#[tokio::test]
async fn after_a_repair_by_hand_every_stack_is_planned() {
    let (world, good) = delivered().await;
    world.table.change_environment(|environment| {
        let error = StepError::new(ErrorName::JobLost, "stopped");
        environment.freeze(&run(2), &error, samples::now());
        environment.unfreeze(samples::now());
    });
    assert_eq!(
        world.next(2).await.unwrap()[0].stack,
        good.config.stacks[0].name
    );
    assert_eq!(states(&world).await[0], "data planning");
}

#[tokio::test]
async fn an_unreadable_bucket_fails_the_call_and_skips_nothing() {
    let (world, _) = delivered().await;
    let error = StepError::new(ErrorName::AwsUnavailable, "GetObject: 503");
    world.artifacts.fail_next("get", error, 1);
    assert!(world.next(2).await.is_err());
    assert!(world.next(2).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_skipped_stack_keeps_its_sealed_modules_and_one_without_them_is_planned() {
    for expired in [false, true] {
        let (world, mut good) = delivered().await;
        let data = samples::stack("data");
        let archive = ObjectRef {
            key: "runs/earlier/dependencies.zip".into(),
            sha256: Sha256Digest::of(b"sealed"),
        };
        if !expired {
            world.artifacts.set(&archive.key, "sealed");
        }
        good.dependencies.insert(data.clone(), archive);
        world.table.deliver(&good);
        world.table.give_environment_to(&world.load(2).await);
        let jobs = world.next(2).await.unwrap();
        if expired {
            assert_eq!(jobs[0].stack, data);
            continue;
        }
        assert!(jobs.is_empty());
        let run_2 = world.load(2).await;
        let kept = run_2.stack(&data).unwrap().dependencies().unwrap();
        assert_eq!(kept.key, run_2.objects().unwrap().dependencies(&data));
        assert_eq!(world.artifacts.peek(&kept.key).unwrap(), b"sealed");
    }
}
