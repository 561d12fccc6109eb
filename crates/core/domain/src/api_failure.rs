//! Errors of Terraform that the commit did not cause: an API that it called throttled it, failed or did
//! not respond, or the job's credentials expired.
//!
//! They are recognized by the texts of the AWS provider, the AWS SDK for Go and git. An error that could be
//! the commit's counts as the commit's: a missing permission, an invalid argument, a host name that does
//! not exist, a resource that does not become ready in time.

/// A failure of an API that Terraform called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiFailure {
    /// The API throttled the calls.
    Throttled,
    /// The API responded with a server error.
    ServerError,
    /// The job's credentials expired.
    ExpiredCredentials,
    /// The API could not be reached, or the connection ended.
    Network,
}

/// The error codes for which the AWS SDK waits longer, except `LimitExceededException`, which is also
/// that of a quota.
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
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
    "TransactionInProgressException",
];

/// The error codes of credentials that were valid.
const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "RequestExpired"];

/// The error codes of a service that fails.
const FAILED: &[&str] = &[
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceError",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
];

/// The status codes of a service that fails. 501 is an answer to what the caller asked for.
const SERVER_ERRORS: [u16; 4] = [500, 502, 503, 504];

/// Texts of a missing permission, which is never a failure of the API.
const DENIED: &[&str] = &[
    "AccessDenied",
    "UnauthorizedOperation",
    "is not authorized to perform",
];

/// Texts of a request that got no response, in the AWS SDK for Go 2 and 1.
const NOT_SENT: &[&str] = &["request send failed", "send request failed"];

/// Texts of a module, provider or registry that `init` could not read.
const NOT_FETCHED: &[&str] = &[
    "Failed to download module",
    "Error accessing remote module registry",
    "Failed to query available provider packages",
];

/// Texts of a connection that could not be made in time, or ended.
const CONNECTION: &[&str] = &[
    "Client.Timeout exceeded",
    "Connection reset by peer",
    "Connection timed out",
    "Operation timed out",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "broken pipe",
    "connection refused",
    "connection reset by peer",
    "connection timed out",
    "i/o timeout",
    "network is unreachable",
    "no route to host",
    "server misbehaving",
    "unexpected EOF",
    "\": EOF",
];

/// Texts of a server of modules that fails.
const SERVER_OF_MODULES: &[&str] = &[
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway",
    "returned error: 500",
    "returned error: 502",
    "returned error: 503",
    "returned error: 504",
];

impl ApiFailure {
    /// Returns the failure that the text of an error reports, or none if the commit may have caused the
    /// error.
    #[must_use]
    pub fn of(error: &str) -> Option<Self> {
        // Terraform wraps long lines.
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        let has = |texts: &[&str]| texts.iter().any(|text| error.contains(text));
        if is_denied(&error) {
            return None;
        }
        if has(NOT_SENT) {
            return has(CONNECTION).then_some(Self::Network);
        }
        if has(NOT_FETCHED) {
            return match () {
                () if has(SERVER_OF_MODULES) => Some(Self::ServerError),
                () if has(CONNECTION) => Some(Self::Network),
                () => None,
            };
        }
        if error.contains("failed to get rate limit token, retry quota exceeded") {
            return Some(Self::Throttled);
        }
        let status = status(&error)?;
        let has_code = |codes: &[&str]| codes.iter().any(|code| is_code(&error, code));
        match () {
            () if has_code(EXPIRED) => Some(Self::ExpiredCredentials),
            () if has_code(THROTTLED) || status == 429 => Some(Self::Throttled),
            () if has_code(FAILED) || SERVER_ERRORS.contains(&status) => Some(Self::ServerError),
            () => None,
        }
    }

