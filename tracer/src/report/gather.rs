//! What is known once all lines are read, in memory that is bounded whatever comes.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    line::{Attempt, Connection, Facts, Incident, Line, Moment},
    slow_ones::Chosen,
    spread::Spread,
    text::shown,
    timeline::Timeline,
};

/// Values of a column that are told apart.
const VALUES: usize = 200;
/// Attempts that are kept: those that failed or took long.
const ATTEMPTS: usize = 512;
/// Incidents that are kept.
const INCIDENTS: usize = 100;
/// Hosts and runs that are told apart.
const RUNS: usize = 10_000;
/// Errors, losses and shortfalls that are told apart.
const KINDS: usize = 200;
/// Stands for values beyond those.
const OTHERS: &str = "(others)";

/// What logins have in common, one of a column's values.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    pub(super) logins: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
    pub(super) took: Spread,
}

/// What logins are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Server,
    Client,
    Process,
    Application,
    Driver,
    Authentication,
    Encryption,
    Container,
    Host,
}

impl Column {
    pub(super) const ALL: [Self; 9] = [
        Self::Server,
        Self::Client,
        Self::Process,
        Self::Application,
        Self::Driver,
        Self::Authentication,
        Self::Encryption,
        Self::Container,
        Self::Host,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Process => "process",
            Self::Application => "application",
            Self::Driver => "driver",
            Self::Authentication => "authentication",
            Self::Encryption => "encryption",
            Self::Container => "container",
            Self::Host => "seen by",
        }
    }

    /// Its value of a login; `None` where that is not known.
    fn of(self, facts: &Facts, host: &str) -> Option<String> {
        let login = facts.login.as_ref();
        let process = facts.process.as_ref();
        let text = match self {
            Self::Server => match facts.server.as_ref()? {
                server if server.instance.is_some() => {
                    format!("{server} ({})", server.instance.as_deref()?)
                }
                server => server.to_string(),
            },
            Self::Client => facts.client.as_ref()?.address.clone(),
            Self::Process => process?.name.clone()?,
            Self::Application => login?.app_name.clone()?,
            Self::Driver => {
                let agent = facts.tds.as_ref().and_then(|tds| tds.user_agent.as_ref());
                match agent.and_then(|agent| agent.driver.as_ref().zip(agent.version.as_ref())) {
                    Some((driver, version)) => format!("{driver} {version}"),
                    None => login?.client_library.clone()?,
                }
            }
            Self::Authentication => facts.auth.as_ref()?.kind.clone()?,
            Self::Encryption => facts.tds.as_ref()?.encryption.clone()?,
            Self::Container => process?.place()?,
            Self::Host => host.to_owned(),
        };
        (!text.is_empty()).then(|| shown(&text))
    }
}

/// A cause, and how often it was the likeliest.
#[derive(Clone, Debug, Default)]
pub(super) struct OfCause {
    pub(super) logins: u64,
    /// Sum of how sure it was.
    pub(super) confidence: f64,
    pub(super) whom: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Gathered {
    /// What takes longer is slow, nanoseconds.
    pub(super) slow_from: u64,
    pub(super) logins: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
    pub(super) first: Option<Moment>,
    pub(super) last: Option<Moment>,
    /// By name, and by number and state of the error where the server refused them.
    pub(super) outcomes: BTreeMap<(String, Option<(u32, u8)>), u64>,
    pub(super) took: Spread,
    pub(super) phases: BTreeMap<String, Spread>,
    pub(super) columns: BTreeMap<Column, HashMap<String, Share>>,
    pub(super) causes: BTreeMap<String, OfCause>,
    pub(super) timeline: Timeline,
    pub(super) chosen: Chosen,
    pub(super) attempts: HashMap<String, Attempt>,
    pub(super) incidents: BTreeMap<String, Incident>,
    pub(super) unseen: Unseen,
}

/// What was not seen, or not for sure.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    pub(super) losses: BTreeMap<String, u64>,
    pub(super) partial: u64,
    pub(super) partial_reasons: BTreeMap<String, u64>,
    pub(super) inferred: u64,
    pub(super) vantages: BTreeMap<String, u64>,
    /// What works less well than it could, with what that costs.
    pub(super) degraded: BTreeMap<String, String>,
    /// Lines that the agent numbered and that are not here.
    pub(super) missing: u64,
    /// Lines that are no lines of the agent.
    pub(super) strange: u64,
    runs: HashMap<String, u64>,
    hosts: HashSet<String>,
    /// Connections whose login was undecided when it was told of last.
    pending: HashSet<String>,
}

impl Unseen {
    /// The agent numbers what it writes: a number that is left out was lost on the way.
    fn number(&mut self, line: &Line) {
        if let (Some(run), Some(number)) = (&line.run_id, line.line) {
            if let Some(last) = self.runs.get_mut(run) {
                self.missing += number.saturating_sub(*last + 1);
                *last = number.max(*last);
            } else if self.runs.len() < RUNS {
                // A file may begin in the middle of a run.
                self.runs.insert(shown(run), number);
            }
        }
        if self.hosts.len() < RUNS && !self.hosts.contains(&line.host.name) {
            self.hosts.insert(shown(&line.host.name));
        }
    }

    /// A login is undecided for long; its `login` line is to follow.
    fn waits_for(&mut self, connection: Option<Connection>) {
        if let Some(connection) = connection
            && self.pending.len() < RUNS
        {
            self.pending.insert(shown(&connection.id));
        }
    }

    /// Logins of which nothing was told but that they are undecided.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Hosts that told.
    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }
}

