//! What was not seen.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Count, Timestamp};

/// `loss`: counters of things not seen have moved.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LossRecord {
    /// What, and how much.
    pub loss: Loss,
}

/// Things that were not seen, or not said.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How many since then.
    pub count: Count,
    /// The last report of this reason, or the start.
    pub since: Timestamp,
}

/// Reasons for not seeing, or not saying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The ring buffer was full: events were dropped in the kernel.
    RingFull,
    /// The kernel's table of flows was full: a flow gave way to another.
    FlowTableFull,
    /// A packet's headers could not be read.
    HeaderUnreadable,
    /// A packet's payload could not be read.
    PayloadUnreadable,
    /// A login was longer than the bytes kept of it.
    BudgetSpent,
    /// An IP fragment other than the first.
    Fragment,
    /// More message headers in one packet than are looked at.
    HeadersSkipped,
    /// The framing was lost in a stream and found again.
    Resynchronised,
    /// An event that does not decode.
    MalformedEvent,
    /// The owner of a socket had no place until its connection's first packet.
    OwnerTableFull,
    /// Events missing from a connection's numbering.
    EventsMissing,
    /// The agent's table of connections was full: one gave way to another.
    ConnectionEvicted,
    /// Bytes that arrived too far out of order to be kept.
    ReorderFull,
    /// A capture's packet was shorter than its headers say.
    Snapped,
    /// A capture's packet could not be read.
    PacketUnreadable,
    /// Peers that do not speak TDS, beyond the rate at which they are reported.
    StrangerSuppressed,
    /// The reader of the output was too slow: records were dropped.
    OutputBlocked,
    /// A record that could not be written: it was larger than a line may be.
    RecordTooLarge,
}