    /// Returns what a person does next.
    #[must_use]
    pub(crate) fn next_step(self) -> &'static str {
        match self {
            Self::Throttled => {
                "AWS throttled the calls; the commit did not cause this. When fewer jobs run, push an empty commit (`git commit --allow-empty`) to deliver it again."
            }
            Self::ServerError => {
                "The API failed; the commit did not cause this. When it works again (AWS Health Dashboard), push an empty commit (`git commit --allow-empty`) to deliver it again."
            }
            Self::ExpiredCredentials => {
                "The job ran longer than its credentials were valid; the commit did not cause this. Push an empty commit (`git commit --allow-empty`) to deliver it again."
            }
            Self::Network => {
                "The job could not reach the API; the commit did not cause this. Check the network of the jobs if it repeats, and push an empty commit (`git commit --allow-empty`) to deliver it again."
            }
        }
    }
}

/// Returns whether the text of an error reports a missing permission.
#[must_use]
pub fn is_denied(error: &str) -> bool {
    DENIED.iter().any(|text| error.contains(text))
}

/// Returns the status of the response that an error quotes: `https response error StatusCode: 503` or
/// `status code: 503`.
fn status(error: &str) -> Option<u16> {
    let (_, rest) = error
        .split_once("response error StatusCode: ")
        .or_else(|| error.split_once(" status code: "))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns whether an error has this code: as a word, with a colon behind it.
fn is_code(error: &str, code: &str) -> bool {
    error.match_indices(code).any(|(at, _)| {
        let (before, after) = (error.get(..at), error.get(at + code.len()..));
        let starts = before.is_some_and(|text| text.is_empty() || text.ends_with(' '));
        starts && after.is_some_and(|text| text.starts_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of the AWS provider 5, the AWS SDK for Go, Terraform 1.11 and git.
    #[test]
    fn failures_of_an_api_are_recognized() {
        use ApiFailure::{ExpiredCredentials, Network, ServerError, Throttled};
        let cases = [
            (
                Throttled,
                "reading EC2 Instances: operation error EC2: DescribeInstances, exceeded maximum number of attempts, 25, https response error StatusCode: 503, RequestID: 1b, api error RequestLimitExceeded: Request limit exceeded.",
            ),
            (
                Throttled,
                "reading IAM Role (app): operation error IAM: GetRole, https response error StatusCode: 400, RequestID: 1b, api error Throttling: Rate exceeded",
            ),
            (
                Throttled,
                "creating Lambda Function (app): operation error Lambda: CreateFunction, https response error StatusCode: 429, RequestID: 1b, TooManyRequestsException: Rate exceeded",
            ),
            (
                Throttled,
                "Error saving state: failed to upload state: operation error S3: PutObject, https response error StatusCode: 503, RequestID: 1b, HostID: x, api error SlowDown: Please reduce your request rate.",
            ),
            (
                Throttled,
                "creating Route 53 Record: PriorRequestNotComplete: The request was rejected because Route 53 was still processing a prior request.\n\tstatus code: 400, request id: 1b",
            ),
            (
                Throttled,
                "reading SSM Parameter: operation error SSM: GetParameter, failed to get rate limit token, retry quota exceeded, 2 available, 5 requested",
            ),
            (
                ServerError,
                "creating SQS Queue (jobs): operation error SQS: CreateQueue, https response error StatusCode: 500, RequestID: 1b, api error InternalFailure: The request processing has failed because of an unknown error, exception or failure.",
            ),
            (
                ServerError,
                "creating RDS DB Instance (a): operation error RDS: CreateDBInstance, https response error StatusCode: 503, RequestID: 1b, api error ServiceUnavailable: Service is unavailable",
            ),
            (
                ServerError,
                "creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: 500, RequestID: 1b, api error InsufficientInstanceCapacity: We currently do not have sufficient m5.large capacity",
            ),
            (
                ExpiredCredentials,
                "reading S3 Bucket (a): operation error S3: HeadBucket, https response error StatusCode: 400, RequestID: 1b, HostID: x, api error ExpiredToken: The provided token has expired.",
            ),
            (
                ExpiredCredentials,
                "updating SQS Queue: operation error SQS: SetQueueAttributes, https response error StatusCode: 403, RequestID: 1b, api error ExpiredTokenException: The security token included in the request is expired",
            ),
            (
                Network,
                "reading SQS Queue (jobs): operation error SQS: GetQueueAttributes, https response error StatusCode: 0, RequestID: , request send failed, Post \"https://sqs.eu-central-1.amazonaws.com/\": dial tcp 52.119.189.1:443: i/o timeout",
            ),
            (
                Network,
                "creating SQS Queue (jobs): operation error SQS: CreateQueue, https response error StatusCode: 0, RequestID: , request send failed, Post \"https://sqs.eu-central-1.amazonaws.com/\": EOF",
            ),
            (
                Network,
                "reading IAM Role: RequestError: send request failed\ncaused by: Post \"https://iam.amazonaws.com/\": net/http: TLS handshake timeout",
            ),
            (
                Network,
                "Failed to download module: Could not download module \"m\" (main.tf:1) source code from \"git::https://github.com/acme/net.git\": error downloading: /usr/bin/git exited with 128: fatal: unable to access 'https://github.com/acme/net.git/': Failed to connect to github.com port 443 after 130019 ms: Connection timed out",
            ),
            (
                Network,
                "Error accessing remote module registry: Failed to retrieve available versions for module \"label\" (main.tf:1) from registry.terraform.io: failed to request discovery document: Get \"https://registry.terraform.io/.well-known/terraform.json\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting\nheaders).",
            ),
            (
                ServerError,
                "Failed to download module: Could not download module \"m\": /usr/bin/git exited with 128: fatal: unable to access 'https://github.com/acme/net.git/': The requested URL returned error: 503",
            ),
        ];
        for (expected, text) in cases {
            assert_eq!(ApiFailure::of(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_the_commit_may_have_caused_is_not_a_failure_of_an_api() {
        for text in [
            "creating SQS Queue: operation error SQS: CreateQueue, https response error StatusCode: 403, RequestID: 1b, api error AccessDenied: User: arn:aws:sts::1:assumed-role/apply is not authorized to perform: sqs:CreateQueue",
            "reading S3 Bucket: operation error S3: ListBucket, https response error StatusCode: 503, RequestID: 1b, api error AccessDenied: Access Denied",
            "creating SQS Queue: operation error SQS: CreateQueue, https response error StatusCode: 400, RequestID: 1b, api error InvalidParameterValue: Value 5 for parameter DelaySeconds is invalid.",
            "creating Lambda Function: operation error Lambda: CreateFunction, https response error StatusCode: 409, RequestID: 1b, ResourceConflictException: Function already exist: app",
            "creating IAM Role: operation error IAM: CreateRole, https response error StatusCode: 409, RequestID: 1b, LimitExceeded: Cannot exceed quota for RolesPerAccount: 1000",
            "setting S3 Bucket ACL: operation error S3: PutBucketAcl, https response error StatusCode: 501, RequestID: 1b, HostID: x, NotImplemented: A header you provided implies functionality that is not implemented",
            "configuring Terraform AWS Provider: validating provider credentials: retrieving caller identity from STS: operation error STS: GetCallerIdentity, https response error StatusCode: 403, RequestID: 1b, api error InvalidClientTokenId: The security token included in the request is invalid.",
            "reading S3 Bucket: operation error S3: HeadBucket, https response error StatusCode: 0, RequestID: , request send failed, Head \"https://a.s3.eu-zentral-1.amazonaws.com/\": dial tcp: lookup a.s3.eu-zentral-1.amazonaws.com: no such host",
            "waiting for RDS DB Instance (a) create: timeout while waiting for state to become 'available' (last state: 'creating', timeout: 40m0s)",
            "Error connecting to PostgreSQL server db: dial tcp 10.0.0.5:5432: i/o timeout",
            "Resource precondition failed: Throttling: the burst limit must be below 500.",
            "Failed to download module: /usr/bin/git exited with 128: fatal: could not read Username for 'https://github.com': terminal prompts disabled",
            "Error running command 'curl -f http://127.0.0.1:1': exit status 7. Output: curl: (7) connection refused",
            "",
        ] {
            assert_eq!(ApiFailure::of(text), None, "{text}");
        }
    }
}
