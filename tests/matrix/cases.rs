//! Makes every state of the rendered state machine fail, lose its reply, run twice, hang, or be the
//! place where the execution is stopped. After each case, checks every invariant, delivers a good
//! commit, and compares the outcome with the tables in `outcomes/`.

use crate::cloud::{Cloud, Ended, Fault, Trouble};
use crate::invariants::{self, Before};
use crate::{asking, machine};
use domain::run::Outcome;
use engine::fakes::samples;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use workflow::walk::document::{Machine, Resource, State};

/// An error that no Retry matches.
const FAILS: &str = "States.TaskFailed";

/// A route through the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// A good commit whose plans are approved.
    Good,
    /// This Task fails once.
    Failing(&'static str),
    /// A second execution of the same event.
    Duplicate,
    /// A newer commit was delivered.
    Superseded,
    /// The configuration has no stacks.
    NoStacks,
    /// The image already exists, but the source was not tested.
    SameImage,
}

/// Routes that together visit every state. A new state that no route visits needs an additional one.
const ROUTES: &[Route] = &[
    Route::Good,
    Route::Failing("StartDeploy"),
    Route::Failing("Record"),
    Route::Failing("DecideBuild"),
    Route::Failing("SelectFirstStacks"),
    Route::Duplicate,
    Route::Superseded,
    Route::NoStacks,
    Route::SameImage,
];

const NO_STACKS: &str = "version: 1\nenvironment: production\nremoved: { data: keep, app: keep }\n";

/// The event of a case.
#[derive(Debug, Clone, Copy)]
enum What {
    Nothing,
    Trouble(Trouble),
    Stopped,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing happens",
            Self::Trouble(Trouble::Fails) => "fails before its work",
            Self::Trouble(Trouble::LosesReply) => "does its work and loses its reply",
            Self::Trouble(Trouble::RunsTwice) => "runs twice",
            Self::Trouble(Trouble::Hangs) => "times out before its work",
            Self::Trouble(Trouble::HangsAfterwards) => "times out after its work",
            Self::Trouble(Trouble::Terminates) => "job terminated during its work",
            Self::Trouble(Trouble::Stops) => "execution stopped during its work",
            Self::Stopped => "execution stopped",
        }
    }
}

/// A case with the cloud that it ran in.
struct Case {
    cloud: Arc<Cloud>,
    ended: Ended,
    before: Before,
}

async fn run(machine: &Arc<Machine>, route: Route, state: &str, what: What) -> Case {
    let cloud = Cloud::new(machine);
    cloud.deliver_to_neighbor().await;
    let first = cloud.push(1, &asking());
    let good = cloud.deliver(&first).await;
    assert_eq!(
        good.run.outcome(),
        Outcome::Applied,
        "{:?}",
        good.run.failure()
    );
    let mut event = match route {
        Route::NoStacks => cloud.push(2, NO_STACKS),
        _ => cloud.push(2, &asking()),
    };
    match route {
        Route::Good | Route::NoStacks => {}
        Route::Failing(state) => cloud.order(Fault {
            state: leak(state),
            trouble: Trouble::Fails,
            error: FAILS,
            times: 1,
        }),
        Route::Duplicate => {
            let ended = cloud.deliver(&event).await;
            assert_eq!(ended.run.outcome(), Outcome::Applied);
        }
        Route::Superseded => {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            let newer = cloud.push(3, &asking());
            let ended = cloud.deliver(&newer).await;
            assert_eq!(ended.run.outcome(), Outcome::Applied);
        }
        Route::SameImage => {
            // An earlier build of the same context pushed its image.
            cloud.has_image(2);
            event = cloud.push(2, &asking());
        }
    }
    let before = Before::of(&cloud).await;
    match what {
        What::Nothing => {}
        What::Trouble(trouble) => cloud.order(Fault {
            state: leak(state),
            trouble,
            error: FAILS,
            times: 1,
        }),
        What::Stopped => cloud.stop_at(state),
    }
    let ended = cloud.deliver(&event).await;
    Case {
        cloud,
        ended,
        before,
    }
}

fn leak(state: &str) -> &'static str {
    Box::leak(state.to_owned().into_boxed_str())
}

/// Returns the first route that visits each state.
async fn routes(machine: &Arc<Machine>) -> BTreeMap<String, Route> {
    let mut routes = BTreeMap::new();
    for route in ROUTES {
        let case = run(machine, *route, "", What::Nothing).await;
        for state in case.ended.visited {
            routes.entry(state).or_insert(*route);
        }
    }
    routes
}

