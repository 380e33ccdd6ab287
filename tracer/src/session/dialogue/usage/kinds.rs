//! Kinds of requests, as the type of a TDS packet tells them.

use tracer_ebpf::{framing::packet_type, tally::Sums};

use crate::{
    record::{Count, RequestKind},
    session::wire::When,
};

/// Requests by their kinds; inside TLS they have none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds {
    pub(super) batch: Count,
    pub(super) rpc: Count,
    pub(super) bulk: Count,
    pub(super) transaction: Count,
    pub(super) attention: Count,
    /// When the client took back the request at hand.
    pub(super) cancelled: When,
}

impl Kinds {
    /// One more of this kind.
    pub(super) fn count(&mut self, kind: RequestKind) {
        *match kind {
            RequestKind::Batch => &mut self.batch,
            RequestKind::Rpc => &mut self.rpc,
            RequestKind::Bulk => &mut self.bulk,
            RequestKind::Transaction => &mut self.transaction,
            RequestKind::Attention => &mut self.attention,
        } += 1;
    }

    /// What the kernel has counted of those whose kind is known; `None` without any.
    pub(super) fn of(sums: &Sums) -> Option<Self> {
        let known = [
            sums.batch,
            sums.rpc,
            sums.bulk,
            sums.transaction,
            sums.attention,
        ];
        known.iter().any(|count| *count > 0).then_some(Self {
            batch: Count(sums.batch),
            rpc: Count(sums.rpc),
            bulk: Count(sums.bulk),
            transaction: Count(sums.transaction),
            attention: Count(sums.attention),
            cancelled: When::NEVER,
        })
    }

    /// Adds what another session counted.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.batch += other.batch;
        self.rpc += other.rpc;
        self.bulk += other.bulk;
        self.transaction += other.transaction;
        self.attention += other.attention;
    }
}

/// The kind of request that a packet of this type is of.
pub(super) fn kind_of(packet: u8) -> Option<RequestKind> {
    Some(match packet {
        packet_type::SQL_BATCH => RequestKind::Batch,
        packet_type::RPC => RequestKind::Rpc,
        packet_type::BULK_LOAD => RequestKind::Bulk,
        packet_type::TRANSACTION_MANAGER => RequestKind::Transaction,
        packet_type::ATTENTION => RequestKind::Attention,
        _ => return None,
    })
}
