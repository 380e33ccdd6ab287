//! What the connection was used for after the login: requests and MARS sessions.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{
    Basis, CloseMeans, ClosedBy, ConnectionRef, Count, Endpoint, Nanos, Server, Sides, Timestamp,
};

/// The connection's requests in sum.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Requests {
    /// All of them.
    pub count: Count,
    /// SQL batches.
    pub batch: Count,
    /// Remote procedure calls.
    pub rpc: Count,
    /// Bulk loads.
    pub bulk: Count,
    /// Transaction manager requests.
    pub transaction: Count,
    /// Attentions: requests to cancel.
    pub attention: Count,
    /// Times the server took to the first byte of its response.
    pub server_ns: Option<Quantiles>,
}

/// Quantiles of a set of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Quantiles {
    /// The median.
    pub p50: Nanos,
    /// 99 in 100 were not longer.
    pub p99: Nanos,
    /// The longest.
    pub max: Nanos,
}

/// `request`: a request's response ended, or never will.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestRecord {
    /// Which connection.
    pub connection: ConnectionRef,
    /// The connecting end.
    pub client: Endpoint,
    /// The listening end.
    pub server: Server,
    /// The request.
    pub request: Request,
}

/// One request.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Request {
    /// What was asked.
    pub kind: RequestKind,
    /// The time of its first byte.
    pub start: Timestamp,
    /// From the request's first byte to the response's first byte.
    pub first_byte_ns: Option<Nanos>,
    /// From the request's first byte to the response's last byte, or to the connection's end.
    pub duration_ns: Nanos,
    /// From the request's last byte to the response's first: the server's share and the network's.
    pub server_ns: Option<Nanos>,
    /// The response ended.
    pub complete: bool,
    /// The client asked for a clean session first: a pooled connection was handed on.
    pub reset_connection: bool,
    /// An attention ended it.
    pub cancelled: bool,
    /// From that attention to the end of the message that answers it.
    pub cancel_ns: Option<Nanos>,
    /// SMP session id, under MARS.
    pub session: Option<u16>,
}

/// Kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// SQL batch, packet type 1.
    Batch,
    /// Remote procedure call, packet type 3.
    Rpc,
    /// Bulk load, packet type 7.
    Bulk,
    /// Transaction manager request, packet type 14.
    Transaction,
    /// Attention, packet type 6.
    Attention,
}

/// The connection's SMP sessions in sum.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MarsSummary {
    /// Sessions opened.
    pub sessions: u32,
    /// Most sessions open at once.
    pub max_concurrent: u32,
    /// Sessions ended by a TCP reset.
    pub resets: u32,
    /// Left out where observed.
    pub basis: Option<Basis>,
}

/// `mars`: an SMP session ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MarsRecord {
    /// Which connection.
    pub connection: ConnectionRef,
    /// The connecting end.
    pub client: Endpoint,
    /// The listening end.
    pub server: Server,
    /// The session.
    pub mars: MarsSession,
}

/// One SMP session.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MarsSession {
    /// SMP session id.
    pub sid: u16,
    /// Requests sent in it.
    pub requests: Count,
    /// Bytes of SMP DATA payload.
    pub bytes: Sides<Count>,
    /// Times a sender stood at the end of its window.
    pub window_stalls: u32,
    /// How long senders stood there.
    pub stalled_ns: Nanos,
    /// SMP SYN to last SMP FIN, or to the connection's end.
    pub duration_ns: Option<Nanos>,
    /// Who sent the first SMP FIN, or ended the connection.
    pub closed_by: Option<ClosedBy>,
    /// By which means.
    pub how: Option<CloseMeans>,
    /// Left out where observed.
    pub basis: Option<Basis>,
}
