//! Logins and attempts as traces.
//!
//! ```text
//! SQL login sql1:1433              an attempt, the root of its trace
//! ├─ DNS lookup sql1               what was asked before and meanwhile
//! └─ SQL connection 10.0.0.5:1433  a login
//!    ├─ socket connect
//!    ├─ prelogin, TLS handshake, login, authentication
//! ```
//!
//! Which trace that is, [`Traces`] says.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::{Span, Status, span, status::StatusCode};
use serde_json::Value;

use super::{described::Described, packed::Items, values};
use crate::record::{
    Text,
    trace::{self, SpanId, TraceId, Traces},
};

/// The field of a span that has its attributes.
const ATTRIBUTES: u8 = 9;

/// Why a connection that lost a race to another one of its attempt came to nothing: it has not failed.
const LOST: &str = "parallel_loser";

/// A login's phases, in their order, with the names of their spans.
const PHASES: [(&str, &str); 5] = [
    ("handshake", "socket connect"),
    ("prelogin", "prelogin"),
    ("tls", "TLS handshake"),
    ("login", "login"),
    ("auth", "authentication"),
];

/// Where in a trace a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

/// See the module.
pub(super) struct Spans {
    host: Text,
    /// Attempts come too.
    attempts: bool,
    traces: Traces,
}

impl Spans {
    pub(super) fn new(host: &Text, attempts: bool) -> Self {
        Self {
            host: host.clone(),
            attempts,
            traces: Traces::default(),
        }
    }

    /// Adds the spans of a line, if it has any; says which of them is its own.
    pub(super) fn of(
        &mut self,
        line: &Value,
        described: &Described,
        into: &mut Items,
    ) -> Option<Place> {
        match text(line, "/event")? {
            "login" => self.login(line, described, into),
            "attempt" => self.attempt(line, described, into),
            _ => None,
        }
    }

    fn login(&mut self, line: &Value, described: &Described, into: &mut Items) -> Option<Place> {
        let connection = id(line, "/connection/id")?;
        let attempt = id(line, "/attempt/id");
        let guid = text(line, "/tds/connection_guid");
        let server = host_of(line);
        let trace = self.traces.login(connection, attempt, guid, &server);
        let start = moment(text(line, "/connection/start")?)?;
        let duration = number(line, "/login/duration_ns")?;
        let own = trace::span(connection, &self.host, "connection");
        let mut whole = Span {
            name: format!("SQL connection {server}"),
            kind: match text(line, "/connection/vantage") {
                Some("client") => span::SpanKind::Client,
                Some("server") => span::SpanKind::Server,
                _ => span::SpanKind::Internal,
            }
            .into(),
            ..timed(trace, own, start, duration)
        };
        if self.attempts {
            whole.parent_span_id = trace::root(&trace, &self.host).to_vec();
        }
        let ended = if line.pointer("/login/loser") == Some(&Value::Bool(true)) {
            fail(&mut whole, Some(LOST));
            Some(LOST)
        } else {
            text(line, "/login/outcome")
        };
        add(whole, described, into);
        for (phase, name) in PHASES {
            let Some(told) = line.pointer(&format!("/phases/{phase}")) else {
                continue;
            };
            let (Some(from), Some(took)) =
                (number(told, "/start_ns"), number(told, "/duration_ns"))
            else {
                continue;
            };
            let id = trace::span(connection, &self.host, phase);
            let mut part = Span {
                name: name.to_owned(),
                kind: span::SpanKind::Internal.into(),
                parent_span_id: own.to_vec(),
                ..timed(trace, id, start.saturating_add(from), took)
            };
            for side in ["client_ns", "server_ns", "network_ns", "retransmits"] {
                if let Some(value) = told.get(side) {
                    let name = format!("tds_tracer.{side}");
                    part.attributes.push(values::attribute(&name, value));
                }
            }
            if told.get("complete") == Some(&Value::Bool(false)) {
                fail(&mut part, ended);
            }
            // As .NET's spans of these names have.
            let known: &[_] = match phase {
                "handshake" => &[&described.connect],
                "tls" => &[&described.handshake],
                _ => &[],
            };
            into.push_with(&part, ATTRIBUTES, known);
        }
        Some(Place { trace, span: own })
    }

