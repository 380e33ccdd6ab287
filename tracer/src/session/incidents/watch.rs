//! One trouble at one place: how often it is met, and whether that is more than usual.

use std::collections::VecDeque;

use super::{
    limits::{Limits, UPDATE},
    seen::{Key, Seen},
    tally::Tally,
    windowed::Windowed,
};
use crate::record::{ConnectionId, IncidentId};

/// Windows of which something is known before anything is usual.
const FEWEST_WINDOWS: u64 = 5;
/// How much the last window says of what is usual.
const NEWEST: f64 = 0.2;
/// A minute, in nanoseconds.
const MINUTE: f64 = 60e9;
/// So many times as often as usual is odd.
const ODD: f64 = 3.0;
/// One in so many of all logins is odd where nothing is known to be usual.
const ODD_SHARE: u32 = 20;

/// An incident that goes on.
#[derive(Clone, Debug)]
pub(in crate::session) struct Open {
    pub(in crate::session) id: IncidentId,
    /// When its first login began, nanoseconds as in events.
    pub(in crate::session) start: u64,
    pub(in crate::session) tally: Tally,
    /// All logins of its scope meanwhile.
    pub(in crate::session) of_logins: u64,
    /// How many go wrong so in a window otherwise.
    pub(in crate::session) usual: Option<f64>,
    /// Logins that went well since the last that did not.
    pub(in crate::session) well_since: u64,
    /// How many had gone wrong when it was told last.
    pub(super) told: u64,
    /// When it may be told again, and how long after that once more.
    pub(super) next: u64,
    pub(super) pause: u64,
}

/// A trouble at a place.
#[derive(Debug)]
pub(super) struct Watch {
    /// The last logins that met it, the newest last; none while an incident is open.
    met: VecDeque<Seen>,
    lately: Windowed,
    /// When it was met last.
    pub(super) last: u64,
    /// How often it is met in a window, as far as that is over.
    usual: f64,
    /// The number of the window that goes on, and how often it was met in that.
    window: u64,
    in_window: u32,
    pub(super) open: Option<Box<Open>>,
}

impl Watch {
    pub(super) fn new(at: u64, limits: &Limits) -> Self {
        Self {
            met: VecDeque::new(),
            lately: Windowed::default(),
            last: at,
            usual: 0.0,
            window: at / limits.window,
            in_window: 0,
            open: None,
        }
    }

    /// A login meets it; of the last ones so many are remembered.
    pub(super) fn meets(&mut self, seen: &Seen, most: usize, limits: &Limits) {
        self.counts(seen.ended.at, limits);
        self.forget_connection(seen.ended.connection);
        while self.met.len() >= most.max(1) {
            self.met.pop_front();
        }
        self.met.push_back(seen.clone());
    }

    /// A login of the incident that is open.
    pub(super) fn joins(&mut self, seen: &Seen, limits: &Limits) -> Option<IncidentId> {
        self.counts(seen.ended.at, limits);
        let open = self.open.as_mut()?;
        open.well_since = 0;
        open.tally.add(seen).then_some(open.id)
    }

    fn counts(&mut self, at: u64, limits: &Limits) {
        self.rolls(at, limits);
        self.in_window = self.in_window.saturating_add(1);
        self.lately.add(limits.part(at));
        self.last = self.last.max(at);
    }

    /// Learns from windows that are over. What an incident did is not usual.
    fn rolls(&mut self, at: u64, limits: &Limits) {
        let now = at / limits.window;
        if now.saturating_add(1) < self.window {
            // The clock was set back.
            self.window = now;
        }
        if now <= self.window {
            return;
        }
        if self.open.is_none() {
            let empty = i32::try_from(now - self.window - 1).unwrap_or(i32::MAX);
            let learnt = self.usual * (1.0 - NEWEST) + f64::from(self.in_window) * NEWEST;
            self.usual = learnt * (1.0 - NEWEST).powi(empty);
        }
        self.window = now;
        self.in_window = 0;
    }

    /// A login is not one that met it: it belongs elsewhere.
    pub(super) fn forget(&mut self, is_of: impl Fn(&Seen) -> bool) {
        self.met.retain(|seen| !is_of(seen));
    }

    /// One login counts once, also if it was pending before.
    fn forget_connection(&mut self, connection: ConnectionId) {
        self.met.retain(|seen| seen.ended.connection != connection);
    }

    /// How often it is met in a window, where enough windows have passed while logins were watched.
    fn usual(&self, watched: u64, limits: &Limits) -> Option<f64> {
        (watched / limits.window >= FEWEST_WINDOWS).then_some(self.usual)
    }

    /// How often it is met in a minute.
    pub(super) fn per_minute(&self, limits: &Limits) -> f64 {
        self.usual * MINUTE / limits.window as f64
    }

    /// It was met so often in a minute before anybody watches now.
    pub(super) fn learn(&mut self, per_minute: f64, limits: &Limits) {
        let usual = per_minute * limits.window as f64 / MINUTE;
        self.usual = if usual.is_finite() {
            usual.max(0.0)
        } else {
            0.0
        };
        // It is the one in which it is met first: nothing was seen of those before.
        self.window = u64::MAX;
    }

    /// Whether `fewest` logins met it within a window, and that is odd: more than three times as many as
    /// usual, or where that is not known, more than one in twenty of all.
    pub(super) fn is_odd(
        &mut self,
        fewest: usize,
        all: Option<u32>,
        (watched, now): (u64, u64),
        limits: &Limits,
    ) -> bool {
        let Some(first) = self.met.front() else {
            return false;
        };
        if self.met.len() < fewest || now.saturating_sub(first.ended.at) > limits.window {
            return false;
        }
        let count = self.lately.sum(limits.part(now));
        match self.usual(watched, limits) {
            Some(usual) => f64::from(count) > ODD * usual,
            None => all.is_none_or(|all| count.saturating_mul(ODD_SHARE) > all),
        }
    }

    /// An incident opens with the logins that met it.
    pub(super) fn opens(
        &mut self,
        key: &Key,
        all: Option<u32>,
        (watched, now): (u64, u64),
        limits: &Limits,
    ) -> Option<IncidentId> {
        let mut tally = Tally::default();
        for seen in std::mem::take(&mut self.met) {
            tally.add(&seen);
        }
        let first = &tally.first.as_ref()?.ended;
        let id = key.incident(first.connection);
        self.open = Some(Box::new(Open {
            id,
            start: first.started,
            of_logins: tally.logins.max(all.unwrap_or_default().into()),
            usual: self.usual(watched, limits),
            well_since: 0,
            told: tally.logins,
            next: now.saturating_add(UPDATE),
            pause: UPDATE,
            tally,
        }));
        Some(id)
    }

    /// Whether it is over: so few met it in the last window that no incident would open.
    pub(super) fn is_over(&mut self, at: u64, limits: &Limits) -> bool {
        let count = self.lately.sum(limits.part(at));
        let usual = self.open.as_ref().and_then(|open| open.usual);
        let few = limits.logins.div_ceil(2);
        count < few || usual.is_some_and(|usual| f64::from(count) <= ODD * usual)
    }
}
