//! What the state machine passes to the steps, and the words that it branches on.

use crate::{after, deliver};
use domain::environment::LockWord;
use domain::plan::Verdict;
use domain::run::Turn;
use domain::step::{
    ApplyInput, ApplyWord, BuildTriggerInput, BuildTriggerOutput, ClaimWord, DeployInput,
    DeployWord, NextOutput, PlanInput, RecordInput, RecordWord, RollbackInput, ValidateInput,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::asl::{Resource, State};

fn event() -> Value {
    json!({
        "schema": 1, "kind": "push", "delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "repository": {"id": 42, "full_name": "acme/shop"}, "ref": "refs/heads/main",
        "before": null, "after": "01".repeat(20), "pushed_at": null, "pusher": "octocat",
        "received_at": "2026-03-01T12:00:00Z"
    })
}

/// Every expression that a payload may hold, with the values that it may have.
fn samples() -> BTreeMap<&'static str, Vec<Value>> {
    let error = json!({"Error": "States.TaskFailed", "Cause": "{}"});
    let seal = "0123456789abcdef0123456789abcdef";
    BTreeMap::from([
        ("$run", vec![json!("shop-01010101-9f8e7d")]),
        ("$error", vec![error.clone()]),
        ("$states.input", vec![event()]),
        ("$states.input.stack", vec![json!("data")]),
        (
            "$states.input.job",
            vec![json!(format!("plan-data-1-{seal}"))],
        ),
        ("$states.input.error", vec![json!(null), error.clone()]),
        ("$states.input.failures", vec![json!([]), json!([error])]),
        ("$states.context.Task.Token", vec![json!("AQC=")]),
        (
            "$states.context.Execution.Id",
            vec![json!("arn:aws:states:eu-central-1:1:execution:a:b")],
        ),
        ("$states.context.Execution.Input", vec![event()]),
        (
            "$states.context.State.EnteredTime",
            vec![json!("2026-03-01T12:00:00.123Z")],
        ),
    ])
}

/// An expression without its braces; none for text that stands for itself.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("{% ")?.strip_suffix(" %}")
}

/// The payloads that a template can become: each expression's first value, and each of its
/// others in turn.
fn payloads(state: &str, template: &Value) -> Vec<Value> {
    let samples = samples();
    let template = template.as_object().unwrap();
    let values = |value: &Value| -> Vec<Value> {
        match value.as_str().and_then(expression) {
            Some(expression) => {
                let mut values = samples
                    .get(expression)
                    .unwrap_or_else(|| panic!("{state}: {expression} is new: give it a sample"))
                    .clone();
                // Nothing failed on the way to a good end.
                if expression == "$error" && state == "Record" {
                    values.push(Value::Null);
                }
                values
            }
            None => vec![value.clone()],
        }
    };
    let first: serde_json::Map<String, Value> = template
        .iter()
        .map(|(key, value)| (key.clone(), values(value)[0].clone()))
        .collect();
    let mut all = vec![Value::Object(first.clone())];
    for (key, value) in template {
        for other in values(value).into_iter().skip(1) {
            let mut payload = first.clone();
            payload.insert(key.clone(), other);
            all.push(Value::Object(payload));
        }
    }
    all
}

fn accepts(function: &str, payload: Value) -> serde_json::Result<()> {
    fn read<T: serde::de::DeserializeOwned>(payload: Value) -> serde_json::Result<()> {
        serde_json::from_value::<T>(payload).map(|_| ())
    }
    match function {
        "validate" => read::<ValidateInput>(payload),
        "build_trigger" => read::<BuildTriggerInput>(payload),
        "plan" => read::<PlanInput>(payload),
        "apply" => read::<ApplyInput>(payload),
        "deploy" => read::<DeployInput>(payload),
        "rollback" => read::<RollbackInput>(payload),
        "record" => read::<RecordInput>(payload),
        other => panic!("{other} is no step"),
    }
}