/// Checks that a later commit is delivered, after an operator unfreezes a frozen environment.
async fn recovers(case: &Case) -> Result<(), String> {
    let Case { cloud, .. } = case;
    let frozen = cloud.environment().await.frozen().is_some();
    if frozen {
        let event = cloud.push(8, &asking());
        let ended = cloud.deliver(&event).await;
        if ended.run.outcome() != Outcome::Rejected {
            return Err(format!("a frozen environment: {:?}", ended.run.outcome()));
        }
        cloud.table.change_environment(|environment| {
            environment.unfreeze(samples::now());
        });
    }
    let event = cloud.push(9, &asking());
    let before = Before::of(cloud).await;
    let ended = cloud.deliver(&event).await;
    if ended.run.outcome() != Outcome::Applied {
        return Err(format!(
            "the next commit ended {:?}: {:?}",
            ended.run.outcome(),
            ended.run.failure()
        ));
    }
    let problems = invariants::check(cloud, &ended, &before).await;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("after the next commit: {problems:?}"))
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_before_its_work_the_invariants_hold() {
    check_all(
        "before",
        &[Trouble::Fails, Trouble::Hangs].map(What::Trouble),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_after_its_work_the_invariants_hold() {
    let troubles = [
        Trouble::LosesReply,
        Trouble::RunsTwice,
        Trouble::HangsAfterwards,
    ];
    check_all("after", &troubles.map(What::Trouble)).await;
}

#[tokio::test(start_paused = true)]
async fn wherever_an_execution_is_stopped_the_invariants_hold() {
    check_all("stopped", &[What::Stopped, What::Trouble(Trouble::Stops)]).await;
}

/// An apply that is terminated leaves half of its changes, and perhaps a tainted resource.
#[tokio::test(start_paused = true)]
async fn whatever_job_is_terminated_the_invariants_hold() {
    check_all("terminated", &[What::Trouble(Trouble::Terminates)]).await;
}

/// Runs every event in every state. Only Tasks have work that can fail, and only jobs are terminated.
async fn check_all(file: &str, whats: &[What]) {
    let machine = machine();
    let routes = routes(&machine).await;
    let all = machine.all();
    let missed: Vec<&str> = all
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !routes.contains_key(*name))
        .collect();
    assert!(
        missed.is_empty(),
        "no route visits {missed:?}: add one to ROUTES"
    );
    let (mut table, mut problems) = (String::new(), Vec::new());
    for (name, state) in all {
        let resource = match state {
            State::Task(task) => Some(task.resource),
            _ => None,
        };
        for what in whats {
            let happens = match what {
                What::Trouble(Trouble::Terminates) => resource == Some(Resource::Batch),
                What::Trouble(_) => resource.is_some(),
                What::Stopped | What::Nothing => true,
            };
            if happens {
                let (line, wrong) = check(&machine, routes[name], name, *what).await;
                writeln!(table, "{line}").unwrap();
                problems.extend(wrong);
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems:\n{}",
        problems.len(),
        problems.join("\n")
    );
    crate::expect(&format!("tests/matrix/outcomes/{file}.txt"), &table);
}

/// Runs one case. Returns its line of the table, and the violated invariants.
async fn check(
    machine: &Arc<Machine>,
    route: Route,
    name: &str,
    what: What,
) -> (String, Vec<String>) {
    let case = run(machine, route, name, what).await;
    let title = format!("{name}: {}", what.name());
    let mut problems = Vec::new();
    let left = case.cloud.disarm();
    if !left.is_empty() {
        problems.push(format!("{title}: did not happen: {left:?}"));
    }
    let stops = matches!(what, What::Stopped | What::Trouble(Trouble::Stops));
    if stops && case.ended.end.is_some() {
        problems.push(format!("{title}: was not stopped"));
    }
    let run = &case.ended.run;
    if run.execution() == case.ended.execution {
        for problem in invariants::check(&case.cloud, &case.ended, &case.before).await {
            problems.push(format!("{title}: {problem}"));
        }
    }
    if let Err(problem) = recovers(&case).await {
        problems.push(format!("{title}: {problem}"));
    }
    let outcome = run.outcome().as_str();
    let line = match run.failure() {
        Some(failure) => format!("{title} → {outcome} ({})", failure.error.name),
        None => format!("{title} → {outcome}"),
    };
    (line, problems)
}
