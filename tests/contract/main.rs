//! Contracts between Rust, the state machine and Terraform. Reads files only: no network, no AWS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and is asked by its environment to rewrite a table"
)]

mod crates;
mod examples;
mod machine;
mod rendered;
mod terraform;
mod tree;
mod words;

/// Returns the content of a file, by its path from the root.
fn text(path: &str) -> String {
    let full = tests::root().join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns every piece of text between `before` and the first character that `is_part` rejects.
fn after<'t>(text: &'t str, before: &str, is_part: impl Fn(char) -> bool + Copy) -> Vec<&'t str> {
    text.split(before)
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            &rest[..end]
        })
        .filter(|found| !found.is_empty())
        .collect()
}
