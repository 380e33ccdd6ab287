//! The proof that nothing is lost without being counted: connections faster than their records fit, and for each
//! of them what the agent has said.

mod trial;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

pub use self::trial::Trial;

/// Wrong lines that are kept, to be looked at.
const KEPT: usize = 5;

/// Connections that one client made, each from a port of its own.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// The client's address.
    pub from: Ipv4Addr,
    /// Its first port.
    pub first: u16,
    /// How many ports it used, one after the other.
    pub count: u16,
}

/// What was said of the connections that were made, each of which says PRELOGIN, hears its answer, and is closed in
/// order by its client.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Connections that were made.
    pub made: usize,
    /// Connections with one `login` and one `close`.
    pub told: usize,
    /// Of these, those of which nothing is missing by what is said.
    pub whole: usize,
    /// Connections of which nothing was said.
    pub untold: usize,
    /// Connections of which an end was told that says itself that nothing before it was seen.
    pub ends: usize,
    /// Connections with other lines than that, but not one `login` and one `close`.
    pub uneven: usize,
    /// Lines of connections that nobody made.
    pub strange: usize,
    /// Lines that are said to be whole, and something else than was done is said in them.
    pub wrong: usize,
    /// Some of those lines.
    pub kept: Vec<Value>,
    /// Connections that are partial, by reason.
    pub partial: BTreeMap<String, usize>,
    /// What is said to be lost, by reason.
    pub losses: BTreeMap<String, u64>,
    /// Attempts, the flood's among them.
    pub attempts: usize,
    /// Connections of the flood that were told.
    pub flood: usize,
}

impl Accounts {
    /// Reads an agent's lines. What comes from networks that begin with `flood` is nobody's connection.
    pub fn of(lines: &Path, made: &[Made], flood: [u8; 2]) -> Result<Self> {
        let mut accounts = Self::default();
        let mut said = made
            .iter()
            .flat_map(|made| {
                let ports = made.first..made.first + made.count;
                ports.map(|port| ((made.from, port), Said::default()))
            })
            .collect::<BTreeMap<_, _>>();
        accounts.made = said.len();
        for line in BufReader::new(File::open(lines)?).lines() {
            let event: Value = serde_json::from_str(&line?)?;
            let kind = event["event"].as_str().unwrap_or_default();
            if kind == "loss" {
                let loss = &event["loss"];
                let reason = loss["reason"].as_str().unwrap_or_default().to_owned();
                *accounts.losses.entry(reason).or_default() += loss["count"].as_u64().unwrap_or(0);
            }
            accounts.attempts += usize::from(kind == "attempt");
            if !matches!(kind, "login" | "close") {
                continue;
            }
            let address = event["client"]["address"].as_str().context("no client")?;
            let address: Ipv4Addr = address.parse()?;
            if address.octets().starts_with(&flood) {
                accounts.flood += usize::from(kind == "login");
                continue;
            }
            let port = event["client"]["port"].as_u64().context("no port")?;
            match said.get_mut(&(address, u16::try_from(port)?)) {
                Some(said) => said.take(event),
                None => accounts.strange += 1,
            }
        }
        for said in said.values() {
            accounts.settle(said);
        }
        Ok(accounts)
    }

    fn settle(&mut self, said: &Said) {
        let [login, close] = match (&said.logins[..], &said.closes[..]) {
            ([], []) => {
                self.untold += 1;
                return;
            }
            ([login], [close]) => [login, close],
            ([], [close]) if is_end_alone(close) => {
                self.ends += 1;
                return;
            }
            (logins, closes) => {
                self.uneven += 1;
                self.keep(logins.iter().chain(closes));
                return;
            }
        };
        self.told += 1;
        let reasons = close["connection"]["partial_reasons"].as_array();
        for reason in reasons.into_iter().flatten() {
            let reason = reason.as_str().unwrap_or_default().to_owned();
            *self.partial.entry(reason).or_default() += 1;
        }
        let [login_is_whole, close_is_whole] =
            [login, close].map(|line| line["connection"]["partial"] == false);
        self.whole += usize::from(close_is_whole);
        let wrong = login_is_whole && !is_right(login) || close_is_whole && !is_right_end(close);
        if wrong {
            self.wrong += 1;
            self.keep([login, close]);
        }
    }

    fn keep<'a>(&mut self, lines: impl IntoIterator<Item = &'a Value>) {
        if self.kept.len() < KEPT {
            self.kept.extend(lines.into_iter().cloned());
        }
    }

    /// Records that the kernel could not hand over, and connections that the agent did not keep.
    pub fn lost(&self) -> u64 {
        let flood = ["syn_held"];
        let losses = self.losses.iter();
        let ours = losses.filter(|(reason, _)| !flood.contains(&reason.as_str()));
        ours.map(|(_, count)| count).sum()
    }

    /// What is not as it is promised.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut never = |what: &str, count: usize| {
            if count > 0 {
                complaints.push(format!("{count} {what}"));
            }
        };
        never(
            "connections with lines, but not one login and one close",
            self.uneven,
        );
        never("lines of connections that nobody made", self.strange);
        never(
            "connections with lines said to be whole, and wrong",
            self.wrong,
        );
        if self.told + self.untold + self.ends + self.uneven != self.made {
            complaints.push("the sums differ".to_owned());
        }
        if self.lost() < self.untold as u64 {
            complaints.push(format!(
                "{} connections of which nothing was said, {} lost",
                self.untold,
                self.lost()
            ));
        }
        complaints
    }
}

impl Display for Accounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections: {} with one login and one close, {} of these whole; {} of which nothing is said, {} of which an end is; {} uneven, \
             {} wrong, {} strange; partial {:?}; lost {:?}; {} of the flood told; {} attempts",
            self.made,
            self.told,
            self.whole,
            self.untold,
            self.ends,
            self.uneven,
            self.wrong,
            self.strange,
            self.partial,
            self.losses,
            self.flood,
            self.attempts
        )
    }
}

/// The lines of one connection.
#[derive(Default)]
struct Said {
    logins: Vec<Value>,
    closes: Vec<Value>,
}

impl Said {
    fn take(&mut self, event: Value) {
        let to = if event["event"] == "login" {
            &mut self.logins
        } else {
            &mut self.closes
        };
        to.push(event);
    }
}

/// Whether it is said of a login that it was given up after PRELOGIN's answer.
fn is_right(login: &Value) -> bool {
    let phases = ["handshake", "prelogin"].map(|phase| &login["phases"][phase]["complete"]);
    login["login"]["outcome"] == "aborted"
        && phases.into_iter().all(|complete| *complete == true)
        && login["process"]["name"] == "crowd"
}

/// Whether the same is said at its end, and who ended it.
fn is_right_end(close: &Value) -> bool {
    is_right(close) && close["close"]["by"] == "client" && close["close"]["how"] == "fin"
}

/// Whether a line of an end says that records before it were lost.
fn is_end_alone(close: &Value) -> bool {
    let reasons = close["connection"]["partial_reasons"].as_array();
    let mut reasons = reasons.into_iter().flatten();
    reasons.any(|reason| reason == "joined_late") && close["login"].is_null()
}
