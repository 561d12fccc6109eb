//! The environment variables of the Lambdas and jobs. A test compares them with Terraform.

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// Every variable in the list.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

variables! {
    /// The table of runs, environments, deliveries and audit heads.
    TABLE = "SLUICEGATE_TABLE";
    /// The artifacts bucket.
    BUCKET = "SLUICEGATE_BUCKET";
    /// The processor of the images: `arm64` or `x86_64`.
    BUILD_ARCHITECTURE = "SLUICEGATE_BUILD_ARCHITECTURE";
    /// The audit bucket.
    AUDIT_BUCKET = "SLUICEGATE_AUDIT_BUCKET";
    /// The key of the repository whose jobs a job definition runs.
    REPOSITORY = "SLUICEGATE_REPOSITORY";
    /// The name of the environment whose jobs a job definition runs.
    ENVIRONMENT = "SLUICEGATE_ENVIRONMENT";
    /// The bucket of the stacks' Terraform states.
    STATE_BUCKET = "SLUICEGATE_STATE_BUCKET";
    /// The ARN of the state machine.
    STATE_MACHINE_ARN = "SLUICEGATE_STATE_MACHINE_ARN";
    /// The names of the job queues, separated by commas.
    JOB_QUEUES = "SLUICEGATE_JOB_QUEUES";
    /// The URL of the status queue.
    STATUS_QUEUE_URL = "SLUICEGATE_STATUS_QUEUE_URL";
    /// The name of the event bus.
    EVENT_BUS = "SLUICEGATE_EVENT_BUS";
    /// The ARN of the secret that holds the forge's token.
    GIT_SECRET_ARN = "SLUICEGATE_GIT_SECRET_ARN";
    /// The base URL of the forge's API, such as `https://api.github.com`.
    FORGE_URL = "SLUICEGATE_FORGE_URL";
    /// The log level: `error`, `warn`, `info` or `debug`.
    LOG = "SLUICEGATE_LOG";
    /// The path of the Terraform binary, for jobs.
    TERRAFORM = "SLUICEGATE_TERRAFORM";
    /// The directory of the provider mirror, for jobs.
    PROVIDER_MIRROR = "SLUICEGATE_PROVIDER_MIRROR";
}
