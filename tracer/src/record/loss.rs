//! What was not seen.

use std::collections::BTreeMap;

use serde::Serialize;

use serde_with::skip_serializing_none;

use super::{Count, Event, Stranger, Timestamp};

/// `loss`: counters of things not seen have moved.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LossRecord {
    /// What, and how much.
    pub loss: Loss,
}

/// Things that were not seen, or not said.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// The kind of clients that were not told, where that is the reason.
    pub stranger: Option<Stranger>,
    /// How many since then.
    pub count: Count,
    /// Of records that were not told: how many of each event.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<Event, Count>,
    /// The last report of this reason, or the start.
    pub since: Timestamp,
}

/// Declares the reasons with their names as they are written.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $name:literal,)*) => {
        /// Reasons for not seeing, or not saying.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum LossReason {
            $($(#[$doc])* #[serde(rename = $name)] $reason,)*
        }

        impl LossReason {
            /// The name as it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }
        }
    };
}

reasons! {
    /// The ring buffer was full: events were dropped in the kernel.
    RingFull = "ring_full",
    /// The table of flows was full, or what was held back of them until they prove to be TDS.
    FlowTableFull = "flow_table_full",
    /// A packet's headers could not be read.
    HeaderUnreadable = "header_unreadable",
    /// A chain of IPv6 extension headers was too long to walk.
    HeaderChainTooLong = "header_chain_too_long",
    /// A login was longer than the bytes kept of it.
    BudgetSpent = "budget_spent",
    /// A login had more segments than are told.
    LoginTooLong = "login_too_long",
    /// An IP fragment other than the first, or the first of a tunnel's packet.
    Fragment = "fragment",
    /// More message headers in one packet than are looked at.
    HeadersUnwalked = "headers_unwalked",
    /// The bytes at a message boundary were no header.
    FramingLost = "framing_lost",
    /// Bytes came before the header that says whether they are secret; they were not copied.
    Withheld = "withheld",
    /// An event that does not decode.
    MalformedEvent = "malformed_event",
    /// The owner of a socket had no place until its connection's first packet.
    OwnerTableFull = "owner_table_full",
    /// A RST or SYN that has no place in its connection, and was not believed.
    OutOfWindow = "out_of_window",
    /// More packets were worked on at a time on one processor than there is memory for.
    Crowded = "crowded",
    /// A connection had given way in the table, or a program was gone, before its packet was told.
    Gone = "gone",
    /// SYNs of too many at a time, whose connections were not established: a flood.
    SynHeld = "syn_held",
    /// Datagrams of SQL Browser or name resolution, of too many at a time.
    DatagramHeld = "datagram_held",
    /// Events missing from a connection's numbering.
    EventsMissing = "events_missing",
    /// The agent's table of connections was full: one gave way to another.
    ConnectionEvicted = "connection_evicted",
    /// A connection of which only the end was seen: it was idle before, or had been forgotten.
    ConnectionUntold = "connection_untold",
    /// Records of peers that do not speak TDS, beyond the rate at which they are told.
    StrangerSuppressed = "stranger_suppressed",
    /// The reader of the output was too slow: records were dropped.
    OutputBlocked = "output_blocked",
    /// The output's disk was full or failed: records were not written.
    OutputFailed = "output_failed",
    /// A record that could not be written: it was larger than a line may be.
    RecordTooLarge = "record_too_large",
    /// A sink's spool was full: the oldest records gave way to the next.
    SpoolFull = "spool_full",
    /// Records could not be written into a sink's spool.
    SpoolFailed = "spool_failed",
    /// What a sink's spool held could not be read again: one for each place where it was torn or damaged.
    SpoolTorn = "spool_torn",
    /// A sink's receiver took records and refused them for good.
    SinkRefused = "sink_refused",
}

impl From<tracer_ebpf::loss::LossReason> for LossReason {
    fn from(reason: tracer_ebpf::loss::LossReason) -> Self {
        use tracer_ebpf::loss::LossReason as Kernel;
        match reason {
            Kernel::RingFull => Self::RingFull,
            Kernel::FlowTableFull => Self::FlowTableFull,
            Kernel::HeaderUnreadable => Self::HeaderUnreadable,
            Kernel::BudgetSpent => Self::BudgetSpent,
            Kernel::Fragment => Self::Fragment,
            Kernel::HeadersUnwalked => Self::HeadersUnwalked,
            Kernel::FramingLost => Self::FramingLost,
            Kernel::Withheld => Self::Withheld,
            Kernel::LoginTooLong => Self::LoginTooLong,
            Kernel::HeaderChainTooLong => Self::HeaderChainTooLong,
            Kernel::OwnerTableFull => Self::OwnerTableFull,
            Kernel::OutOfWindow => Self::OutOfWindow,
            Kernel::Crowded => Self::Crowded,
            Kernel::Gone => Self::Gone,
            Kernel::SynHeld => Self::SynHeld,
            Kernel::DatagramHeld => Self::DatagramHeld,
        }
    }
}
