//! A timeline for a person: one line and one bar per phase for each login.

mod incident;
mod why;
mod wording;

use std::{
    borrow::Cow,
    fmt::{self, Write},
    net::SocketAddr,
};

use anstyle::{AnsiColor, Style};

pub(crate) use self::why::why;

use super::Render;
use crate::record::{
    Agent, AttemptRecord, Body, CloseClass, CloseRecord, ConnectionFacts, Count, Endpoint,
    Incident, LineError, Login, LookupOutcome, LookupRecord, Nanos, OutcomeKind, Phase, PhaseName,
    Record, Server, Text,
};

/// Columns of a bar as long as the whole login.
const WIDTH: u64 = 40;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();
const BAR: Style = AnsiColor::Cyan.on_default();
const QUIET: Style = Style::new().dimmed();

/// Writes records as compact timelines.
#[derive(Debug)]
pub struct Pretty {
    colour: bool,
    tells_logins: bool,
}

impl Pretty {
    /// With or without colour. Where logins are told, what they have said is not said again.
    pub fn new(colour: bool, tells_logins: bool) -> Self {
        Self {
            colour,
            tells_logins,
        }
    }

    /// Whether it has been said: an attempt of one connection is what its `login` says.
    fn is_said(&self, body: &Body) -> bool {
        match body {
            Body::Attempt(AttemptRecord { attempt, .. }) => {
                let [only] = &attempt.parts[..] else {
                    return false;
                };
                self.tells_logins && only.connection_id.is_some()
            }
            _ => false,
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn login(&self, facts: &ConnectionFacts) -> Result<String, fmt::Error> {
        let mut text = self.headline(facts)?;
        let phases = facts.phases.of_login();
        let total = phases
            .iter()
            .map(|(_, phase)| phase.start_ns.0 + phase.duration_ns.0)
            .max();
        let stopped = match facts.login.outcome {
            Some(_) => "ended here",
            None => "so far",
        };
        for (name, phase) in phases {
            text.push_str(&self.bar(name, phase, total.unwrap_or(0))?);
            if !phase.complete {
                write!(text, "  {stopped}")?;
            }
            text.push('\n');
        }
        if !facts.diagnosis.is_empty() {
            let line = format!("  {}\n", why(&facts.diagnosis)?);
            text.push_str(&self.paint(DOUBTFUL, &line));
        }
        Ok(text)
    }

    fn headline(&self, facts: &ConnectionFacts) -> Result<String, fmt::Error> {
        let login = &facts.login;
        let style = match login.kind() {
            _ if login.is_good() => GOOD,
            OutcomeKind::Unknown => DOUBTFUL,
            OutcomeKind::Answered | OutcomeKind::Ended => BAD,
        };
        let outcome = login.outcome.map_or_else(|| "pending".to_owned(), word);
        let mut text = self.paint(style, &outcome);
        if login.is_inferred() {
            text.push_str(" (inferred)");
        }
        if let Some(error) = login.error.filter(|_| !login.is_good()) {
            write!(text, " (error {} state {})", error.number, error.state)?;
        }
        write!(text, "  {}", ends(&facts.client, &facts.server)?)?;
        if let Some(redirect) = &login.redirect {
            write!(
                text,
                " ⇒ {}:{}",
                printable(&redirect.address),
                redirect.port
            )?;
        }
        if let Some(process) = &facts.process {
            let name = process.name.as_deref().unwrap_or("?");
            write!(text, "  {}[{}]", printable(name), process.pid)?;
        }
        if let Some(duration) = login.duration_ns {
            write!(text, "  {}", Time(duration))?;
        }
        text.push_str(&waited_for(login));
        if facts.connection.partial {
            text.push_str("  (partial)");
        }
        text.push('\n');
        Ok(text)
    }

    fn bar(&self, name: PhaseName, phase: &Phase, total: u64) -> Result<String, fmt::Error> {
        let column = |time: u64| scale(time, total);
        let start = column(phase.start_ns.0).min(WIDTH - 1);
        let end = column(phase.start_ns.0 + phase.duration_ns.0).clamp(start + 1, WIDTH);
        let columns = |count: u64, what: &str| what.repeat(usize::try_from(count).unwrap_or(0));
        let mut text = format!("  {:<9} {}", name.as_str(), columns(start, " "));
        text.push_str(&self.paint(BAR, &columns(end - start, "█")));
        text.push_str(&columns(WIDTH - end, " "));
        write!(text, " {:>10}", Time(phase.duration_ns).to_string())?;
        if let Some(waited) = phase.waited {
            let shares = format!(
                "  client {} · server {} · network {}",
                Time(waited.client_ns),
                Time(waited.server_ns),
                Time(waited.network_ns)
            );
            text.push_str(&self.paint(QUIET, &shares));
        }
        Ok(text)
    }

    fn close(&self, record: &CloseRecord) -> Result<String, fmt::Error> {
        let CloseRecord { facts, close } = record;
        let mut text = format!("closed by {} ({})", word(close.by), word(close.how));
        if close.class != CloseClass::Normal {
            write!(text, ", {}", word(close.class))?;
        }
        write!(text, "  {}", ends(&facts.client, &facts.server)?)?;
        if let Some(duration) = close.duration_ns {
            write!(text, "  after {}", Time(duration))?;
        }
        if let Some(requests) = &facts.requests {
            write!(text, ", {} requests", requests.count.0)?;
        }
        let style = if close.class == CloseClass::Abnormal {
            BAD
        } else {
            QUIET
        };
        Ok(self.paint(style, &text) + "\n")
    }

    fn lookup(&self, record: &LookupRecord) -> Result<String, fmt::Error> {
        let LookupRecord {
            client,
            server,
            lookup,
            ..
        } = record;
        let good = lookup.outcome == LookupOutcome::Answered;
        let instance = lookup.instance.as_deref().unwrap_or("all instances");
        let outcome = self.paint(if good { GOOD } else { BAD }, &word(lookup.outcome));
        let mut text = format!("lookup of {} {outcome}", printable(instance));
        if let Some(port) = server.port {
            write!(text, ": port {port}")?;
        }
        writeln!(
            text,
            "  {}  {} → {}",
            Time(lookup.duration_ns),
            SocketAddr::new(client.address, client.port),
            server.address
        )?;
        Ok(text)
    }

    /// An attempt and its parts.
    fn attempt(&self, record: &AttemptRecord) -> Result<String, fmt::Error> {
        let AttemptRecord {
            client,
            process,
            attempt,
        } = record;
        let process = process.as_ref().and_then(|process| process.name.as_ref());
        let who = match (client.address, process) {
            (Some(address), _) => address.to_string(),
            (None, name) => printable(name.map_or("somebody", Text::as_str)).into_owned(),
        };
        let style = if attempt.failed() { BAD } else { GOOD };
        let mut text = format!(
            "attempt {}  {}  {}",
            self.paint(style, &word(attempt.outcome)),
            who,
            Time(attempt.duration_ns)
        );
        write!(text, "  unexplained {}", Time(attempt.unexplained_ns))?;
        for part in &attempt.parts {
            write!(
                text,
                "\n  {:<9} {} at {} for {}",
                word(part.kind),
                word(part.outcome),
                Time(part.start_ns),
                Time(part.duration_ns)
            )?;
            if let (Some(kind), Some(name)) = (part.record_type, &part.name) {
                write!(text, ", {} of {name}", word(kind).to_uppercase())?;
            }
            if let Some(requests) = part.requests.filter(|requests| *requests > 1) {
                write!(text, ", asked {requests} times")?;
            }
            if part.loser == Some(true) {
                text.push_str(", another was faster");
            }
        }
        text.push('\n');
        // Of one connection alone its login has said it.
        let is_said = attempt.parts.len() <= 1 && client.address.is_some();
        if !is_said && !attempt.diagnosis.is_empty() {
            let line = format!("  {}\n", why(&attempt.diagnosis)?);
            text.push_str(&self.paint(DOUBTFUL, &line));
        }
        Ok(text)
    }

    fn incident(&self, incident: &Incident) -> Result<String, fmt::Error> {
        let (headline, is_bad) = incident::headline(incident);
        let style = if is_bad { BAD } else { GOOD };
        let headline = self.paint(style, &headline);
        Ok(format!("{headline}  {}", incident::rest(incident)?))
    }

    fn text(&self, body: &Body) -> Result<String, fmt::Error> {
        Ok(match body {
            Body::Login(login) => self.login(&login.facts)?,
            Body::Pending(pending) => self.login(&pending.facts)?,
            Body::Close(close) => self.close(close)?,
            Body::Phase(record) => format!(
                "phase {} {}  {}\n",
                record.phase.name.as_str(),
                Time(record.phase.phase.duration_ns),
                ends(&record.client, &record.server)?
            ),
            Body::Request(record) => format!(
                "request {} {}  {}\n",
                word(record.request.kind),
                Time(record.request.duration_ns),
                ends(&record.client, &record.server)?
            ),
            Body::Mars(record) => format!(
                "mars session {}, {} requests, stalled {}  {}\n",
                record.mars.sid,
                record.mars.requests.0,
                Time(record.mars.stalled_ns),
                ends(&record.client, &record.server)?
            ),
            Body::Lookup(record) => self.lookup(record)?,
            Body::Attempt(record) => self.attempt(record)?,
            Body::Incident(record) => self.incident(&record.incident)?,
            Body::Loss(record) => {
                let text = format!(
                    "not seen: {} × {}",
                    record.loss.count.0,
                    word(record.loss.reason)
                );
                self.paint(DOUBTFUL, &text) + "\n"
            }
            Body::Agent(record) => self.paint(QUIET, &agent_text(&record.agent)?) + "\n",
        })
    }
}

impl Render for Pretty {
    fn render(
        &mut self,
        record: &Record,
        _number: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), LineError> {
        if self.is_said(&record.body) {
            return Ok(());
        }
        let time = record.timestamp.to_string();
        // The day is the reader's own; microseconds are enough for the eye.
        let clock = time.get(11..26).unwrap_or(&time);
        let text = self.text(&record.body)?;
        out.extend_from_slice(format!("{}  {text}", self.paint(QUIET, clock)).as_bytes());
        Ok(())
    }
}

fn agent_text(agent: &Agent) -> Result<String, fmt::Error> {
    let mut text = format!("agent: {}", word(agent.action));
    if let Some(port) = agent.port {
        write!(text, ", {port}")?;
    }
    for part in [&agent.interface, &agent.reason, &agent.detail]
        .into_iter()
        .flatten()
    {
        write!(text, ", {}", printable(part))?;
    }
    if let Some(status) = &agent.status {
        let sum = |counts: &mut dyn Iterator<Item = &Count>| counts.map(|count| count.0).sum();
        let (logins, lost): (u64, u64) = (
            sum(&mut status.logins.values()),
            sum(&mut status.losses.values()),
        );
        write!(
            text,
            ", {} connections open, {logins} logins, {} events, {lost} lost",
            status.open_connections.0, status.events.0
        )?;
    }
    Ok(text)
}

/// How much of the login was waiting for whom.
fn waited_for(login: &Login) -> String {
    let shares = [login.client_ns, login.server_ns, login.network_ns];
    let [Some(client), Some(server), Some(network)] = shares.map(|share| share.map(Time)) else {
        return String::new();
    };
    format!("  waited for client {client} · server {server} · network {network}")
}

fn scale(time: u64, total: u64) -> u64 {
    let columns = u128::from(time) * u128::from(WIDTH) / u128::from(total.max(1));
    u64::try_from(columns).unwrap_or(WIDTH).min(WIDTH)
}

fn ends(client: &Endpoint, server: &Server) -> Result<String, fmt::Error> {
    let mut text = format!(
        "{} → {}",
        SocketAddr::new(client.address, client.port),
        SocketAddr::new(server.address, server.port)
    );
    if let Some(instance) = &server.instance {
        write!(text, "\\{}", printable(instance))?;
    }
    Ok(text)
}

/// A name as the stream writes it, with spaces.
fn word(name: impl serde::Serialize) -> String {
    let name = serde_json::to_value(name).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('_', " ")
}

/// Text from the wire must not move the terminal's cursor.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    } else {
        text.into()
    }
}

