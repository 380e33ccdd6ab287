//! What is looked at, and how keys and the mouse change it. It knows nothing of a terminal.

use std::{cmp::Ordering, rc::Rc};

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent, MouseEventKind,
};

use super::{
    filter::{Filter, MOST},
    seen::Seen,
    state::{Group, State},
};

/// The tables, in their order.
pub(super) const TABLES: [&str; 4] = ["servers", "processes", "slowest", "incidents"];
pub(super) const SLOWEST: usize = 2;
/// What a table of groups is sorted by.
pub(super) const SORTS: [&str; 4] = ["rate", "failed", "longest", "name"];
/// Spans of the charts: their name, and seconds.
pub(super) const SPANS: [(&str, usize); 4] = [
    ("1 min", 60),
    ("5 min", 300),
    ("15 min", 900),
    ("1 h", 3600),
];

/// What is on the screen besides the tables.
#[derive(Clone, Debug, Default)]
pub(super) enum Shows {
    #[default]
    Tables,
    Help,
    /// A login with all of its phases.
    Login(Rc<Seen>),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) table: usize,
    pub(super) selected: usize,
    pub(super) sort: usize,
    pub(super) span: usize,
    pub(super) shows: Shows,
    /// What is typed after `/`.
    pub(super) typed: Option<String>,
    /// What was wrong with it.
    pub(super) complaint: Option<String>,
    /// What was known when the picture was frozen.
    pub(super) frozen: Option<Box<State>>,
    pub(super) quits: bool,
}

impl View {
    /// Does what an event of the terminal asks for.
    pub(super) fn on_event(&mut self, event: &Event, state: &mut State) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.on_key(*key, state),
            Event::Paste(text) => self.on_paste(text),
            Event::Mouse(mouse) => self.on_mouse(*mouse, state),
            _ => {}
        }
    }

    /// What the picture is drawn from.
    pub(super) fn state<'a>(&'a self, state: &'a State) -> &'a State {
        self.frozen.as_deref().unwrap_or(state)
    }

    fn on_paste(&mut self, text: &str) {
        // Elsewhere its letters would be keys.
        if let Some(typed) = &mut self.typed {
            let room = MOST.saturating_sub(typed.chars().count());
            typed.extend(text.chars().filter(|c| !c.is_control()).take(room));
        }
    }

    fn on_mouse(&mut self, mouse: MouseEvent, state: &State) {
        match mouse.kind {
            MouseEventKind::ScrollDown => self.step(1, state),
            MouseEventKind::ScrollUp => self.step(-1, state),
            _ => {}
        }
    }

    fn on_key(&mut self, mut key: KeyEvent, state: &mut State) {
        // What a terminal sends for Escape and another key soon after it.
        if key.modifiers.contains(KeyModifiers::ALT) {
            key.modifiers.remove(KeyModifiers::ALT);
            self.on_key(KeyCode::Esc.into(), state);
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c' | 'd') => self.quits = true,
                KeyCode::Char('u') if self.typed.is_some() => self.typed = Some(String::new()),
                _ => {}
            }
            return;
        }
        if self.typed.is_some() {
            self.on_typed(key.code, state);
            return;
        }
        match key.code {
            KeyCode::Char('q') => self.quits = true,
            KeyCode::Esc => self.back(state),
            KeyCode::Char('?') | KeyCode::F(1) => {
                self.shows = match self.shows {
                    Shows::Help => Shows::Tables,
                    _ => Shows::Help,
                };
            }
            KeyCode::Char('/') => self.typed = Some(state.filter.text.clone()),
            KeyCode::Char('f' | ' ') => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(Box::new(state.clone())),
                };
            }
            KeyCode::Char('s') => self.sort = (self.sort + 1) % SORTS.len(),
            KeyCode::Char('h') => self.span = (self.span + 1) % SPANS.len(),
            KeyCode::Char(digit @ '1'..='4') => self.turn_to(digit as usize - '1' as usize),
            KeyCode::Tab | KeyCode::Right => self.turn_to((self.table + 1) % TABLES.len()),
            KeyCode::BackTab | KeyCode::Left => {
                self.turn_to((self.table + TABLES.len() - 1) % TABLES.len());
            }
            KeyCode::Down | KeyCode::Char('j') => self.step(1, state),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1, state),
            KeyCode::PageDown => self.step(10, state),
            KeyCode::PageUp => self.step(-10, state),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::Enter => self.open(state),
            _ => {}
        }
    }

    fn on_typed(&mut self, code: KeyCode, state: &mut State) {
        let Some(typed) = &mut self.typed else {
            return;
        };
        match code {
            KeyCode::Esc => self.typed = None,
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Enter => match Filter::new(typed) {
                Ok(filter) => {
                    self.set_filter(filter, state);
                    self.typed = None;
                    self.complaint = None;
                }
                Err(complaint) => self.complaint = Some(complaint),
            },
            KeyCode::Char(c) if typed.chars().count() < MOST => typed.push(c),
            _ => {}
        }
    }

    fn set_filter(&mut self, filter: Filter, state: &mut State) {
        if let Some(frozen) = &mut self.frozen {
            frozen.set_filter(filter.clone());
        }
        state.set_filter(filter);
        self.selected = 0;
    }

    fn turn_to(&mut self, table: usize) {
        self.table = table;
        self.selected = 0;
        self.shows = Shows::Tables;
    }

    /// Closes what lies on top, then takes the filter away.
    fn back(&mut self, state: &mut State) {
        if !matches!(self.shows, Shows::Tables) {
            self.shows = Shows::Tables;
        } else if !state.filter.is_empty() {
            self.set_filter(Filter::default(), state);
        }
    }

    fn step(&mut self, by: isize, state: &State) {
        let rows = self.rows(self.state(state));
        self.selected = self
            .selected
            .saturating_add_signed(by)
            .min(rows.saturating_sub(1));
        if matches!(self.shows, Shows::Login(_)) {
            self.open(state);
        }
    }

    /// Rows of the table that is looked at.
    fn rows(&self, state: &State) -> usize {
        match self.table {
            0 => state.totals().servers.len(),
            1 => state.totals().processes.len(),
            SLOWEST => state.worst().len(),
            _ => state.incidents.len(),
        }
    }

    /// Opens the login that is selected; of a server or a process, those that are its.
    fn open(&mut self, state: &State) {
        let known = self.state(state);
        if self.table == SLOWEST
            && let Some(seen) = known.worst().get(self.selected)
        {
            self.shows = Shows::Login(Rc::clone(seen));
        } else if self.table != SLOWEST {
            self.turn_to(SLOWEST);
        }
    }

    /// Groups in the order that is chosen.
    pub(super) fn sorted<'a>(
        &self,
        groups: impl Iterator<Item = (&'a String, &'a Group)>,
        now_ns: u64,
    ) -> Vec<(&'a str, &'a Group, f64)> {
        let mut groups: Vec<_> = groups
            .map(|(name, group)| (name.as_str(), group, group.rate(now_ns)))
            .collect();
        groups.sort_by(|(name, group, rate), (other_name, other, other_rate)| {
            let order = match self.sort {
                0 => other_rate.partial_cmp(rate).unwrap_or(Ordering::Equal),
                1 => (other.failed + other.slow).cmp(&(group.failed + group.slow)),
                2 => other.took.longest_us.cmp(&group.took.longest_us),
                _ => Ordering::Equal,
            };
            order.then_with(|| match self.sort {
                0 => other.logins.cmp(&group.logins).then(name.cmp(other_name)),
                _ => name.cmp(other_name),
            })
        });
        groups
    }
}
