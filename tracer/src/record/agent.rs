//! What the agent says of itself.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Count, LossReason, Outcome, Text, Timestamp};

/// `agent`: start, stop, degradation, interface added or removed, and a status once a minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentRecord {
    /// What happened.
    pub agent: Agent,
}

/// Something that happened to the agent.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Agent {
    /// What.
    pub action: AgentAction,
    /// The agent's version.
    pub version: Option<Text>,
    /// Which interface.
    pub interface: Option<Text>,
    /// Which port.
    pub port: Option<u16>,
    /// Where on that SQL Server is, as far as it was said.
    pub address: Option<IpAddr>,
    /// Hooks in use, such as `tcx` or `clsact`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Text>,
    /// Why, by name: what was missing, or which signal.
    pub reason: Option<Text>,
    /// What it costs and what would mend it.
    pub detail: Option<Text>,
    /// In a `status` only: how the agent does.
    pub status: Option<Status>,
}

/// How the agent does: a stream that says so and nothing else is quiet, not dead.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The last status, or the start: what is counted happened after it.
    pub since: Timestamp,
    /// Connections open now.
    pub open_connections: Count,
    /// Of these, those whose login is not decided.
    pub undecided: Option<Count>,
    /// Of these, those that are older than the agent.
    pub joined_late: Option<Count>,
    /// Connections that began, or were met for the first time.
    pub connections: Count,
    /// Logins by outcome, those that a filter holds back included.
    pub logins: BTreeMap<Outcome, Count>,
    /// Events that came from the kernel.
    pub events: Count,
    /// What was not seen, by reason.
    pub losses: BTreeMap<LossReason, Count>,
    /// Ports that are watched because they were learned; left out where none may be.
    pub learned_ports: Option<Count>,
    /// Memory of the agent that is in use.
    pub memory_bytes: Option<Count>,
    /// The sinks by their names; left out where none is configured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<Text, SinkStatus>,
}

/// How a sink does, counted since the agent started.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SinkStatus {
    /// Records that it was given and took: written, handed over, or in its spool.
    pub written: Count,
    /// Records that it lost, each told in a `loss` line of its own.
    pub lost: Count,
    /// Of these, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub losses: BTreeMap<LossReason, Count>,
    /// Tries to hand something over that failed, whether or not a later one went well.
    pub errors: Option<Count>,
    /// Records that wait for it in memory.
    pub waiting: Count,
    /// Bytes in its spool that its receiver has not acknowledged; left out where it has none.
    pub spool_bytes: Option<Count>,
    /// The time of the oldest of these, once it was handed over for the first time.
    pub spool_since: Option<Timestamp>,
    /// Why it does not go on at this moment.
    pub trouble: Option<Text>,
}

impl Agent {
    /// An action about which nothing more is known yet.
    pub fn new(action: AgentAction) -> Self {
        Self {
            action,
            version: None,
            interface: None,
            port: None,
            address: None,
            hooks: Vec::new(),
            reason: None,
            detail: None,
            status: None,
        }
    }
}

/// What can happen to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AgentAction {
    /// It watches from now on.
    Start,
    /// It no longer watches.
    Stop,
    /// Something is not available: it does without.
    Degraded,
    /// An interface is watched from now on.
    InterfaceAdded,
    /// An interface is gone.
    InterfaceRemoved,
    /// A port is watched from now on: SQL Server is at it.
    PortAdded,
    /// A port is no longer watched.
    PortRemoved,
    /// It read its configuration anew.
    Reload,
    /// Nothing: it says that it is alive.
    Status,
}
