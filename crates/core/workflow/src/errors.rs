//! The error names that a Retry or a Catch can match.

use domain::error::{ErrorClass, ErrorName};
use serde::{Serialize, Serializer};

/// The name of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorMatch {
    /// An error that a step raises.
    Step(ErrorName),
    /// An error that AWS raises.
    Aws(AwsError),
    /// The error of a branch's `Fail`. Its cause contains the error that ended the branch.
    BranchStopped,
}

macro_rules! aws_errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Error names of AWS. The SDK raises its base name for an exception that the service's
        /// model does not contain, so the list has those names too.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are AWS's own")]
        pub enum AwsError { $($(#[$doc])* $name,)* }

        impl AwsError {
            /// Returns the name as Step Functions writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

aws_errors! {
    /// Every error except `States.DataLimitExceeded` and `States.Runtime`.
    All = "States.ALL";
    /// A state's output or an execution's history is too large.
    DataLimitExceeded = "States.DataLimitExceeded";
    /// A Task did not end within its `TimeoutSeconds`.
    Timeout = "States.Timeout";
    LambdaService = "Lambda.ServiceException";
    LambdaAws = "Lambda.AWSLambdaException";
    LambdaSdkClient = "Lambda.SdkClientException";
    LambdaClientExecutionTimeout = "Lambda.ClientExecutionTimeoutException";
    /// The concurrency of the account or the function is used up.
    LambdaTooManyRequests = "Lambda.TooManyRequestsException";
    /// The Lambda ended without a response.
    LambdaUnknown = "Lambda.Unknown";
    /// The Lambda reached its own time limit.
    SandboxTimedout = "Sandbox.Timedout";
    /// The Lambda's process exited.
    RuntimeExitError = "Runtime.ExitError";
    BatchServer = "Batch.ServerException";
    BatchTooManyRequests = "Batch.TooManyRequestsException";
    BatchAws = "Batch.AWSBatchException";
    BatchBase = "Batch.BatchException";
    CodeBuildAccountLimitExceeded = "CodeBuild.AccountLimitExceededException";
    CodeBuildThrottling = "CodeBuild.ThrottlingException";
    CodeBuildServiceUnavailable = "CodeBuild.ServiceUnavailableException";
    CodeBuildAws = "CodeBuild.AWSCodeBuildException";
    CodeBuildBase = "CodeBuild.CodeBuildException";
}

impl ErrorMatch {
    /// Returns the name as Step Functions writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step(name) => name.as_str(),
            Self::Aws(name) => name.as_str(),
            Self::BranchStopped => "BranchStopped",
        }
    }

    /// Returns the errors of steps that a retry can help with. `JobEnding` has a retry of its own, in
    /// the states that read a job's result.
    #[must_use]
    pub fn transient() -> Vec<Self> {
        let transient = |name: &&ErrorName| {
            name.class() == ErrorClass::Transient && **name != ErrorName::JobEnding
        };
        let names = ErrorName::ALL.iter().filter(transient);
        names.map(|name| Self::Step(*name)).collect()
    }
}

impl Serialize for ErrorMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
