//! What is known, fed by lines: in bounded memory whatever comes, and without a clock of its own.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
};

use super::{
    filter::Filter,
    history::{History, Took},
    seen::{Fate, Seen},
};
use crate::report::{
    line::{Attempt, Facts, Incident, Line},
    text::{shown, words},
    waterfall::Waterfall,
};

/// Logins that are kept, for a filter that is set later.
const RECENT: usize = 4_000;
/// Slow and failed ones that are kept besides.
const WORST: usize = 500;
/// Attempts of which the parts are kept.
const ATTEMPTS: usize = 500;
/// Servers, or processes, that are told apart.
const NAMES: usize = 500;
const INCIDENTS: usize = 100;
const LOSSES: usize = 60;
const OTHERS: &str = "(others)";
/// Seconds over which rates are taken.
pub(super) const RATE: u64 = 10;
/// The worst of so many nanoseconds are those of now.
const NOW: u64 = 900_000_000_000;

/// What the logins of one server, or of one process, have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) logins: u64,
    pub(super) slow: u64,
    pub(super) failed: u64,
    pub(super) took: Took,
    pub(super) last_ns: u64,
    /// Logins of each of the last seconds, by the second's last digit.
    seconds: [(u64, u32); RATE as usize],
}

impl Group {
    fn add(&mut self, seen: &Seen) {
        self.logins += 1;
        self.slow += u64::from(seen.fate == Fate::Slow);
        self.failed += u64::from(seen.fate == Fate::Failed);
        let mut took = Took::default();
        took.count = 1;
        took.sum_us = seen.took_ns / 1_000;
        took.longest_us = u32::try_from(took.sum_us).unwrap_or(u32::MAX);
        self.took.join(&took);
        self.last_ns = self.last_ns.max(seen.at_ns);
        let second = seen.at_ns / 1_000_000_000;
        let place = &mut self.seconds[(second % RATE) as usize];
        if place.0 != second {
            *place = (second, 0);
        }
        place.1 += 1;
    }

    /// Logins a second, of late.
    pub(super) fn rate(&self, now_ns: u64) -> f64 {
        let now = now_ns / 1_000_000_000;
        let of_late = self
            .seconds
            .iter()
            .filter(|(second, _)| now.saturating_sub(*second) < RATE);
        f64::from(of_late.map(|(_, count)| *count).sum::<u32>()) / RATE as f64
    }
}

/// An incident that was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) cause: String,
    pub(super) whom: String,
    pub(super) logins: u64,
    pub(super) of_logins: u64,
    pub(super) since_ns: u64,
    pub(super) servers: String,
    pub(super) open: bool,
}

/// What is counted of logins.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) history: History,
    pub(super) logins: u64,
    pub(super) outcomes: BTreeMap<String, u64>,
    pub(super) servers: HashMap<String, Group>,
    pub(super) processes: HashMap<String, Group>,
}

impl Totals {
    fn add(&mut self, seen: &Seen) {
        self.logins += 1;
        *bounded(&mut self.outcomes, seen.outcome.clone(), LOSSES) += 1;
        self.history.login(seen);
        group(&mut self.servers, &seen.server).add(seen);
        group(&mut self.processes, &seen.process).add(seen);
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    slow_ns: u64,
    pub(super) filter: Filter,
    /// The time that the lines have come to, nanoseconds since 1970.
    pub(super) now_ns: u64,
    /// Of the youngest line.
    told_ns: u64,
    all: Totals,
    /// Of the logins that the filter wants, where there is one.
    wanted: Option<Totals>,
    recent: VecDeque<Rc<Seen>>,
    worst: VecDeque<Rc<Seen>>,
    pub(super) pending: HashMap<String, Rc<Seen>>,
    attempts: VecDeque<(String, Rc<Waterfall>)>,
    pub(super) incidents: BTreeMap<String, Told>,
    pub(super) losses: BTreeMap<String, u64>,
    pub(super) degraded: BTreeMap<String, String>,
    pub(super) hosts: BTreeMap<String, u64>,
    /// Lines that are none of the agent's.
    pub(super) strange: u64,
    /// Lines that the agent numbered and that have not come.
    pub(super) missing: u64,
    runs: BTreeMap<String, u64>,
}

impl State {
    /// Nothing is known yet. What takes longer than `slow_ns` is slow.
    pub(super) fn new(slow_ns: u64) -> Self {
        Self {
            slow_ns,
            ..Self::default()
        }
    }

