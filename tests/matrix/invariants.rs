//! Checks after every delivery, whatever its outcome: the invariants of the design, by number.

use crate::calls::CALLER;
use crate::cloud::{Cloud, Ended, neighbor};
use crate::terraform::{Applied, Object, Resources, SECRET};
use domain::audit::{Entry, Found, verify};
use domain::ids::{CommitId, EnvironmentName};
use domain::keys;
use domain::plan::PlanKind;
use domain::run::{Blame, Leg, Outcome, Run, StackState};
use engine::fakes::samples;
use engine::status::{self, TransitionKind};
use engine::{CommitState, Table as _};
use std::collections::{BTreeMap, BTreeSet};
use workflow::walk::End;

/// The state of the cloud before a delivery.
pub(crate) struct Before {
    objects: BTreeMap<u64, Object>,
    states: BTreeMap<String, Resources>,
    task_definition: String,
    good: Option<CommitId>,
    entries: usize,
}

impl Before {
    pub(crate) async fn of(cloud: &Cloud) -> Self {
        let environment = cloud.environment().await;
        Self {
            objects: cloud.batch.objects(),
            states: cloud.batch.states(),
            task_definition: cloud.task_definition().await,
            good: environment.last_good().map(|good| good.commit.clone()),
            entries: entries(cloud).len(),
        }
    }
}

/// Returns the keys of the repository's audit entries.
fn entries(cloud: &Cloud) -> Vec<String> {
    let prefix = format!("audit/{}/", samples::repository().key);
    let mut keys = cloud.audit.keys();
    keys.retain(|key| key.starts_with(&prefix));
    keys
}

