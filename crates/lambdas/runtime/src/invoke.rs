use domain::error::{ErrorName, StepError};
use domain::text;
use engine::{Result, Step};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use std::time::Instant;
use tracing::Instrument as _;

/// The longest parser message that is kept, in characters: it may quote the input.
const LIMIT: usize = 300;

/// Answers one event with the step, or with the reason why there is none.
pub(crate) async fn invoke<S: Step>(
    step: &Result<S>,
    event: LambdaEvent<Value>,
) -> std::result::Result<S::Output, Diagnostic> {
    let LambdaEvent { payload, context } = event;
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    // At level error: a span below the log level would drop its fields.
    let span = tracing::error_span!(
        "event",
        step = name::<S>(),
        action = text("/action"),
        run = text("/run"),
        delivery = text("/event/delivery"),
        request_id = context.request_id,
    );
    answer(step, payload).instrument(span).await
}

async fn answer<S: Step>(
    step: &Result<S>,
    payload: Value,
) -> std::result::Result<S::Output, Diagnostic> {
    let since = Instant::now();
    let answer = match (step, serde_json::from_value(payload)) {
        (Err(error), _) => Err(error.clone()),
        (Ok(step), Ok(input)) => step.run(input).await,
        (Ok(_), Err(error)) => Err(violation(&error)),
    };
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answer {
        Ok(output) => {
            tracing::info!(milliseconds, "answered");
            Ok(output)
        }
        Err(error) => {
            tracing::error!(
                milliseconds,
                error = error.name.as_str(),
                "{}",
                error.message
            );
            Err(diagnostic(error))
        }
    }
}

fn violation(error: &serde_json::Error) -> StepError {
    let what = text::line(&error.to_string(), LIMIT);
    StepError::new(
        ErrorName::ContractViolation,
        format!("the event is not an input of this function: {what}"),
    )
}

/// Puts the error name, which the state machine matches, into `errorType`.
fn diagnostic(error: StepError) -> Diagnostic {
    Diagnostic {
        error_type: error.name.as_str().to_owned(),
        error_message: error.message,
    }
}

/// Returns the step's name: that of its crate.
fn name<S>() -> &'static str {
    let name = std::any::type_name::<S>();
    name.split("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;
    use async_trait::async_trait;
    use domain::step::RollbackInput;
    use lambda_runtime::Context;
    use serde_json::json;

    /// Returns the run's id, or the error that it holds.
    struct Echo(Option<StepError>);

    #[async_trait]
    impl Step for Echo {
        type Input = domain::step::DeployInput;
        type Output = String;
        async fn run(&self, input: Self::Input) -> Result<String> {
            match (&self.0, input) {
                (Some(error), _) => Err(error.clone()),
                (None, domain::step::DeployInput::Start(input)) => Ok(input.run.to_string()),
                (None, domain::step::DeployInput::Check(_)) => Ok(String::new()),
            }
        }
    }

    async fn ask(
        step: Result<Echo>,
        payload: Value,
    ) -> std::result::Result<String, (String, String)> {
        invoke(&step, LambdaEvent::new(payload, Context::default()))
            .await
            .map_err(|diagnostic| (diagnostic.error_type, diagnostic.error_message))
    }

    #[tokio::test]
    async fn an_input_is_read_and_answered() {
        let answer = ask(
            Ok(Echo(None)),
            json!({ "action": "start", "run": "shop-1" }),
        )
        .await;
        assert_eq!(answer.unwrap(), "shop-1");
    }

    #[tokio::test]
    async fn an_input_of_another_form_is_a_violation() {
        for payload in [
            json!({}),
            json!({ "action": "dance", "run": "shop-1" }),
            json!({ "action": "start", "run": "Shop 1" }),
            json!({ "action": "start", "run": "shop-1", "more": 1 }),
            json!(null),
        ] {
            let (name, message) = ask(Ok(Echo(None)), payload).await.unwrap_err();
            assert_eq!(name, "ContractViolation", "{message}");
        }
    }

    #[tokio::test]
    async fn an_error_goes_out_under_its_name() {
        for name in ErrorName::ALL {
            let error = StepError::new(*name, "what happened");
            let answer = ask(
                Ok(Echo(Some(error))),
                json!({ "action": "start", "run": "shop-1" }),
            );
            let expected = (name.as_str().to_owned(), "what happened".to_owned());
            assert_eq!(answer.await.unwrap_err(), expected);
        }
    }

    #[tokio::test]
    async fn a_function_with_bad_settings_answers_every_event_so() {
        let bad = StepError::new(ErrorName::SettingsInvalid, "SLUICEGATE_TABLE is not set");
        let (name, message) = ask(Err(bad), json!({})).await.unwrap_err();
        assert_eq!(
            (name.as_str(), message.as_str()),
            ("SettingsInvalid", "SLUICEGATE_TABLE is not set")
        );
    }

    #[test]
    fn a_steps_name_is_its_crates() {
        assert_eq!(name::<Echo>(), "runtime");
        assert_eq!(name::<RollbackInput>(), "domain");
    }
}
