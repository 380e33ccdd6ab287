//! Sealed records as they come, and what is known of them beforehand.

use crate::session::input::Side;

/// One sealed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Record {
    pub(in crate::session) side: Side,
    /// When its first byte passed.
    pub(in crate::session) from: u64,
    /// When its last byte did.
    pub(in crate::session) to: u64,
    /// Bytes after its header.
    pub(in crate::session) len: u32,
    /// It came inside a TDS packet: only the handshake does.
    pub(in crate::session) wrapped: bool,
}

/// What the handshake before it tells of a sealed login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::session) struct Terms {
    /// TLS 1.3: the client's handshake ends in a sealed record, and tickets look like data.
    pub(in crate::session) tls13: bool,
    /// The client's PRELOGIN is sealed too (TDS 8.0).
    pub(in crate::session) strict: bool,
    /// TLS came first, and named no protocol: it may be anybody's.
    pub(in crate::session) unnamed: bool,
    /// Both sides agreed on federated authentication: a token may follow the first reply.
    pub(in crate::session) federated: bool,
    /// How long a record is that seals an attention; `None` where that is not known.
    pub(in crate::session) attention: Option<u32>,
    /// The same of an SMP packet without data, where there may be MARS.
    pub(in crate::session) smp_control: Option<u32>,
    /// Nothing of the connection was missed.
    pub(in crate::session) whole: bool,
    /// How long the handshake's round trip took, nanoseconds; 0 where that is not known.
    pub(in crate::session) round_trip: u64,
    /// What sealing adds at most to a record.
    pub(in crate::session) overhead: u32,
}
