#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may stop at once"
)]
use super::*;
use crate::plan::{Action, Origin, OutputsChange, ServiceChange, ServiceField};
use proptest::prelude::*;

fn change(address: &str, actions: &str, more: &str) -> String {
    format!(
        r#"{{"address":"{address}","type":"terraform_data","change":{{"actions":{actions},
        "after":{{"input":"canary"}}}}{more}}}"#
    )
}

fn imported(address: &str, actions: &str) -> String {
    let importing = r#""change":{"importing":{"id":"canary"},"#;
    change(address, actions, "").replace(r#""change":{"#, importing)
}

/// Parses a plan, and compares what a verdict is computed from.
fn parse(json: &[u8]) -> Result<ShownPlan, NotJudged> {
    let shown = ShownPlan::parse(json);
    let summary = shown.as_ref().map(|shown| shown.summary.clone());
    assert_eq!(PlanSummary::parse(json), summary.map_err(Clone::clone));
    shown
}

fn plan(changes: &[String]) -> Result<ShownPlan, NotJudged> {
    parse(
        format!(
            r#"{{"format_version":"1.2","terraform_version":"1.11.4","resource_changes":[{}],
            "resource_drift":[{}],"output_changes":{{"o":{{"actions":["no-op"]}}}},
            "prior_state":{{"values":{{"outputs":{{"o":{{"sensitive":true,"type":"string",
            "value":"canary"}}}}}}}}}}"#,
            changes.join(","),
            change("t.drifted", r#"["update"]"#, ""),
        )
        .as_bytes(),
    )
}

