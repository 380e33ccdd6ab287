//! All that one client did to log in once.

use std::net::IpAddr;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{
    AttemptId, ConnectionId, Diagnosis, IncidentId, LookupOutcome, Nanos, Outcome, Process, Text,
    Timestamp,
};

/// `attempt`: an attempt to reach SQL Server is over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptRecord {
    /// Who made it.
    pub client: AttemptClient,
    /// The process that tried, of an attempt that no packet shows: where a connection was made, its `login`
    /// says whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The attempt.
    pub attempt: Attempt,
}

/// Whose attempt it is: each of its parts has a port of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptClient {
    /// IPv4 or IPv6 address; where the two families race, the faster one's. None where no packet was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// The name's resolution, the lookup, the connections that were opened in parallel, one after the other or by redirect,
/// and what other services were asked meanwhile.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attempt {
    /// As in the `attempt` of its connections' lines. It follows from `tds.connection_guid` of the connection that
    /// was told first, or is that connection's id where the client gave none: the same from either host.
    pub id: AttemptId,
    /// When its first packet passed.
    pub start: Timestamp,
    /// From there to the last packet that decided one of its parts.
    pub duration_ns: Nanos,
    /// Of the login that won, else of the last part; `unknown` where an answered lookup was the last, and where no
    /// packet was sent.
    pub outcome: Outcome,
    /// What the client meant to reach.
    pub target: Target,
    /// How many connections it took.
    pub connections: u32,
    /// The session that it is to recover, where its login says that it does.
    pub recovers: Option<Recovered>,
    /// The incident that a login of it is part of, where that had opened by then.
    pub incident: Option<IncidentId>,
    /// What it consists of, in the order in which the parts began.
    pub parts: Vec<Part>,
    /// Before, between and after the parts.
    pub unexplained_ns: Nanos,
    /// Causes that fit, most likely first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<Diagnosis>,
}

impl Attempt {
    /// Whether it went wrong. A probe, and a peer that does not speak TDS, has not failed to log in by
    /// leaving.
    pub fn failed(&self) -> bool {
        let spoke = self.parts.iter().any(|part| part.kind == PartKind::Login);
        let untried = |part: &Part| matches!(part.outcome, PartOutcome::Untried(_));
        let failed = self.outcome.failed(None) && (spoke || self.outcome != Outcome::Aborted);
        failed || self.parts.iter().any(untried)
    }
}

/// A session whose connection is gone (MS-TDS section 2.2.6.4, SESSIONRECOVERY).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recovered {
    /// The connection, which the same client had to the same server, and which ended last.
    pub connection_id: ConnectionId,
    /// How long nothing had passed on it when it began to end.
    pub idle_ns: Nanos,
}

/// What a client meant to reach, as far as it said.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// The name whose address it asked for, or that it asked for in TLS, or said in the login.
    pub name: Option<Text>,
    /// The named instance.
    pub instance: Option<Text>,
    /// The TCP port of the first connection, or the one that was announced.
    pub port: Option<u16>,
}

/// One step of an attempt.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Part {
    /// What was done.
    pub kind: PartKind,
    /// From the attempt's start.
    pub start_ns: Nanos,
    /// How long it took.
    pub duration_ns: Nanos,
    /// What came of it.
    pub outcome: PartOutcome,
    /// What was asked for by name.
    pub name: Option<Text>,
    /// What was asked for of the name, of a `dns` part.
    pub record_type: Option<RecordType>,
    /// How often that was sent, likewise.
    pub requests: Option<u32>,
    /// The answer was too long for a datagram, and was asked for again by TCP, likewise.
    pub tcp: Option<bool>,
    /// Who was asked, of `kdc`, `ldap`, `token` and `revocation`.
    pub address: Option<IpAddr>,
    /// What Kerberos said instead of a ticket, of a `kdc` part (RFC 4120 section 7.5.9).
    pub error_code: Option<i32>,
    /// Whose `login` line tells the rest.
    pub connection_id: Option<ConnectionId>,
    /// It is a connection that was slower than another one opened in parallel, and given up for it.
    pub loser: Option<bool>,
    /// It is a connection of a proxy's, which passes on what the client says on another one of the attempt.
    pub proxied: Option<bool>,
    /// It is a connection to the failover partner that the server tried before has told of.
    pub partner: Option<bool>,
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A name server was asked for the server's addresses, or for the name of one.
    Dns,
    /// SQL Browser was asked.
    Lookup,
    /// A connection on which nothing of TDS 7 or later was said.
    Connect,
    /// A connection with a login, from its first packet to the deciding one.
    Login,
    /// A Kerberos server (KDC) was asked for a ticket.
    Kdc,
    /// A directory (LDAP) was asked, as for the nearest domain controller.
    Ldap,
    /// A host was asked for a federated token: one of Entra's, another security token service, or the endpoint of
    /// a managed identity.
    Token,
    /// A host was asked whether a certificate is revoked.
    Revocation,
    /// The client's process could not go on, as its host says: for so long at least since something was due from
    /// it. Or nothing was done: the process that is watched sent nothing to SQL Server, and asked nobody where it is.
    Wait,
}

impl PartKind {
    /// Whether it is of SQL Server, and no step on the way there.
    pub const fn is_of_server(self) -> bool {
        matches!(self, Self::Lookup | Self::Connect | Self::Login)
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum PartOutcome {
    /// Of a connection.
    Login(Outcome),
    /// Of a lookup.
    Lookup(LookupOutcome),
    /// Of a question to a name server.
    Resolution(ResolutionOutcome),
    /// Of a question to another service.
    Service(ServiceOutcome),
    /// No packet was sent.
    Untried(UntriedOutcome),
    /// Of a wait for the client's host.
    Waited(WaitOutcome),
}

/// What came of a question to a service that is neither a name server nor SQL Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceOutcome {
    /// It has said something; what, is not looked at.
    Answered,
    /// It says that it gives no ticket: see `error_code`.
    Error,
    /// Nobody listens there.
    Refused,
    /// It had said nothing when the client went on, or left.
    Unanswered,
}

/// Why a client's process could not go on; it may have been for several of these at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitOutcome {
    /// A limit of its control group kept it from the processors.
    Throttled,
    /// One of its threads was ready, and had no processor.
    RunQueue,
    /// It was stopped: by a signal, or by who debugs it.
    Stopped,
    /// Its socket had bytes that it did not read.
    Unread,
}

/// Why no packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UntriedOutcome {
    /// This host's kernel refused to connect, or to make a socket.
    NotSent,
    /// Nobody asked for it.
    NothingTried,
}

/// What came of a question to a name server (RFC 1035 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResolutionOutcome {
    /// There was something of the kind that was asked for.
    Answered,
    /// There is no such name: `NXDOMAIN`.
    NoSuchName,
    /// There is, but it has nothing of the kind that was asked for.
    NoData,
    /// The server did not say: `SERVFAIL`, `REFUSED` and others.
    Failed,
    /// No answer came until the client went on.
    Timeout,
}

/// What is asked for of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name of an address.
    Ptr,
}

/// The attempt that a connection is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AttemptRef {
    /// As in the `attempt` line.
    pub id: AttemptId,
    /// Which of its connections this is, in the order in which their logins are told, from 1.
    pub number: u32,
}