impl Gathered {
    /// Nothing is known yet. What takes longer than `slow_from` is slow; so many of the worst are kept
    /// whole.
    pub(super) fn new(slow_from: u64, worst: usize) -> Self {
        Self {
            slow_from,
            logins: 0,
            failed: 0,
            slow: 0,
            first: None,
            last: None,
            outcomes: BTreeMap::new(),
            took: Spread::default(),
            phases: BTreeMap::new(),
            columns: BTreeMap::new(),
            causes: BTreeMap::new(),
            timeline: Timeline::default(),
            chosen: Chosen::new(worst),
            attempts: HashMap::new(),
            incidents: BTreeMap::new(),
            unseen: Unseen::default(),
        }
    }

    /// One line more.
    pub(super) fn take(&mut self, mut line: Line) {
        self.unseen.number(&line);
        match line.event.as_str() {
            "login" => self.login(line),
            "pending" => self.unseen.waits_for(line.facts().connection),
            "attempt" => {
                if let Some(attempt) = line.attempt {
                    self.attempt(attempt);
                }
            }
            "incident" => {
                if let Some(incident) = line.incident {
                    self.incident(incident);
                }
            }
            "loss" => {
                if let Some(loss) = line.loss {
                    *counted(&mut self.unseen.losses, shown(&loss.reason)) += loss.count;
                }
            }
            "agent" => {
                if let Some(agent) = line.agent.filter(|agent| agent.action == "degraded") {
                    let what = shown(&agent.reason.unwrap_or_default());
                    *counted(&mut self.unseen.degraded, what) = agent
                        .detail
                        .map(|detail| shown(&detail))
                        .unwrap_or_default();
                }
            }
            _ => {}
        }
    }

    fn login(&mut self, mut line: Line) {
        let failed = line.severity == "error";
        let facts = line.facts();
        let Some((connection, login)) = facts.connection.as_ref().zip(facts.login.as_ref()) else {
            return;
        };
        self.unseen.pending.remove(&connection.id);
        let took = login.duration_ns.unwrap_or_default();
        let slow = !failed && login.loser != Some(true) && took > self.slow_from;
        self.logins += 1;
        self.failed += u64::from(failed);
        self.slow += u64::from(slow);
        self.first = Some(
            self.first
                .map_or(connection.start, |first| first.min(connection.start)),
        );
        self.last = Some(
            self.last
                .map_or(line.timestamp, |last| last.max(line.timestamp)),
        );
        let outcome = login.outcome.as_deref().unwrap_or("unknown");
        let error = login.error.filter(|_| failed);
        let error = error.map(|error| (error.number, error.state));
        *counted(&mut self.outcomes, (shown(outcome), error)) += 1;
        self.took.add(took);
        for (name, phase) in &facts.phases {
            counted(&mut self.phases, shown(name)).add(phase.duration_ns);
        }
        for column in Column::ALL {
            if let Some(value) = column.of(&facts, &line.host.name) {
                let share = value_of(self.columns.entry(column).or_default(), value);
                share.logins += 1;
                share.failed += u64::from(failed);
                share.slow += u64::from(slow);
                share.took.add(took);
            }
        }
        if let Some(first) = facts.diagnosis.first().filter(|_| failed || slow) {
            let cause = counted(&mut self.causes, shown(&first.cause));
            cause.logins += 1;
            cause.confidence += first.confidence;
            cause.whom.clone_from(&first.whom);
        }
        self.unseen.partial += u64::from(connection.partial);
        for reason in &connection.partial_reasons {
            *counted(&mut self.unseen.partial_reasons, shown(reason)) += 1;
        }
        self.unseen.inferred += u64::from(login.basis.as_deref() == Some("inferred"));
        *counted(&mut self.unseen.vantages, shown(&connection.vantage)) += 1;
        self.timeline.add(line.timestamp, failed, slow);
        self.chosen
            .consider(line.attempt.map(|attempt| attempt.id), facts, failed, slow);
    }

    fn attempt(&mut self, attempt: Attempt) {
        let well = attempt.outcome.as_deref() == Some("success");
        let took = attempt.duration_ns.unwrap_or_default();
        if well && took <= self.slow_from {
            return;
        }
        if self.attempts.len() < ATTEMPTS {
            self.attempts.insert(attempt.id.clone(), attempt);
        } else if self.chosen.wants(&attempt.id) {
            // It belongs to a login that is shown; another one does not.
            let other = self
                .attempts
                .keys()
                .find(|id| !self.chosen.wants(id))
                .cloned();
            if let Some(other) = other {
                self.attempts.remove(&other);
                self.attempts.insert(attempt.id.clone(), attempt);
            }
        }
    }

    fn incident(&mut self, incident: Incident) {
        if self.incidents.len() < INCIDENTS || self.incidents.contains_key(&incident.id) {
            self.incidents.insert(incident.id.clone(), incident);
        }
    }
}

/// The entry of a name, or of all others where there are too many.
fn value_of(values: &mut HashMap<String, Share>, value: String) -> &mut Share {
    let known = values.len() < VALUES || values.contains_key(&value);
    values
        .entry(if known { value } else { OTHERS.to_owned() })
        .or_default()
}

/// The entry of a key, of which there are few; beyond that they are all the last one.
fn counted<K: Ord + Clone, V: Default>(counts: &mut BTreeMap<K, V>, key: K) -> &mut V {
    let key = match counts.last_key_value() {
        Some((last, _)) if counts.len() >= KINDS && !counts.contains_key(&key) => last.clone(),
        _ => key,
    };
    counts.entry(key).or_default()
}
