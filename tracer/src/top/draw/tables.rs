//! The tables: servers, processes, the slowest logins of late, incidents.

use std::collections::HashMap;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};

use super::Colours;
use crate::{
    report::text::{count, time},
    top::{
        seen::Fate,
        state::{Group, State},
        view::{SLOWEST, TABLES, View},
    },
};

/// The table that is looked at, below the names of all.
pub(super) fn one(frame: &mut Frame<'_>, area: Rect, state: &State, view: &View, colours: Colours) {
    let [tabs, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let names = TABLES.iter().enumerate().flat_map(|(at, name)| {
        let style = if at == view.table {
            Colours::selected()
        } else {
            Colours::quiet()
        };
        [
            Span::styled(format!(" {} {name} ", at + 1), style),
            Span::raw(" "),
        ]
    });
    let mut spans: Vec<_> = names.collect();
    let open = state.incidents.values().filter(|told| told.open).count();
    if open > 0 {
        let text = if open == 1 {
            "1 incident open".to_owned()
        } else {
            format!("{open} incidents open")
        };
        spans.push(Span::styled(text, colours.bad()));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), tabs);
    table(frame, body, view.table, state, view, colours);
}

/// All of them, two beside each other.
pub(super) fn all(frame: &mut Frame<'_>, area: Rect, state: &State, view: &View, colours: Colours) {
    // Servers and processes take what they need, at most half; the rest is for logins and incidents.
    let totals = state.totals();
    let many = totals.servers.len().max(totals.processes.len());
    let needed = u16::try_from(many + 2).unwrap_or(u16::MAX);
    let above = needed.clamp(4, (area.height / 2).max(4));
    let rows: [Rect; 2] = Layout::vertical([Constraint::Length(above), Constraint::Fill(1)])
        .spacing(1)
        .areas(area);
    for (row, area) in rows.into_iter().enumerate() {
        let columns: [Rect; 2] = Layout::horizontal([Constraint::Fill(1); 2])
            .spacing(2)
            .areas(area);
        for (column, area) in columns.into_iter().enumerate() {
            let at = row * 2 + column;
            let [name, body] =
                Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
            let style = if at == view.table {
                Colours::selected()
            } else {
                Colours::heading()
            };
            let text = Span::styled(format!(" {} {} ", at + 1, TABLES[at]), style);
            frame.render_widget(Paragraph::new(text), name);
            table(frame, body, at, state, view, colours);
        }
    }
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    which: usize,
    state: &State,
    view: &View,
    colours: Colours,
) {
    let totals = state.totals();
    let (widths, names, rows): (Vec<_>, Vec<_>, Vec<_>) = match which {
        0 => groups("server", &totals.servers, state, view, colours),
        1 => groups("process", &totals.processes, state, view, colours),
        SLOWEST => slowest(state, colours),
        _ => incidents(state, colours),
    };
    if rows.is_empty() && which > 1 {
        let text = ["no login yet", "no incident"][which - SLOWEST];
        let text = Span::styled(text, Colours::quiet());
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let header = Row::new(names).style(Colours::quiet());
    let mut table = Table::new(rows, widths).header(header).column_spacing(1);
    let mut selected = TableState::default();
    if which == view.table {
        table = table.row_highlight_style(Colours::selected());
        selected.select(Some(view.selected));
    }
    frame.render_stateful_widget(table, area, &mut selected);
}

type Columns = (Vec<Constraint>, Vec<Cell<'static>>, Vec<Row<'static>>);

fn right(text: String, style: Style) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned()).style(style)
}

fn heads(left: &[&'static str], figures: &[&str]) -> Vec<Cell<'static>> {
    let left = left.iter().map(|name| Cell::from(*name));
    let figures = figures
        .iter()
        .map(|name| right((*name).to_owned(), Style::new()));
    left.chain(figures).collect()
}

fn groups(
    name: &'static str,
    groups: &HashMap<String, Group>,
    state: &State,
    view: &View,
    colours: Colours,
) -> Columns {
    let rows = view
        .sorted(groups.iter(), state.now_ns)
        .into_iter()
        .map(|(name, group, rate)| {
            let shown = if name.is_empty() { "(not known)" } else { name };
            let paint = |many: u64, style: Style| if many > 0 { style } else { Colours::quiet() };
            Row::new(vec![
                Cell::from(shown.to_owned()),
                right(format!("{rate:.1}"), Style::new()),
                right(count(group.logins), Style::new()),
                right(count(group.slow), paint(group.slow, colours.doubtful())),
                right(count(group.failed), paint(group.failed, colours.bad())),
                right(
                    group.took.mean_ns().map(time).unwrap_or_default(),
                    Style::new(),
                ),
                right(time(group.took.longest_ns()), Style::new()),
            ])
        });
    let widths = [7, 8, 6, 7, 10, 10].map(Constraint::Length);
    (
        [Constraint::Fill(1)].into_iter().chain(widths).collect(),
        heads(
            &[name],
            &["/s", "logins", "slow", "failed", "mean", "longest"],
        ),
        rows.collect(),
    )
}

fn slowest(state: &State, colours: Colours) -> Columns {
    let rows = state.worst().into_iter().map(|seen| {
        let style = match seen.fate {
            Fate::Well => Style::new(),
            Fate::Slow => colours.doubtful(),
            Fate::Failed => colours.bad(),
        };
        let error = seen
            .error
            .map(|error| format!(" {error}"))
            .unwrap_or_default();
        let cause = seen.cause.as_ref().map(|(cause, ..)| cause.clone());
        Row::new(vec![
            right(time(seen.took_ns), style),
            Cell::from(format!("{}{error}", seen.outcome)).style(style),
            Cell::from(seen.server.clone()),
            Cell::from(seen.process.clone()),
            Cell::from(cause.unwrap_or_else(|| seen.slowest_phase().to_owned())),
        ])
    });
    let widths = vec![
        Constraint::Length(9),
        Constraint::Length(14),
        Constraint::Fill(2),
        Constraint::Fill(1),
        Constraint::Fill(2),
    ];
    let mut names = vec![right("took".to_owned(), Style::new())];
    names.extend(heads(
        &["outcome", "server", "process", "why, or slowest phase"],
        &[],
    ));
    (widths, names, rows.collect())
}

fn incidents(state: &State, colours: Colours) -> Columns {
    let mut told: Vec<_> = state.incidents.values().collect();
    told.sort_by(|one, other| {
        other
            .open
            .cmp(&one.open)
            .then(other.since_ns.cmp(&one.since_ns))
    });
    let rows = told.into_iter().map(|told| {
        let ago = state.now_ns.saturating_sub(told.since_ns);
        let (word, style) = if told.open {
            ("open", colours.bad())
        } else {
            ("over", Colours::quiet())
        };
        Row::new(vec![
            Cell::from(word).style(style),
            right(time(ago), Style::new()),
            right(
                format!("{} of {}", count(told.logins), count(told.of_logins)),
                Style::new(),
            ),
            Cell::from(told.cause.clone()),
            Cell::from(told.whom.clone()),
            Cell::from(told.servers.clone()),
        ])
    });
    let widths = vec![
        Constraint::Length(5),
        Constraint::Length(9),
        Constraint::Length(14),
        Constraint::Fill(2),
        Constraint::Length(11),
        Constraint::Fill(2),
    ];
    let mut names = vec![Cell::from("")];
    names.extend(["began ago", "logins"].map(|name| right(name.to_owned(), Style::new())));
    names.extend(heads(&["cause", "for", "servers"], &[]));
    (widths, names, rows.collect())
}
