//! Whom an incident hits, how often, and how hard.

use std::{collections::BTreeMap, hash::Hash, net::IpAddr};

use foldhash::{HashMap, HashSet};

use super::{Ended, Login, Seen};
use crate::{
    record::{AuthKind, ConnectionId, Outcome, Text},
    session::diagnosis::Ranked,
};

/// Clients, servers, processes and applications that are told apart, of each.
const MOST: usize = 256;
/// Logins that are pending, of each incident.
const MOST_WAITING: usize = 4096;
/// Causes that are told apart: no trouble has more.
const MOST_CAUSES: usize = 16;

/// How often each of many occurred.
#[derive(Clone, Debug)]
pub(in crate::session) struct Many<T> {
    counts: HashMap<T, u32>,
    /// There was no room for another.
    pub(in crate::session) is_full: bool,
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self {
            counts: HashMap::default(),
            is_full: false,
        }
    }
}

impl<T: Clone + Eq + Hash + Ord> Many<T> {
    fn add(&mut self, one: &T) {
        if let Some(count) = self.counts.get_mut(one) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < MOST {
            self.counts.insert(one.clone(), 1);
        } else {
            self.is_full = true;
        }
    }

    /// Whether it is one of them, or may be.
    fn may_have(&self, one: &T) -> bool {
        self.is_full || self.counts.contains_key(one)
    }

    /// How many there are.
    pub(in crate::session) fn count(&self) -> usize {
        self.counts.len()
    }

    /// Those that occurred most often.
    pub(in crate::session) fn top(&self, most: usize) -> Vec<(T, u32)> {
        let mut all: Vec<_> = self
            .counts
            .iter()
            .map(|(one, n)| (one.clone(), *n))
            .collect();
        all.sort_by(|(one, count), (other, more)| more.cmp(count).then_with(|| one.cmp(other)));
        all.truncate(most);
        all
    }
}

/// The logins of an incident.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Tally {
    pub(in crate::session) logins: u64,
    pub(in crate::session) failed: u64,
    pub(in crate::session) slow: u64,
    pub(in crate::session) outcomes: BTreeMap<Outcome, u64>,
    pub(in crate::session) auth: BTreeMap<AuthKind, u64>,
    pub(in crate::session) clients: Many<IpAddr>,
    pub(in crate::session) servers: Many<(IpAddr, u16)>,
    pub(in crate::session) processes: Many<Text>,
    pub(in crate::session) applications: Many<Text>,
    /// Those that are not decided.
    waiting: HashSet<ConnectionId>,
    /// A login told each cause, how many were, and how sure that was in all.
    causes: Vec<(Ranked, u64, f64)>,
    pub(in crate::session) first: Option<Seen>,
    pub(in crate::session) worst: Option<Seen>,
    /// When the last of them was decided, nanoseconds as in events.
    pub(in crate::session) last: u64,
}

impl Tally {
    /// One more login; whether it is counted. There is no end of those that wait: what finds no room is
    /// counted once it is decided.
    pub(super) fn add(&mut self, seen: &Seen) -> bool {
        let ended = &seen.ended;
        if ended.outcome.is_none() {
            if self.waiting.len() >= MOST_WAITING {
                return false;
            }
            self.waiting.insert(ended.connection);
        }
        self.logins += 1;
        self.clients.add(&ended.client);
        self.servers.add(&ended.server);
        if let Some(name) = &ended.process {
            self.processes.add(name);
        }
        if let Some(name) = &ended.application {
            self.applications.add(name);
        }
        if ended.kind != AuthKind::Unknown {
            *self.auth.entry(ended.kind).or_default() += 1;
        }
        self.ends(ended);
        self.is_told_why(&seen.why);
        let before = |one: &Seen| {
            (one.ended.started, one.ended.connection) <= (ended.started, ended.connection)
        };
        if !self.first.as_ref().is_some_and(before) {
            self.first = Some(seen.clone());
        }
        self.may_be_worst(seen);
        true
    }

    /// A login is decided; whether it is one that was counted while it was pending.
    pub(super) fn settle(&mut self, login: &Login) -> bool {
        let ended = login.ended();
        if !self.waiting.remove(&ended.connection) {
            return false;
        }
        self.ends(ended);
        if let Login::Wrong(seen) = login {
            self.may_be_worst(seen);
        }
        true
    }

    fn ends(&mut self, ended: &Ended) {
        self.last = self.last.max(ended.at);
        if let Some(outcome) = ended.outcome {
            *self.outcomes.entry(outcome).or_default() += 1;
            // What was pending and then went well was slow; of what nobody can say neither is said.
            self.slow += u64::from(outcome.is_good());
            self.failed += u64::from(!outcome.is_good() && outcome != Outcome::Unknown);
        }
    }

    fn may_be_worst(&mut self, seen: &Seen) {
        let ended = &seen.ended;
        let longer = |one: &Seen| {
            one.ended.duration >= ended.duration && one.ended.connection != ended.connection
        };
        if !self.worst.as_ref().is_some_and(longer) {
            self.worst = Some(seen.clone());
        }
    }

    /// How many of them are not decided.
    pub(in crate::session) fn pending(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Whether a login is like those that went wrong: of a client and to a server that were hit, and as far
    /// as it is known authenticated as one of them.
    pub(super) fn is_like(&self, ended: &Ended) -> bool {
        let kind = self.auth.is_empty()
            || ended.kind == AuthKind::Unknown
            || self.auth.contains_key(&ended.kind);
        kind && self.clients.may_have(&ended.client) && self.servers.may_have(&ended.server)
    }

    fn is_told_why(&mut self, why: &Ranked) {
        let known = self.causes.iter_mut();
        let mut same = known.filter(|(cause, ..)| cause.slug() == why.slug());
        if let Some((_, count, sure)) = same.next() {
            *count += 1;
            *sure += why.confidence;
        } else if self.causes.len() < MOST_CAUSES {
            self.causes.push((why.clone(), 1, why.confidence));
        }
    }

    /// The cause that explains most, and how sure it is that it is each login's.
    pub(in crate::session) fn cause(&self) -> Option<(&Ranked, f64)> {
        let mut best: Option<&(Ranked, u64, f64)> = None;
        for cause in &self.causes {
            if best.is_none_or(|(.., sure)| cause.2 > *sure) {
                best = Some(cause);
            }
        }
        best.map(|(cause, _, sure)| (cause, sure / self.logins.max(1) as f64))
    }

    /// How many logins were told each cause.
    pub(in crate::session) fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.causes
            .iter()
            .map(|(cause, count, _)| (cause.slug(), *count))
    }
}
