use crate::Clients;
use crate::errors::named;
use async_trait::async_trait;
use aws_sdk_batch::types::{JobDetail, JobStatus, KeyValuesPair};
use domain::ids::JobId;
use engine::{BatchJob, BatchJobs, JobProgress, Result};

/// The most jobs in one `DescribeJobs` call.
const DESCRIBED: usize = 100;

/// The jobs in a set of AWS Batch queues.
#[derive(Debug, Clone)]
pub struct Batch {
    client: aws_sdk_batch::Client,
    queues: Vec<String>,
}

impl Batch {
    /// `queues` holds queue names.
    #[must_use]
    pub fn new(clients: &Clients, queues: &[String]) -> Self {
        Self {
            client: aws_sdk_batch::Client::new(clients.config()),
            queues: queues.to_vec(),
        }
    }

    /// Returns the ids of a queue's jobs with a name. With a filter, `ListJobs` returns jobs of every
    /// state.
    async fn ids(&self, queue: &str, name: &JobId) -> Result<Vec<String>> {
        let call = format!("ListJobs {name} of {queue}");
        let filter = KeyValuesPair::builder()
            .name("JOB_NAME")
            .values(name.as_str())
            .build();
        let list = self.client.list_jobs().job_queue(queue).filters(filter);
        let mut pages = list.into_paginator().send();
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| named(&call, &error))?;
            let listed = page.job_summary_list.into_iter().flatten();
            // An emulator that ignores the filter would return every job.
            let own = listed.filter(|job| job.job_name.as_deref() == Some(name.as_str()));
            ids.extend(own.filter_map(|job| job.job_id));
        }
        Ok(ids)
    }
}

#[async_trait]
impl BatchJobs for Batch {
    async fn find(&self, name: &JobId) -> Result<Vec<BatchJob>> {
        let mut ids = Vec::new();
        for queue in &self.queues {
            ids.extend(self.ids(queue, name).await?);
        }
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(DESCRIBED) {
            let describe = self.client.describe_jobs().set_jobs(Some(ids.to_vec()));
            let answer = describe.send().await;
            let answer =
                answer.map_err(|error| named(&format!("DescribeJobs of {name}"), &error))?;
            found.extend(answer.jobs.unwrap_or_default().iter().map(job));
        }
        Ok(found)
    }

    async fn terminate(&self, id: &str, why: &str) -> Result<()> {
        match self
            .client
            .terminate_job()
            .job_id(id)
            .reason(why)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(named(&format!("TerminateJob {id}"), &error)),
        }
    }
}

fn job(detail: &JobDetail) -> BatchJob {
    let status = detail.status.as_ref();
    let progress = match status {
        Some(JobStatus::Succeeded | JobStatus::Failed) => JobProgress::Ended,
        _ => JobProgress::Open,
    };
    let last = detail.attempts.as_deref().unwrap_or_default().last();
    let container = last.and_then(|attempt| attempt.container.as_ref());
    let mut description = format!("Batch says {}", status.map_or("nothing", JobStatus::as_str));
    if let Some(code) = container.and_then(|container| container.exit_code) {
        description = format!("{description}, exit code {code}");
    }
    let reasons = [
        detail.status_reason.as_deref(),
        container.and_then(|container| container.reason.as_deref()),
    ];
    for reason in reasons.into_iter().flatten() {
        description = format!("{description}: {reason}");
    }
    BatchJob {
        id: detail.job_id.clone().unwrap_or_default(),
        progress,
        description,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_batch::types::{AttemptContainerDetail, AttemptDetail};

    #[test]
    fn what_batch_says_of_a_job_is_for_a_person() {
        let container = AttemptContainerDetail::builder()
            .exit_code(137)
            .reason("OutOfMemoryError: Container killed due to memory usage")
            .build();
        let detail = JobDetail::builder()
            .job_id("1")
            .status(JobStatus::Failed)
            .status_reason("Essential container in task exited")
            .attempts(AttemptDetail::builder().container(container).build())
            .build();
        let job = job(&detail);
        assert_eq!(job.progress, JobProgress::Ended);
        assert_eq!(
            job.description,
            "Batch says FAILED, exit code 137: Essential container in task exited: \
             OutOfMemoryError: Container killed due to memory usage"
        );
    }

    #[test]
    fn a_state_that_is_not_known_yet_may_still_change_something() {
        let detail = JobDetail::builder()
            .job_id("1")
            .status(JobStatus::from("PAUSED"))
            .build();
        assert_eq!(job(&detail).progress, JobProgress::Open);
    }
}
