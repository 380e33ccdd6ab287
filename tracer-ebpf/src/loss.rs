//! What was not seen, by reason.

/// Why something was not seen. The value is the index of the per-CPU counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum LossReason {
    /// The ring buffer had no room for a record.
    RingFull = 0,
    /// A new connection found no place in the flow table.
    FlowTableFull = 1,
    /// A header could not be read where it had to be (not linear, and not copyable).
    HeaderUnreadable = 2,
    /// A direction's login bytes went past the configured budget.
    BudgetSpent = 3,
    /// An IP fragment other than the first: it has no TCP header.
    Fragment = 4,
    /// One packet held more message headers than are walked.
    HeadersUnwalked = 5,
    /// The bytes at a message boundary are no header of TDS, TLS or SMP.
    FramingLost = 6,
    /// Bytes came before the header that says whether they are secret; they were not copied.
    Withheld = 7,
    /// A login went on for more segments than are told of.
    LoginTooLong = 8,
    /// An IPv6 header chain was longer than is walked.
    HeaderChainTooLong = 9,
    /// The table of socket owners had no room.
    OwnerTableFull = 10,
    /// A RST or SYN that has no place in its connection, and was not believed.
    OutOfWindow = 11,
    /// More packets were worked on at a time on one processor than there is memory for.
    Crowded = 12,
    /// A connection had given way in the table, or a program was gone, before its packet was told.
    Gone = 13,
    /// A SYN of too many at a time, whose connection was not established.
    SynHeld = 14,
    /// A datagram of too many at a time.
    DatagramHeld = 15,
}

impl LossReason {
    /// How many reasons there are: the size of the counter map.
    pub const COUNT: u32 = 16;

    /// Every reason, in the order of the counters.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::RingFull,
        Self::FlowTableFull,
        Self::HeaderUnreadable,
        Self::BudgetSpent,
        Self::Fragment,
        Self::HeadersUnwalked,
        Self::FramingLost,
        Self::Withheld,
        Self::LoginTooLong,
        Self::HeaderChainTooLong,
        Self::OwnerTableFull,
        Self::OutOfWindow,
        Self::Crowded,
        Self::Gone,
        Self::SynHeld,
        Self::DatagramHeld,
    ];

    /// The name in the event stream.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::FlowTableFull => "flow_table_full",
            Self::HeaderUnreadable => "header_unreadable",
            Self::BudgetSpent => "budget_spent",
            Self::Fragment => "fragment",
            Self::HeadersUnwalked => "headers_unwalked",
            Self::FramingLost => "framing_lost",
            Self::Withheld => "withheld",
            Self::LoginTooLong => "login_too_long",
            Self::HeaderChainTooLong => "header_chain_too_long",
            Self::OwnerTableFull => "owner_table_full",
            Self::OutOfWindow => "out_of_window",
            Self::Crowded => "crowded",
            Self::Gone => "gone",
            Self::SynHeld => "syn_held",
            Self::DatagramHeld => "datagram_held",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        for (index, reason) in LossReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
