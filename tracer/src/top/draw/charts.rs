//! What the last minutes looked like: logins by outcome, the phases, and who was waited for.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};

use super::Colours;
use crate::{
    report::text::time,
    top::{
        history::{Moment, PHASES},
        state::State,
        view::{SPANS, View},
    },
};

const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns before a chart.
const NAME: usize = 11;
const FIGURES: usize = 22;
/// How bars of the client, the network and the server are filled.
pub(super) const FILLS: [char; 3] = ['░', '▒', '█'];
pub(super) const SIDES: [&str; 3] = ["client", "network", "server"];

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    view: &View,
    colours: Colours,
) {
    let width = usize::from(area.width)
        .saturating_sub(NAME + FIGURES)
        .max(10);
    let (_, seconds) = SPANS[view.span];
    let history = &state.totals().history;
    let parts = history.parts(seconds, width);
    let per_part = seconds as f64 / parts.len() as f64;
    let whole = history.whole(seconds);
    let mut lines = vec![
        counts(
            "logins",
            &parts,
            Moment::logins,
            (per_part, width),
            Style::new(),
        ),
        counts(
            "slow",
            &parts,
            |moment| moment.slow,
            (per_part, width),
            colours.doubtful(),
        ),
        counts(
            "failed",
            &parts,
            |moment| moment.failed,
            (per_part, width),
            colours.bad(),
        ),
    ];
    for (at, name) in PHASES.iter().enumerate() {
        let took = whole.phases[at];
        let figures = match took.mean_ns() {
            Some(mean) => format!("{:>10} {:>10} ", time(mean), time(took.longest_ns())),
            None => " ".repeat(FIGURES),
        };
        let values = parts
            .iter()
            .map(|moment| u64::from(moment.phases[at].longest_us));
        lines.push(Line::from(vec![
            Span::raw(format!("{name:<NAME$}")),
            Span::raw(figures),
            Span::raw(spark(&values.collect::<Vec<_>>(), width)),
        ]));
    }
    lines.push(waited(whole.waited_us, width, colours));
    frame.render_widget(Paragraph::new(lines), area);
}

/// A chart of how many, with how many there were a second at most.
fn counts(
    name: &str,
    parts: &[Moment],
    of: impl Fn(&Moment) -> u32,
    (seconds, width): (f64, usize),
    style: Style,
) -> Line<'static> {
    let values: Vec<_> = parts.iter().map(|moment| u64::from(of(moment))).collect();
    let most = values.iter().max().copied().unwrap_or_default() as f64 / seconds;
    let figures = format!("{:>21} ", format!("at most {most:.1}/s"));
    Line::from(vec![
        Span::raw(format!("{name:<NAME$}")),
        Span::raw(figures),
        Span::styled(spark(&values, width), style),
    ])
}

/// All of the width; where there are more columns than values, each takes several.
fn spark(values: &[u64], width: usize) -> String {
    let most = values.iter().max().copied().unwrap_or_default().max(1);
    // What is there at all is seen.
    let step = |value: u64| STEPS[(value * 8).div_ceil(most).min(8) as usize];
    let of_columns = (0..width).filter_map(|column| values.get(column * values.len() / width));
    of_columns.map(|value| step(*value)).collect()
}

/// Whose time it was.
fn waited(us: [u64; 3], width: usize, colours: Colours) -> Line<'static> {
    let sum: u64 = us.iter().sum();
    let mut spans = vec![Span::raw(format!("{:<NAME$}", "waited for"))];
    if sum == 0 {
        return Line::from(spans);
    }
    let share = |side: usize| us[side] as f64 / sum as f64;
    let figures = format!(
        "{:>21} ",
        format!(
            "c {:.0} n {:.0} s {:.0} %",
            share(0) * 100.0,
            share(1) * 100.0,
            share(2) * 100.0
        )
    );
    spans.push(Span::raw(figures));
    for side in 0..SIDES.len() {
        let cells = ((us[side] * width as u64 + sum / 2) / sum) as usize;
        let name = SIDES[side];
        let bar = if cells > name.len() + 2 {
            let fill = FILLS[side].to_string().repeat(cells - name.len() - 2);
            format!(" {name} {fill}")
        } else {
            FILLS[side].to_string().repeat(cells)
        };
        spans.push(Span::styled(bar, colours.side(side)));
    }
    Line::from(spans)
}
