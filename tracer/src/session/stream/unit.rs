//! What a stream is made of: TDS packets, TLS records and SMP packets.

use std::ops::Range;

use tracer_ebpf::framing::{self, Framing, Header};
use zeroize::Zeroizing;

/// The longest message kept; the longest TDS packet is 64 KiB, the longest TLS record 18.
pub(super) const MAX_MESSAGE: u32 = 64 * 1024;

/// A whole packet or record of the stream.
#[derive(Debug)]
pub(in crate::session) struct Unit {
    /// Its header.
    pub(in crate::session) header: Header,
    /// The header's first bytes.
    pub(in crate::session) prefix: [u8; 8],
    /// What follows the header, withheld bytes as zeros; shorter than the header says where the
    /// packet is too long to keep.
    pub(in crate::session) body: Zeroizing<Vec<u8>>,
    /// The parts of the body that were withheld or lost, ascending.
    pub(in crate::session) unseen: Vec<Range<usize>>,
    /// When its first byte passed.
    pub(in crate::session) from: u64,
    /// When its last byte passed.
    pub(in crate::session) to: u64,
    /// Segments that it came in.
    pub(in crate::session) segments: u32,
}

impl Unit {
    /// Bytes after the header on the wire.
    pub(in crate::session) fn body_len(&self) -> u32 {
        self.header
            .len
            .saturating_sub(header_len(self.header.framing))
    }

    /// Its body's memory, for another one's.
    pub(in crate::session) fn into_memory(self) -> Zeroizing<Vec<u8>> {
        let mut memory = self.body;
        memory.fill(0);
        memory.clear();
        memory
    }
}

pub(super) fn header_len(framing: Framing) -> u32 {
    match framing {
        Framing::Tds => framing::TDS_HEADER,
        Framing::Tls => framing::TLS_HEADER,
        Framing::Smp => framing::SMP_HEADER,
    }
}

/// Something found in the stream.
#[derive(Debug)]
pub(in crate::session) enum Found {
    /// A whole packet or record.
    Unit(Unit),
    /// Bytes at a boundary that are of no known framing: the first of them.
    Unknown([u8; 8]),
}