/// A duration with three or four digits that matter.
struct Time(Nanos);

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = (self.0.0 + 500) / 1000;
        let mut text = String::new();
        match micros {
            0..1000 => write!(text, "{micros} µs")?,
            1000..1_000_000 => write!(text, "{}.{:02} ms", micros / 1000, micros % 1000 / 10)?,
            _ => write!(
                text,
                "{}.{:02} s",
                micros / 1_000_000,
                micros % 1_000_000 / 10_000
            )?,
        }
        formatter.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Pretty, Render};
    use crate::record::{Body, Record, samples};

    fn pretty(record: &Record, colour: bool) -> String {
        let mut out = Vec::new();
        Pretty::new(colour, true)
            .render(record, 1, &mut out)
            .expect("text");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_event_without_colour() {
        let text: String = samples::all()
            .iter()
            .map(|record| pretty(record, false))
            .collect();
        assert!(!text.contains('\u{1b}'));
        assert_snapshot!(text);
    }

    #[test]
    fn an_attempt_of_one_connection_is_told_where_its_login_is_not() {
        let mut record = samples::all()
            .into_iter()
            .find(|record| matches!(record.body, Body::Attempt(_)))
            .expect("an attempt");
        let told = |record: &Record, tells_logins| {
            let mut out = Vec::new();
            let mut pretty = Pretty::new(false, tells_logins);
            pretty.render(record, 1, &mut out).expect("text");
            !out.is_empty()
        };
        assert!(told(&record, true));
        if let Body::Attempt(attempt) = &mut record.body {
            let parts = &mut attempt.attempt.parts;
            parts.retain(|part| part.connection_id.is_some());
            parts.truncate(1);
        }
        assert!(!told(&record, true) && told(&record, false));
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        for record in samples::all() {
            let coloured = pretty(&record, true);
            assert_eq!(
                anstream::adapter::strip_str(&coloured).to_string(),
                pretty(&record, false)
            );
        }
    }

    #[test]
    fn names_from_the_wire_can_not_steer_the_terminal() {
        let mut record = samples::login();
        let Body::Login(login) = &mut record.body else {
            unreachable!("a login")
        };
        samples::fill_texts(&mut login.facts, &"\u{1b}[2J\r".into());
        let text = pretty(&record, false);
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    }
}
