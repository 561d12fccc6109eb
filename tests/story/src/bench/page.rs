//! The page with the results.

use super::results::{Pair, Results, Timed};
use std::fmt::Write as _;

/// A shorter time is not listed, in seconds.
const LEAST: f64 = 0.05;

/// Returns the page as Markdown. The plot is expected beside it, as `plot.svg`.
#[must_use]
pub(super) fn render(results: &Results) -> String {
    let mut page = format!(
        "# Benchmark\n\n{}.\n\n![Seconds of each pair](plot.svg)\n\n",
        results.verdict()
    );
    page.push_str(
        "The same change of the same two stacks (`examples/shop`), delivered by Sluicegate and applied with Terraform alone, in \
         alternation on the local run. *Sluicegate* is the time from the request with the webhook to the end of the run in its \
         record. *Terraform* is the sum of `init`, `validate`, `plan -out`, `show -json` and `apply` of both stacks, one after the \
         other, with the same provider mirror, inputs and tags. Each pair had equal plans and equal states.\n\n\
         - Terraform alone runs `validate` and `show` as separate commands, without `GOGC=400`, and locks the state during `plan`. \
         Sluicegate sets `GOGC`, plans without the state lock, because the lock of the environment protects the state, and checks in \
         `plan` what `validate` checks.\n\n",
    );
    table(&mut page, &["machine", ""], &results.machine, |row| {
        vec![row.0.clone(), row.1.clone()]
    });
    let numbered: Vec<_> = results.pairs.iter().enumerate().collect();
    table(
        &mut page,
        &["pair", "Sluicegate", "Terraform", "ratio"],
        &numbered,
        |(i, pair)| pair_row(&(i + 1).to_string(), pair.sluicegate, pair.raw),
    );
    let (ours, fastest_ours) = results.summary(|pair| pair.sluicegate);
    let (raw, fastest_raw) = results.summary(|pair| pair.raw);
    let (ratio, _) = results.summary(Pair::ratio);
    page.truncate(page.trim_end().len());
    for (name, ours, raw, ratio) in [
        ("**median**", ours, raw, ratio),
        (
            "**minimum**",
            fastest_ours,
            fastest_raw,
            fastest_ours / fastest_raw,
        ),
    ] {
        write!(page, "\n| {name} | {ours:.1} s | {raw:.1} s | {ratio:.2} |").ok();
    }
    page.push_str("\n\n## Where the time goes\n\nMedians. States that run at the same time as others are listed too.\n\n");
    let states = results.medians(|pair| &pair.states);
    times(&mut page, "state", &states);
    times(
        &mut page,
        "step of a job",
        &results.medians(|pair| &pair.phases),
    );
    times(
        &mut page,
        "command of Terraform alone",
        &results.medians(|pair| &pair.commands),
    );
    let (transitions, _) =
        results.summary(|pair| f64::from(u32::try_from(pair.transitions).unwrap_or(u32::MAX)));
    let code = &results.code_only;
    write!(
        page,
        "State transitions of a run: {transitions:.0}.\n\n## A commit that changes code only\n\n{:.1} s from the webhook to the end \
         of the run, with the build of an image of one file; {} Terraform jobs, {} state transitions.\n\n",
        code.seconds, code.jobs, code.transitions
    )
    .ok();
    times(&mut page, "state", &code.states);
    page.push_str("## Lambdas\n\nA zip or a memory size that was not measured is left out.\n\n");
    table(
        &mut page,
        &[
            "Lambda",
            "zip arm64",
            "zip x86_64",
            "peak memory, build for AWS, one call",
            "peak memory, development build, this run",
        ],
        &results.lambdas,
        |lambda| {
            let zip = |name| megabytes(lambda.zips.get(name).copied());
            vec![
                lambda.name.clone(),
                zip("arm64"),
                zip("x86_64"),
                megabytes(lambda.aws_peak),
                megabytes(lambda.local_peak),
            ]
        },
    );
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn pair_row(name: &str, ours: f64, raw: f64) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{ours:.1} s"),
        format!("{raw:.1} s"),
        format!("{:.2}", ours / raw),
    ]
}

/// Adds a table of times, without the shortest ones.
fn times(page: &mut String, title: &str, times: &[Timed]) {
    let long: Vec<_> = times.iter().filter(|one| one.seconds >= LEAST).collect();
    table(page, &[title, "time"], &long, |one| {
        vec![one.name.clone(), format!("{:.2} s", one.seconds)]
    });
}

fn table<T>(page: &mut String, titles: &[&str], rows: &[T], cells: impl Fn(&T) -> Vec<String>) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    page.push_str(&line(&titles));
    page.push_str(&line(&vec!["---".to_owned(); titles.len()]));
    for row in rows {
        page.push_str(&line(&cells(row)));
    }
    page.push('\n');
}

fn megabytes(bytes: Option<u64>) -> String {
    // A u32 holds every size in kilobytes, and an f64 every u32.
    let kilobytes = bytes.and_then(|bytes| u32::try_from(bytes / 1_000).ok());
    kilobytes.map_or_else(String::new, |kb| format!("{:.1} MB", f64::from(kb) / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_number() {
        insta::assert_snapshot!(render(&super::super::results::tests::sample()));
    }
}
