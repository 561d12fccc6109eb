use aws_lambda_events::event::lambda_function_urls::LambdaFunctionUrlRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{HttpRequest, HttpResponse, Result, UrlStep};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;
use tracing::Instrument as _;

/// Answers one request with the step, or with the reason why there is none. Never fails as a
/// function: the forge shows the reply to the person who looks at the delivery.
pub(crate) async fn answer<S: UrlStep>(
    step: &Result<S>,
    event: LambdaEvent<Value>,
) -> std::result::Result<Value, Diagnostic> {
    let span = tracing::error_span!("request", request_id = event.context.request_id);
    let response = respond(step, event.payload).instrument(span).await;
    Ok(json!({
        "statusCode": response.status,
        "headers": { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
        "body": response.body,
        "isBase64Encoded": false,
    }))
}

async fn respond<S: UrlStep>(step: &Result<S>, payload: Value) -> HttpResponse {
    let since = Instant::now();
    let response = match (step, serde_json::from_value(payload)) {
        (Err(error), _) => {
            tracing::error!(error = error.name.as_str(), "{}", error.message);
            // Operators find the wrong settings in the log.
            text(500, error.name.as_str())
        }
        (Ok(step), Ok(request)) => step.answer(http_request(request)).await,
        (Ok(_), Err(error)) => {
            tracing::warn!(%error, "no request to a function URL");
            text(400, "not a request to a function URL")
        }
    };
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(status = response.status, milliseconds, "answered");
    response
}

fn text(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        body: body.to_owned(),
    }
}

fn http_request(request: LambdaFunctionUrlRequest) -> HttpRequest {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    // A header map has lower-case names.
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(before) => {
                before.push(',');
                before.push_str(&value);
            }
            None => {
                headers.insert(name.as_str().to_owned(), value.into_owned());
            }
        }
    }
    let body = match (request.body, request.is_base64_encoded) {
        (None, _) => Ok(Vec::new()),
        (Some(text), false) => Ok(text.into_bytes()),
        (Some(text), true) => STANDARD
            .decode(text)
            .map_err(|error| format!("the body is not base64: {error}")),
    };
    HttpRequest {
        method: request.request_context.http.method.unwrap_or_default(),
        path: request.raw_path.unwrap_or_default(),
        headers,
        body,
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may panic"
    )]
    use super::*;
    use async_trait::async_trait;
    use domain::error::{ErrorName, StepError};
    use lambda_runtime::Context;

    /// Answers what it was asked.
    struct Mirror;

    #[async_trait]
    impl UrlStep for Mirror {
        async fn answer(&self, request: HttpRequest) -> HttpResponse {
            text(202, &format!("{request:?}"))
        }
        async fn warm(&self) {}
    }

    fn event(body: &str, encoded: bool) -> Value {
        json!({
            "version": "2.0",
            "rawPath": "/hook",
            "rawQueryString": "a=b",
            "headers": { "X-GitHub-Event": "push", "content-type": "application/json" },
            "requestContext": {
                "accountId": "anonymous", "apiId": "id", "domainName": "d", "domainPrefix": "p",
                "http": { "method": "POST", "path": "/hook", "protocol": "HTTP/1.1",
                          "sourceIp": "192.0.2.1", "userAgent": "GitHub-Hookshot" },
                "requestId": "r", "routeKey": "$default", "stage": "$default",
                "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1_773_342_238_000_i64
            },
            "body": body,
            "isBase64Encoded": encoded
        })
    }

    fn read(event: Value) -> HttpRequest {
        http_request(serde_json::from_value(event).unwrap())
    }

    #[test]
    fn a_request_is_read() {
        let request = read(event("{}", false));
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("POST", "/hook")
        );
        assert_eq!(request.headers["x-github-event"], "push");
        assert_eq!(request.body, Ok(b"{}".to_vec()));
    }

    #[test]
    fn the_body_is_decoded_byte_for_byte() {
        assert_eq!(read(event("AP9h", true)).body, Ok(vec![0, 255, b'a']));
        assert!(read(event("%", true)).body.unwrap_err().contains("base64"));
        let mut without = event("", false);
        without.as_object_mut().unwrap().remove("body");
        assert_eq!(read(without).body, Ok(Vec::new()));
    }

    async fn ask(step: Result<Mirror>, payload: Value) -> Value {
        answer(&step, LambdaEvent::new(payload, Context::default()))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn every_request_has_an_answer() {
        assert_eq!(ask(Ok(Mirror), event("{}", false)).await["statusCode"], 202);
        assert_eq!(
            ask(Ok(Mirror), json!({ "action": "start" })).await["statusCode"],
            400
        );
        let bad = StepError::new(ErrorName::SettingsInvalid, "SLUICEGATE_TABLE is not set");
        let answer = ask(Err(bad), event("{}", false)).await;
        assert_eq!(answer["statusCode"], 500);
        assert_eq!(answer["body"], "SettingsInvalid");
    }
}
