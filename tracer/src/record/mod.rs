//! The event stream's types: the contract with whoever reads the output.
//!
//! Plain data, filled by the session engine. What is unknown is `None` and left out of the line.
//! Names bind: more may be added, none renamed.

mod agent;
mod attempt;
mod close;
mod connection;
mod container;
mod diagnosis;
pub mod ecs;
pub mod identity;
mod ids;
mod incident;
mod json;
mod line;
mod login;
mod lookup;
mod loss;
pub mod otel;
mod phases;
mod rename;
mod requests;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(feature = "schema")]
mod schema;
mod severity;
mod tds;
mod tls;
pub mod trace;
mod values;
mod written;

use std::sync::Arc;

use serde::Serialize;
use serde_with::skip_serializing_none;

#[cfg(feature = "schema")]
pub use self::schema::{schema, schema_text};
pub use self::{
    agent::{Agent, AgentAction, AgentRecord, SinkStatus, Status},
    attempt::{
        Attempt, AttemptClient, AttemptRecord, AttemptRef, Part, PartKind, PartOutcome, RecordType,
        Recovered, ResolutionOutcome, ServiceOutcome, Target, UntriedOutcome, WaitOutcome,
    },
    close::{Close, CloseClass, CloseMeans, ClosedBy},
    connection::{
        Connection, ConnectionRef, Endpoint, PartialReason, Process, Server, Tcp, Translation,
        Vantage,
    },
    container::{Container, Kubernetes, Runtime},
    diagnosis::{Diagnosis, Whom},
    ids::{AttemptId, ConnectionId, ConnectionIdError, IncidentId, RunId, RunIdError},
    incident::{
        Affected, AffectedClient, AffectedName, AffectedServer, Incident, IncidentAction,
        IncidentLogin, IncidentOutcome, IncidentRecord, IncidentScope,
    },
    line::{LineError, LineFormat, MAX_LINE, Naming},
    login::{Login, Outcome, OutcomeKind, Redirect, SqlError, Stranger},
    lookup::{AskedServer, Lookup, LookupAnswer, LookupKind, LookupOutcome, LookupRecord},
    loss::{Loss, LossReason, LossRecord},
    phases::{NamedPhase, Phase, PhaseName, PhaseRecord, Phases, Waited},
    requests::{
        MarsRecord, MarsSession, MarsSummary, Quantiles, Request, RequestKind, RequestRecord,
        Requests,
    },
    severity::Severity,
    tds::{Auth, AuthKind, Collation, Encryption, EncryptionOption, Entra, Ntlm, Tds, UserAgent},
    tls::{Alert, AlertLevel, Certificate, Tls, TlsHello},
    values::{Basis, Calendar, Confidence, Count, Nanos, Side, Sides, Text, Timestamp},
    written::Written,
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The packet or moment that decided the event.
    pub timestamp: Timestamp,
    /// What happened.
    pub body: Body,
}

/// What happened, told apart by `event`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Body {
    /// The outcome of a login is known.
    Login(Box<LoginRecord>),
    /// A login has been undecided for long; its `login` follows when it is decided.
    Pending(Box<PendingRecord>),
    /// A connection ended.
    Close(Box<CloseRecord>),
    /// A phase ended.
    Phase(PhaseRecord),
    /// A request's response ended.
    Request(RequestRecord),
    /// An SMP session ended.
    Mars(MarsRecord),
    /// A SQL Browser exchange ended.
    Lookup(LookupRecord),
    /// An attempt to reach SQL Server is over.
    Attempt(AttemptRecord),
    /// More logins go wrong together than usually do.
    Incident(Box<IncidentRecord>),
    /// Something was not seen.
    Loss(LossRecord),
    /// Something happened to the agent.
    Agent(AgentRecord),
}

impl Body {
    /// Which event it is.
    pub fn event(&self) -> Event {
        match self {
            Self::Login(_) => Event::Login,
            Self::Pending(_) => Event::Pending,
            Self::Close(_) => Event::Close,
            Self::Phase(_) => Event::Phase,
            Self::Request(_) => Event::Request,
            Self::Mars(_) => Event::Mars,
            Self::Lookup(_) => Event::Lookup,
            Self::Attempt(_) => Event::Attempt,
            Self::Incident(_) => Event::Incident,
            Self::Loss(_) => Event::Loss,
            Self::Agent(_) => Event::Agent,
        }
    }

    /// The connection as known by then, where the event tells it.
    pub fn facts(&self) -> Option<&ConnectionFacts> {
        match self {
            Self::Login(record) => Some(&record.facts),
            Self::Pending(record) => Some(&record.facts),
            Self::Close(record) => Some(&record.facts),
            Self::Phase(_)
            | Self::Request(_)
            | Self::Mars(_)
            | Self::Lookup(_)
            | Self::Attempt(_)
            | Self::Incident(_)
            | Self::Loss(_)
            | Self::Agent(_) => None,
        }
    }
}

/// Declares the events with their names as they are written.
macro_rules! events {
    ($($event:ident = $name:literal,)*) => {
        /// The events' names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[expect(missing_docs, reason = "each is documented on its Body")]
        pub enum Event {
            $(#[serde(rename = $name)] $event,)*
        }

        impl Event {
            /// Every event.
            pub const ALL: &[Self] = &[$(Self::$event,)*];

            /// The name as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)*
                }
            }
        }
    };
}

events! {
    Login = "login",
    Pending = "pending",
    Close = "close",
    Phase = "phase",
    Request = "request",
    Mars = "mars",
    Lookup = "lookup",
    Attempt = "attempt",
    Incident = "incident",
    Loss = "loss",
    Agent = "agent",
}

/// `login`: one per connection that was seen to begin or to log in.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transform = schema::require_outcome))]
pub struct LoginRecord {
    /// What is known of the connection by now.
    #[serde(flatten)]
    pub facts: ConnectionFacts,
}

/// `pending`: a login has been undecided for long; `owed_by` and the phases say where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingRecord {
    /// What is known of the connection by now.
    #[serde(flatten)]
    pub facts: ConnectionFacts,
}

/// `close`: one per connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CloseRecord {
    /// What is known of the connection by now.
    #[serde(flatten)]
    pub facts: ConnectionFacts,
    /// How it ended.
    pub close: Close,
}

/// A connection as known by then.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionFacts {
    /// Which connection, seen from where.
    pub connection: Connection,
    /// The connecting end.
    pub client: Endpoint,
    /// The listening end.
    pub server: Server,
    /// The local side's process.
    pub process: Option<Process>,
    /// Other addresses under which the same connection was seen on this host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nat: Vec<Translation>,
    /// The attempt that it is part of; left out while that may change.
    pub attempt: Option<AttemptRef>,
    /// What TCP went through.
    pub tcp: Tcp,
    /// The TDS session's terms; left out where no TDS was spoken.
    pub tds: Option<Tds>,
    /// The TLS session's terms; left out where there was none.
    pub tls: Option<Arc<Written<Tls>>>,
    /// How the client proves who it is; left out where it did not come to that.
    pub auth: Option<Auth>,
    /// What came of the login; left out where it was over before anybody watched.
    #[serde(skip_serializing_if = "Login::is_empty")]
    pub login: Login,
    /// The phases that happened.
    pub phases: Phases,
    /// SMP sessions; left out without MARS.
    pub mars: Option<MarsSummary>,
    /// Requests; left out where none was sent.
    pub requests: Option<Requests>,
    /// Causes that fit, most likely first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<Diagnosis>,
}
