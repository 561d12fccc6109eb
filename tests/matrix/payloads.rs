//! Checks that each Lambda can parse every payload that the state machine passes to it.

use crate::cloud::Cloud;
use crate::machine;
use domain::step::Action;
use engine::fakes::samples;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use workflow::deliver::deliver;
use workflow::expression::Expression;
use workflow::state::Call;

/// Returns the possible values of an expression, by the expression as it is rendered.
fn values(expression: &str) -> Vec<Value> {
    let error = json!({"Error": "States.TaskFailed", "Cause": "{}"});
    let event = serde_json::to_value(samples::push_event(1)).unwrap();
    let samples = [
        (Expression::Run, vec![json!("shop-01010101-9f8e7d")]),
        (Expression::Error, vec![error.clone()]),
        (Expression::Input, vec![event.clone()]),
        (Expression::InputField("stack"), vec![json!("data")]),
        (
            Expression::InputField("job"),
            vec![json!("plan-data-1-0123456789abcdef0123456789abcdef")],
        ),
        (
            Expression::InputField("error"),
            vec![json!(null), error.clone()],
        ),
        (
            Expression::InputField("failures"),
            vec![
                json!([]),
                json!([{"stack": "data", "verdict": "failed", "error": error}]),
            ],
        ),
        (Expression::TaskToken, vec![json!("AQC=")]),
        (Expression::ExecutionId, vec![json!(samples::EXECUTION)]),
        (Expression::ExecutionInput, vec![event]),
        (
            Expression::StateEnteredTime,
            vec![json!("2026-03-01T12:00:00.123Z")],
        ),
    ];
    samples
        .into_iter()
        .find(|(sample, _)| format!("{{% {sample} %}}") == expression)
        .unwrap_or_else(|| panic!("{expression} is new: give it a sample"))
        .1
}

/// Returns the payloads that a template can produce, each differing from the first in one value.
fn payloads(template: &Value) -> Vec<Value> {
    let mut payloads = vec![template.clone()];
    for (key, value) in template.as_object().unwrap() {
        let Some(expression) = value.as_str().filter(|text| text.starts_with("{%")) else {
            continue;
        };
        let values = values(expression);
        let mut more = Vec::new();
        for payload in &mut payloads {
            for other in values.iter().skip(1) {
                let mut changed = payload.clone();
                changed[key] = other.clone();
                more.push(changed);
            }
            payload[key] = values[0].clone();
        }
        payloads.extend(more);
    }
    payloads
}

#[tokio::test(start_paused = true)]
async fn every_payload_is_one_that_its_lambda_reads() {
    let cloud = Cloud::new(&machine());
    let mut called = BTreeSet::new();
    for (name, task) in deliver().unwrap().tasks() {
        let (Call::Lambda(action) | Call::LambdaWithToken(action)) = task.call else {
            continue;
        };
        called.insert(action);
        let arguments = serde_json::to_value(&task.arguments).unwrap();
        for payload in payloads(&arguments["Payload"]) {
            let read = cloud.lambda(action.step()).reads(payload.clone());
            read.unwrap_or_else(|error| panic!("{name}: {error}: {payload}"));
        }
        let waits = matches!(task.call, Call::LambdaWithToken(_));
        assert_eq!(waits, arguments["Payload"].get("token").is_some(), "{name}");
    }
    assert_eq!(
        called,
        BTreeSet::from(Action::ALL),
        "every action is called"
    );
}
