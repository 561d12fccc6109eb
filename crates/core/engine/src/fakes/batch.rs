use super::{Faults, Shared, can_fail};
use crate::{BatchJob, BatchJobs, JobProgress, Result};
use async_trait::async_trait;
use domain::error::{ErrorName, StepError};
use domain::ids::JobId;

/// A fake of AWS Batch that finds and terminates jobs.
#[derive(Debug, Clone, Default)]
pub struct FakeBatch {
    jobs: Shared<Vec<(JobId, BatchJob)>>,
    faults: Faults,
}

can_fail!(FakeBatch: "find", "terminate");

impl FakeBatch {
    /// Returns a fake without jobs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a job that waits or runs. Its id is its name and its number.
    pub fn submit(&self, name: &JobId) {
        let mut jobs = self.jobs.lock();
        let id = format!("{name}/{}", jobs.len());
        let job = BatchJob {
            id,
            progress: JobProgress::Open,
            description: "RUNNABLE".to_owned(),
        };
        jobs.push((name.clone(), job));
    }

    /// Returns whether a job with this name has not ended.
    #[must_use]
    pub fn has_open(&self, name: &JobId) -> bool {
        self.jobs
            .lock()
            .iter()
            .any(|(other, job)| other == name && job.progress == JobProgress::Open)
    }
}

#[async_trait]
impl BatchJobs for FakeBatch {
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>> {
        self.faults.before("find")?;
        let jobs = self.jobs.lock().clone();
        self.faults.after("find")?;
        let named = jobs.into_iter().filter(|(other, _)| other == name);
        Ok(named.map(|(_, job)| job).collect())
    }

    async fn terminate(&self, id: &str, why: &str) -> Result<()> {
        self.faults.before("terminate")?;
        let mut jobs = self.jobs.lock();
        let Some((_, job)) = jobs.iter_mut().find(|(_, job)| job.id == id) else {
            let message = format!("TerminateJob {id}: no such job");
            return Err(StepError::new(ErrorName::AwsRefused, message));
        };
        if job.progress == JobProgress::Open {
            job.progress = JobProgress::Ended;
            job.description = format!("FAILED: {why}");
        }
        drop(jobs);
        self.faults.after("terminate")
    }
}
