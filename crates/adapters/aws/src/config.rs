//! The only place of this crate that reads the environment itself; the rest of what is read there
//! is the SDK's own.

/// The endpoint of S3, when the environment names one.
pub(crate) fn s3_endpoint() -> Option<String> {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the module that reads the environment"
    )]
    let read = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    read("AWS_ENDPOINT_URL_S3").or_else(|| read("AWS_ENDPOINT_URL"))
}
