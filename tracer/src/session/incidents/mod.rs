//! Incidents: logins that go wrong together, more than usually do.
//!
//! Every decided login is told here, whoever else wants to hear of it, and every one that is pending. What
//! went wrong is counted by trouble (`family`) and place. Where that is odd (`watch`), an incident
//! opens; it takes in every further login that meets the same, and is over when hardly any does. All
//! of it goes by the times of the logins and of the engine, so that the same logins make the same incidents
//! live and in replay. How many troubles, places and names are followed is bounded.

mod family;
mod kept;
mod limits;
mod seen;
mod tally;
#[cfg(test)]
mod tests;
mod watch;
mod windowed;

use foldhash::HashMap;

pub(in crate::session) use self::{
    family::Scope,
    seen::{Ended, Login, News, Seen},
    tally::Many,
    watch::Open,
};
use self::{
    limits::Limits,
    seen::Key,
    watch::Watch,
    windowed::{PARTS, Windowed},
};
use super::{baselines::Troubles, input::IncidentLimits};
use crate::record::{IncidentAction, IncidentId, IncidentOutcome};

/// Of an earlier run no more than so much is told apart: a day, in nanoseconds.
const REMEMBERED: u64 = 24 * 3600 * 1_000_000_000;
/// Troubles at places that are followed at once.
const MAX_WATCHES: usize = 256;
/// Servers and clients whose logins are counted, of each.
const MAX_SCOPES: usize = 1024;
/// Incidents that go on at once; what else goes wrong is counted and told as logins only.
const MAX_OPEN: usize = 64;
/// Of these, those of the same trouble, each at its own place: a further one makes it one for all places.
const MAX_ALIKE: usize = 4;

/// The incidents, and what may become one.
#[derive(Debug)]
pub(in crate::session) struct Incidents {
    /// `None` where nobody wants to hear of them.
    limits: Option<Limits>,
    watches: HashMap<Key, Watch>,
    /// Those whose incident is open, in the order in which they opened.
    open: Vec<Key>,
    /// All logins of late, by server, by client and in all.
    logins: HashMap<Scope, Windowed>,
    /// When was last looked which of these are old.
    swept: u64,
    /// What time it is, since when logins are watched, and for how long they were before.
    now: u64,
    since: Option<u64>,
    before: u64,
    /// When is looked after those that are open.
    due: u64,
    news: Vec<News>,
}

impl Incidents {
    pub(in crate::session) fn new(limits: Option<IncidentLimits>) -> Self {
        Self {
            limits: limits.map(Limits::of),
            watches: HashMap::default(),
            open: Vec::new(),
            logins: HashMap::default(),
            swept: 0,
            now: 0,
            since: None,
            before: 0,
            due: u64::MAX,
            news: Vec::new(),
        }
    }

    /// Takes other limits. The window stays, by which what was seen is kept; and where nobody wants to hear of
    /// incidents any more, whoever writes leaves them out.
    pub(in crate::session) fn set_limits(&mut self, limits: Option<IncidentLimits>) {
        let Some(limits) = limits.map(Limits::of) else {
            return;
        };
        self.limits.get_or_insert(limits).logins = limits.logins;
    }

    /// For how long logins have been watched, nanoseconds, in earlier runs too.
    fn watched(&self) -> u64 {
        let since = self.since.unwrap_or(self.now);
        self.before.saturating_add(self.now.saturating_sub(since))
    }

    /// What is usual, as it is kept: the troubles that are met most often first.
    pub(in crate::session) fn usual(&self) -> Troubles {
        kept::of(self.limits, self.watched(), &self.watches)
    }

    /// What was usual before anything is told.
    pub(in crate::session) fn learn(&mut self, troubles: &Troubles) {
        let Some(limits) = self.limits else { return };
        self.before = troubles.watched_ns.min(REMEMBERED);
        for one in troubles.met.iter().take(MAX_WATCHES) {
            let Some(key) = kept::key(one) else { continue };
            let watch = self.watches.entry(key);
            let watch = watch.or_insert_with(|| Watch::new(0, &limits));
            watch.learn(one.per_minute, &limits);
        }
    }

