use super::{REGION, Stage, eventually, make_queue, stage};
use aws::{Clients, ExecutionState};
use domain::error::ErrorName;
use domain::ids::RunId;
use engine::{Executions as _, Started, TokenState, Tokens as _};

async fn machine(stage: &Stage, definition: &str) -> String {
    let answer = aws_sdk_sfn::Client::new(&stage.config)
        .create_state_machine()
        .name(&stage.name)
        .definition(definition)
        .role_arn("arn:aws:iam::000000000000:role/test")
        .send()
        .await
        .unwrap();
    answer.state_machine_arn
}

async fn start(stage: &Stage, machine: &str, name: &str, input: &str) -> String {
    let answer = aws_sdk_sfn::Client::new(&stage.config)
        .start_execution()
        .state_machine_arn(machine)
        .name(name)
        .input(input)
        .send()
        .await
        .unwrap();
    answer.execution_arn
}

#[tokio::test]
async fn a_wait_is_answered_once() {
    let stage = stage("token").await;
    let url = make_queue(&stage).await;
    let definition = serde_json::json!({
        "QueryLanguage": "JSONata",
        "StartAt": "Ask",
        "States": { "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {
                "QueueUrl": url,
                "MessageGroupId": "{% $states.context.Execution.Name %}",
                "MessageDeduplicationId": "{% $states.context.Execution.Name %}",
                "MessageBody": "{% $states.context.Task.Token %}"
            },
            "End": true
        } }
    });
    let machine = machine(&stage, &definition.to_string()).await;
    let executions = aws::Executions::new(&stage.clients, &machine);
    let reader = aws::QueueReader::new(&stage.clients, &url);
    let waiting = async |name: &str| {
        let arn = start(&stage, &machine, name, "{}").await;
        let token = eventually(async || {
            let messages = reader.receive(1).await.unwrap();
            messages.into_iter().next().map(|message| message.body)
        })
        .await;
        (arn, token)
    };
    let ended = async |arn: &str| {
        eventually(async || {
            let found = executions.describe(arn).await.unwrap().unwrap();
            (found.state != ExecutionState::Running).then_some(found)
        })
        .await
    };
    let tokens = aws::TaskTokens::new(&stage.clients);
    let (open, closed) = (Ok(TokenState::Open), Ok(TokenState::Closed));

    let (arn, token) = waiting("succeeds").await;
    let found = executions.describe(&arn).await.unwrap().unwrap();
    assert_eq!(found.state, ExecutionState::Running);
    let output = r#"{"verdict":"held"}"#;
    assert_eq!(tokens.succeed(&token, output).await, open);
    assert_eq!(tokens.succeed(&token, output).await, closed);
    assert_eq!(tokens.succeed("no token", output).await, closed);
    let succeeded = ended(&arn).await;
    assert_eq!(succeeded.state, ExecutionState::Succeeded);
    assert!(succeeded.output.unwrap().contains("held"));
    assert!(succeeded.stopped_at.unwrap() >= succeeded.started_at);

    let (arn, token) = waiting("fails").await;
    let fail = async |token| {
        let cause = "environment production is frozen";
        tokens
            .fail(token, ErrorName::EnvironmentFrozen, cause)
            .await
    };
    assert_eq!(fail(&token).await, open);
    assert_eq!(fail(&token).await, closed);
    assert_eq!(fail("no token").await, closed);
    let failed = ended(&arn).await;
    assert_eq!(failed.state, ExecutionState::Failed);
    assert_eq!(failed.error.as_deref(), Some("EnvironmentFrozen"));
    assert!(failed.cause.unwrap().contains("is frozen"));
}

#[tokio::test]
async fn a_stopped_execution_is_described() {
    let stage = stage("stop").await;
    let definition = r#"{"QueryLanguage":"JSONata","StartAt":"W","States":{
        "W":{"Type":"Wait","Seconds":60,"End":true}}}"#;
    let machine = machine(&stage, definition).await;
    let executions = aws::Executions::new(&stage.clients, &machine);
    let arn = start(&stage, &machine, "one", r#"{"a":1}"#).await;
    aws_sdk_sfn::Client::new(&stage.config)
        .stop_execution()
        .execution_arn(&arn)
        .error("Cancelled")
        .cause("by a person")
        .send()
        .await
        .unwrap();
    let ended = eventually(async || {
        let found = executions.describe(&arn).await.unwrap().unwrap();
        (found.state != ExecutionState::Running).then_some(found)
    })
    .await;
    assert_eq!(ended.state, ExecutionState::Aborted);
    assert_eq!(ended.error.as_deref(), Some("Cancelled"));
    assert_eq!(ended.input, r#"{"a":1}"#);
    let other = format!("{arn}-other");
    assert_eq!(executions.describe(&other).await, Ok(None));
}

#[tokio::test]
async fn a_name_starts_one_execution() {
    let stage = stage("start").await;
    let definition = r#"{"QueryLanguage":"JSONata","StartAt":"W","States":{
        "W":{"Type":"Wait","Seconds":60,"End":true}}}"#;
    let machine = machine(&stage, definition).await;
    let executions = aws::Executions::new(&stage.clients, &machine);
    let run = RunId::parse("shop-0a1b2c3d-4e5f6a").unwrap();
    assert_eq!(executions.start(&run, r#"{"a":1}"#).await, Ok(Started::Yes));
    assert_eq!(executions.start(&run, r#"{"a":1}"#).await, Ok(Started::Yes));
    let other_input = executions.start(&run, r#"{"a":2}"#).await;
    assert_eq!(other_input, Ok(Started::Already));

    let client = aws_sdk_sfn::Client::new(&stage.config);
    let listed = client
        .list_executions()
        .state_machine_arn(&machine)
        .send()
        .await
        .unwrap();
    let [execution] = &listed.executions[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(execution.name, run.as_str());
    let arn = &execution.execution_arn;
    let found = executions.describe(arn).await.unwrap().unwrap();
    assert_eq!(found.input, r#"{"a":1}"#);

    client
        .stop_execution()
        .execution_arn(arn)
        .send()
        .await
        .unwrap();
    let ended = executions.start(&run, r#"{"a":1}"#).await;
    assert_eq!(ended, Ok(Started::Already));

    let gone = aws::Executions::new(&stage.clients, &format!("{machine}-gone"));
    let error = gone.start(&run, "{}").await.unwrap_err();
    assert_eq!(error.name, ErrorName::AwsRefused);
    assert!(
        error.message.contains("StateMachineDoesNotExist"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_does_not_respond_is_unavailable() {
    let clients = Clients::of_emulator("http://127.0.0.1:1", REGION).await;
    let error = aws::TaskTokens::new(&clients)
        .succeed("token", "{}")
        .await
        .unwrap_err();
    assert_eq!(error.name, ErrorName::AwsUnavailable);
    assert!(error.message.contains("refused"), "{error}");
}
