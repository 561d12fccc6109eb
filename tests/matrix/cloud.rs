//! Everything that a delivery uses, in memory: the Lambdas on the fakes of `engine`, Batch with a
//! minimal Terraform, CodeBuild, ECS. The state machine is the rendered file.

use crate::calls::{CALLER, Calls};
use crate::commits::app_tree;
use crate::terraform::{Batch, QUEUED, STUCK, WORK};
use async_trait::async_trait;
use domain::enrolment::EnrolledRepository;
use domain::error::ErrorName;
use domain::event::Trigger;
use domain::ids::{ForgeId, JobDefinition, JobId, RepositoryKey, RunId, StackName};
use domain::keys::RunObjects;
use domain::run::{Approval, ApprovalDecision, Run, StackState};
use domain::step::{ApprovalAnswer, ExecutionEnded, ReconcileInput, RecordInput};
use engine::documents::{environment_key, load};
use engine::fakes::{World, samples};
use engine::{BatchJobs as _, Clock, ExecutionState, Services as _, Step as _, Tokens as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use workflow::walk::document::{Machine, Resource};
use workflow::walk::{End, Execution, Failure, Request, Tasks};

pub(crate) const CLUSTER: &str = "main";

/// Where a repository's application runs.
pub(crate) struct Place {
    pub(crate) service: &'static str,
    pub(crate) template: &'static str,
    pub(crate) url: &'static str,
}

const SHOP: Place = Place {
    service: "shop",
    template: "arn:aws:ecs:eu-central-1:111122223333:task-definition/shop:1",
    url: "http://shop.test",
};

const NEIGHBOR: Place = Place {
    service: "neighbor",
    template: "arn:aws:ecs:eu-central-1:111122223333:task-definition/neighbor:1",
    url: "http://neighbor.test",
};

impl Place {
    pub(crate) fn of(repository: RepositoryKey) -> &'static Self {
        if repository == neighbor().key {
            &NEIGHBOR
        } else {
            &SHOP
        }
    }
}

/// Returns the other enrolled repository: on another forge, with the same id, name, branch and commits, and
/// so with the same names of environments and stacks.
pub(crate) fn neighbor() -> EnrolledRepository {
    let mut repository = samples::repository();
    repository.key.forge = ForgeId::Gitlab;
    repository.clone_url = "https://gitlab.com/acme/shop.git".into();
    repository.image = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/neighbor".into();
    for environment in &mut repository.environments {
        let jobs = &mut environment.jobs;
        for definition in [&mut jobs.plan, &mut jobs.apply] {
            let own = definition.as_str().replace("github-42", "gitlab-42");
            *definition = JobDefinition::parse(&own).unwrap();
        }
        environment.services = vec!["*/neighbor".to_owned().try_into().unwrap()];
    }
    repository
}

/// Returns the objects that the roles of a job definition reach, of a run.
fn scope(definition: &Value, run: RunId) -> RunObjects {
    for repository in [samples::repository(), neighbor()] {
        for environment in repository.environments {
            let jobs = &environment.jobs;
            if [&jobs.plan, &jobs.apply]
                .iter()
                .any(|known| *definition == known.as_str())
            {
                return RunObjects::new(repository.key, environment.name, run);
            }
        }
    }
    panic!("no enrolment has the job definition {definition}")
}

/// How a Task misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It fails before its work.
    Fails,
    /// It does its work, and the reply is lost.
    LosesReply,
    /// It is called twice with the same input, and the second reply counts.
    RunsTwice,
    /// It never starts its work and never replies.
    Hangs,
    /// It does its work and never replies.
    HangsAfterwards,
    /// Batch terminates its job in the middle of its work.
    Terminates,
    /// The execution is stopped in the middle of a job, or after the work of a Lambda.
    Stops,
}

/// A misbehavior of a Task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) state: &'static str,
    pub(crate) trouble: Trouble,
    pub(crate) error: &'static str,
    pub(crate) times: u32,
}

/// What people do when an approval is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum People {
    Approve,
    Reject,
    DoNothing,
}

/// A clock with virtual time, which starts at [`samples::now`].
#[derive(Clone, Copy)]
pub(crate) struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.0.elapsed()).unwrap();
        samples::now().saturating_add(passed).unwrap()
    }
}

/// The end of a delivery.
pub(crate) struct Ended {
    pub(crate) execution: String,
    /// The execution's end, or none if it was stopped.
    pub(crate) end: Option<End>,
    pub(crate) visited: Vec<String>,
    /// The run. For a duplicate execution, the run of the first one.
    pub(crate) run: Run,
}