/// Checks every invariant. Each error begins with the invariant's number.
pub(crate) async fn check(cloud: &Cloud, ended: &Ended, before: &Before) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let run = &ended.run;
    let outcome = run.outcome();
    let commit = run.trigger().commit();
    let environment = cloud.environment().await;

    // 1 and 2.
    let applied = cloud.batch.applied();
    let runs = cloud.runs().await;
    let mut plans = BTreeSet::new();
    for (at, apply) in applied.iter().enumerate() {
        check(
            plans.insert(apply.plan.file.key.clone()),
            format!("2: plan {} was applied twice", apply.plan.file.key),
        );
        let applier = runs.iter().find(|run| run.id() == &apply.run);
        let end = applier.and_then(|run| run.end());
        check(
            end.is_some_and(|end| cloud.time(apply.to) <= end.at),
            format!(
                "1: {} was applied after run {} ended",
                apply.state, apply.run
            ),
        );
        let made = cloud.batch.plan_job(&apply.plan);
        check(
            made.is_some_and(|made| made.commit == apply.commit && made.run == apply.run),
            format!(
                "2: {} is not a plan of commit {}",
                apply.plan.file.key, apply.commit
            ),
        );
        for other in applied.iter().skip(at + 1) {
            check(
                other.state != apply.state || other.from >= apply.to || apply.from >= other.to,
                format!("1: two applies of {} at the same time", apply.state),
            );
        }
    }

    // 3 and 9.
    let chain: Vec<Found> = entries(cloud)
        .into_iter()
        .map(|name| Found {
            bytes: cloud.audit.peek(&name).unwrap(),
            name,
        })
        .collect();
    if let Err(wrong) = verify(&chain, None) {
        check(false, format!("9: the audit chain is broken: {wrong:?}"));
    }
    let own: Vec<Outcome> = chain
        .iter()
        .map(|found| Entry::from_bytes(&found.bytes).unwrap())
        .filter(|entry| &entry.run == run.id())
        .map(|entry| entry.outcome)
        .collect();
    check(
        own == [outcome],
        format!("3: the run ended {outcome:?}, its audit entries say {own:?}"),
    );
    check(
        chain.len() <= before.entries + 2,
        format!("3: {} new audit entries", chain.len() - before.entries),
    );
    check(run.is_ended(), format!("3: run {} has no end", run.id()));

    // 4.
    check(
        environment.holder().is_none(),
        format!("4: the environment is held by {:?}", environment.holder()),
    );
    check(
        environment.queue().is_empty() && environment.outbox().is_empty(),
        format!(
            "4: runs wait or were not notified: {:?} {:?}",
            environment.queue(),
            environment.outbox()
        ),
    );

    // 5.
    let states = cloud.batch.states();
    let objects = cloud.batch.objects();
    for (id, object) in &objects {
        if object.state.is_empty() {
            continue;
        }
        let mut managed = states
            .get(&object.state)
            .into_iter()
            .flat_map(Resources::values);
        check(
            managed.any(|resource| resource.object == *id),
            format!("5: object {id} of {} is in no state", object.state),
        );
    }

    // 6.
    let good = environment.last_good().map(|good| &good.commit);
    let promoted = matches!(outcome, Outcome::Applied | Outcome::NoOp);
    let expected = if promoted {
        Some(commit)
    } else {
        before.good.as_ref()
    };
    check(
        good == expected,
        format!("6: last good is {good:?}, expected {expected:?}"),
    );

    // 7.
    let blamed = run.blame() == Blame::Commit;
    check(
        environment.is_bad(commit) == (outcome == Outcome::RolledBack && blamed)
            || outcome == Outcome::NeedsOperator
            || outcome == Outcome::Rejected,
        format!(
            "7: {outcome:?}, but bad commits are {:?}",
            environment.bad()
        ),
    );
    check(
        environment.frozen().is_none() || outcome == Outcome::NeedsOperator,
        format!("7: {outcome:?}, but frozen: {:?}", environment.frozen()),
    );

    // 8.
    let messages: Vec<_> = cloud
        .status
        .messages()
        .iter()
        .filter_map(|message| status::parse(&message.body).ok())
        .filter(|message| &message.data.run == run.id())
        .map(|message| message.data.transition)
        .collect();
    let count = |kind: TransitionKind| messages.iter().filter(|sent| **sent == kind).count();
    let started = count(TransitionKind::RollbackStarted);
    let allowed = usize::from(matches!(
        outcome,
        Outcome::RolledBack | Outcome::NeedsOperator
    ));
    check(
        started <= allowed && (outcome != Outcome::RolledBack || started == 1),
        format!("8: {outcome:?} with {started} rollbacks"),
    );

    // 10.
    let mut texts: Vec<String> = cloud
        .status
        .messages()
        .into_iter()
        .map(|it| it.body)
        .collect();
    texts.extend(
        cloud
            .forge
            .statuses()
            .into_iter()
            .map(|it| it.status.description),
    );
    texts.extend(
        chain
            .iter()
            .map(|it| String::from_utf8_lossy(&it.bytes).into_owned()),
    );
    for key in cloud.table.keys() {
        texts.extend(cloud.table.peek(&key).map(|record| record.doc));
    }
    texts.push(format!("{:?}", ended.end));
    check(
        !texts.iter().any(|text| text.contains(SECRET)),
        "10: the secret is in a message, status, record or audit entry".to_owned(),
    );

    // 11.
    let recorded = ended.visited.iter().any(|state| state == "RecordLost");
    let end_fits = match &ended.end {
        Some(End::Succeeded) => outcome.is_success(),
        Some(End::Failed(failure)) if outcome.is_success() => recorded && !failure.error.is_empty(),
        Some(End::Failed(failure)) => {
            let first = run.failure().map(|failure| failure.error.name.as_str());
            recorded || Some(failure.error.as_str()) == first
        }
        Some(End::TimedOut) => false,
        None => true,
    };
    check(
        end_fits,
        format!("11: {outcome:?}, but the execution ended {:?}", ended.end),
    );

    // 12. Only the forward leg may delete what existed before. It destroys a stack with the code of
    // the last good commit.
    let destroyed = |apply: &&Applied| {
        let plan = cloud.batch.plan_job(&apply.plan);
        plan.is_some_and(|plan| plan.plan_kind == PlanKind::Destroy)
            && run.rollback().is_none_or(|back| {
                let mut stacks = back.stacks().iter();
                stacks.all(|stack| stack.plan_kind() == PlanKind::Normal)
            })
    };
    let given_up: BTreeSet<u64> = applied
        .iter()
        .filter(|apply| apply.run == *run.id())
        .filter(|apply| apply.commit == *commit || destroyed(apply))
        .flat_map(|apply| apply.deleted.iter().copied())
        .collect();
    for (id, object) in &before.objects {
        check(
            objects.contains_key(id) || given_up.contains(id),
            format!(
                "12: {outcome:?}, but object {id} of {} is gone",
                object.state
            ),
        );
    }
    let left = left(run, environment.name());
    if outcome == Outcome::RolledBack {
        for (key, held) in before.states.iter().filter(|(key, _)| !left.contains(*key)) {
            for (address, resource) in held {
                let now = states.get(key).and_then(|now| now.get(address));
                let same = now.is_some_and(|now| now.object == resource.object);
                check(
                    same || given_up.contains(&resource.object),
                    format!("12: {outcome:?}, but {address} of {key} is another object: {now:?}"),
                );
            }
        }
    }
    let task_definition = cloud.task_definition().await;
    match outcome {
        // Skipped stacks too.
        Outcome::Applied | Outcome::NoOp => {
            let repository = run.trigger().repository_key();
            for stack in run.forward().stacks() {
                let key = keys::state(repository, environment.name(), stack.spec().state());
                if stack.plan_kind() == PlanKind::Destroy {
                    let held = states.get(&key).map(Resources::len);
                    check(
                        held == Some(0),
                        format!("12: stack {} is not destroyed: {held:?}", stack.name()),
                    );
                    continue;
                }
                let held = states
                    .get(&key)
                    .and_then(|held| held.get("terraform_data.release"));
                let release = cloud
                    .batch
                    .code
                    .release(repository, commit, &stack.spec().dir);
                check(
                    held.is_some_and(|held| held.value == release),
                    format!("12: {outcome:?}, but stack {} holds {held:?}", stack.name()),
                );
            }
        }
        Outcome::Failed | Outcome::Rejected | Outcome::RolledBack | Outcome::Superseded => {
            let rolled_back = |states: &BTreeMap<String, Resources>| {
                let mut states = states.clone();
                states.retain(|key, _| !left.contains(key));
                states
            };
            let (now, then) = (rolled_back(&states), rolled_back(&before.states));
            let (now, then) = (values(&now), values(&then));
            check(
                now == then,
                format!("12: {outcome:?}, but the stacks hold {now:?}, before {then:?}"),
            );
            check(
                task_definition == before.task_definition,
                format!("12: {outcome:?}, but the service runs {task_definition}"),
            );
        }
        Outcome::NeedsOperator => {}
    }
    if promoted {
        let known = environment
            .last_good()
            .and_then(|good| good.releases.first())
            .and_then(|release| release.target.ecs())
            .map(|state| state.task_definition.clone());
        check(
            known.as_ref() == Some(&task_definition) || known.is_none(),
            format!("12: last good runs {known:?}, the service {task_definition}"),
        );
    }

    // 13. The neighbor's state is part of the comparison above unless this commit was applied.
    for repository in [run.trigger().repository_key(), neighbor().key] {
        let count = cloud.calls.count(repository);
        check(
            count > 20,
            format!("13: runs of {repository} reached {count} resources, too few to compare"),
        );
    }
    let reached = cloud.calls.shared();
    check(
        reached.is_empty(),
        format!("13: runs of both repositories reach {reached:?}"),
    );
    let neighbor = format!("{}/", neighbor().key);
    let theirs = |states: &BTreeMap<String, Resources>| {
        let mut states = states.clone();
        states.retain(|key, _| key.starts_with(&neighbor));
        states
    };
    check(
        theirs(&states) == theirs(&before.states),
        format!("13: {outcome:?}, but the neighbor's stacks changed: {states:?}"),
    );

    // 14.
    check(
        count(TransitionKind::Finished) == 1 && messages.last() == Some(&TransitionKind::Finished),
        format!("14: the status messages end with {:?}", messages.last()),
    );
    let shown = cloud.forge.statuses();
    let last = shown.iter().rfind(|status| {
        status.commit == *commit && status.repository == run.trigger().repository_key()
    });
    let state = last.map(|status| status.status.state);
    let fits = match state {
        Some(CommitState::Success) => outcome.is_success(),
        Some(CommitState::Failure | CommitState::Error) => !outcome.is_success(),
        Some(CommitState::Pending) | None => false,
    };
    check(
        fits,
        format!("14: {outcome:?}, but the commit shows {state:?}"),
    );
    problems
}

