//! The error names that a Retry or a Catch may match.

use domain::error::{ErrorClass, ErrorName};
use serde::{Serialize, Serializer};

/// An error name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorMatch {
    /// One that a step raises.
    Step(ErrorName),
    /// One that AWS raises.
    Aws(AwsError),
    /// Raised by the `Fail` of a branch; its cause holds the error that the branch ended with.
    BranchStopped,
}

macro_rules! aws_errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Error names of AWS. An exception that a service's model does not know arrives under its
        /// SDK's base name, so those are listed beside the modelled ones.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are AWS's own")]
        pub enum AwsError { $($(#[$doc])* $name,)* }

        impl AwsError {
            /// The name as Step Functions spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

aws_errors! {
    /// Every error but `States.DataLimitExceeded` and `States.Runtime`.
    All = "States.ALL";
    /// A state's output or an execution's history is too large.
    DataLimitExceeded = "States.DataLimitExceeded";
    /// A Task did not end within its `TimeoutSeconds`.
    Timeout = "States.Timeout";
    LambdaService = "Lambda.ServiceException";
    LambdaAws = "Lambda.AWSLambdaException";
    LambdaSdkClient = "Lambda.SdkClientException";
    LambdaClientExecutionTimeout = "Lambda.ClientExecutionTimeoutException";
    /// No free slot: the concurrency of the account or the function is used up.
    LambdaTooManyRequests = "Lambda.TooManyRequestsException";
    /// The Lambda ended without an answer.
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
    /// The name as Step Functions spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step(name) => name.as_str(),
            Self::Aws(name) => name.as_str(),
            Self::BranchStopped => "BranchStopped",
        }
    }

    /// The errors of steps for which the same call may succeed a moment later.
    #[must_use]
    pub fn transient() -> Vec<Self> {
        let transient = |name: &&ErrorName| name.class() == ErrorClass::Transient;
        let names = ErrorName::ALL.iter().filter(transient);
        names.map(|name| Self::Step(*name)).collect()
    }
}

impl Serialize for ErrorMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
