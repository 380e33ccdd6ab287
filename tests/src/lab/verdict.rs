//! What was said of a login whose truth is known.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::draw::Draw;
use super::site::{PORT, Seen};
use super::{Known, Line, Ran};
use crate::replay::events_with;

/// Logins of one run that are judged at most: those of a crowd are much alike.
const MOST: usize = 3;
/// From here on a login is slow, nanoseconds: the agent's own default.
pub(super) const SLOW: u64 = 1_000_000_000;

/// A cause as told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its name.
    pub cause: String,
    /// How sure.
    pub confidence: f64,
}

/// What was said of one login.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The fault, or what goes well.
    pub fault: &'static str,
    /// Number of its run.
    pub run: u16,
    /// The driver.
    pub driver: String,
    /// The causes that are right; none of a healthy login.
    pub right: &'static [&'static str],
    /// Whether something went wrong with it.
    pub faulty: bool,
    /// The causes that were told, the likeliest first.
    pub told: Vec<Told>,
    /// What replay tells of the captured packets, where it tells of this connection.
    pub replayed: Option<Vec<Told>>,
    /// What the agent at the other source of packets tells.
    pub elsewhere: Option<Vec<Told>>,
    /// How the login ended, as told.
    pub outcome: String,
    /// How long it took, nanoseconds; 0 where that is not told.
    pub took: u64,
    /// The line, and what the client wrote.
    pub seen: Value,
}

impl Verdict {
    /// Whether the first cause is right; of a healthy login whether none is more likely than not.
    pub fn is_right(&self) -> bool {
        match self.told.first() {
            Some(first) if self.faulty => self.right.contains(&first.cause.as_str()),
            Some(first) => first.confidence <= 0.5,
            None => !self.faulty,
        }
    }

    /// Whether the first cause, more likely than not, is nothing that the client itself did.
    pub fn blames_others(&self) -> bool {
        let clients = ["client_slow", "client_starved"];
        let first = self.told.first().filter(|first| first.confidence > 0.5);
        first.is_some_and(|first| !clients.contains(&first.cause.as_str()))
    }

    /// All of it, for whoever looks into it.
    pub fn line(&self) -> Value {
        let list = |told: &[Told]| -> Vec<_> {
            told.iter()
                .map(|told| json!([told.cause, told.confidence]))
                .collect()
        };
        json!({
            "fault": self.fault, "run": self.run, "driver": self.driver, "right": self.right,
            "faulty": self.faulty, "is_right": self.is_right(), "told": list(&self.told),
            "replayed": self.replayed.as_deref().map(list), "elsewhere": self.elsewhere.as_deref().map(list),
            "outcome": self.outcome, "took_ns": self.took, "seen": self.seen,
        })
    }
}

/// What was said of all logins.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    /// Of each that counts.
    pub(super) all: Vec<Verdict>,
    /// Logins that were to go wrong, and of which nobody noticed it.
    pub(super) unfelt: usize,
    /// Logins that were to go wrong, and of which there is no line.
    pub(super) untold: usize,
}

/// Whether there is a line of each login that went wrong.
pub(super) fn are_all_told(events: &[Value], ran: &[Ran]) -> bool {
    let lines = Lines::new(events);
    let faulty = ran
        .iter()
        .flat_map(|ran| ran.known.iter().map(move |known| (ran.fault.line, known)));
    faulty
        .filter(|(_, known)| known.faulty)
        .all(|(line, known)| lines.of(line, known).is_some())
}