    /// Whether anybody wants to hear of incidents.
    pub(in crate::session) const fn are_wanted(&self) -> bool {
        self.limits.is_some()
    }

    /// A login is decided or pending; the incident that it is part of. `again`: it was pending before.
    pub(in crate::session) fn login(&mut self, login: &Login, again: bool) -> Option<IncidentId> {
        let limits = self.limits?;
        let ended = login.ended();
        self.pass_time(ended.at);
        if !again && login.is_counted() {
            self.counts(login, &limits);
        }
        let settled = if again { self.settles(login) } else { None };
        match login {
            Login::Wrong(seen) => settled.or_else(|| self.goes_wrong(seen, &limits)),
            Login::Other(_) => settled,
        }
    }

    /// A login that was counted while it was pending is decided.
    fn settles(&mut self, login: &Login) -> Option<IncidentId> {
        for key in &self.open {
            let open = self.watches.get_mut(key).and_then(|one| one.open.as_mut());
            if let Some(open) = open
                && open.tally.settle(login)
            {
                return Some(open.id);
            }
        }
        None
    }

    /// One more login.
    fn counts(&mut self, login: &Login, limits: &Limits) {
        let scopes = login.ended().scopes();
        for key in &self.open {
            let open = self.watches.get_mut(key).and_then(|one| one.open.as_mut());
            if let Some(open) = open.filter(|_| scopes.contains(&key.scope)) {
                open.of_logins += 1;
                open.well_since += u64::from(login.is_well() && open.tally.is_like(login.ended()));
            }
        }
        let part = limits.part(self.now);
        for scope in scopes {
            if let Some(known) = self.logins.get_mut(&scope) {
                known.add(part);
                continue;
            }
            if self.logins.len() >= MAX_SCOPES && self.swept != part {
                self.swept = part;
                self.logins.retain(|_, one| one.newest() + PARTS > part);
            }
            if self.logins.len() < MAX_SCOPES {
                self.logins.entry(scope).or_default().add(part);
            }
        }
    }

    fn goes_wrong(&mut self, seen: &Seen, limits: &Limits) -> Option<IncidentId> {
        let key = seen.key();
        let wide = Key {
            scope: Scope::Cause,
            ..key.clone()
        };
        for open in [&key, &wide] {
            let watch = self.watches.get_mut(open);
            if let Some(watch) = watch.filter(|watch| watch.open.is_some()) {
                return watch.joins(seen, limits);
            }
        }
        let is_behind = key.scope == Scope::Cause;
        let fewest = limits.logins as usize;
        let alike = self.open.iter().filter(|open| open.is_same_trouble(&key));
        let has_room = alike.count() < MAX_ALIKE;
        if !is_behind && self.meets(&key, seen, fewest, limits) && has_room {
            if let Some(watch) = self.watches.get_mut(&wide) {
                watch.forget(|one| one.key() == key);
            }
            return self.opens(&key, limits);
        }
        // So many, and no place that has enough of them for itself.
        let apart = if is_behind || !has_room {
            fewest
        } else {
            2 * fewest
        };
        if self.meets(&wide, seen, apart, limits) {
            return self.opens(&wide, limits);
        }
        None
    }

    /// A login meets a trouble; whether that is met oddly often.
    fn meets(&mut self, key: &Key, seen: &Seen, fewest: usize, limits: &Limits) -> bool {
        let span = (self.watched(), self.now);
        let all = self.all(&key.scope, limits);
        let Some(watch) = self.watch(key, limits) else {
            return false;
        };
        watch.meets(seen, fewest, limits);
        watch.is_odd(fewest, all, span, limits)
    }

    /// All logins of a scope in the last window, where they are counted.
    fn all(&mut self, scope: &Scope, limits: &Limits) -> Option<u32> {
        let part = limits.part(self.now);
        self.logins.get_mut(scope).map(|known| known.sum(part))
    }

