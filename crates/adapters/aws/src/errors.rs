//! Maps every AWS error to one of four names, by AWS's error code and the HTTP status. The mapping
//! is the same for all services.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use domain::error::{ErrorName, StepError};
use domain::text;
use std::error::Error;
use std::fmt::Write as _;

/// The longest AWS message that is kept, in characters.
const LIMIT: usize = 600;

const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "KMS.AccessDeniedException",
    "KmsAccessDenied",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

const UNAVAILABLE: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
];

/// Names the error of a call. `call` describes it without secrets or content, such as
/// `PutItem RUN#one/RUN in sluicegate`.
pub(crate) fn named<E>(call: &str, error: &SdkError<E, HttpResponse>) -> StepError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (name, what) = match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or("no error code");
            let message = answer.err().message().unwrap_or("no message");
            (
                name_of(code, status),
                format!("{code}: {message} (HTTP {status})"),
            )
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            (
                ErrorName::AwsUnavailable,
                format!("unreadable answer, HTTP {status}: {}", chain(error)),
            )
        }
        SdkError::TimeoutError(_) => (
            ErrorName::AwsUnavailable,
            format!("no answer in time: {}", chain(error)),
        ),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            (name_of_unsent(error), chain(error))
        }
        _ => (ErrorName::AwsUnavailable, chain(error)),
    };
    let mut message = format!("{call}: ");
    message.push_str(&text::lines(&what, LIMIT));
    if let Some(id) = error.request_id() {
        // Writing to a String cannot fail.
        let _ = write!(message, ", request {id}");
    }
    StepError::new(name, message)
}

/// Names the error of one failed entry in a successful call, such as `PutEvents`.
pub(crate) fn named_part(call: &str, code: &str, message: &str) -> StepError {
    let message = text::lines(message, LIMIT);
    StepError::new(name_of(code, 200), format!("{call}: {code}: {message}"))
}

/// A reply that lacks a documented field.
pub(crate) fn incomplete(call: &str, what: &str) -> StepError {
    let message = format!("{call}: the answer holds no {what}");
    StepError::new(ErrorName::AwsUnavailable, message)
}

/// A request that the SDK refuses to send, since it is incomplete.
pub(crate) fn unbuildable(call: &str, error: &(dyn Error + 'static)) -> StepError {
    StepError::new(ErrorName::AwsRefused, format!("{call}: {}", chain(error)))
}

fn name_of(code: &str, status: u16) -> ErrorName {
    // A code may come with its namespace: `com.amazonaws.ecs#ClientException`.
    let code = code.rsplit('#').next().unwrap_or(code);
    if THROTTLED.contains(&code) || status == 429 {
        ErrorName::AwsThrottled
    } else if DENIED.contains(&code) || matches!(status, 401 | 403) {
        ErrorName::AwsDenied
    } else if UNAVAILABLE.contains(&code) || status >= 500 {
        ErrorName::AwsUnavailable
    } else {
        ErrorName::AwsRefused
    }
}

/// Names an error that occurred before any reply.
fn name_of_unsent(error: &(dyn Error + 'static)) -> ErrorName {
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_)) => {
                return ErrorName::AwsUnavailable;
            }
            Some(_) => return ErrorName::AwsDenied,
            None => next = error.source(),
        }
    }
    ErrorName::AwsUnavailable
}

/// Formats an error with its causes, each once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::{ConnectorError, ErrorMetadata};
    use aws_sdk_dynamodb::operation::put_item::PutItemError;
    use aws_sdk_s3::primitives::SdkBody;
    use std::time::Duration;

    fn answered(code: &str, status: u16) -> StepError {
        let metadata = ErrorMetadata::builder()
            .code(code)
            .message("the message of AWS")
            .build();
        let mut raw = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        raw.headers_mut().insert("x-amzn-requestid", "R1");
        named(
            "PutItem a/b",
            &SdkError::service_error(PutItemError::generic(metadata), raw),
        )
    }

    #[test]
    fn an_answer_is_named_by_its_code_or_status() {
        for (code, status, name) in [
            ("ThrottlingException", 400, ErrorName::AwsThrottled),
            (
                "ProvisionedThroughputExceededException",
                400,
                ErrorName::AwsThrottled,
            ),
            ("SlowDown", 503, ErrorName::AwsThrottled),
            ("Whatever", 429, ErrorName::AwsThrottled),
            ("AccessDeniedException", 400, ErrorName::AwsDenied),
            (
                "com.amazonaws.ecs#AccessDeniedException",
                400,
                ErrorName::AwsDenied,
            ),
            ("ExpiredToken", 400, ErrorName::AwsDenied),
            ("Whatever", 403, ErrorName::AwsDenied),
            ("InternalServerError", 400, ErrorName::AwsUnavailable),
            ("Whatever", 503, ErrorName::AwsUnavailable),
            ("ValidationException", 400, ErrorName::AwsRefused),
            // Too many images in a repository: a retry cannot help.
            ("LimitExceededException", 400, ErrorName::AwsRefused),
        ] {
            assert_eq!(answered(code, status).name, name, "{code} {status}");
        }
    }

    #[test]
    fn the_message_has_call_code_words_and_request() {
        assert_eq!(
            answered("ValidationException", 400).message,
            "PutItem a/b: ValidationException: the message of AWS (HTTP 400), request R1"
        );
    }

    #[test]
    fn what_was_not_answered_is_unavailable() {
        let timeout = SdkError::<PutItemError, HttpResponse>::timeout_error("8 s");
        assert_eq!(named("PutItem", &timeout).name, ErrorName::AwsUnavailable);
        let io = ConnectorError::io("connection refused".into());
        let io = SdkError::<PutItemError, HttpResponse>::dispatch_failure(io);
        let named = named("PutItem", &io);
        assert_eq!(named.name, ErrorName::AwsUnavailable);
        assert!(
            named.message.contains("connection refused"),
            "{}",
            named.message
        );
    }

    #[test]
    fn missing_credentials_are_denied_and_slow_ones_unavailable() {
        let failure = |error: CredentialsError| {
            let error = ConnectorError::other(error.into(), None);
            named(
                "PutItem",
                &SdkError::<PutItemError, HttpResponse>::dispatch_failure(error),
            )
            .name
        };
        assert_eq!(
            failure(CredentialsError::not_loaded("no provider")),
            ErrorName::AwsDenied
        );
        let slow = CredentialsError::provider_timed_out(Duration::from_secs(5));
        assert_eq!(failure(slow), ErrorName::AwsUnavailable);
    }

    #[test]
    fn a_part_is_named_by_its_code() {
        assert_eq!(
            named_part("PutEvents", "InternalFailure", "m").name,
            ErrorName::AwsUnavailable
        );
        assert_eq!(
            named_part("PutEvents", "NotAuthorized", "m").name,
            ErrorName::AwsDenied
        );
    }
}
