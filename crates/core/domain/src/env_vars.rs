//! The environment variables of the Lambdas and jobs. A test compares them with Terraform.

macro_rules! variables {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// Every variable of the list.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

variables! {
    /// The table of runs, environments, deliveries and the audit's head.
    TABLE = "SLUICEGATE_TABLE";
    /// The artifacts bucket.
    BUCKET = "SLUICEGATE_BUCKET";
    /// The audit bucket.
    AUDIT_BUCKET = "SLUICEGATE_AUDIT_BUCKET";
    /// The bucket of the delivered stacks' states.
    STATE_BUCKET = "SLUICEGATE_STATE_BUCKET";
    /// The names of the job queues, with commas between.
    JOB_QUEUES = "SLUICEGATE_JOB_QUEUES";
    /// The status queue.
    STATUS_QUEUE_URL = "SLUICEGATE_STATUS_QUEUE_URL";
    /// The event bus's name.
    EVENT_BUS = "SLUICEGATE_EVENT_BUS";
    /// The secret with the webhook's key.
    WEBHOOK_SECRET_ARN = "SLUICEGATE_WEBHOOK_SECRET_ARN";
    /// The secret with the forge's token.
    GIT_SECRET_ARN = "SLUICEGATE_GIT_SECRET_ARN";
    /// The enrolled repositories, as JSON.
    REPOSITORIES = "SLUICEGATE_REPOSITORIES";
    /// The forge's API, such as `https://api.github.com`.
    FORGE_URL = "SLUICEGATE_FORGE_URL";
    /// The log level: `error`, `warn`, `info`, `debug`.
    LOG = "SLUICEGATE_LOG";
    /// The terraform binary, for jobs.
    TERRAFORM = "SLUICEGATE_TERRAFORM";
    /// The provider mirror's directory, for jobs.
    PROVIDER_MIRROR = "SLUICEGATE_PROVIDER_MIRROR";
}
