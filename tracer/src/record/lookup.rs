//! SQL Browser exchanges (MC-SQLR, UDP 1434).

use std::net::IpAddr;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Endpoint, Nanos, Process, Text};

/// `lookup`: a SQL Browser exchange ended or timed out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LookupRecord {
    /// The asking end.
    pub client: Endpoint,
    /// The server that is looked for.
    pub server: AskedServer,
    /// Who asks, where its socket is on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The exchange.
    pub lookup: Lookup,
}

/// A server that is looked for: asked at UDP 1434, and what it says of itself.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AskedServer {
    /// The address that was asked; of a broadcast the one that all hear.
    pub address: IpAddr,
    /// The TCP port that was announced. Left out where there is none: no answer, or an instance that
    /// does not listen on TCP.
    pub port: Option<u16>,
    /// The instance, as the answer spells it, else as it was asked for.
    pub instance: Option<Text>,
}

/// One question and what came of it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lookup {
    /// What was asked.
    pub kind: LookupKind,
    /// The instance asked for.
    pub instance: Option<Text>,
    /// What came of it.
    pub outcome: LookupOutcome,
    /// Request to answer, of a broadcast to the last one, or to the moment the wait was given up.
    pub duration_ns: Nanos,
    /// How often the request was sent.
    pub requests: u32,
    /// The answer; where it lists several instances, the one that was asked for, else the first.
    pub answer: Option<LookupAnswer>,
    /// How many answers came: several to a broadcast.
    pub answers: Option<u32>,
    /// How many instances the answers list.
    pub instances: Option<u32>,
    /// From where the answer came, where that is not the address that was asked.
    pub answered_from: Option<IpAddr>,
    /// The answer is about another instance than was asked for; nothing is concluded from it.
    pub instance_mismatch: Option<bool>,
    /// Something came back that is no answer, or is not as long as it says; drivers differ in whether
    /// they believe that. Nothing is concluded from it.
    pub malformed: Option<bool>,
    /// Nobody watched until the wait was over: the capture ended, or the memory was needed.
    pub partial: Option<bool>,
}

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LookupKind {
    /// `CLNT_BCAST_EX`: to all hosts.
    Broadcast,
    /// `CLNT_UCAST_EX`: all instances of a host.
    List,
    /// `CLNT_UCAST_INST`: one instance.
    Instance,
    /// `CLNT_UCAST_DAC`: an instance's port for administrators.
    Dac,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LookupOutcome {
    /// An answer came.
    Answered,
    /// Silence: no such instance, or blocked; SQL Browser does not say which.
    Timeout,
    /// ICMP said that nobody listens, or that the host cannot be reached.
    Unreachable,
}

/// What SQL Browser answered.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LookupAnswer {
    /// `ServerName`.
    pub server_name: Option<Text>,
    /// `InstanceName`.
    pub instance: Option<Text>,
    /// `Version`.
    pub version: Option<Text>,
    /// `IsClustered`.
    pub clustered: Option<bool>,
    /// `tcp`, or the port for administrators.
    pub port: Option<u16>,
    /// `np`: named pipe.
    pub pipe: Option<Text>,
}
