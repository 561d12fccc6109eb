//! What is tested and built again, and what is reused.

use crate::cloud::{Cloud, Ended, Fault, Trouble};
use crate::commits::app_tree;
use crate::machine;
use crate::stories::{deliver, deliver_first};
use domain::error::ErrorName;
use domain::event::Trigger;
use domain::run::Outcome;
use engine::fakes::samples;
use std::sync::Arc;

/// Returns a cloud in which commit 1 is last good.
async fn delivered() -> Arc<Cloud> {
    let cloud = Cloud::new(&machine());
    cloud.deliver_to_neighbor().await;
    let first = cloud.push(1, samples::CONFIG);
    deliver_first(&cloud, &first).await;
    cloud
}

/// Pushes commit `n`, whose application is that of commit 1, with this text beside it.
fn push_beside(cloud: &Cloud, n: u8, text: &str) -> Trigger {
    let to = samples::repository();
    let files = [("proto/api.proto", text), ("infra/data/commit.tf", text)];
    cloud.push_with_app(&to, n, app_tree(1), samples::CONFIG, &files)
}

/// Returns which builds an execution started.
fn builds(ended: &Ended) -> Vec<&str> {
    let visited = ended.visited.iter().map(String::as_str);
    visited
        .filter(|state| matches!(*state, "RunTest" | "RunImage"))
        .collect()
}

/// A test may read files outside the context, and an image cannot.
#[tokio::test(start_paused = true)]
async fn a_change_outside_the_context_is_tested_and_its_image_is_reused() {
    let cloud = delivered().await;
    let ended = deliver(&cloud, &push_beside(&cloud, 2, "# two\n"), Outcome::Applied).await;
    assert_eq!(builds(&ended), ["RunTest"]);
    assert_eq!(ended.run.artifact(), Some(&samples::artifact(1)));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_context_is_tested_and_built() {
    let cloud = delivered().await;
    let event = cloud.push(2, samples::CONFIG);
    let ended = deliver(&cloud, &event, Outcome::Applied).await;
    assert_eq!(builds(&ended), ["RunTest", "RunImage"]);
    assert_eq!(ended.run.artifact(), Some(&samples::artifact(2)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_passed_its_test_is_not_tested_again() {
    let cloud = delivered().await;
    deliver(&cloud, &push_beside(&cloud, 2, "# two\n"), Outcome::Applied).await;
    let again = deliver(&cloud, &push_beside(&cloud, 3, "# two\n"), Outcome::Applied).await;
    assert_eq!(builds(&again), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_test_fails_is_not_delivered_although_its_image_exists() {
    let cloud = delivered().await;
    let event = push_beside(&cloud, 2, "# broken\n");
    cloud.order(Fault {
        state: "RunTest",
        trouble: Trouble::Fails,
        error: "States.TaskFailed",
        times: 1,
    });
    let ended = deliver(&cloud, &event, Outcome::Failed).await;
    assert_eq!(builds(&ended), ["RunTest"]);
    let error = &ended.run.failure().unwrap().error;
    assert_eq!(error.name, ErrorName::BuildFailed);
}