/// The verdicts of all runs.
pub(super) fn all(ran: &[Ran], watched: &Seen, seed: u64) -> Result<Verdicts> {
    let port = PORT.to_string();
    let replayed = events_with(watched.captured.file(), &["--port", &port])?;
    let replayed = by_connection(&replayed);
    let sources = [&watched.at_sockets, &watched.at_interfaces].map(|events| Lines::new(events));
    let there = by_connection(&watched.at_servers);
    let mut verdicts = Verdicts::default();
    for ran in ran {
        let mut of_run = Vec::new();
        for known in &ran.known {
            // What comes after a socket is gone only an interface shows.
            let [first, other] = match ran.fault.line {
                Line::Login | Line::Attempt | Line::AtServer => [&sources[0], &sources[1]],
                Line::Close => [&sources[1], &sources[0]],
            };
            let events: &[Line] = if known.faulty {
                &[ran.fault.line]
            } else {
                &[Line::Login, Line::Close]
            };
            for event in events {
                let line = first.of(*event, known);
                let line = match event {
                    Line::AtServer => line.and_then(|line| there.get(&key(line)).copied()),
                    _ => line,
                };
                let Some(line) = line else {
                    verdicts.untold += usize::from(known.faulty);
                    continue;
                };
                let id = key(line);
                // Neither the capture nor the agent at the interface has datagrams, and neither is the server's.
                let is_packets_alone = ![Line::Attempt, Line::AtServer].contains(event);
                let about = match event {
                    Line::Attempt => &line["attempt"],
                    Line::Login | Line::Close | Line::AtServer => &line["login"],
                };
                let verdict = Verdict {
                    fault: ran.fault.name,
                    run: ran.number,
                    driver: known.driver.clone(),
                    right: if known.faulty { ran.fault.causes } else { &[] },
                    faulty: known.faulty,
                    told: told(line),
                    replayed: replayed
                        .get(&id)
                        .filter(|_| is_packets_alone)
                        .map(|line| told(line)),
                    elsewhere: other
                        .of(*event, known)
                        .filter(|_| is_packets_alone)
                        .map(told),
                    outcome: about["outcome"].as_str().unwrap_or("none").to_owned(),
                    took: about["duration_ns"].as_u64().unwrap_or(0),
                    seen: json!({ "line": line, "client": known.output }),
                };
                of_run.push(verdict);
            }
        }
        let (faulty, healthy): (Vec<_>, Vec<_>) =
            of_run.into_iter().partition(|verdict| verdict.faulty);
        verdicts.all.extend(healthy);
        let (felt, unfelt): (Vec<_>, Vec<_>) = faulty.into_iter().partition(is_felt);
        verdicts.unfelt += unfelt.len();
        let draw = Draw::new(seed, ran.fault.name, ran.number.into());
        verdicts.all.extend(some(felt, draw));
    }
    Ok(verdicts)
}

/// Whether anybody noticed: who is not held up by a fault is told nothing.
fn is_felt(verdict: &Verdict) -> bool {
    if verdict.seen["line"]["event"] == "close" {
        return true;
    }
    !["success", "redirected"].contains(&verdict.outcome.as_str())
        || verdict.took >= SLOW
        || !verdict.told.is_empty()
}

/// A few of a crowd.
fn some(mut all: Vec<Verdict>, mut draw: Draw) -> Vec<Verdict> {
    while all.len() > MOST {
        all.remove(draw.number(0..=all.len() as u64 - 1) as usize);
    }
    all
}

pub(super) fn told(line: &Value) -> Vec<Told> {
    let causes = [&line["diagnosis"], &line["attempt"]["diagnosis"]];
    let causes = causes.into_iter().find_map(Value::as_array);
    let causes = causes.map_or(&[][..], Vec::as_slice);
    let told = |cause: &Value| {
        Some(Told {
            cause: cause["cause"].as_str()?.to_owned(),
            confidence: cause["confidence"].as_f64()?,
        })
    };
    causes.iter().filter_map(told).collect()
}

/// The event and the connection of a line.
fn key(line: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&line["event"]), text(&line["connection"]["id"]))
}

fn by_connection(events: &[Value]) -> BTreeMap<(String, String), &Value> {
    let mut lines = BTreeMap::new();
    for line in events {
        // Of a port that was used again the first connection's.
        lines.entry(key(line)).or_insert(line);
    }
    lines
}

/// An account: lines by event, process and server, and those of attempts by their id.
struct Lines<'a> {
    own: BTreeMap<(&'a str, u64, &'a str), &'a Value>,
    attempts: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Lines<'a> {
    fn new(events: &'a [Value]) -> Self {
        let mut lines = BTreeMap::<_, &Value>::new();
        for line in events {
            let process = line["process"]["pid"].as_u64();
            let (event, server) = (line["event"].as_str(), line["server"]["address"].as_str());
            let (Some(event), Some(process), Some(server)) = (event, process, server) else {
                continue;
            };
            // The first connection of a process that made several.
            let began = |line: &Value| line["connection"]["start"].as_str().map(str::to_owned);
            let first = lines.entry((event, process, server)).or_insert(line);
            if began(line) < began(first) {
                *first = line;
            }
        }
        let attempts = events.iter().filter(|line| line["event"] == "attempt");
        let attempts = attempts.filter_map(|line| Some((line["attempt"]["id"].as_str()?, line)));
        Self {
            own: lines,
            attempts: attempts.collect(),
        }
    }

    fn of(&self, line: Line, known: &Known) -> Option<&'a Value> {
        let (process, server) = (known.process.into(), known.server.as_str());
        let own = |event| self.own.get(&(event, process, server)).copied();
        if line != Line::Attempt {
            return own(line.event());
        }
        let attempt = own(Line::Login.event())?["attempt"]["id"].as_str()?;
        self.attempts.get(attempt).copied()
    }
}
