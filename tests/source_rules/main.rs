//! One corpus of source trees through `validate`, the runner and `sluicegate config check`: all three find the same problems.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod corpus;
mod programs;

use corpus::{Case, Tree};
use domain::source_rules::Rule;
use std::collections::BTreeSet;

/// A problem, as far as all three programs show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    path: String,
    line: Option<u64>,
    code: String,
    text: String,
}

async fn check(case: &Case, tree: &Tree) {
    let by_validate = programs::validate(tree).await;
    let by_runner = programs::runner(tree);
    let by_cli = programs::cli(tree).await;
    assert_eq!(
        by_validate, by_runner,
        "{}: validate and the runner differ",
        case.name
    );
    assert_eq!(
        by_validate, by_cli,
        "{}: validate and the command line differ",
        case.name
    );
    let found: Vec<_> = by_validate
        .iter()
        .map(|found| (found.code.as_str(), found.path.as_str(), found.line))
        .collect();
    assert_eq!(found, case.expected, "{}", case.name);
}

#[tokio::test]
async fn all_three_programs_find_the_same_problems() {
    for case in corpus::cases() {
        check(&case, &case.tree).await;
    }
}

/// Pairs of cases find the problems of both, so no rule hides another one.
#[tokio::test]
async fn no_problem_hides_another_one() {
    let cases: Vec<Case> = corpus::cases()
        .into_iter()
        .filter(|case| case.adds_only)
        .collect();
    for (one, other) in cases.iter().zip(cases.iter().skip(1)) {
        let mut both = Case {
            name: "a pair of cases",
            tree: one.tree.clone(),
            expected: one.expected.clone(),
            adds_only: true,
        };
        both.tree.extend(other.tree.clone());
        both.expected.extend(&other.expected);
        both.expected
            .sort_by_key(|(code, path, line)| (*path, line.unwrap_or(u64::MAX), *code));
        both.expected.dedup();
        check(&both, &both.tree).await;
    }
}

#[test]
fn the_corpus_has_a_case_for_each_rule() {
    // A tree of more than 20,000 files or 200 MiB is in the tests of `domain`.
    let without = BTreeSet::from([Rule::Size.code()]);
    let all: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    let covered: BTreeSet<&str> = corpus::cases()
        .iter()
        .flat_map(|case| case.expected.iter().map(|(code, _, _)| *code))
        .collect();
    let missing: Vec<_> = all
        .difference(&covered)
        .filter(|code| !without.contains(*code))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// The table of codes in the README is that of the rules.
#[test]
fn the_readme_lists_each_rule() {
    let readme =
        std::fs::read_to_string(tests::root().join("crates/core/domain/README.md")).unwrap();
    for rule in Rule::ALL {
        assert!(
            readme.contains(&format!("| {} |", rule.code())),
            "{}",
            rule.code()
        );
    }
}

/// What `validate` seals is what the runner checks.
#[tokio::test]
async fn a_sealed_archive_has_the_same_files() {
    for case in corpus::cases() {
        if case.expected.is_empty() {
            let archive = programs::sealed(&case.tree).await;
            assert_eq!(programs::unpacked(&archive), Vec::new(), "{}", case.name);
        }
    }
}
