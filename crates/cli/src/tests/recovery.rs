//! The recovery of environments and states.

use super::*;
use crate::pipeline::{Recovery, StateStore, StateVersion};
use domain::environment::Infrastructure;
use domain::ids::JobId;
use domain::keys::JobFile;
use domain::run::Outcome;
use domain::state_lock::StateLock;
use engine::announce::Announcer;
use engine::{ExecutionState, Written};
use std::sync::Mutex;

const STATE: &str = "github-42/production/data.tfstate";
const LOCK: &str = "github-42/production/data.tfstate.tflock";
const ENVIRONMENT: [&str; 2] = ["github-42", "production"];

/// A versioned bucket: the versions of each key, the oldest first. A removed object has a last
/// version without content.
#[derive(Clone, Default)]
pub(super) struct FakeStates(Arc<Mutex<BTreeMap<String, Versions>>>);

type Versions = Vec<Option<Vec<u8>>>;

impl FakeStates {
    fn put(&self, key: &str, bytes: Option<&[u8]>) {
        let mut objects = self.0.lock().unwrap();
        let versions = objects.entry(key.to_owned()).or_default();
        versions.push(bytes.map(<[u8]>::to_vec));
    }

    fn read(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key)?.last()?.clone()
    }
}

#[async_trait]
impl StateStore for FakeStates {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StepError> {
        Ok(self.read(key))
    }

    async fn create(&self, key: &str, bytes: Vec<u8>) -> Result<Written, StepError> {
        if self.read(key).is_some() {
            return Ok(Written::No);
        }
        self.put(key, Some(&bytes));
        Ok(Written::Yes)
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StepError> {
        self.put(key, Some(&bytes));
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), StepError> {
        self.put(key, None);
        Ok(())
    }

    async fn versions(&self, key: &str) -> Result<Vec<StateVersion>, StepError> {
        let objects = self.0.lock().unwrap();
        let versions = objects.get(key).cloned().unwrap_or_default().into_iter();
        let listed = versions.enumerate().filter_map(|(n, bytes)| {
            Some(StateVersion {
                id: format!("v{}", n + 1),
                at: later(i64::try_from(n).unwrap()),
                bytes: i64::try_from(bytes?.len()).unwrap(),
            })
        });
        let mut listed: Vec<StateVersion> = listed.collect();
        listed.reverse();
        Ok(listed)
    }

    async fn restore(&self, key: &str, version: &str) -> Result<(), StepError> {
        let number: usize = version.trim_start_matches('v').parse().unwrap();
        let bytes = self.0.lock().unwrap()[key][number - 1].clone();
        self.put(key, bytes.as_deref());
        Ok(())
    }
}

impl Desk {
    pub(super) fn recovery(&self) -> Recovery {
        let clock = Arc::new(FakeClock::default());
        Recovery {
            executions: Arc::new(self.executions.clone()),
            batch: Arc::new(self.batch.clone()),
            states: Arc::new(self.states.clone()),
            announcer: Announcer::new(Arc::new(self.status.clone()), clock),
        }
    }

    /// Gives the environment to run 5, whose job applies the stack `data`, and returns that job.
    async fn applying(&self) -> (Run, JobId) {
        let mut run = samples::sealed_run(5);
        samples::edit(&mut run, "/started_at", "2026-03-01T10:59:00Z");
        run.lock_requested(later(1)).unwrap();
        run.lock_held(5, later(2)).unwrap();
        samples::begin_apply(&mut run, "data");
        insert(&self.table, &run).await.unwrap();
        self.table.give_environment_to(&run);
        self.executions.begin(run.execution(), "{}");
        let StackState::Applying { job, .. } = run.forward().stacks()[0].state() else {
            panic!("{run:?}");
        };
        let job = job.clone();
        self.batch.submit(&job);
        let key = run.objects().unwrap().job(&job, JobFile::Started);
        let start = r#"{"schema":2,"at":"2026-03-01T11:00:00Z","by":"n","host":"ip-10-0-1-7"}"#;
        self.artifacts.set(&key, start);
        (run, job)
    }

    fn lock_state(&self, who: &str) {
        let lock = format!(
            r#"{{"ID":"32938cb2","Operation":"OperationTypeApply","Info":"","Who":"{who}","Version":"1.11.4","Created":"2026-03-01T11:00:05Z","Path":"state/{STATE}"}}"#
        );
        self.states.put(LOCK, Some(lock.as_bytes()));
    }