#[test]
fn every_payload_is_what_its_step_takes() {
    let mut actions = BTreeSet::new();
    for (name, task) in deliver().tasks() {
        if !task.resource.is_lambda() {
            continue;
        }
        let function = task.function().expect("a placeholder names the Lambda");
        actions.insert(format!("{function} {}", task.action().unwrap_or_default()));
        for payload in payloads(&name, &task.arguments["Payload"]) {
            accepts(function, payload.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}: {payload}"));
        }
        let has_token = task.arguments["Payload"].get("token").is_some();
        assert_eq!(
            task.resource == Resource::LambdaWithToken,
            has_token,
            "{name}"
        );
    }
    // Every action of every step, so that none is left without a state.
    let all = [
        "apply finish",
        "apply start",
        "build_trigger decide",
        "build_trigger finish",
        "deploy check",
        "deploy start",
        "plan acquire",
        "plan judge",
        "plan next",
        "plan request-approval",
        "record promote",
        "record record",
        "rollback decide",
        "validate claim",
    ];
    assert_eq!(actions.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn a_job_is_told_its_verb_run_and_id_and_nothing_else() {
    for (name, task) in deliver().tasks() {
        if task.resource != Resource::Batch {
            continue;
        }
        let verb = if name == "RunApply" { "apply" } else { "plan" };
        let expected = json!({
            "JobName": "{% $states.input.job %}",
            "JobQueue": format!("${{{verb}_queue_arn}}"),
            "JobDefinition": format!("${{{verb}_job_definition_arn}}"),
            "ContainerOverrides": {
                "Command": [verb, "--run", "{% $run %}", "--job", "{% $states.input.job %}"]
            }
        });
        assert_eq!(task.arguments, expected, "{name}");
    }
}

fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value).unwrap() {
        Value::String(word) => word,
        Value::Object(fields) => fields["verdict"].as_str().unwrap().to_owned(),
        other => panic!("{other} is no word"),
    }
}

/// The words of every verdict, in the step's order.
fn words() -> BTreeSet<String> {
    let build = BuildTriggerOutput::Build {
        source: String::new(),
        environment: Vec::new(),
    };
    [
        [ClaimWord::Accepted, ClaimWord::Duplicate]
            .map(word)
            .to_vec(),
        [build, BuildTriggerOutput::Ready, BuildTriggerOutput::None]
            .map(word)
            .to_vec(),
        [
            LockWord::Held,
            LockWord::Superseded,
            LockWord::Frozen,
            LockWord::Bad,
        ]
        .map(word)
        .to_vec(),
        [NextOutput::Plan { jobs: Vec::new() }, NextOutput::Done]
            .map(word)
            .to_vec(),
        [
            Verdict::NoChanges,
            Verdict::Auto,
            Verdict::NeedsApproval,
            Verdict::Refused,
        ]
        .map(word)
        .to_vec(),
        [ApplyWord::Applied, ApplyWord::Stale].map(word).to_vec(),
        [
            DeployWord::None,
            DeployWord::InProgress,
            DeployWord::Healthy,
        ]
        .map(word)
        .to_vec(),
        [Turn::Record, Turn::Restore].map(word).to_vec(),
        [RecordWord::Succeeded, RecordWord::Failed]
            .map(word)
            .to_vec(),
    ]
    .concat()
    .into_iter()
    .collect()
}

#[test]
fn branches_compare_words_of_the_contract_and_nothing_else() {
    let words = words();
    deliver().each(|placed| {
        let State::Choice(choice) = placed.state else {
            return;
        };
        for rule in &choice.choices {
            let condition = expression(&rule.condition).unwrap();
            let quoted = after(condition, "'", |c| c != '\'');
            let word = quoted[0];
            let plain = format!("$states.input.verdict = '{word}'");
            // A stack that failed is sorted out by the state machine's own word.
            let any = "'failed' in $states.input.plans.verdict";
            assert!(
                condition == any || (condition == plain && words.contains(word)),
                "{}: {condition}",
                placed.name
            );
        }
    });
}

/// The word for a stack that failed must not be one that a step answers.
#[test]
fn the_word_for_a_failed_stack_is_the_machines_own() {
    let of_steps = [
        [
            Verdict::NoChanges,
            Verdict::Auto,
            Verdict::NeedsApproval,
            Verdict::Refused,
        ]
        .map(word)
        .to_vec(),
        [ApplyWord::Applied, ApplyWord::Stale].map(word).to_vec(),
    ]
    .concat();
    assert!(!of_steps.contains(&"failed".to_owned()));
}
