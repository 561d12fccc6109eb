//! The plot of the pairs, as SVG.

use super::results::{GOAL, Results};
use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 32.0;
const SLUICEGATE: &str = "#1f77b4";
const TERRAFORM: &str = "#c7c7c7";
const GOAL_LINE: &str = "#d62728";

/// Returns two bars for each pair, and a line at the goal for Sluicegate's bar.
#[must_use]
pub(super) fn render(results: &Results) -> String {
    let longest = results
        .pairs
        .iter()
        .map(|pair| pair.sluicegate.max(pair.raw))
        .fold(1.0, f64::max);
    let height = HEIGHT - TOP - BOTTOM;
    let y = |seconds: f64| TOP + height * (1.0 - seconds / longest);
    let count = f64::from(u32::try_from(results.pairs.len().max(1)).unwrap_or(u32::MAX));
    let slot = (WIDTH - LEFT) / count;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (x, color, text) in [
        (LEFT, SLUICEGATE, "Sluicegate".to_owned()),
        (LEFT + 110.0, TERRAFORM, "Terraform alone".to_owned()),
        (
            LEFT + 240.0,
            GOAL_LINE,
            format!("goal: {GOAL} of Terraform"),
        ),
    ] {
        bar(&mut svg, (x, 12.0), (12.0, 12.0), color);
        label(&mut svg, (x + 18.0, 22.0), "start", &text);
    }
    for part in [0.0, 0.5, 1.0] {
        let at = y(longest * part);
        writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e0e0e0\"/>"
        )
        .ok();
        label(
            &mut svg,
            (LEFT - 6.0, at + 4.0),
            "end",
            &format!("{:.0} s", longest * part),
        );
    }
    let mut x = LEFT;
    for (i, pair) in results.pairs.iter().enumerate() {
        let width = slot * 0.36;
        let first = x + slot * 0.12;
        for (x, seconds, color) in [
            (first, pair.sluicegate, SLUICEGATE),
            (first + width, pair.raw, TERRAFORM),
        ] {
            let top = y(seconds);
            bar(&mut svg, (x, top), (width, TOP + height - top), color);
            label(
                &mut svg,
                (x + width / 2.0, top - 3.0),
                "middle",
                &format!("{seconds:.1}"),
            );
        }
        let goal = y(pair.raw * GOAL);
        writeln!(
            svg,
            "<line x1=\"{first:.1}\" x2=\"{:.1}\" y1=\"{goal:.1}\" y2=\"{goal:.1}\" stroke=\"{GOAL_LINE}\" stroke-width=\"2\"/>",
            first + width
        )
        .ok();
        let text = format!("{}: {:.2}", i + 1, pair.ratio());
        label(&mut svg, (x + slot / 2.0, HEIGHT - 12.0), "middle", &text);
        x += slot;
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), color: &str) {
    writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
    )
    .ok();
}

fn label(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_two_bars_and_the_goal() {
        insta::assert_snapshot!(render(&super::super::results::tests::sample()));
    }
}