/// An AWS account with two enrolled repositories: `acme/shop` and its [`neighbor`].
pub(crate) struct Cloud {
    machine: Arc<Machine>,
    world: World<VirtualClock>,
    pub(crate) batch: Batch,
    pub(crate) calls: Calls,
    people: Mutex<People>,
    faults: Mutex<Vec<Fault>>,
    stop: Mutex<Option<String>>,
    stopped: Notify,
    unheard: AtomicBool,
    count: AtomicU32,
}

impl Deref for Cloud {
    type Target = World<VirtualClock>;
    fn deref(&self) -> &World<VirtualClock> {
        &self.world
    }
}

impl Cloud {
    pub(crate) fn new(machine: &Arc<Machine>) -> Arc<Self> {
        let world = World::with_clock(VirtualClock(Instant::now()));
        world.enrolments.enrol(neighbor());
        for place in [SHOP, NEIGHBOR] {
            let Place {
                service, template, ..
            } = place;
            world.services.add_service(CLUSTER, service, template);
        }
        let calls = Calls::default();
        Arc::new(Self {
            machine: Arc::clone(machine),
            batch: Batch::new(world.artifacts.clone(), calls.clone()),
            world,
            calls,
            people: Mutex::new(People::Approve),
            faults: Mutex::default(),
            stop: Mutex::default(),
            stopped: Notify::new(),
            unheard: AtomicBool::new(false),
            count: AtomicU32::new(0),
        })
    }

    /// Converts a moment of virtual time to a timestamp of the records.
    pub(crate) fn time(&self, moment: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(moment - self.clock.0).unwrap();
        samples::now().saturating_add(passed).unwrap()
    }

    pub(crate) fn people(&self, people: People) {
        *self.people.lock().unwrap() = people;
    }