    /// Sets another filter: what it wants is counted of logins as far back as they are kept.
    pub(super) fn set_filter(&mut self, filter: Filter) {
        self.wanted = None;
        if !filter.is_empty() {
            let mut wanted = Totals::default();
            let mut kept: Vec<_> = self.worst.iter().chain(&self.recent).collect();
            kept.sort_by(|one, other| (one.at_ns, &one.id).cmp(&(other.at_ns, &other.id)));
            kept.dedup_by(|one, other| Rc::ptr_eq(one, other));
            kept.retain(|seen| filter.fits(seen));
            for seen in kept {
                wanted.add(seen);
            }
            wanted.history.pass(self.now_ns / 1_000_000_000);
            self.wanted = Some(wanted);
        }
        self.filter = filter;
    }

    /// What is counted of the logins that are wanted.
    pub(super) fn totals(&self) -> &Totals {
        self.wanted.as_ref().unwrap_or(&self.all)
    }

    /// Time has passed without lines.
    pub(super) fn pass(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        let second = self.now_ns / 1_000_000_000;
        self.all.history.pass(second);
        if let Some(wanted) = &mut self.wanted {
            wanted.history.pass(second);
        }
    }

    /// So many nanoseconds have passed since the last line came.
    pub(super) fn pass_quiet(&mut self, quiet_ns: u64) {
        self.pass(self.told_ns.saturating_add(quiet_ns));
    }

    /// A line that is none of the agent's has come.
    pub(super) fn strange(&mut self) {
        self.strange += 1;
    }

    /// One line more.
    pub(super) fn take(&mut self, mut line: Line) {
        let at_ns = u64::try_from(line.timestamp.0).unwrap_or_default();
        self.pass(at_ns);
        self.told_ns = self.told_ns.max(at_ns);
        *bounded(&mut self.hosts, shown(&line.host.name), NAMES) += 1;
        if let (Some(run), Some(number)) = (&line.run_id, line.line) {
            self.number(run, number);
        }
        match line.event.as_str() {
            "login" => {
                if let Some(seen) = Seen::new(line, self.slow_ns) {
                    self.pending.remove(&seen.id);
                    self.login(&seen);
                }
            }
            "pending" => {
                if let Some(seen) = Seen::new(line, self.slow_ns)
                    && self.pending.len() < NAMES
                {
                    self.pending.insert(seen.id.clone(), seen);
                }
            }
            "attempt" => {
                if let Some(attempt) = line.attempt.take() {
                    self.attempt(&attempt);
                }
            }
            "incident" => {
                if let Some(incident) = line.incident {
                    self.incident(&incident);
                }
            }
            "loss" => {
                if let Some(loss) = line.loss {
                    self.all.history.lost(at_ns / 1_000_000_000, loss.count);
                    *bounded(&mut self.losses, shown(&loss.reason), LOSSES) += loss.count;
                }
            }
            "agent" => {
                if let Some(agent) = line.agent.filter(|agent| agent.action == "degraded") {
                    let reason = shown(&agent.reason.unwrap_or_default());
                    *bounded(&mut self.degraded, reason, LOSSES) =
                        agent.detail.as_deref().map(shown).unwrap_or_default();
                }
            }
            _ => {}
        }
    }

