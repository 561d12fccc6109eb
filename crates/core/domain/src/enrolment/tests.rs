#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]
use super::*;

/// As `terraform/modules/repository` writes it.
pub(super) const RECORD: &str = r#"{
  "schema": 1,
  "key": "github-42",
  "full_name": "acme/shop",
  "clone_url": "https://github.com/acme/shop.git",
  "webhook_secret": "sluicegate/webhook/github-42",
  "image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/sluicegate/acme/shop",
  "projects": {"test": "sluicegate-github-42-test", "image": "sluicegate-github-42-image"},
  "environments": [{
    "name": "production",
    "branches": ["main"],
    "account": "111122223333",
    "region": "eu-central-1",
    "approval": "on-destroy",
    "protect": ["aws_lb"],
    "approvers": [
      {"principal": "arn:aws:iam::111122223333:role/people/approvers", "session": "mona", "login": "mona"}
    ],
    "self_approval": "refused",
    "operators": [{"principal": "arn:aws:iam::111122223333:user/nightwatch", "session": null, "login": null}],
    "jobs": {
      "plan": "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-github-42-production-plan:3",
      "apply": "arn:aws:batch:eu-central-1:111122223333:job-definition/sluicegate-github-42-production-apply:3"
    },
    "deploy_role": "arn:aws:iam::111122223333:role/sluicegate-deploy-github-42-production",
    "services": ["shop-*/shop"],
    "task_roles": ["arn:aws:iam::111122223333:role/shop-*"],
    "required_boundary": "arn:aws:iam::111122223333:policy/delivery-boundary"
  }]
}"#;

fn record() -> EnrolledRepository {
    serde_json::from_str(RECORD).unwrap()
}

#[test]
fn a_branch_belongs_to_the_environment_that_the_enrolment_says() {
    let branch = |name: &str| BranchRef::parse(&format!("refs/heads/{name}")).unwrap();
    let record = record();
    let found = record.environment_of(&branch("main")).unwrap();
    assert_eq!(found.name.as_str(), "production");
    assert_eq!(record.environment_of(&branch("main2")), None);
    let watched: Vec<_> = record.watched().collect();
    assert_eq!(watched, [branch("main")]);
}

#[test]
fn only_its_own_services_and_task_roles_are_reached() {
    let environment = &record().environments[0];
    for (cluster, service, allowed) in [
        ("shop-production", "shop", true),
        (
            "arn:aws:ecs:eu-central-1:111122223333:cluster/shop-production",
            "shop",
            true,
        ),
        ("shop-production", "billing", false),
        ("billing-production", "shop", false),
        ("shop-production/x", "billing", false),
    ] {
        assert_eq!(
            environment.may_roll_out(cluster, service),
            allowed,
            "{cluster}/{service}"
        );
    }
    assert!(environment.may_use("arn:aws:iam::111122223333:role/shop-task"));
    assert!(!environment.may_use("arn:aws:iam::111122223333:role/billing-task"));
    assert!(!environment.may_use("arn:aws:iam::444455556666:role/shop-task"));
}

#[test]
fn a_caller_is_known_by_account_and_name() {
    let environment = &record().environments[0];
    let is = |person: &Person, arn: &str| Caller::parse(arn).is_ok_and(|caller| person.is(&caller));
    let approver = &environment.approvers[0];
    assert!(is(
        approver,
        "arn:aws:sts::111122223333:assumed-role/approvers/mona"
    ));
    for other in [
        "arn:aws:sts::111122223333:assumed-role/approvers/lisa",
        "arn:aws:sts::444455556666:assumed-role/approvers/mona",
        "arn:aws:sts::111122223333:assumed-role/mona/approvers",
        "arn:aws:iam::111122223333:role/approvers",
        "arn:aws:iam::111122223333:user/approvers",
        "arn:aws:iam::111122223333:root",
        "",
    ] {
        assert!(!is(approver, other), "{other}");
    }
    let operator = &environment.operators[0];
    assert!(is(operator, "arn:aws:iam::111122223333:user/nightwatch"));
    assert!(is(
        operator,
        "arn:aws:iam::111122223333:user/night/nightwatch"
    ));
    let session = "arn:aws:sts::111122223333:assumed-role/nightwatch/nightwatch";
    assert!(!is(operator, session));
}

#[test]
fn the_texts_of_errors() {
    let (key, name) = (
        RepositoryKey::github(42),
        RepositoryName::parse("acme/shop").unwrap(),
    );
    let errors = [
        EnrolmentError::NotEnrolled {
            key,
            name: name.clone(),
        },
        EnrolmentError::OtherName {
            key,
            name: name.clone(),
            enrolled: RepositoryName::parse("acme/store").unwrap(),
        },
        EnrolmentError::NotWatched {
            name: name.clone(),
            branch: BranchRef::parse("refs/heads/topic").unwrap(),
            watched: vec!["main".into(), "develop".into()],
        },
        EnrolmentError::NoEnvironment {
            run: RunId::parse("shop-1a2b3c4d-9f8e7d").unwrap(),
            name: name.clone(),
            environment: EnvironmentName::parse("production").unwrap(),
        },
        EnrolmentError::OtherSchema {
            key,
            name,
            found: 2,
        },
    ];
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {error}", error.name()))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