/// Returns the states of the stacks that the rollback of a run left as they are.
fn left(run: &Run, environment: &EnvironmentName) -> BTreeSet<String> {
    let stacks = run.rollback().into_iter().flat_map(Leg::stacks);
    let left = stacks.filter(|stack| *stack.state() == StackState::Left);
    left.map(|stack| keys::state(run.trigger().repository_key(), environment, stack.name()))
        .collect()
}

/// Returns the values of every stack that has resources, by state and address. A tainted resource has none.
fn values(states: &BTreeMap<String, Resources>) -> BTreeMap<(&str, &str), Option<&str>> {
    let resources = states.iter().flat_map(|(key, held)| {
        let own = held.iter();
        own.map(move |(address, resource)| {
            let value = (!resource.tainted).then_some(resource.value.as_str());
            ((key.as_str(), address.as_str()), value)
        })
    });
    resources.collect()
}

/// The checks notice what they are for.
#[tokio::test(start_paused = true)]
async fn an_orphan_and_a_foreign_call_are_noticed() {
    let cloud = Cloud::new(&crate::machine());
    for repository in [neighbor(), samples::repository()] {
        let event = cloud.push_to(&repository, 1, samples::CONFIG);
        assert_eq!(cloud.deliver(&event).await.run.outcome(), Outcome::Applied);
    }
    let event = cloud.push(2, samples::CONFIG);
    let before = Before::of(&cloud).await;
    let ended = cloud.deliver(&event).await;
    assert_eq!(check(&cloud, &ended, &before).await, [""; 0]);

    let key = engine::documents::environment_key(neighbor().key, &samples::environment());
    let table = cloud.calls.of(&cloud.table);
    let own = samples::repository().key;
    CALLER.scope(own, table.get(&key)).await.unwrap();
    let (environment, stack) = (samples::environment(), samples::stack("data"));
    let state = domain::keys::state(own, &environment, &stack);
    cloud.batch.lose(&state, "terraform_data.base");
    let problems = check(&cloud, &ended, &before).await;
    let numbers: Vec<&str> = problems
        .iter()
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    assert_eq!(numbers, ["5", "13"], "{problems:#?}");
}
