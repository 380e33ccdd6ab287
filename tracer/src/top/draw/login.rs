//! One login: its phases as bars, and what else its attempt consists of.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use super::{
    Colours,
    charts::{FILLS, SIDES},
};
use crate::{
    report::{
        text::time,
        waterfall::{Bar, Waterfall},
    },
    top::{
        seen::{Fate, Seen},
        state::State,
    },
};

/// Columns before and behind a bar.
const NAME: usize = 26;
const FIGURES: usize = 11;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    seen: &Seen,
    state: &State,
    colours: Colours,
) {
    let style = match seen.fate {
        Fate::Well => colours.good(),
        Fate::Slow => colours.doubtful(),
        Fate::Failed => colours.bad(),
    };
    let error = seen
        .error
        .map(|error| format!(" by error {error}"))
        .unwrap_or_default();
    let outcome = format!("{}{error} after {}", seen.outcome, time(seen.took_ns));
    let mut lines = vec![
        Line::from(vec![
            Span::styled(outcome, style),
            Span::raw(format!("   {} to {}", seen.client, seen.server)),
        ]),
        Line::raw(format!(
            "process {}   application {}",
            known(&seen.process),
            known(&seen.application)
        )),
        Line::raw(format!(
            "connection {}   seen by {}",
            seen.id,
            known(&seen.host)
        )),
    ];
    if let Some((cause, confidence, whom)) = &seen.cause {
        lines.push(Line::from(vec![
            Span::raw("why: "),
            Span::styled(cause.clone(), Colours::heading()),
            Span::raw(format!(" ({confidence:.2}), for {}", known(whom))),
        ]));
    }
    if seen.inferred {
        lines.push(Line::styled(
            "its outcome is inferred from sealed records",
            Colours::quiet(),
        ));
    }
    if seen.partial {
        lines.push(Line::styled("not all of it was seen", Colours::quiet()));
    }
    lines.push(Line::default());
    fall(&mut lines, &seen.fall, area.width, colours);
    if let Some(parts) = state.parts(seen) {
        lines.push(Line::default());
        lines.push(Line::styled("all of its attempt", Colours::heading()));
        fall(&mut lines, &parts, area.width, colours);
    }
    lines.push(Line::default());
    let legend = SIDES.iter().enumerate().flat_map(|(side, name)| {
        let fill = FILLS[side].to_string().repeat(2);
        [
            Span::styled(fill, colours.side(side)),
            Span::raw(format!(" {name}   ")),
        ]
    });
    lines.push(legend.collect());
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

fn known(text: &str) -> &str {
    if text.is_empty() { "(not known)" } else { text }
}

fn fall(lines: &mut Vec<Line<'static>>, fall: &Waterfall, width: u16, colours: Colours) {
    let width = usize::from(width).saturating_sub(NAME + FIGURES).max(10);
    for row in &fall.rows {
        let name: String = row.name.chars().take(NAME - 3).collect();
        let indent = if row.inner { "  " } else { "" };
        let mut spans = vec![
            Span::raw(format!("{:<NAME$}", format!("{indent}{name}"))),
            Span::raw(format!("{:>10} ", time(row.duration_ns))),
        ];
        spans.extend(bar(row, fall.whole_ns, width, colours));
        lines.push(Line::from(spans));
    }
    if fall.more > 0 {
        lines.push(Line::raw(format!("and {} more", fall.more)));
    }
}

fn bar(row: &Bar, whole_ns: u64, width: usize, colours: Colours) -> Vec<Span<'static>> {
    let scale = |ns: u64| cells(ns, whole_ns, width);
    let from = scale(row.start_ns).min(width.saturating_sub(1));
    let len = scale(row.duration_ns).clamp(1, width - from);
    let mut spans = vec![Span::raw(" ".repeat(from))];
    let Some(waited) = row.waited_ns else {
        spans.push(Span::styled("─".repeat(len), Style::new()));
        return spans;
    };
    let sum: u64 = waited.iter().sum::<u64>().max(1);
    let mut left = len;
    for (side, ns) in waited.into_iter().enumerate() {
        let cells = cells(ns, sum, len).min(left);
        left -= cells;
        spans.push(Span::styled(
            FILLS[side].to_string().repeat(cells),
            colours.side(side),
        ));
    }
    spans
}

/// How many of so many cells a part of the whole takes.
fn cells(part: u64, whole: u64, of: usize) -> usize {
    let whole = u128::from(whole.max(1));
    ((u128::from(part) * of as u128 + whole / 2) / whole) as usize
}
