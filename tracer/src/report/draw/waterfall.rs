//! An attempt as browsers show a request: a row for each part, coloured by who was waited for.

use std::fmt::Write as _;

use super::{escaped, round_step};
use crate::report::{
    text::time,
    waterfall::{Bar, Waterfall},
};

const WIDTH: f64 = 640.0;
const LEFT: f64 = 190.0;
/// Room for a row's duration and outcome behind its bar.
const RIGHT: f64 = 140.0;
/// Outcomes that need no word.
const WELL: [&str; 3] = ["", "success", "answered"];
const ROW: f64 = 20.0;
const ABOVE: f64 = 18.0;
const WAITED: [&str; 3] = ["client", "network", "server"];

/// The chart, on the scale of `whole_ns`.
pub(in crate::report) fn waterfall(shown: &Waterfall, whole_ns: u64, label: &str) -> String {
    let whole = whole_ns.max(1);
    let x = |nanoseconds: u64| (nanoseconds.min(whole)) as f64 / whole as f64 * WIDTH;
    let height = ABOVE + ROW * shown.rows.len() as f64;
    let told: Vec<_> = shown.rows.iter().map(told).collect();
    let mut svg = format!(
        "<svg class=\"waterfall\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><g transform=\"translate({LEFT} \
         {ABOVE})\">",
        LEFT + WIDTH + RIGHT,
        height + 4.0,
        escaped(&format!("{label}: {}", told.join("; ")))
    );
    let step = round_step(whole, 6);
    for mark in (0..=6)
        .map(|mark| step.saturating_mul(mark))
        .take_while(|mark| *mark <= whole)
    {
        let _in_memory = write!(
            svg,
            "<line class=\"grid\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"0\" y2=\"{1}\"/><text class=\"start\" x=\"{0:.1}\" \
             y=\"-5\">{2}</text>",
            x(mark),
            height - ABOVE,
            if mark == 0 {
                "0".to_owned()
            } else {
                time(mark)
            }
        );
    }
    for (index, (row, told)) in shown.rows.iter().zip(&told).enumerate() {
        let y = index as f64 * ROW;
        let _in_memory = write!(
            svg,
            "<g><title>{}</title><text class=\"end\" x=\"-8\" y=\"{:.1}\">{}</text>",
            escaped(told),
            y + 14.0,
            escaped(&clipped(&row.name, row.inner))
        );
        bar(&mut svg, row, y, x);
        let ends = x(row.start_ns.saturating_add(row.duration_ns)).max(x(row.start_ns) + 2.0);
        let _in_memory = write!(
            svg,
            "<text class=\"start\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            ends + 5.0,
            y + 14.0,
            escaped(&behind(row))
        );
    }
    svg.push_str("</g></svg>");
    svg
}

/// The bar: parts of it by who was waited for, whose order is not known; hollow where that is not.
fn bar(svg: &mut String, row: &Bar, y: f64, x: impl Fn(u64) -> f64) {
    let Some(waited) = row.waited_ns else {
        let from = x(row.start_ns);
        let wide = (x(row.start_ns.saturating_add(row.duration_ns)) - from).max(2.0);
        let _in_memory = write!(
            svg,
            "<rect class=\"part\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"12\"/>",
            y + 4.0
        );
        return;
    };
    let mut from = row.start_ns;
    for (side, nanoseconds) in WAITED.iter().zip(waited) {
        let to = from.saturating_add(nanoseconds);
        if nanoseconds > 0 {
            let _in_memory = write!(
                svg,
                "<rect class=\"{side}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>",
                x(from),
                y + 3.0,
                (x(to) - x(from)).max(0.8)
            );
        }
        from = to;
    }
}

/// The row in words.
fn told(row: &Bar) -> String {
    let mut text = format!(
        "{} after {} for {}",
        row.name,
        time(row.start_ns),
        time(row.duration_ns)
    );
    if let Some(waited) = row.waited_ns {
        let parts = WAITED.iter().zip(waited).filter(|(_, waited)| *waited > 0);
        let parts: Vec<_> = parts
            .map(|(side, waited)| format!("{side} {}", time(waited)))
            .collect();
        if !parts.is_empty() {
            let _in_memory = write!(text, " ({})", parts.join(", "));
        }
    }
    if !row.outcome.is_empty() {
        let _in_memory = write!(text, ", {}", row.outcome);
    }
    text
}

/// What stands behind a bar: how long it took, and what came of it.
fn behind(row: &Bar) -> String {
    let took = time(row.duration_ns);
    if WELL.contains(&row.outcome.as_str()) {
        return took;
    }
    format!(
        "{took}, {}",
        row.outcome.chars().take(16).collect::<String>()
    )
}

/// What fits before the bars.
fn clipped(name: &str, inner: bool) -> String {
    const MOST: usize = 26;
    let mut text: String = name.chars().take(MOST).collect();
    if name.chars().nth(MOST).is_some() {
        text.push('…');
    }
    if inner { format!("· {text}") } else { text }
}
