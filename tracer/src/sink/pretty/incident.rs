//! An incident in one line.

use std::{
    fmt::{self, Write},
    net::SocketAddr,
};

use super::{Time, printable, why, word};
use crate::record::{
    Affected, Count, Incident, IncidentAction, IncidentOutcome, IncidentScope, Nanos,
};

/// What is new, and how that looks: `true` where somebody has to do something.
pub(super) fn headline(incident: &Incident) -> (String, bool) {
    let text = match (incident.action, incident.outcome) {
        (IncidentAction::Opened, _) => "incident",
        (IncidentAction::Updated, _) => "incident goes on",
        (_, Some(IncidentOutcome::Recovered)) => "incident over: logins go well again",
        (_, Some(IncidentOutcome::Ongoing)) => "incident still open at the end",
        _ => "incident quiet: no such login any more",
    };
    let is_over = incident.outcome == Some(IncidentOutcome::Recovered);
    (text.to_owned(), !is_over)
}

/// Why, for whom, how many of how many, where, since when, whose, and the worst.
pub(super) fn rest(incident: &Incident) -> Result<String, fmt::Error> {
    let mut text = why::meaning(incident.meaning, &incident.cause);
    if let Some(error) = incident.error {
        write!(text, ", error {error}")?;
    }
    write!(text, " ({})", why::sure(incident.confidence))?;
    if let Some(whom) = incident.whom {
        write!(text, ", for the {} team", word(whom))?;
    }
    let Incident {
        logins, of_logins, ..
    } = incident;
    write!(text, ": {} of {} logins", logins.0, of_logins.0)?;
    write!(text, " {}", place(incident)?)?;
    let start = incident.start.to_string();
    write!(text, " since {}", start.get(11..19).unwrap_or(&start))?;
    if incident.end.is_some() {
        write!(text, " for {}", span(incident.duration_ns))?;
    }
    let counts = [
        (incident.failed, "failed"),
        (incident.slow, "slow"),
        (incident.pending, "pending"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > Count(0));
    let counts: Vec<_> = counts
        .map(|(count, what)| format!("{} {what}", count.0))
        .collect();
    if !counts.is_empty() {
        write!(text, " ({})", counts.join(", "))?;
    }
    if incident.scope != IncidentScope::Client {
        write!(text, ", {}", many(&incident.clients, "client"))?;
        if let Some(first) = incident.clients.top.first() {
            write!(text, " ({} ×{})", first.address, first.logins.0)?;
        }
    }
    let names = incident.processes.iter().chain(&incident.applications);
    if let Some(first) = names.flat_map(|names| &names.top).next() {
        write!(text, ", {} ×{}", printable(&first.name), first.logins.0)?;
    }
    let worst = &incident.worst;
    writeln!(
        text,
        ", worst {} {}",
        Time(worst.duration_ns),
        worst.connection_id
    )?;
    Ok(text)
}

/// A duration that may be long.
fn span(duration: Nanos) -> String {
    let seconds = duration.0 / 1_000_000_000;
    match seconds {
        0..120 => Time(duration).to_string(),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn place(incident: &Incident) -> Result<String, fmt::Error> {
    let mut text = String::new();
    match incident.scope {
        IncidentScope::Client => {
            if let Some(first) = incident.clients.top.first() {
                write!(text, "of {}", first.address)?;
            }
        }
        IncidentScope::Server | IncidentScope::Cause => {
            if let [only] = &incident.servers.top[..] {
                write!(text, "to {}", SocketAddr::new(only.address, only.port))?;
            } else {
                write!(text, "to {}", many(&incident.servers, "server"))?;
            }
        }
    }
    Ok(text)
}

fn many<T>(affected: &Affected<T>, one: &str) -> String {
    let count = affected.count.0;
    let more = if affected.at_least.is_some() {
        " and more"
    } else {
        ""
    };
    format!("{count} {one}{}{more}", if count == 1 { "" } else { "s" })
}
