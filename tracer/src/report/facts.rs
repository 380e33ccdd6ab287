//! What a report says, whatever it is written in.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{
    gather::{Column, Gathered, Share},
    keys::Keys,
    line::{Incident, Moment},
    outcomes::{self, OutcomeRow},
    spread::Spread,
    text::{count, number, shown, time, words},
    verdict::{Verdict, meaning},
    waterfall::Waterfall,
};

/// Rows of a table that are shown.
const ROWS: usize = 15;
/// Why a connection's times are not known.
const UNTIMED: &str = "untimed";
/// What all phases together are called.
const WHOLE: &str = "whole login";
/// The phases of a login, in their order.
const PHASES: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) verdict: Verdict,
    pub(super) incidents: Vec<Card>,
    pub(super) timeline: Times,
    pub(super) logins: Vec<Shown>,
    pub(super) phases: Vec<PhaseRow>,
    pub(super) compared: bool,
    pub(super) causes: Vec<CauseRow>,
    pub(super) outcomes: Vec<OutcomeRow>,
    pub(super) tables: Vec<Table>,
    pub(super) unseen: Vec<String>,
    pub(super) version: &'static str,
}

/// An incident.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    pub(super) id: String,
    pub(super) cause: String,
    pub(super) meaning: String,
    pub(super) confidence: f64,
    #[serde(rename = "for")]
    pub(super) whom: String,
    pub(super) start: String,
    pub(super) lasted: String,
    pub(super) ended: String,
    pub(super) logins: String,
    pub(super) hits: String,
    #[serde(skip)]
    pub(super) span: (Moment, Moment),
}

/// Logins over time.
#[derive(Debug, Serialize)]
pub(super) struct Times {
    pub(super) start: Option<String>,
    pub(super) step_ns: u64,
    /// Of each step those that went well, were slow, and failed.
    pub(super) steps: Vec<[u64; 3]>,
    #[serde(skip)]
    pub(super) begins: Option<Moment>,
}

/// A login that failed or was slow.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) outcome: String,
    pub(super) failed: bool,
    pub(super) start: String,
    pub(super) took: String,
    pub(super) why: String,
    /// How long its client had been at it before the connection's first packet; nothing where it began with that.
    pub(super) before: Option<String>,
    pub(super) waterfall: Waterfall,
    pub(super) usual: Option<Waterfall>,
    pub(super) keys: Keys,
}

/// How long a phase took.
#[derive(Debug, Serialize)]
pub(super) struct PhaseRow {
    pub(super) phase: String,
    pub(super) logins: u64,
    pub(super) now: Quantiles,
    pub(super) before: Option<Quantiles>,
}

/// Nanoseconds.
#[skip_serializing_none]
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are written, with their unit"
)]
pub(super) struct Quantiles {
    pub(super) p50_ns: Option<u64>,
    pub(super) p90_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
}

impl Quantiles {
    fn of(spread: &Spread) -> Self {
        Self {
            p50_ns: spread.quantile(0.5),
            p90_ns: spread.quantile(0.9),
            p99_ns: spread.quantile(0.99),
            max_ns: spread.longest(),
        }
    }

    /// As a person reads them.
    pub(super) fn cells(&self) -> [String; 4] {
        [self.p50_ns, self.p90_ns, self.p99_ns, self.max_ns]
            .map(|figure| figure.map_or_else(|| "–".to_owned(), time))
    }
}

/// The likeliest cause of logins that failed or were slow.
#[derive(Debug, Serialize)]
pub(super) struct CauseRow {
    pub(super) cause: String,
    pub(super) meaning: String,
    #[serde(rename = "for")]
    pub(super) whom: String,
    pub(super) logins: u64,
    pub(super) confidence: f64,
    pub(super) confirm: &'static str,
    pub(super) mend: &'static str,
}

/// Logins told apart by what they have in common.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) by: &'static str,
    pub(super) rows: Vec<Row>,
    /// Values that are not shown.
    pub(super) more: usize,
}

/// One value.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) value: String,
    pub(super) logins: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
    pub(super) took: Quantiles,
}

