//! How a connection ended.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Nanos, PhaseName};

/// The end of a connection.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Close {
    /// Who ended it.
    pub by: ClosedBy,
    /// By which means.
    pub how: CloseMeans,
    /// What to think of it.
    pub class: CloseClass,
    /// The phase it happened in; left out in the established connection between requests.
    pub phase: Option<PhaseName>,
    /// From the connection's first packet to its last.
    pub duration_ns: Option<Nanos>,
    /// Time without data before the end.
    pub idle_ns: Option<Nanos>,
    /// Keep-alive probes without an answer before the end.
    pub keep_alive_probes: Option<u32>,
    /// The RST came from a middlebox: its TTL or hop limit is unlike the data's.
    pub middlebox: Option<bool>,
    /// One side closed and the other never did.
    pub half_open: Option<bool>,
    /// Requests whose response had not ended.
    pub requests_in_flight: Option<u32>,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Neither: the agent stopped watching it.
    Agent,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CloseMeans {
    /// FIN.
    Fin,
    /// RST.
    Rst,
    /// Silence.
    Timeout,
    /// The agent forgot it, or stopped.
    Evicted,
}

/// What to think of a connection's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CloseClass {
    /// As drivers close.
    Normal,
    /// Something went wrong.
    Abnormal,
    /// A reset that lost nothing: after the answers, or while MARS closes.
    BenignReset,
}