    pub(crate) fn order(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    /// Removes the faults, and returns those that did not occur.
    pub(crate) fn disarm(&self) -> Vec<Fault> {
        let mut faults = std::mem::take(&mut *self.faults.lock().unwrap());
        faults.retain(|fault| fault.times > 0);
        faults
    }

    /// Stops the next execution when it enters a state.
    pub(crate) fn stop_at(&self, state: &str) {
        *self.stop.lock().unwrap() = Some(state.to_owned());
    }

    /// Adds the image of commit `n` to the registry, as an earlier build would have.
    pub(crate) fn has_image(&self, n: u8) {
        let build = samples::config().build.unwrap();
        let tag = samples::build_settings().image_tag(&app_tree(n), &build);
        let image = samples::repository().image;
        self.registry
            .push(&image, &samples::image_digest(n), &[&tag]);
    }

    /// Runs an execution of an event until it ends or is stopped, followed by AWS's own reactions.
    pub(crate) async fn deliver(&self, event: &Trigger) -> Ended {
        let caller = event.repository_key();
        CALLER.scope(caller, self.execute(event)).await
    }

    async fn execute(&self, event: &Trigger) -> Ended {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let arn = format!("arn:aws:states:eu-central-1:111122223333:execution:deliver:{number}");
        let input = serde_json::to_value(event).unwrap();
        self.executions.begin(&arn, &input.to_string());
        let (end, visited) = {
            let execution = Execution::new(&self.machine, self, &arn, input);
            let end = tokio::select! {
                end = execution.run() => Some(end),
                () = self.stopped.notified() => None,
            };
            (end, execution.visited())
        };
        *self.stop.lock().unwrap() = None;
        let status = match &end {
            Some(End::Succeeded) => None,
            Some(End::Failed(_)) => Some(ExecutionState::Failed),
            Some(End::TimedOut) => Some(ExecutionState::TimedOut),
            None => Some(ExecutionState::Aborted),
        };
        let state = status.unwrap_or(ExecutionState::Succeeded);
        self.executions.end(&arn, state);
        if self.unheard.load(Ordering::Relaxed) {
            self.reconcile_for_a_while().await;
        } else if let Some(status) = status {
            self.execution_ended(&arn, status).await;
            if !self.run(&event.run_id()).await.is_ended() {
                self.reconcile_for_a_while().await;
            }
        }
        // Wait for jobs that no execution waits for.
        while self.batch.has_open_jobs() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let run = self.run(&event.run_id()).await;
        Ended {
            execution: arn,
            end,
            visited,
            run,
        }
    }

    /// Loses the events of executions that end. Only the schedule of `reconcile` is left.
    pub(crate) fn lose_the_end_of_executions(&self) {
        self.unheard.store(true, Ordering::Relaxed);
    }

    /// Acts as the schedule.
    async fn reconcile_for_a_while(&self) {
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_secs(300)).await;
            let done = self.reconcile_step().run(ReconcileInput::Reconcile).await;
            done.unwrap();
        }
    }

    /// Acts as the rule for ended executions. EventBridge and Lambda retry for hours.
    async fn execution_ended(&self, execution: &str, status: ExecutionState) {
        for _ in 0..50 {
            let input = RecordInput::ExecutionEnded(ExecutionEnded {
                execution: execution.to_owned(),
                status,
            });
            match self.record().run(input).await {
                Ok(_) => return,
                Err(error) if error.name == ErrorName::RunNotFound => return,
                Err(_) => tokio::time::sleep(Duration::from_secs(60)).await,
            }
        }
        panic!("the end of {execution} could not be recorded");
    }

    pub(crate) async fn environment(&self) -> domain::environment::Environment {
        let key = environment_key(samples::repository().key, &samples::environment());
        load(&self.table, &key).await.unwrap().unwrap()
    }

    /// Returns the task definition in the service's configuration.
    pub(crate) async fn task_definition(&self) -> String {
        let state = self.services.describe(CLUSTER, SHOP.service).await.unwrap();
        state.task_definition
    }

    /// Completes the newest rollouts. Each application then responds with the commit that it runs.
    pub(crate) async fn roll_out(&self) {
        for Place { service, url, .. } in [SHOP, NEIGHBOR] {
            self.services.finish_rollout(CLUSTER, service);
            let state = self.services.describe(CLUSTER, service).await.unwrap();
            let revisions = self.services.revisions();
            let mut revisions = revisions.iter();
            if let Some((_, running)) = revisions.find(|(arn, _)| *arn == state.task_definition) {
                let commit = &running.environment["SLUICEGATE_COMMIT"];
                self.probe.answer(&format!("{url}/health"), 200, "ok");
                self.probe.answer(&format!("{url}/version"), 200, commit);
            }
        }
    }

    async fn work(&self, request: &Request) -> std::result::Result<Value, Failure> {
        let arguments = &request.arguments;
        match request.resource {
            Resource::Lambda => self.invoke(arguments).await,
            Resource::LambdaWithToken => {
                self.tokens.open(request.token.as_deref().unwrap());
                self.invoke(arguments).await
            }
            Resource::Batch => {
                let id = self.submit(request, QUEUED);
                self.job_ended(id).await
            }
            Resource::CodeBuild => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                let variables = arguments["EnvironmentVariablesOverride"]
                    .as_array()
                    .unwrap();
                let value = |name: &str| {
                    let mut all = variables.iter();
                    all.find(|one| one["Name"] == name).unwrap()["Value"]
                        .as_str()
                        .unwrap()
                };
                if arguments["ProjectName"]
                    .as_str()
                    .unwrap()
                    .ends_with("-test")
                {
                    let mut names = variables.iter().map(|one| one["Name"].as_str().unwrap());
                    assert!(
                        names.all(|name| name != "SLUICEGATE_IMAGE"),
                        "{variables:?}"
                    );
                    return Ok(json!({}));
                }
                let byte = u8::from_str_radix(&value("SLUICEGATE_COMMIT")[..2], 16).unwrap();
                let image = value("SLUICEGATE_IMAGE");
                self.calls.reach(format!("image {image}"));
                self.registry.push(
                    image,
                    &samples::image_digest(byte),
                    &[value("SLUICEGATE_TAG")],
                );
                Ok(json!({}))
            }
        }
    }

    /// Waits for a job, as the state machine does.
    async fn job_ended(&self, id: String) -> std::result::Result<Value, Failure> {
        if self.batch.ended(&id).await {
            return Ok(json!({"JobId": id}));
        }
        let cause = json!({"JobId": id, "Status": "FAILED"}).to_string();
        Err(Failure::new("States.TaskFailed", cause))
    }

    /// Starts the job of a request.
    fn submit(&self, request: &Request, queued: Duration) -> String {
        let command = request.arguments["ContainerOverrides"]["Command"].clone();
        let command: Vec<String> = serde_json::from_value(command).unwrap();
        let run = RunId::parse(&command[2]).unwrap();
        let job = JobId::parse(&command[4]).unwrap();
        assert_eq!(request.arguments["JobName"], job.as_str());
        let definition = &request.arguments["JobDefinition"];
        self.batch.submit(&scope(definition, run), &job, queued)
    }

    fn trouble(&self, state: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults
            .iter_mut()
            .find(|fault| fault.state == state && fault.times > 0)?;
        fault.times -= 1;
        Some(*fault)
    }

    /// Decides on the approval that waits for a token.
    async fn decide(&self, token: &str) {
        let people = *self.people.lock().unwrap();
        let answer = match people {
            People::Approve => ApprovalDecision::Approved,
            People::Reject => ApprovalDecision::Rejected,
            People::DoNothing => return,
        };
        for run in self.runs().await {
            let waiting: Vec<StackName> = run
                .leg()
                .stacks()
                .iter()
                .filter(|stack| waits_for(stack.state(), token))
                .map(|stack| stack.name().clone())
                .collect();
            for stack in waiting {
                let at = self.clock.now();
                self.change_run(run.id(), |run| {
                    run.approval_decided(&stack, answer, "an operator", at)
                        .unwrap();
                })
                .await;
                let output = serde_json::to_string(&ApprovalAnswer { decision: answer }).unwrap();
                self.tokens.succeed(token, &output).await.unwrap();
            }
        }
    }

    /// Returns every run, in the order of the keys.
    pub(crate) async fn runs(&self) -> Vec<Run> {
        let ids: BTreeSet<RunId> = self
            .table
            .keys()
            .iter()
            .filter_map(|key| key.pk.strip_prefix("RUN#"))
            .map(|id| RunId::parse(id).unwrap())
            .collect();
        let mut runs = Vec::new();
        for id in ids {
            runs.push(self.run(&id).await);
        }
        runs
    }
}