    fn attempt(&mut self, line: &Value, described: &Described, into: &mut Items) -> Option<Place> {
        let attempt = id(line, "/attempt/id")?;
        let parts = line.pointer("/attempt/parts")?.as_array()?;
        let connections = || parts.iter().filter_map(|part| id(part, "/connection_id"));
        let trace = self.traces.attempt(attempt, connections());
        let told: Vec<_> = connections()
            .filter_map(|id| self.traces.connection(id))
            .collect();
        let known = told
            .first()
            .copied()
            .or_else(|| self.traces.of_attempt(attempt));
        let target = target_of(line).or_else(|| known.map(|known| known.server.to_string()));
        let start = moment(text(line, "/attempt/start")?)?;
        let duration = number(line, "/attempt/duration_ns")?;
        let root = trace::root(&trace, &self.host);
        let mut whole = Span {
            name: match target {
                Some(target) => format!("SQL login {target}"),
                None => "SQL login".to_owned(),
            },
            kind: span::SpanKind::Internal.into(),
            ..timed(trace, root, start, duration)
        };
        // A connection that was told in a trace of its own, before anybody knew whose it is.
        let traces: BTreeSet<_> = told.iter().map(|other| other.trace).collect();
        let elsewhere = traces.iter().filter(|other| **other != trace);
        whole.links = elsewhere
            .map(|other| span::Link {
                trace_id: other.to_vec(),
                span_id: trace::root(other, &self.host).to_vec(),
                ..span::Link::default()
            })
            .collect();
        add(whole, described, into);
        for (index, part) in parts.iter().enumerate() {
            let connection = id(part, "/connection_id");
            let is_told = connection.is_some_and(|id| self.traces.connection(id).is_some());
            let (Some(kind), Some(from), Some(took)) = (
                text(part, "/kind"),
                number(part, "/start_ns"),
                number(part, "/duration_ns"),
            ) else {
                continue;
            };
            if !is_told {
                let own = trace::span(attempt, &self.host, &format!("{kind} {index}"));
                let mut told = Span {
                    name: named(kind, text(part, "/name")),
                    kind: span::SpanKind::Internal.into(),
                    parent_span_id: root.to_vec(),
                    ..timed(trace, own, start.saturating_add(from), took)
                };
                describe_part(&mut told, part);
                into.push(&told);
            }
        }
        Some(Place { trace, span: root })
    }
}

fn timed(trace: TraceId, id: SpanId, start: u64, duration: u64) -> Span {
    Span {
        trace_id: trace.to_vec(),
        span_id: id.to_vec(),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(duration),
        ..Span::default()
    }
}

/// Adds one with what is known of it, in the names that its log record has; and whether it failed.
fn add(mut span: Span, described: &Described, into: &mut Items) {
    if described.has_failed() {
        span.status = Some(Status {
            message: described.error.clone().unwrap_or_default(),
            code: StatusCode::Error.into(),
        });
    }
    into.push_with(&span, ATTRIBUTES, &[&described.attributes]);
}

fn describe_part(span: &mut Span, part: &Value) {
    for (from, to) in [
        ("name", "dns.question.name"),
        ("outcome", "tds_tracer.outcome"),
        ("address", "network.peer.address"),
        ("record_type", "tds_tracer.record_type"),
        ("requests", "tds_tracer.requests"),
        ("error_code", "tds_tracer.error_code"),
        ("loser", "tds_tracer.loser"),
    ] {
        let of_names = text(part, "/kind") == Some("dns");
        if let Some(value) = part.get(from).filter(|_| of_names || from != "name") {
            span.attributes.push(values::attribute(to, value));
        }
    }
    let good = ["answered", "success", "redirected", "no_data"];
    let outcome = text(part, "/outcome").filter(|outcome| !good.contains(outcome));
    if part.get("loser") == Some(&Value::Bool(true)) {
        fail(span, Some(LOST));
    } else if outcome.is_some() {
        fail(span, outcome);
    }
}

/// Says why it ended; nothing where it went well, or nobody knows.
fn fail(span: &mut Span, why: Option<&str>) {
    let why = why.unwrap_or("_OTHER");
    if matches!(why, "success" | "redirected" | "unknown") {
        return;
    }
    span.attributes
        .push(values::attribute("error.type", &Value::from(why)));
    if why != LOST {
        span.status = Some(Status {
            message: String::new(),
            code: StatusCode::Error.into(),
        });
    }
}

fn named(kind: &str, name: Option<&str>) -> String {
    let what = match kind {
        "dns" => "DNS lookup",
        "lookup" => "SQL Browser lookup",
        "connect" | "login" => "socket connect",
        "kdc" => "Kerberos ticket",
        "ldap" => "directory",
        "token" => "token",
        "revocation" => "revocation check",
        other => other,
    };
    match name {
        Some(name) => format!("{what} {name}"),
        None => what.to_owned(),
    }
}

fn host_of(line: &Value) -> String {
    let name = text(line, "/tls/sni").or_else(|| text(line, "/server/address"));
    let port = number(line, "/server/port").unwrap_or_default();
    format!("{}:{port}", name.unwrap_or_default())
}

/// What the client meant to reach, where it named it.
fn target_of(line: &Value) -> Option<String> {
    let name = text(line, "/attempt/target/name")?;
    if let Some(instance) = text(line, "/attempt/target/instance") {
        return Some(format!("{name}\\{instance}"));
    }
    Some(match number(line, "/attempt/target/port") {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    })
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

/// An integer, or the digits of one that is large.
fn number(value: &Value, path: &str) -> Option<u64> {
    let value = value.pointer(path)?;
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|digits| digits.parse().ok()))
}

/// Nanoseconds since 1970.
fn moment(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_nanosecond()).ok()
}

/// The number that 16 hex digits are.
fn id(value: &Value, path: &str) -> Option<u64> {
    u64::from_str_radix(text(value, path)?, 16).ok()
}

#[cfg(test)]
mod tests;
