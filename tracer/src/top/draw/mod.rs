//! The picture, drawn from what is known and what is looked at.

mod charts;
mod login;
mod tables;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use super::{
    source::Standing,
    state::State,
    view::{SORTS, SPANS, Shows, View},
};
use crate::report::text::count;

/// The least that is drawn.
const LEAST: (u16, u16) = (60, 16);
/// From here on all tables are shown at once.
const LARGE: (u16, u16) = (120, 36);
/// Rows of the charts.
const CHARTS: u16 = 10;

/// Colours, where there are any: on the terminal's own ground, be that light or dark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours(pub(super) bool);

impl Colours {
    fn of(self, colour: Color) -> Style {
        if self.0 {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    pub(super) fn good(self) -> Style {
        self.of(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn doubtful(self) -> Style {
        self.of(Color::Magenta).add_modifier(Modifier::BOLD)
    }

    /// Whoever is waited for: the client, the network, the server.
    pub(super) fn side(self, side: usize) -> Style {
        self.of([Color::Blue, Color::Cyan, Color::Magenta][side % 3])
    }

    pub(super) fn quiet() -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn selected() -> Style {
        // What is dim or coloured would be a spot in it.
        Style::new()
            .fg(Color::Reset)
            .add_modifier(Modifier::REVERSED)
            .remove_modifier(Modifier::DIM)
    }
}

/// Draws all of it.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    view: &View,
    live: &State,
    standing: &Standing,
    colours: Colours,
) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("tds-tracer top needs {} by {} characters", LEAST.0, LEAST.1);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let state = view.state(live);
    let [title, figures, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(self::title(view, state, standing, colours), title);
    frame.render_widget(self::figures(state, view, colours), figures);
    frame.render_widget(self::foot(view, colours), foot);
    match &view.shows {
        Shows::Login(seen) => login::draw(frame, body, seen, state, colours),
        Shows::Help => help(frame, body),
        Shows::Tables => {
            let [charts, tables] =
                Layout::vertical([Constraint::Length(CHARTS), Constraint::Fill(1)]).areas(body);
            charts::draw(frame, charts, state, view, colours);
            if area.width >= LARGE.0 && area.height >= LARGE.1 {
                tables::all(frame, tables, state, view, colours);
            } else {
                tables::one(frame, tables, state, view, colours);
            }
        }
    }
}

fn title(view: &View, state: &State, standing: &Standing, colours: Colours) -> Paragraph<'static> {
    let mut spans = vec![
        Span::styled("tds-tracer top", Colours::heading()),
        Span::raw("  "),
    ];
    let (word, style) = if view.frozen.is_some() {
        ("FROZEN".to_owned(), colours.doubtful())
    } else {
        match standing {
            Standing::Comes => ("live".to_owned(), colours.good()),
            Standing::Silent(seconds) => (format!("no line for {seconds} s"), colours.doubtful()),
            Standing::Ended(None) => ("ended".to_owned(), Colours::quiet()),
            Standing::Ended(Some(why)) => (format!("ended: {why}"), colours.bad()),
        }
    };
    spans.push(Span::styled(word, style));
    if state.now_ns > 0 {
        let now = crate::report::line::Moment(state.now_ns.cast_signed()).to_string();
        let to_the_second = now.split_once('.').map_or(now.as_str(), |(whole, _)| whole);
        spans.push(Span::raw(format!("  {to_the_second}Z")));
    }
    let mut hosts = state.hosts.keys().filter(|host| !host.is_empty());
    if let Some(host) = hosts.next() {
        let more = hosts.count();
        let others = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        spans.push(Span::raw(format!("  {host}{others}")));
    }
    if !state.filter.is_empty() {
        spans.push(Span::styled(
            format!("  /{}", state.filter.text),
            Colours::heading(),
        ));
    }
    Paragraph::new(Line::from(spans))
}

/// How many logins, of which kind, and what was not seen.
fn figures(state: &State, view: &View, colours: Colours) -> Paragraph<'static> {
    let (name, seconds) = SPANS[view.span];
    let totals = state.totals();
    let now = totals.history.whole(super::state::RATE as usize);
    let whole = totals.history.whole(seconds);
    let of_late = totals.history.known(super::state::RATE as usize) as f64;
    let mut spans = vec![
        Span::styled(
            format!("{:.1}", f64::from(now.logins()) / of_late),
            Colours::heading(),
        ),
        Span::raw(format!(
            " logins/s   in {name}: {} well",
            count(whole.well.into())
        )),
    ];
    for (many, word, style) in [
        (u64::from(whole.slow), "slow", colours.doubtful()),
        (u64::from(whole.failed), "failed", colours.bad()),
        (state.pending.len() as u64, "undecided", colours.doubtful()),
    ] {
        spans.push(Span::raw("  "));
        let style = if many > 0 { style } else { Colours::quiet() };
        spans.push(Span::styled(format!("{} {word}", count(many)), style));
    }
    let lost: u64 = state.losses.values().sum::<u64>() + state.missing;
    if lost > 0 {
        spans.push(Span::styled(
            format!("  {} lost", count(lost)),
            colours.bad(),
        ));
    }
    if state.strange > 0 {
        spans.push(Span::styled(
            format!("  {} strange lines", count(state.strange)),
            colours.bad(),
        ));
    }
    Paragraph::new(Line::from(spans))
}

fn foot(view: &View, colours: Colours) -> Paragraph<'static> {
    if let Some(typed) = &view.typed {
        let mut spans = vec![Span::styled(format!("/{typed}▏"), Colours::heading())];
        if let Some(complaint) = &view.complaint {
            spans.push(Span::styled(format!("  {complaint}"), colours.bad()));
        }
        return Paragraph::new(Line::from(spans));
    }
    let text = format!(
        "? help  / filter  f freeze  s by {}  h {}  Tab table  Enter open  q quit",
        SORTS[view.sort], SPANS[view.span].0
    );
    Paragraph::new(Span::styled(text, Colours::quiet()))
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    const KEYS: [(&str, &str); 11] = [
        (
            "1 2 3 4, Tab",
            "servers, processes, slowest of late, incidents",
        ),
        ("j k, arrows", "another row; g the first one"),
        (
            "Enter",
            "a login's phases, and what else its attempt consists of",
        ),
        ("Esc", "back; then without filter"),
        (
            "s",
            "sort servers and processes: rate, failed, longest, name",
        ),
        ("h", "span of charts and figures: 1 minute, 5, 15, an hour"),
        ("f, space", "freeze the picture; counting goes on"),
        (
            "/",
            "filter: words, and server: client: process: app: host: outcome:",
        ),
        (
            "",
            "phase: cause: error: wait:client|network|server is:slow|failed",
        ),
        ("?", "this page"),
        ("q, Ctrl-C", "quit"),
    ];
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, does)| {
            Line::from(vec![
                Span::styled(format!("  {key:<14}"), Colours::heading()),
                Span::raw(*does),
            ])
        })
        .collect();
    lines.push(Line::default());
    lines.push(Line::raw(
        "  Of a filter that is set later, the last 4,000 logins are counted, and 500 slow or failed ones.",
    ));
    lines.push(Line::raw(
        "  Bars: █ the server, ▒ the network, ░ the client is waited for. Charts begin on the left.",
    ));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}
