//! Which connection, between whom, by which process, and what TCP went through.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{ConnectionId, Container, Count, Kubernetes, Nanos, Sides, Text, Timestamp};

/// The connection itself, as `login` and `close` carry it.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connection {
    /// Derived from addresses, ports and both initial sequence numbers.
    pub id: ConnectionId,
    /// Community ID v1: joins with Zeek, Suricata and Packetbeat.
    pub community_id: Option<Text>,
    /// Where the agent, or the capture, stood.
    pub vantage: Vantage,
    /// The interface on which the connection was seen first.
    pub interface: Option<Text>,
    /// The time of the first packet.
    pub start: Timestamp,
    /// Not all of the connection was seen; see `partial_reasons`.
    pub partial: bool,
    /// Why not all was seen; empty exactly where `partial` is false.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub partial_reasons: BTreeSet<PartialReason>,
}

impl Connection {
    /// Notes that not all of the connection was seen.
    pub fn mark_partial(&mut self, reason: PartialReason) {
        self.partial = true;
        self.partial_reasons.insert(reason);
    }
}

/// The connection's name alone, for records that are many per connection.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConnectionRef {
    /// As in the connection's `login` record.
    pub id: ConnectionId,
    /// Community ID v1.
    pub community_id: Option<Text>,
}

/// Where the packets were seen from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Vantage {
    /// On the client's host.
    Client,
    /// On the server's host.
    Server,
    /// Both ends are on this host.
    Both,
    /// On the way between them.
    Transit,
    /// Not known.
    #[default]
    Unknown,
}

/// Why a connection was not seen whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartialReason {
    /// The first packets were before the agent's time or the capture's start.
    JoinedLate,
    /// The kernel's events did not all reach the agent.
    EventsLost,
    /// Bytes are missing from the stream: not captured, or cut by the snap length.
    Gap,
    /// The agent needed the memory.
    Evicted,
    /// The agent stopped, or the capture ended, before the connection did.
    AgentStop,
    /// A packet of the capture has no time, or one that those around it contradict, or the clock was set
    /// back between two of the connection's. What depends on time is left out.
    Untimed,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
}

/// Other addresses of a connection on this host: a port that is published, a client that is
/// masqueraded, a service's address.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Translation {
    /// The connecting end.
    pub client: Endpoint,
    /// The listening end.
    pub server: Endpoint,
}

/// The listening end.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Server {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// TCP or UDP port.
    pub port: u16,
    /// The named instance, where a lookup or the prelogin named it.
    pub instance: Option<Text>,
}

/// The local side's process.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// Thread group id, as `ps` shows it.
    pub pid: u32,
    /// Its user, as the host numbers them.
    pub uid: Option<u32>,
    /// The kernel's `comm`.
    pub name: Option<Text>,
    /// Path of the executable.
    pub executable: Option<Text>,
    /// Path of the cgroup below its mount point.
    pub cgroup: Option<Text>,
    /// The container the cgroup belongs to.
    pub container_id: Option<Text>,
    /// What else is known of that container.
    pub container: Option<Arc<Container>>,
    /// The pod that the container is in.
    pub k8s: Option<Arc<Kubernetes>>,
}

/// What TCP went through.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tcp {
    /// One round trip: that of the handshake, else the kernel's estimate when its socket closed.
    pub rtt_ns: Option<Nanos>,
    /// The kernel's own estimate when a socket of this host closed: smoothed over the connection
    /// (RFC 6298), with delayed acknowledgements in it.
    pub smoothed_rtt_ns: Option<Nanos>,
    /// How often the client sent its SYN again.
    pub syn_retransmits: Option<u32>,
    /// Segments that each side sent again.
    pub retransmits: Sides<u32>,
    /// Times each side closed its receive window.
    pub zero_window: Sides<u32>,
    /// Payload bytes of each side, without retransmissions.
    pub bytes: Sides<Count>,
    /// Packets of each side.
    pub packets: Sides<Count>,
}