    /// The watch for a trouble; where there is no room, the one that was met longest ago gives way.
    fn watch(&mut self, key: &Key, limits: &Limits) -> Option<&mut Watch> {
        if !self.watches.contains_key(key) && self.watches.len() >= MAX_WATCHES {
            let closed = self
                .watches
                .iter()
                .filter(|(_, watch)| watch.open.is_none());
            let oldest = closed.min_by_key(|(key, watch)| (watch.last, *key));
            let oldest = oldest.map(|(key, _)| key.clone())?;
            self.watches.remove(&oldest);
        }
        let now = self.now;
        let entry = self.watches.entry(key.clone());
        Some(entry.or_insert_with(|| Watch::new(now, limits)))
    }

    fn opens(&mut self, key: &Key, limits: &Limits) -> Option<IncidentId> {
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        let span = (self.watched(), self.now);
        let all = self.all(&key.scope, limits);
        let watch = self.watches.get_mut(key)?;
        let id = watch.opens(key, all, span, limits)?;
        self.open.push(key.clone());
        self.tells(key, self.now, IncidentAction::Opened, None);
        self.due = self.due.min(limits.next_part(self.now));
        Some(id)
    }

    fn tells(
        &mut self,
        key: &Key,
        at: u64,
        action: IncidentAction,
        outcome: Option<IncidentOutcome>,
    ) {
        let Some(limits) = self.limits else { return };
        let open = self
            .watches
            .get_mut(key)
            .and_then(|watch| watch.open.as_mut());
        if let Some(open) = open {
            open.told = open.tally.logins;
            self.news.push(News {
                at,
                action,
                outcome,
                scope: key.scope.clone(),
                error: Some(key.error).filter(|error| *error != 0),
                window: limits.window,
                open: open.clone(),
            });
        }
    }

    /// Lets time pass up to `now`.
    pub(in crate::session) fn pass_time(&mut self, now: u64) {
        let Some(limits) = self.limits else { return };
        self.since = Some(self.since.map_or(now, |since| since.min(now)));
        if now.saturating_add(limits.window) < self.now {
            // A capture's clock was set back.
            self.now = now;
            self.due = limits.next_part(now);
        }
        while self.due <= now && !self.open.is_empty() {
            let at = self.due;
            self.now = self.now.max(at);
            self.looks_after(at, &limits);
            self.due = limits.next_part(at);
            if self.due <= at {
                // There is no later time.
                break;
            }
        }
        if self.open.is_empty() {
            self.due = u64::MAX;
        }
        self.now = self.now.max(now);
    }

    /// Tells those that are over, and those that have grown.
    fn looks_after(&mut self, at: u64, limits: &Limits) {
        for key in self.open.clone() {
            let Some(watch) = self.watches.get_mut(&key) else {
                continue;
            };
            let is_over = watch.is_over(at, limits);
            let Some(open) = watch.open.as_mut() else {
                continue;
            };
            if is_over {
                let outcome = if open.well_since > 0 {
                    IncidentOutcome::Recovered
                } else {
                    IncidentOutcome::Quiet
                };
                self.closes(&key, at, outcome);
                continue;
            }
            open.next = open.next.min(at.saturating_add(open.pause));
            if at >= open.next && open.tally.logins > open.told {
                open.pause = limits::longer(open.pause);
                open.next = at.saturating_add(open.pause);
                self.tells(&key, at, IncidentAction::Updated, None);
            }
        }
    }

    fn closes(&mut self, key: &Key, at: u64, outcome: IncidentOutcome) {
        self.tells(key, at, IncidentAction::Closed, Some(outcome));
        if let Some(watch) = self.watches.get_mut(key) {
            watch.open = None;
        }
        self.open.retain(|open| open != key);
    }

    /// Nobody watches any more: those that are open are told as far as they came.
    pub(in crate::session) fn finish(&mut self, now: u64) {
        self.pass_time(now);
        for key in self.open.clone() {
            self.closes(&key, self.now, IncidentOutcome::Ongoing);
        }
        self.due = u64::MAX;
    }

    /// What there is to tell.
    pub(in crate::session) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}
