//! Pushes that no delivery reported.

use super::*;
use domain::branch::TRIES;
use domain::error::{ErrorName, StepError};
use domain::event::{DETAIL_TYPE_RECONCILIATION, Trigger, TriggerKind};
use domain::ids::BranchRef;
use engine::documents::{load, run_key, update_branch};
use std::collections::BTreeSet;

fn main_branch() -> BranchRef {
    BranchRef::parse("refs/heads/main").unwrap()
}

impl Scene {
    /// Claims a run of an event, as `validate` does.
    async fn claim(&self, event: &Trigger) {
        let repository = event.repository_key();
        let claimed = update_branch(&self.table, repository, event.branch(), |branch| {
            branch.claim(event.commit(), event.received_at());
            Ok(())
        });
        claimed.await.unwrap();
    }

    /// Pushes commit `n` to the forge, which may lose the delivery.
    fn push(&self, n: u8) {
        let repository = samples::repository().key;
        self.forge
            .move_branch(repository, &main_branch(), Some(samples::commit(n)));
    }

    fn published(&self) -> Vec<Trigger> {
        let events = self.bus.events().into_iter();
        events
            .map(|event| {
                assert_eq!(event.source, "github.com");
                assert_eq!(event.detail_type, DETAIL_TYPE_RECONCILIATION);
                serde_json::from_str(&event.detail).unwrap()
            })
            .collect()
    }
}

#[tokio::test]
async fn a_push_whose_delivery_was_lost_is_published_by_the_next_call() {
    let world = Scene::new();
    world.claim(&samples::push_event(1)).await;
    world.push(1);
    world.reconcile().await;
    world.push(2);
    world.reconcile().await;
    assert_eq!(world.published(), [], "its delivery may be on its way");

    world.clock.advance(300);
    let output = world.reconcile().await;
    let event = world.published().remove(0);
    assert_eq!(output.published, [event.run_id()]);
    assert_eq!(event.kind(), TriggerKind::Reconciliation);
    assert_eq!(event.commit(), &samples::commit(2));
    assert_eq!(event.branch(), &main_branch());
    assert!(event.received_at() < world.clock.now());
    samples::repository().admit(&event).unwrap();

    // The start failed: the same event is published again, for the same run.
    world.clock.advance(300);
    world.reconcile().await;
    assert_eq!(world.published()[1], event);

    world.claim(&event).await;
    world.clock.advance(3600);
    world.reconcile().await;
    assert_eq!(world.published().len(), 2);
}

/// `validate` fails before it claims the branch, and `record` ends the run. Each publication is another
/// run, so that the commit is delivered when `validate` works again.
#[tokio::test]
async fn a_push_whose_run_ended_before_it_was_accepted_is_published_again_as_another_run() {
    let world = Scene::new();
    world.claim(&samples::push_event(1)).await;
    world.push(2);
    world.reconcile().await;
    for _ in 0..20 {
        world.clock.advance(300);
        world.reconcile().await;
        let event = world.published().pop().unwrap();
        let known = load::<Run>(&world.table, &run_key(&event.run_id())).await;
        if known.unwrap().is_none() {
            let mut run = Run::claim(event, execution(2), world.clock.now());
            let error = StepError::new(ErrorName::SettingsInvalid, "no table");
            run.close(Some(error), 1, world.clock.now()).unwrap();
            world.insert(&run).await;
        }
    }
    let published: BTreeSet<RunId> = world.published().iter().map(Trigger::run_id).collect();
    assert_eq!(
        published.len(),
        world.published().len(),
        "each is another run"
    );
    assert_eq!(published.len(), usize::try_from(TRIES).unwrap());
}

#[tokio::test]
async fn a_delivery_that_arrives_is_not_delivered_twice() {
    let world = Scene::new();
    world.claim(&samples::push_event(1)).await;
    world.push(2);
    world.reconcile().await;
    world.claim(&samples::push_event(2)).await;
    world.clock.advance(3600);
    world.reconcile().await;
    // A branch that was removed has nothing to deliver.
    let repository = samples::repository().key;
    world.forge.move_branch(repository, &main_branch(), None);
    world.reconcile().await;
    assert_eq!(world.published(), []);
}

#[tokio::test]
async fn all_branches_of_a_repository_are_read_with_one_request() {
    let world = Scene::new();
    let mut repository = samples::repository();
    repository.environments[0].branches = vec!["main".into(), "staging".into(), "gone".into()];
    world.enrolments.enrol(repository.clone());
    let step = world.step();
    let staging = BranchRef::parse("refs/heads/staging").unwrap();
    for n in [1, 2] {
        world.push(n);
        world
            .forge
            .move_branch(repository.key, &staging, Some(samples::commit(n)));
        step.run(ReconcileInput::Reconcile).await.unwrap();
    }
    world.clock.advance(300);
    let output = step.run(ReconcileInput::Reconcile).await.unwrap();
    assert_eq!(output.published.len(), 2, "one of each branch");
    assert_eq!(world.forge.asked(), [repository.key; 3]);
}

/// The forge promises no order of deliveries.
#[tokio::test]
async fn an_older_push_that_arrives_last_does_not_stay() {
    let world = Scene::new();
    let mut late = samples::push(1);
    late.received_at = samples::after(60);
    world.claim(&samples::push_event(2)).await;
    world.claim(&Trigger::Push(late)).await;
    world.push(2);
    world.clock.advance(120);
    world.reconcile().await;
    world.clock.advance(300);
    world.reconcile().await;
    let event = world.published().remove(0);
    assert_eq!(event.commit(), &samples::commit(2));
    assert!(event.received_at() > samples::after(60), "it is the newest");
    assert_ne!(event.run_id(), samples::run_id(2), "it is a run of its own");
}

#[tokio::test]
async fn enrolling_a_repository_delivers_nothing() {
    let world = Scene::new();
    world.push(1);
    for _ in 0..3 {
        world.reconcile().await;
        world.clock.advance(3600);
    }
    assert_eq!(world.published(), []);
    world.push(2);
    world.reconcile().await;
    world.clock.advance(300);
    world.reconcile().await;
    assert_eq!(world.published().len(), 1, "the next push counts");
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_asked_by_the_next_call() {
    let world = Scene::new();
    world.claim(&samples::push_event(1)).await;
    world.push(2);
    world.reconcile().await;
    world.clock.advance(300);
    world.forge.set_unreachable(true);
    assert_eq!(world.reconcile().await, nothing());
    world.forge.set_unreachable(false);
    assert_eq!(world.reconcile().await.published.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_hangs_does_not_keep_runs_from_their_end() {
    let world = Scene::new();
    world.add(2).await;
    world.executions.end(&execution(2), ExecutionState::Aborted);
    world.forge.hang();
    let start = tokio::time::Instant::now();
    world.reconcile().await;
    assert!(world.stored(2).await.is_recorded());
    assert!(start.elapsed() < std::time::Duration::from_secs(120));
}