fn waits_for(state: &StackState, own: &str) -> bool {
    matches!(
        state,
        StackState::Planned { approval: Some(Approval::Requested { token, .. }), .. } if token == own
    )
}

#[async_trait]
impl Tasks for Cloud {
    async fn enter(&self, _execution: &str, state: &str) {
        // Once: two stacks may enter the state at the same time.
        let stop = self.stop.lock().unwrap().take_if(|at| at == state);
        if stop.is_some() {
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn now(&self) -> String {
        self.clock.now().to_string()
    }

    async fn call(&self, request: &Request) -> std::result::Result<Value, Failure> {
        let Some(fault) = self.trouble(&request.state) else {
            return self.work(request).await;
        };
        let failure = Err(Failure::new(fault.error, "ordered by the test"));
        match fault.trouble {
            Trouble::Fails => failure,
            Trouble::LosesReply => {
                self.work(request).await.ok();
                failure
            }
            Trouble::RunsTwice => {
                let second = async {
                    // The first call has a head start.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    self.work(request).await
                };
                tokio::join!(self.work(request), second).1
            }
            Trouble::Hangs => {
                // The job waits in its queue longer than the state's time limit.
                if request.resource == Resource::Batch {
                    self.submit(request, STUCK);
                }
                std::future::pending().await
            }
            Trouble::HangsAfterwards => {
                self.work(request).await.ok();
                std::future::pending().await
            }
            Trouble::Terminates => {
                let id = self.submit(request, QUEUED);
                tokio::time::sleep(QUEUED + WORK / 2).await;
                self.batch.terminate(&id, "by an operator").await.unwrap();
                self.job_ended(id).await
            }
            Trouble::Stops => {
                let some = Duration::from_secs(40);
                let _unheard = tokio::time::timeout(some, self.work(request)).await;
                self.stopped.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn wait(&self, token: &str) -> std::result::Result<Value, Failure> {
        let mut pause = Duration::from_secs(1);
        loop {
            let outputs = self.tokens.outputs();
            if let Some((_, output)) = outputs.iter().find(|(own, _)| own == token) {
                return Ok(serde_json::from_str(output).unwrap());
            }
            let errors = self.tokens.errors();
            if let Some((_, error)) = errors.iter().find(|(own, _)| own == token) {
                return Err(Failure::new(error.name.as_str(), &error.message));
            }
            tokio::time::sleep(pause).await;
            self.decide(token).await;
            pause = (pause * 2).min(Duration::from_secs(3600));
        }
    }

    fn close(&self, token: &str) {
        self.tokens.abandon(token);
    }
}