#[test]
fn each_set_of_actions_is_one_word() {
    let tainted = r#","action_reason":"replace_because_tainted""#;
    let shown = plan(&[
        change("t.a", r#"["create"]"#, ""),
        change("t.b", r#"["no-op"]"#, ""),
        change("t.c", r#"["no-op"]"#, r#","previous_address":"t.x""#),
        change("t.d", r#"["delete","create"]"#, tainted),
        change("t.e", r#"["create","delete"]"#, ""),
        change("t.f", r#"["delete"]"#, ""),
        change("t.g", r#"["forget"]"#, ""),
        change("data.t.h", r#"["read"]"#, ""),
        change("t.i", r#"["update"]"#, r#","previous_address":"t.y""#),
        change("t.j", r#"["delete"]"#, r#","deposed":"a1b2c3d4""#),
        imported("t.k", r#"["no-op"]"#),
        imported("t.l", r#"["update"]"#),
        change("t.m", r#"["create","forget"]"#, ""),
    ])
    .unwrap();
    let words: Vec<_> = shown
        .summary
        .changes
        .iter()
        .map(|c| (c.address.as_str(), c.origin.clone(), c.action))
        .collect();
    let moved = |from: &str| Some(Origin::Moved { from: from.into() });
    assert_eq!(
        words,
        [
            ("t.a", None, Action::Create),
            ("t.c", moved("t.x"), Action::Keep),
            ("t.d", None, Action::Replace),
            ("t.e", None, Action::Replace),
            ("t.f", None, Action::Delete),
            ("t.g", None, Action::Forget),
            ("t.i", moved("t.y"), Action::Update),
            ("t.j", None, Action::DeleteDeposed),
            ("t.k", Some(Origin::Imported), Action::Keep),
            ("t.l", Some(Origin::Imported), Action::Update),
            ("t.m", None, Action::Replace),
        ]
    );
    assert_eq!(shown.summary.tainted, ["t.d"]);
    assert_eq!(shown.summary.outputs_change, OutputsChange::None);
    assert_eq!(shown.prior_outputs["o"].value.json(), "\"canary\"");
    assert!(
        !format!("{shown:?}").contains("canary"),
        "no value is shown"
    );
}

#[test]
fn the_resources_of_every_module_are_counted() {
    let json = br#"{"format_version":"1.2","prior_state":{"values":{"root_module":{
        "resources":[{"mode":"managed"},{"mode":"data"}],"child_modules":[
        {"resources":[{"mode":"managed"}],"child_modules":[{"resources":[{"mode":"managed"}]}]},
        {}]}}}}"#;
    assert_eq!(parse(json).unwrap().summary.resources, 3);
    assert_eq!(plan(&[]).unwrap().summary.resources, 0);
}

/// A plan with one service, which the output `service` names.
fn service(actions: &str, before: &str, after: &str, output: &str) -> Vec<ServiceChange> {
    let json = format!(
        r#"{{"format_version":"1.2","resource_changes":[{{"address":"aws_ecs_service.web",
        "type":"aws_ecs_service","change":{{"actions":{actions},"before":{before},
        "after":{after}}}}},{{"address":"t.x","type":"t","change":{{"actions":["update"],
        "before":{{"name":["a"],"desired_count":{{}}}},"after":{{"name":1}}}}}}],
        "prior_state":{{"values":{{"outputs":{{"service":{output}}}}}}}}}"#
    );
    parse(json.as_bytes()).unwrap().summary.services
}

#[test]
fn a_change_of_what_a_deployment_sets_is_found_by_the_name_of_the_service() {
    use ServiceField::{DesiredCount, TaskDefinition};
    let before = r#"{"name":"shop","id":"arn:shop","task_definition":"arn:td:7","desired_count":5,"tags":{}}"#;
    let output = r#"{"value":"shop","type":"string"}"#;
    let changed = |fields: &[ServiceField]| {
        let (address, fields) = ("aws_ecs_service.web".to_owned(), fields.to_vec());
        vec![ServiceChange { address, fields }]
    };
    let update = r#"["update"]"#;
    let both = before.replace(":7", ":1").replace("5", "0");
    assert_eq!(
        service(update, before, &both, output),
        changed(&[TaskDefinition, DesiredCount])
    );
    // Known after the apply, and named by its ARN.
    let unknown = before.replace(r#""task_definition":"arn:td:7","#, "");
    let arn = output.replace("shop", "arn:shop");
    assert_eq!(
        service(update, before, &unknown, &arn),
        changed(&[TaskDefinition])
    );
    // Another value, another service, or another service object.
    let tags = before.replace("{}", r#"{"a":"b"}"#);
    assert_eq!(service(update, before, &tags, output), []);
    let other = output.replace("shop", "jobs");
    assert_eq!(service(update, before, &both, &other), []);
    assert_eq!(service(r#"["delete","create"]"#, before, &both, output), []);
    assert_eq!(service(r#"["create"]"#, "null", &both, output), []);
}

#[test]
fn an_unknown_action_or_format_is_refused() {
    assert!(plan(&[change("t.a", r#"["explode"]"#, "")]).is_err());
    let error = ShownPlan::parse(br#"{"format_version":"2.0"}"#).unwrap_err();
    assert!(
        error.to_string().contains("\"2.0\", expected 1.x"),
        "{error}"
    );
}

/// The position of an error is enough, and its text would quote the value.
#[test]
fn an_error_quotes_no_value() {
    let changes = [r#"{"address":"t.a","change":{"actions":"canary"}}"#.to_owned()];
    let error = plan(&changes).unwrap_err();
    assert!(matches!(error, NotJudged::OtherForm { line: 1, .. }));
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn a_plan_that_is_too_large_is_not_read() {
    let mut json = br#"{"format_version":"1.2"}"#.to_vec();
    json.resize(MAX_PLAN_JSON, b' ');
    assert!(ShownPlan::parse(&json).is_ok());
    json.push(b' ');
    assert_eq!(ShownPlan::parse(&json), Err(NotJudged::TooLarge));
}

#[test]
fn every_error_says_what_was_expected() {
    let errors = [
        NotJudged::TooLarge,
        NotJudged::OtherForm { line: 1, column: 7 },
        NotJudged::OtherFormat {
            found: "2.0".into(),
        },
        NotJudged::UnknownActions {
            address: "aws_sqs_queue.a".into(),
            actions: vec!["explode".into()],
        },
    ];
    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));
}

proptest! {
    #[test]
    fn any_bytes_give_an_error_or_a_plan(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _result = ShownPlan::parse(&bytes);
    }
}
