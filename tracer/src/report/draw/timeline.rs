//! Logins over time: a column for each step, failed ones below slow ones below those that went well.

use std::fmt::Write as _;

use super::{escaped, round_step};
use crate::report::{
    facts::{Card, Times},
    line::Moment,
    text::{count, time},
};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 180.0;
/// Room for incidents above, and for times below.
const ABOVE: f64 = 22.0;
const BELOW: f64 = 22.0;
/// Room for figures on the left.
const LEFT: f64 = 44.0;
const DAY: u64 = 86_400_000_000_000;

/// The chart, with the incidents as bands; nothing where there is no login.
pub(in crate::report) fn timeline(times: &Times, incidents: &[Card]) -> String {
    let Some(begins) = times.begins else {
        return String::new();
    };
    let most = times
        .steps
        .iter()
        .map(|step| step.iter().sum())
        .max()
        .unwrap_or(1)
        .max(1);
    let column = WIDTH / times.steps.len().max(1) as f64;
    let tall = |many: u64| many as f64 * HEIGHT / most as f64;
    let (all, bad) = times
        .steps
        .iter()
        .fold((0, 0), |(all, bad), [well, slow, failed]| {
            (all + well + slow + failed, bad + slow + failed)
        });
    let whole = times.step_ns.saturating_mul(times.steps.len() as u64);
    let mut svg = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {} {}\" data-begins=\"{}\" data-lasts=\"{}\" data-wide=\"{WIDTH}\" role=\"img\" \
         aria-label=\"Logins over time: {} in all, {} failed or slow, at most {} in {}\"><g \
         transform=\"translate({LEFT} {ABOVE})\">",
        LEFT + WIDTH,
        ABOVE + HEIGHT + BELOW,
        // A script's time and widths: milliseconds.
        begins.0 / 1_000_000,
        whole / 1_000_000,
        count(all),
        count(bad),
        count(most),
        time(times.step_ns),
    );
    let step = round_step(most, 4);
    for mark in (0..=most).step_by(usize::try_from(step).unwrap_or(1)) {
        let y = HEIGHT - tall(mark);
        let _in_memory = write!(
            svg,
            "<line class=\"grid\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"-6\" y=\"{:.1}\" \
             class=\"end\">{}</text>",
            y + 4.0,
            count(mark)
        );
    }
    let at = |moment: Moment| {
        let passed = moment.0.saturating_sub(begins.0) as f64;
        (passed / times.step_ns as f64 * column).clamp(0.0, WIDTH)
    };
    // What is zoomed out of it is not seen.
    let tall_in_all = HEIGHT + 16.0;
    let _in_memory = write!(
        svg,
        "<svg y=\"-16\" width=\"{WIDTH}\" height=\"{tall_in_all}\" viewBox=\"0 -16 {WIDTH} {tall_in_all}\"><g \
         class=\"columns\">"
    );
    for card in incidents {
        let (from, to) = (at(card.span.0), at(card.span.1));
        let _in_memory = write!(
            svg,
            "<rect class=\"incident\" x=\"{from:.1}\" y=\"-16\" width=\"{:.1}\" height=\"{}\"><title>{}</title></rect>",
            (to - from).max(2.0),
            HEIGHT + 16.0,
            escaped(&format!(
                "incident: {} since {}, {}",
                card.meaning, card.start, card.lasted
            ))
        );
    }
    for (index, [well, slow, failed]) in times.steps.iter().enumerate() {
        let x = index as f64 * column;
        let mut y = HEIGHT;
        for (class, many) in [("failed", failed), ("slow", slow), ("well", well)] {
            if *many > 0 {
                // One among thousands is still seen.
                let height = tall(*many).max(1.5);
                y -= height;
                let _in_memory = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{} \
                     {class}</title></rect>",
                    (column - 0.5).max(0.5),
                    count(*many)
                );
            }
        }
    }
    svg.push_str("</g></svg>");
    clocks(&mut svg, begins, whole);
    svg.push_str("</g></svg>");
    svg
}

/// Times below the columns, of a chart that lasts so many nanoseconds.
fn clocks(svg: &mut String, begins: Moment, whole: u64) {
    // Days too, where there are several.
    let clock = if whole > DAY { 5..16 } else { 11..19 };
    let marks = 5;
    for mark in 0..=marks {
        let part = f64::from(mark) / f64::from(marks);
        let passed = whole as f64 * part;
        let moment = Moment(begins.0.saturating_add(passed as i64)).to_string();
        let clock = moment.get(clock.clone()).unwrap_or_default().to_owned();
        let class = match mark {
            0 => "start",
            5 => "end",
            _ => "middle",
        };
        let _in_memory = write!(
            svg,
            "<text class=\"{class} clock\" x=\"{:.1}\" y=\"{}\">{clock}</text>",
            part * WIDTH,
            HEIGHT + 16.0
        );
    }
}