    async fn stored(&self, run: &Run) -> Run {
        load_run(&self.table, run.id()).await.unwrap()
    }

    async fn end_job(&self, job: &JobId) {
        engine::jobs::terminate_open(&self.batch, job)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_environment_is_unlocked_only_when_its_run_has_stopped() {
    let desk = Desk::new().await;
    let (run, job) = desk.applying().await;
    let args = ["unlock", ENVIRONMENT[0], ENVIRONMENT[1]];
    insta::assert_snapshot!("unlock_running", desk.run(&args).await);
    desk.executions
        .end(run.execution(), ExecutionState::Aborted);
    insta::assert_snapshot!("unlock_with_a_job", desk.run(&args).await);
    assert!(!desk.stored(&run).await.is_ended());
    assert!(desk.batch.has_open(&job), "the command ends no job");
    assert!(desk.table.environment().is_held_by(run.id()));

    desk.end_job(&job).await;
    insta::assert_snapshot!("unlock_stopped", desk.run(&args).await);
    let stored = desk.stored(&run).await;
    assert_eq!(stored.outcome(), Outcome::NeedsOperator);
    assert!(!stored.is_recorded(), "the schedule writes its entry");
    let environment = desk.table.environment();
    assert_eq!(environment.holder(), None);
    assert_eq!(environment.frozen().unwrap().run, *run.id());
    assert_eq!(desk.status.messages().len(), 1, "its end is announced");
    insta::assert_snapshot!("unlock_again", desk.run(&args).await);
}

#[tokio::test]
async fn a_lock_of_a_state_is_removed_only_when_its_holder_has_ended() {
    let desk = Desk::new().await;
    let (run, job) = desk.applying().await;
    let asked = id(1);
    let args = ["state", "unlock", &asked, "data"];
    insta::assert_snapshot!("state_not_locked", desk.run(&args).await);
    desk.lock_state("runner@ip-10-0-1-7");
    insta::assert_snapshot!("state_unlock_held", desk.run(&args).await);

    // The environment is free, but the job is not known to have ended.
    update_run(&desk.table, run.id(), |run| {
        run.close(None, 3, later(120))?;
        Ok(())
    })
    .await
    .unwrap();
    desk.table
        .change_environment(|environment| environment.release(run.id(), later(120)));
    insta::assert_snapshot!("state_unlock_job", desk.run(&args).await);
    assert!(desk.states.read(LOCK).is_some());

    desk.end_job(&job).await;
    insta::assert_snapshot!("state_unlock", desk.run(&args).await);
    assert_eq!(desk.states.read(LOCK), None);

    desk.lock_state("mona@laptop");
    insta::assert_snapshot!("state_unlock_person", desk.run(&args).await);
    assert!(desk.states.read(LOCK).is_some(), "it may be in use");
}

/// Hundreds of runs ended since the job was killed.
#[tokio::test]
async fn the_holder_of_a_lock_is_found_however_many_runs_followed() {
    let desk = Desk::new().await;
    let (run, job) = desk.applying().await;
    desk.lock_state("runner@ip-10-0-1-7");
    update_run(&desk.table, run.id(), |run| {
        run.close(None, 3, later(120))?;
        run.audited(3)?;
        Ok(())
    })
    .await
    .unwrap();
    desk.table
        .change_environment(|environment| environment.release(run.id(), later(120)));
    desk.end_job(&job).await;
    for n in 10..40 {
        let mut newer = samples::sealed_run(n);
        newer.close(None, 4, later(180)).unwrap();
        newer.audited(4).unwrap();
        insert(&desk.table, &newer).await.unwrap();
    }
    let said = desk.run(&["state", "unlock", &id(1), "data"]).await;
    assert!(said.contains(run.id().as_str()), "{said}");
    assert_eq!(desk.states.read(LOCK), None);
}

#[tokio::test]
async fn the_lock_of_a_killed_restore_is_removed_when_the_operator_says_that_it_ended() {
    let desk = Desk::new().await;
    let lock = StateLock::of_restore("mona", later(-600));
    let bytes = serde_json::to_vec(&lock).unwrap();
    desk.states.put(LOCK, Some(&bytes));
    let asked = id(1);
    let args = ["state", "unlock", &asked, "data"];
    insta::assert_snapshot!("state_unlock_restore", desk.run(&args).await);
    assert!(desk.states.read(LOCK).is_some(), "it may still work");
    let confirmed = [&args[..], &["--restore-ended"]].concat();
    insta::assert_snapshot!("state_unlock_ended_restore", desk.run(&confirmed).await);
    assert_eq!(desk.states.read(LOCK), None);

    // The option says nothing about other holders.
    desk.lock_state("mona@laptop");
    let said = desk.run(&confirmed).await;
    assert!(said.contains("is not a job of a known run"), "{said}");
    assert!(desk.states.read(LOCK).is_some());
}

#[tokio::test]
async fn an_earlier_version_of_a_state_is_restored() {
    let desk = Desk::new().await;
    for state in ["good", "damaged"] {
        desk.states.put(STATE, Some(state.as_bytes()));
    }
    let asked = id(1);
    let versions = ["state", "versions", &asked, "data"];
    insta::assert_snapshot!("state_versions", desk.run(&versions).await);
    let restore = ["state", "restore", &asked, "data", "v1", "--by", "mona"];
    let unknown = ["state", "restore", &asked, "data", "v9"];
    insta::assert_snapshot!("state_restore_unknown", desk.run(&unknown).await);

    let (run, _) = desk.applying().await;
    insta::assert_snapshot!("state_restore_held", desk.run(&restore).await);
    desk.table
        .change_environment(|environment| environment.release(run.id(), later(120)));
    desk.lock_state("runner@ip-10-0-1-7");
    insta::assert_snapshot!("state_restore_locked", desk.run(&restore).await);
    assert_eq!(desk.states.read(STATE).unwrap(), b"damaged");

    desk.states.put(LOCK, None);
    insta::assert_snapshot!("state_restore", desk.run(&restore).await);
    assert_eq!(desk.states.read(STATE).unwrap(), b"good");
    assert_eq!(desk.states.read(LOCK), None, "it is free again");
    let locked = desk.states.0.lock().unwrap()[LOCK].iter().flatten().count();
    assert_eq!(locked, 2, "no Terraform could write the state meanwhile");
    let infrastructure = desk.table.environment().infrastructure();
    assert_eq!(infrastructure, Infrastructure::Unknown, "all is planned");
}

#[tokio::test]
async fn a_state_that_terraform_could_not_write_is_written_from_the_copy_of_its_job() {
    let desk = Desk::new().await;
    let state = |serial: u64| format!(r#"{{"version":4,"serial":{serial},"lineage":"l"}}"#);
    let put = |serial: u64| desk.states.put(STATE, Some(state(serial).as_bytes()));
    put(4);
    let (run, job) = desk.applying().await;
    desk.table
        .change_environment(|environment| environment.release(run.id(), later(120)));
    let asked = run.id().to_string();
    let args = ["state", "restore", &asked, "data", "--unwritten"];
    insta::assert_snapshot!("state_unwritten_none", desk.run(&args).await);

    // The job of the other leg wrote its state at the second attempt: its copy is older.
    let other = JobId::seal("apply", &samples::stack("data"), 9, b"z");
    for (job, serial) in [(&job, 7), (&other, 6)] {
        let spec = format!(r#"{{"backend":{{"key":"{STATE}"}}}}"#);
        desk.artifacts
            .set(&run.objects().unwrap().job(job, JobFile::Spec), spec);
        let kept = run.objects().unwrap().job(job, JobFile::ErroredState);
        desk.artifacts.set(&kept, state(serial));
    }
    insta::assert_snapshot!("state_unwritten", desk.run(&args).await);
    assert_eq!(desk.states.read(STATE).unwrap(), state(7).into_bytes());
    assert_eq!(desk.states.read(LOCK), None, "it is free again");
    let infrastructure = desk.table.environment().infrastructure();
    assert_eq!(infrastructure, Infrastructure::Unknown, "all is planned");

    // Another run wrote the state since.
    put(8);
    insta::assert_snapshot!("state_unwritten_older", desk.run(&args).await);
    assert_eq!(desk.states.read(STATE).unwrap(), state(8).into_bytes());
}
