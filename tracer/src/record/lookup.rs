//! SQL Browser exchanges (MC-SQLR, UDP 1434).

use schemars::JsonSchema;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Endpoint, Nanos, Server, Text};

/// `lookup`: a SQL Browser exchange ended or timed out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LookupRecord {
    /// The asking end.
    pub client: Endpoint,
    /// The asked end.
    pub server: Server,
    /// The exchange.
    pub lookup: Lookup,
}

/// One question and what came of it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Lookup {
    /// What was asked.
    pub kind: LookupKind,
    /// The instance asked for.
    pub instance: Option<Text>,
    /// What came of it.
    pub outcome: LookupOutcome,
    /// Request to answer, or to the moment the wait was given up.
    pub duration_ns: Nanos,
    /// The answer; the first instance of it where it lists several.
    pub answer: Option<LookupAnswer>,
    /// How many instances the answer lists.
    pub instances: Option<u32>,
}

/// Kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LookupOutcome {
    /// An answer came.
    Answered,
    /// Silence: no such instance, or blocked; SQL Browser does not say which.
    Timeout,
    /// ICMP said that nobody listens.
    Unreachable,
}

/// What SQL Browser answered.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
