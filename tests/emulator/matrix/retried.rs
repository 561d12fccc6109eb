//! An error that passes is not a run's end.

use super::Matrix;
use super::cases::{RETRIED, retried};
use anyhow::ensure;
use domain::run::{Outcome, StackState};

impl Matrix<'_> {
    /// Each Task on the way fails once with an error that its Retry names, first before its work,
    /// then after it: the commit is delivered all the same, and once. A person is asked here.
    pub(super) async fn each_task_is_tried_again(&mut self) -> anyhow::Result<()> {
        for after in [false, true] {
            self.harness.progress.step(if after {
                "each Task does its work, its reply is lost, and it is tried again"
            } else {
                "each Task is refused once and tried again"
            });
            let before = self.states().await?;
            let revisions = self.revisions().await?;
            for (state, error) in RETRIED {
                self.order(&retried(state, error, after)).await?;
            }
            let commit = self.commit().await?;
            let ended = self.deliver_and_approve(&commit).await?;
            let run = &ended.run;
            ensure!(
                run.outcome() == Outcome::Applied,
                "expected run {} to be applied, it ended {}: {:?}",
                run.id,
                run.outcome().as_str(),
                run.failure
            );
            self.disarm().await?;
            if after {
                self.repeated.insert(run.id.clone());
            }
            for stack in run
                .stacks
                .iter()
                .filter(|s| s.stack.name.as_str() != "alarms")
            {
                ensure!(
                    matches!(stack.state, StackState::Applied { .. }) && stack.jobs == 2,
                    "expected one plan and one apply, found {stack:?}"
                );
            }
            let registered = self.revisions().await? - revisions;
            ensure!(
                registered == 1,
                "expected one deployment, {registered} task definitions were registered"
            );
            self.judge(&ended, Outcome::Applied, &before).await?;
        }
        Ok(())
    }

    /// How many revisions of the service's task definition there are.
    async fn revisions(&self) -> anyhow::Result<usize> {
        let list = [
            "ecs",
            "list-task-definitions",
            "--family-prefix",
            "fixture",
            "--query",
            "length(taskDefinitionArns)",
        ];
        Ok(serde_json::from_str(&self.harness.aws(&list).await?)?)
    }
}