impl Facts {
    /// What is said of it; beside what was gathered from another time, where that is given.
    pub(super) fn new(gathered: &Gathered, before: Option<&Gathered>) -> Self {
        let mut spreads = vec![(WHOLE.to_owned(), gathered.took.clone())];
        spreads.extend(PHASES.iter().filter_map(|name| {
            let spread = gathered.phases.get(*name)?;
            Some(((*name).to_owned(), spread.clone()))
        }));
        let phases = spreads.into_iter().map(|(phase, spread)| PhaseRow {
            logins: spread.count(),
            now: Quantiles::of(&spread),
            before: before.and_then(|before| {
                let of_phase = before.phases.get(&phase);
                let spread = if phase == WHOLE {
                    Some(&before.took)
                } else {
                    of_phase
                };
                spread.map(Quantiles::of)
            }),
            phase,
        });
        Self {
            verdict: Verdict::new(gathered),
            incidents: cards(gathered),
            timeline: Times {
                start: gathered.timeline.start().map(|start| start.to_string()),
                step_ns: gathered.timeline.width(),
                steps: gathered
                    .timeline
                    .steps()
                    .iter()
                    .map(|step| [step.well, step.slow, step.failed])
                    .collect(),
                begins: gathered.timeline.start(),
            },
            logins: logins(gathered),
            phases: phases.collect(),
            compared: before.is_some(),
            causes: causes(gathered),
            outcomes: outcomes::rows(gathered),
            tables: tables(gathered),
            unseen: unseen(gathered),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn cards(gathered: &Gathered) -> Vec<Card> {
    let mut incidents: Vec<_> = gathered.incidents.values().collect();
    incidents.sort_by_key(|incident| incident.start);
    incidents
        .into_iter()
        .map(|incident| card(incident, gathered))
        .collect()
}

fn card(incident: &Incident, gathered: &Gathered) -> Card {
    let until = incident.end.or(gathered.last).unwrap_or(incident.start);
    let ended = match incident.outcome.as_deref() {
        Some("recovered") => "logins go well again",
        Some("quiet") => "no such login was seen any more",
        _ => "still open at the end",
    };
    let error = incident
        .error
        .map_or_else(String::new, |error| format!(", error {error}"));
    let one = |affected: &super::line::Affected, what| {
        let first = affected.top.first().map_or_else(String::new, |first| {
            format!(" ({})", shown(&first.to_string()))
        });
        format!("{}{first}", number(affected.count, what))
    };
    Card {
        id: shown(&incident.id),
        cause: shown(&incident.cause),
        meaning: meaning(&incident.cause) + &error,
        confidence: incident.confidence,
        whom: incident.whom.as_deref().map(words).unwrap_or_default(),
        start: incident.start.to_string(),
        lasted: time(incident.duration_ns),
        ended: ended.to_owned(),
        logins: format!(
            "{} of {} logins: {} failed, {} slow",
            count(incident.logins),
            count(incident.of_logins),
            count(incident.failed),
            count(incident.slow),
        ),
        hits: format!(
            "{}, {}",
            one(&incident.servers, "server"),
            one(&incident.clients, "client")
        ),
        span: (incident.start, until),
    }
}

fn logins(gathered: &Gathered) -> Vec<Shown> {
    let worst = gathered.chosen.worst().into_iter();
    worst
        .filter_map(|kept| {
            let facts = &kept.facts;
            let (connection, login) = facts.connection.as_ref().zip(facts.login.as_ref())?;
            let attempt = kept
                .attempt
                .as_ref()
                .and_then(|id| gathered.attempts.get(id));
            let client = facts.client.as_ref()?;
            let server = facts.server.as_ref()?;
            let process = facts.process.as_ref().map(|process| {
                let name = process.name.as_deref().map(shown).unwrap_or_default();
                format!("{name} ({})", process.pid)
            });
            let from = process.map_or_else(
                || shown(&client.to_string()),
                |process| format!("{process} on {}", shown(&client.address)),
            );
            let diagnosis = attempt.map(|attempt| &attempt.diagnosis);
            let diagnosis = diagnosis.filter(|causes| !causes.is_empty());
            Some(Shown {
                title: format!("{from} to {}", shown(&server.to_string())),
                outcome: words(login.outcome.as_deref().unwrap_or("unknown")),
                failed: kept.failed,
                start: connection.start.to_string(),
                took: time(kept.took()),
                why: super::verdict::why(diagnosis.unwrap_or(&facts.diagnosis)),
                before: attempt
                    .and_then(|attempt| attempt.start)
                    .map(|start| connection.start.0.saturating_sub(start.0))
                    .and_then(|before| u64::try_from(before).ok())
                    .filter(|before| *before > 0)
                    .map(time),
                waterfall: Waterfall::new(facts, attempt),
                usual: gathered
                    .chosen
                    .usual(kept)
                    .map(|usual| Waterfall::new(&usual.facts, None)),
                keys: Keys::new(facts),
            })
        })
        .collect()
}

fn causes(gathered: &Gathered) -> Vec<CauseRow> {
    let mut causes: Vec<_> = gathered.causes.iter().collect();
    causes.sort_by_key(|(_, of)| std::cmp::Reverse(of.logins));
    let rows = causes.into_iter().take(ROWS).map(|(cause, of)| {
        let known = crate::session::words(cause);
        CauseRow {
            cause: cause.clone(),
            meaning: meaning(cause),
            whom: of.whom.as_deref().map(words).unwrap_or_default(),
            logins: of.logins,
            confidence: (of.confidence / of.logins as f64 * 100.0).round() / 100.0,
            confirm: known.map_or("", |words| words.confirm),
            mend: known.map_or("", |words| words.mend),
        }
    });
    rows.collect()
}

fn tables(gathered: &Gathered) -> Vec<Table> {
    let columns = Column::ALL.iter().filter_map(|column| {
        let values = gathered.columns.get(column)?;
        // Who told it matters only where several did.
        if *column == Column::Host && values.len() < 2 {
            return None;
        }
        let mut rows: Vec<_> = values.iter().collect();
        rows.sort_by(|(one, a), (other, b)| {
            let bad = |share: &Share| share.failed + share.slow;
            (bad(b), b.logins)
                .cmp(&(bad(a), a.logins))
                .then(one.cmp(other))
        });
        let more = rows.len().saturating_sub(ROWS);
        let rows = rows.into_iter().take(ROWS).map(|(value, share)| Row {
            value: value.clone(),
            logins: share.logins,
            failed: share.failed,
            slow: share.slow,
            took: Quantiles::of(&share.took),
        });
        Some(Table {
            by: column.name(),
            rows: rows.collect(),
            more,
        })
    });
    columns.collect()
}

/// Why connections were not seen whole, in brackets.
fn reasons(reasons: &BTreeMap<String, u64>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let each: Vec<_> = reasons
        .iter()
        .map(|(reason, connections)| format!("{} {}", words(reason), count(*connections)))
        .collect();
    format!(" By reason: {}.", each.join(", "))
}

/// What was not seen, or not for sure: each a sentence.
fn unseen(gathered: &Gathered) -> Vec<String> {
    let unseen = &gathered.unseen;
    let mut said = Vec::new();
    for (reason, lost) in &unseen.losses {
        said.push(format!(
            "{} lost or skipped: {}.",
            count(*lost),
            words(reason)
        ));
    }
    if unseen.missing > 0 {
        said.push(format!(
            "{} of the agents' lines are not here: something lost them after they were written, or left them out.",
            count(unseen.missing)
        ));
    }
    if unseen.strange > 0 {
        said.push(format!(
            "{} could not be read.",
            number(unseen.strange, "line")
        ));
    }
    if unseen.pending() > 0 {
        said.push(format!(
            "{} undecided at the end: whether it would have gone well is not known.",
            number(unseen.pending() as u64, "login")
        ));
    }
    if unseen.partial > 0 {
        said.push(format!(
            "{} not seen whole (`partial`): what is said of those may be less than what happened.{}",
            if unseen.partial == 1 {
                "1 connection was".to_owned()
            } else {
                format!("{} connections were", count(unseen.partial))
            },
            reasons(&unseen.partial_reasons)
        ));
    }
    if unseen.partial_reasons.contains_key(UNTIMED) {
        said.push(
            "The clock was set back meanwhile, or packets have no time: what depends on time is left out of those."
                .to_owned(),
        );
    }
    if unseen.inferred > 0 {
        said.push(format!(
            "The outcome of {} was inferred from encrypted traffic, not read.",
            number(unseen.inferred, "login")
        ));
    }
    let vantages: Vec<_> = unseen
        .vantages
        .iter()
        .filter(|(vantage, _)| !vantage.is_empty())
        .map(|(vantage, logins)| format!("{} at the {} end", count(*logins), words(vantage)))
        .collect();
    if !vantages.is_empty() {
        said.push(format!(
            "Seen {}: time that belongs to the network is told from the other side's only where both ends were seen.",
            vantages.join(", ")
        ));
    }
    for (what, cost) in &unseen.degraded {
        said.push(format!(
            "An agent saw less than it could ({}): {cost}",
            words(what)
        ));
    }
    said
}
