//! Many logins that go wrong together.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{
    AuthKind, Confidence, ConnectionId, Count, IncidentId, Nanos, Outcome, PhaseName, Text,
    Timestamp, Whom,
};

/// `incident`: more logins go wrong together than usually do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IncidentRecord {
    /// The incident as known by now.
    pub incident: Incident,
}

/// Logins that go wrong for the same cause, at one server, of one client, or anywhere.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Incident {
    /// The same in all of its lines, and in the `login` lines of its logins.
    pub id: IncidentId,
    /// What is new.
    pub action: IncidentAction,
    /// How it ended.
    pub outcome: Option<IncidentOutcome>,
    /// What its logins have in common besides the cause.
    pub scope: IncidentScope,
    /// The cause of most of them, as in `diagnosis`.
    pub cause: Text,
    /// How sure: of each of its logins how sure it is that this is its cause, on average.
    pub confidence: Confidence,
    /// Whom to call; left out where nobody need be called, or it is not known whom.
    #[serde(rename = "for")]
    pub whom: Option<Whom>,
    /// The server's error that its logins met, where that sets them apart.
    pub error: Option<u32>,
    /// When the first of its logins began.
    pub start: Timestamp,
    /// When the last of its logins was decided; left out while it lasts.
    pub end: Option<Timestamp>,
    /// From the start to the end, or until now.
    pub duration_ns: Nanos,
    /// Its logins: those that went wrong.
    pub logins: Count,
    /// All logins meanwhile, these among them: to the server or of the client that it is about, else to
    /// any.
    pub of_logins: Count,
    /// Of its logins, those that failed.
    pub failed: Count,
    /// Those that were slow.
    pub slow: Count,
    /// Those that are not decided yet.
    pub pending: Count,
    /// How many go wrong so in a minute otherwise, once that is known.
    pub usual_per_minute: Option<f64>,
    /// Its logins by cause: those of one trouble are not all told the same cause.
    pub causes: BTreeMap<Text, Count>,
    /// Its logins by outcome; those that are not decided yet have none.
    pub outcomes: BTreeMap<Outcome, Count>,
    /// Its logins by kind of authentication, as far as they came to that.
    pub auth: BTreeMap<AuthKind, Count>,
    /// Whose logins they are.
    pub clients: Affected<AffectedClient>,
    /// Where they go.
    pub servers: Affected<AffectedServer>,
    /// The local processes, where they are known.
    pub processes: Option<Affected<AffectedName>>,
    /// What the programs call themselves, where they said so.
    pub applications: Option<Affected<AffectedName>>,
    /// The one that began first.
    pub first: IncidentLogin,
    /// The one that took longest.
    pub worst: IncidentLogin,
    /// What the cause of the worst rests on, by name.
    pub evidence: BTreeMap<Text, serde_json::Value>,
    /// The cause in a few words, for a person; no part of the line.
    #[serde(skip)]
    pub meaning: &'static str,
}

impl Incident {
    /// Whether logins of it failed, and not all of them were merely slow.
    pub fn failed(&self) -> bool {
        self.failed > Count(0)
    }
}

/// What is new of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IncidentAction {
    /// It begins to stand out.
    Opened,
    /// It lasts, and has grown.
    Updated,
    /// It is over, or nobody watches any more.
    Closed,
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IncidentOutcome {
    /// Logins like those that went wrong go well again.
    Recovered,
    /// No such login was seen any more: whether it would go well is not known.
    Quiet,
    /// It went on when the agent stopped or the capture ended.
    Ongoing,
}

/// What the logins of an incident have in common besides the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IncidentScope {
    /// They go to one server.
    Server,
    /// They are of one client, or of one of its processes.
    Client,
    /// Nothing: they go to several servers, or are of several clients.
    Cause,
}

/// Whom an incident hits.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Affected<T> {
    /// How many there are.
    pub count: Count,
    /// There may be more: they were counted up to here.
    pub at_least: Option<bool>,
    /// Those with the most logins, the worst first.
    pub top: Vec<T>,
}

/// A client that an incident hits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AffectedClient {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// Its logins that went wrong.
    pub logins: Count,
}

/// A server that an incident hits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AffectedServer {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
    /// Logins to it that went wrong.
    pub logins: Count,
}

/// A process or application that an incident hits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AffectedName {
    /// As the host, or the program itself, calls it.
    pub name: Text,
    /// Its logins that went wrong.
    pub logins: Count,
}

/// A login of an incident.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IncidentLogin {
    /// Whose `login` line tells the rest.
    pub connection_id: ConnectionId,
    /// When it began.
    pub start: Timestamp,
    /// What came of it; left out while it is not decided.
    pub outcome: Option<Outcome>,
    /// How long it took, or takes.
    pub duration_ns: Nanos,
    /// The phase that took longest, or in which it ended.
    pub phase: Option<PhaseName>,
}
