//! What a repository can reach by its outputs.

use super::*;

const BILLING: &str = "arn:aws:ecs:eu-central-1:111122223333:task-definition/billing:3";

/// Another repository's service, which a hostile commit names in its outputs.
fn with_billing(world: &Scene) {
    world.services.add_service("main", "billing", BILLING);
}

#[tokio::test]
async fn outputs_that_name_anothers_service_change_nothing() {
    let world = Scene::new().await;
    with_billing(&world);
    let before = world.target("billing").await;
    world
        .set_outputs(&OUTPUTS.replace(r#""value": "shop""#, r#""value": "billing""#))
        .await;
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::DeployFailed);
    assert!(error.message.contains("main/billing"), "{error}");
    assert!(world.services.revisions().is_empty());
    assert_eq!(world.target("billing").await, before);
}

/// The copy of a task definition keeps its roles.
#[tokio::test]
async fn anothers_task_role_is_not_passed_on() {
    let world = Scene::new().await;
    with_billing(&world);
    let roles = ["arn:aws:iam::111122223333:role/billing-task"];
    world.services.set_task_roles(BILLING, &roles);
    world.set_outputs(&OUTPUTS.replace(TEMPLATE, BILLING)).await;
    let error = world.start().await.unwrap_err();
    assert_eq!(error.name, ErrorName::DeployFailed);
    assert!(error.message.contains("role/billing-task"), "{error}");
    assert!(world.services.revisions().is_empty());
    assert_eq!(world.target("shop").await, TEMPLATE);

    let roles = ["arn:aws:iam::111122223333:role/shop-task"];
    world.services.set_task_roles(BILLING, &roles);
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
}

#[tokio::test]
async fn a_service_that_is_withdrawn_is_not_rolled_out_any_more() {
    let world = Scene::new().await;
    assert_eq!(world.start().await, Ok(StartDeployVerdict::Started));
    let mut repository = samples::repository();
    repository.environments[0].services.clear();
    world.enrolments.enrol(repository);
    for error in [
        world.start().await.unwrap_err(),
        world.check().await.unwrap_err(),
    ] {
        assert_eq!(error.name, ErrorName::DeployFailed);
    }
}

#[tokio::test]
async fn each_deployment_has_the_rights_of_its_environment_only() {
    let world = Scene::new().await;
    let step = world.deploy();
    let roles = FakeTargetRoles::new(world.targets());
    let step = Deploy {
        target_roles: Arc::new(roles.clone()),
        ..step
    };
    let input = DeployInput::Start(StartDeploy {
        run: world.run.clone(),
    });
    step.run(input).await.unwrap();
    let role = samples::enrolled_environment().deploy_role;
    assert_eq!(roles.assumed(), [(role, world.run.clone())]);
}
