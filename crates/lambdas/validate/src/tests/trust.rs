//! What the enrolment decides, whatever the commit says.

use super::*;
use domain::config::Protected;
use domain::plan::ApprovalRule;

#[tokio::test]
async fn a_commit_cannot_choose_its_environment() {
    let world = scene();
    let mut repository = samples::repository();
    repository.environments[0].name = EnvironmentName::parse("staging").unwrap();
    world.enrolments.enrol(repository);
    let error = world.claim().await.unwrap_err();
    assert_eq!(error.name, ErrorName::ConfigInvalid);
    let expected = "sluicegate.yaml:2:14: CF050 environment: found production, but this branch is \
                    delivered to staging";
    assert!(error.message.starts_with(expected), "{error}");
    assert!(world.artifacts.keys().is_empty());
}

#[tokio::test]
async fn a_commit_asks_for_more_approvals_and_not_for_fewer() {
    for (enrolled, rule, expected) in [
        (ApprovalRule::OnDestroy, "never", ApprovalRule::OnDestroy),
        (ApprovalRule::OnDestroy, "always", ApprovalRule::Always),
        (ApprovalRule::Always, "on-destroy", ApprovalRule::Always),
        (ApprovalRule::Never, "on-destroy", ApprovalRule::OnDestroy),
    ] {
        let world = scene();
        let mut repository = samples::repository();
        repository.environments[0].approval = enrolled;
        repository.environments[0].protect = vec![Protected::parse("aws_lb").unwrap()];
        world.enrolments.enrol(repository);
        let text = format!("{}approval: {rule}\n", samples::CONFIG);
        world
            .forge
            .push(samples::repository().key, replace_config(&text));
        world.claim().await.unwrap();
        let run = world.run(&samples::run_id(1)).await;
        let config = run.config().unwrap();
        assert_eq!(config.approval, expected, "{enrolled:?} and {rule}");
        assert_eq!(
            config.policies.protect,
            [Protected::parse("aws_lb").unwrap()]
        );
    }
}
