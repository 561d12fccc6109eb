//! The only module of this crate that reads environment variables; the SDK reads its own.

/// Returns the S3 endpoint, if one is set.
pub(crate) fn s3_endpoint() -> Option<String> {
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the module that reads the environment"
    )]
    let read = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    read("AWS_ENDPOINT_URL_S3").or_else(|| read("AWS_ENDPOINT_URL"))
}