    /// A run has numbered a line: a number that is left out was lost on the way.
    pub(super) fn number(&mut self, run: &str, number: u64) {
        let run = shown(run);
        if let Some(last) = self.runs.get_mut(&run) {
            self.missing += number.saturating_sub(last.saturating_add(1));
            *last = number.max(*last);
        } else if self.runs.len() < NAMES {
            // A stream may begin in the middle of a run.
            self.runs.insert(run, number);
        }
    }

    fn login(&mut self, seen: &Rc<Seen>) {
        if seen.fate != Fate::Well {
            self.worst.push_back(Rc::clone(seen));
            if self.worst.len() > WORST {
                self.worst.pop_front();
            }
        }
        self.recent.push_back(Rc::clone(seen));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.all.add(seen);
        if let Some(wanted) = &mut self.wanted
            && self.filter.fits(seen)
        {
            wanted.add(seen);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        // One connection alone says it all itself.
        if attempt.parts.len() < 2 {
            return;
        }
        let fall = Waterfall::new(&Facts::default(), Some(attempt));
        self.attempts.push_back((shown(&attempt.id), Rc::new(fall)));
        if self.attempts.len() > ATTEMPTS {
            self.attempts.pop_front();
        }
    }

    fn incident(&mut self, incident: &Incident) {
        let id = shown(&incident.id);
        if self.incidents.len() >= INCIDENTS && !self.incidents.contains_key(&id) {
            let over = self.incidents.iter().find(|(_, told)| !told.open);
            let Some(over) = over.map(|(id, _)| id.clone()) else {
                return;
            };
            self.incidents.remove(&over);
        }
        let servers: Vec<_> = incident
            .servers
            .top
            .iter()
            .take(3)
            .map(ToString::to_string)
            .collect();
        let told = Told {
            cause: words(&incident.cause),
            whom: incident.whom.as_deref().map(shown).unwrap_or_default(),
            logins: incident.logins,
            of_logins: incident.of_logins,
            since_ns: u64::try_from(incident.start.0).unwrap_or_default(),
            servers: shown(&servers.join(" ")),
            open: incident.end.is_none(),
        };
        self.incidents.insert(id, told);
    }

    /// Logins that were slow or failed of late, the worst first, and those that are not decided.
    pub(super) fn worst(&self) -> Vec<Rc<Seen>> {
        let of_late = |seen: &&Rc<Seen>| self.now_ns.saturating_sub(seen.at_ns) < NOW;
        let mut found: Vec<_> = self
            .pending
            .values()
            .chain(&self.worst)
            .filter(of_late)
            .filter(|seen| self.filter.fits(seen))
            .cloned()
            .collect();
        if found.is_empty() {
            // All went well: the slowest of them.
            let fits = self.recent.iter().filter(|seen| self.filter.fits(seen));
            found = fits.cloned().collect();
        }
        found.sort_by(|one, other| other.took_ns.cmp(&one.took_ns).then(one.id.cmp(&other.id)));
        found.truncate(WORST);
        found
    }

    /// The parts of a login's attempt, where it has several.
    pub(super) fn parts(&self, seen: &Seen) -> Option<Rc<Waterfall>> {
        let id = seen.attempt.as_deref()?;
        let mut found = self
            .attempts
            .iter()
            .rev()
            .filter(|(attempt, _)| attempt == id);
        found.next().map(|(_, fall)| Rc::clone(fall))
    }
}

fn group<'a>(groups: &'a mut HashMap<String, Group>, name: &str) -> &'a mut Group {
    let known = groups.len() < NAMES || groups.contains_key(name);
    groups
        .entry(if known { name } else { OTHERS }.to_owned())
        .or_default()
}

fn bounded<V: Default>(counts: &mut BTreeMap<String, V>, key: String, most: usize) -> &mut V {
    let known = counts.len() < most || counts.contains_key(&key);
    counts
        .entry(if known { key } else { OTHERS.to_owned() })
        .or_default()
}
