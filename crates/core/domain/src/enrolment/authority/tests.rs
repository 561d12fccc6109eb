#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
use super::*;
use crate::enrolment::{EnrolledRepository, Person};

const ALICE: &str = "arn:aws:sts::111122223333:assumed-role/approvers/alice";

/// The environment of the sample record, whose approver Mona has the login `mona`, and whose operator
/// is the user `nightwatch`.
fn environment() -> EnrolledEnvironment {
    let record = crate::enrolment::tests::RECORD;
    let repository: EnrolledRepository = serde_json::from_str(record).unwrap();
    repository.environments.into_iter().next().unwrap()
}

fn person(session: Option<&str>, login: Option<&str>) -> Person {
    let (session, login) = (session.map(str::to_owned), login.map(str::to_owned));
    Person {
        session,
        login,
        ..environment().approvers.remove(0)
    }
}

fn of(approvers: Vec<Person>) -> EnrolledEnvironment {
    EnrolledEnvironment {
        approvers,
        ..environment()
    }
}

fn caller(arn: &str) -> Caller {
    Caller::parse(arn).unwrap()
}

fn approves(environment: &EnrolledEnvironment, pusher: Option<&str>) -> Result<(), NotAllowed> {
    environment.authorise(&caller(ALICE), OperatorAction::Approve, pusher)
}

#[test]
fn an_approver_approves_and_an_operator_operates() {
    let mona = caller("arn:aws:sts::111122223333:assumed-role/approvers/mona");
    let watch = caller("arn:aws:iam::111122223333:user/nightwatch");
    for action in OperatorAction::ALL {
        let approval = matches!(action, OperatorAction::Approve | OperatorAction::Reject);
        let allowed = |who| {
            environment()
                .authorise(who, action, Some("octocat"))
                .is_ok()
        };
        assert_eq!(allowed(&mona), approval, "{action}");
        assert_eq!(allowed(&watch), !approval, "{action}");
    }
}

#[test]
fn a_name_in_another_account_or_of_another_kind_is_someone_else() {
    let environment = of(vec![person(None, Some("alice"))]);
    assert_eq!(approves(&environment, Some("octocat")), Ok(()));
    for arn in [
        "arn:aws:sts::444455556666:assumed-role/approvers/alice",
        "arn:aws:iam::111122223333:user/approvers",
        "arn:aws:sts::111122223333:assumed-role/alice/approvers",
    ] {
        let answer = environment.authorise(&caller(arn), OperatorAction::Approve, Some("octocat"));
        assert!(
            matches!(answer, Err(NotAllowed::NotApprover { .. })),
            "{arn}"
        );
    }
}

#[test]
fn the_pusher_rejects_but_does_not_approve() {
    let environment = of(vec![person(Some("alice"), Some("alice"))]);
    let refused = approves(&environment, Some("Alice"));
    assert!(
        matches!(refused, Err(NotAllowed::Pusher { .. })),
        "{refused:?}"
    );
    let rejects = environment.authorise(&caller(ALICE), OperatorAction::Reject, Some("alice"));
    assert_eq!(rejects, Ok(()));
}

/// A role that is named for every session, and a session of it with a login.
#[test]
fn every_entry_that_names_the_caller_counts() {
    let whole = person(None, None);
    let environment = of(vec![whole.clone(), person(Some("alice"), Some("alice"))]);
    assert_eq!(approves(&environment, Some("octocat")), Ok(()));
    assert!(approves(&environment, Some("alice")).is_err());
    let refused = approves(&of(vec![whole]), Some("octocat"));
    assert!(
        matches!(refused, Err(NotAllowed::NoLogin { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_unknown_pusher_may_be_any_approver() {
    let mut environment = of(vec![person(None, Some("alice"))]);
    let refused = approves(&environment, None);
    assert!(
        matches!(refused, Err(NotAllowed::PusherUnknown { .. })),
        "{refused:?}"
    );
    environment.self_approval = SelfApproval::Allowed;
    assert_eq!(approves(&environment, None), Ok(()));
    environment.approvers = vec![person(None, None)];
    assert_eq!(approves(&environment, Some("alice")), Ok(()));
    environment.approvers.clear();
    assert!(approves(&environment, Some("octocat")).is_err());
}

#[test]
fn every_refusal_says_who_and_why() {
    let name = environment().name;
    let login = "alice".to_owned();
    let refusals = [
        NotAllowed::NotApprover {
            caller: Box::new(caller(ALICE)),
            action: OperatorAction::Reject,
            environment: name.clone(),
        },
        NotAllowed::NotOperator {
            caller: Box::new(caller(ALICE)),
            action: OperatorAction::Cancel,
            environment: name.clone(),
        },
        NotAllowed::Pusher {
            caller: Box::new(caller(ALICE)),
            login,
            environment: name.clone(),
        },
        NotAllowed::NoLogin {
            caller: Box::new(caller(ALICE)),
            environment: name.clone(),
        },
        NotAllowed::PusherUnknown { environment: name },
    ];
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"));
}
