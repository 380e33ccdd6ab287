//! What a capture's bytes say, put the same way by two decoders that share no code: tshark, and
//! the agent's own framing and decoders.

pub mod own;
pub mod pdml;
pub mod tshark;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// One thing that one side of one connection says, possibly several times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Number of the connection in the capture, as tshark counts them.
    pub stream: u32,
    /// Port of the side that says it.
    pub source: u16,
    /// What is said, such as `envchange.type`.
    pub what: &'static str,
}

/// All that a decoder says of a capture, each in the order of the stream.
#[derive(Clone, Debug, Default)]
pub struct Said(BTreeMap<Key, Vec<String>>);

impl Said {
    /// Adds something that one side says.
    pub fn add(&mut self, side: (u32, u16), what: &'static str, value: impl Display) {
        let key = Key {
            stream: side.0,
            source: side.1,
            what,
        };
        self.0.entry(key).or_default().push(value.to_string());
    }

    /// What one side says of one thing.
    pub fn get(&self, key: &Key) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Everything that anything is said of.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.keys()
    }

    /// Moves the connections in `streams` over from another account.
    pub fn take_over(&mut self, other: Self, streams: &BTreeSet<u32>) {
        self.0.retain(|key, _| !streams.contains(&key.stream));
        let taken = other.0.into_iter();
        self.0
            .extend(taken.filter(|(key, _)| streams.contains(&key.stream)));
    }
}

/// TLS records laid straight on TCP: type and length, headers included.
pub const TLS: &str = "tls record";
/// Messages in TDS packets straight on TCP: type, status, channel and length of their first packet.
pub const TDS: &str = "tds message";
/// SMP packets: flags, session, length, sequence number and window.
pub const SMP: &str = "smp packet";
/// TDS packets inside SMP: type, status and length.
pub const TDS_IN_SMP: &str = "tds packet in smp";

/// How a TDS packet's header is put.
fn tds_header(kind: u8, status: u8, channel: u16, length: u32) -> String {
    format!("type {kind}, status {status:#04x}, channel {channel}, length {length}")
}

/// How an SMP packet's header is put.
fn smp_header(flags: u8, sid: u16, length: u32, seqnum: u32, window: u32) -> String {
    format!("flags {flags:#04x}, session {sid}, length {length}, number {seqnum}, window {window}")
}

/// How a TLS record's header is put.
fn tls_header(kind: u8, length: u32) -> String {
    format!("type {kind}, length {length}")
}
