//! Captured connections whose segments can be cut, merged, repeated, put out of order and lost.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use tracer::{
    capture::{
        checksum::tcp_checksum,
        link::{ETHERTYPE_IPV4, network_layer},
        reader::CaptureReader,
        tracker::Sighted,
    },
    session::{Checksum, Config},
};
use tracer_ebpf::flow::Point;

use super::engine::{Replayed, line};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A TCP segment in its network packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// What it carries.
    pub payload: Vec<u8>,
    ethertype: u16,
    point: Point,
    /// Network and TCP header, each with its options.
    head: Vec<u8>,
    tcp_at: usize,
    /// Whether the sender left its checksum to the network card.
    offloaded: bool,
}

impl Frame {
    /// From the network header on; `None` for what is no TCP.
    fn read(time_ns: u64, point: Point, ethertype: u16, bytes: &[u8]) -> Option<Self> {
        let (tcp_at, end) = if ethertype == ETHERTYPE_IPV4 {
            let total = usize::from(be16(bytes, 2)?);
            ((usize::from(bytes.first()? & 0x0F)) * 4, total)
        } else {
            (40, 40 + usize::from(be16(bytes, 4)?))
        };
        let bytes = bytes.get(..end)?;
        let data_at = tcp_at + usize::from(bytes.get(tcp_at + 12)? >> 4) * 4;
        Some(Self {
            time_ns,
            payload: bytes.get(data_at..)?.to_vec(),
            ethertype,
            point,
            head: bytes[..data_at].to_vec(),
            tcp_at,
            offloaded: tcp_checksum(ethertype, bytes) == Some(Checksum::Unfinished),
        })
    }

    fn seq(&self) -> u32 {
        let at = self.tcp_at + 4;
        u32::from_be_bytes([
            self.head[at],
            self.head[at + 1],
            self.head[at + 2],
            self.head[at + 3],
        ])
    }

    fn set_seq(&mut self, seq: u32) {
        let at = self.tcp_at + 4;
        self.head[at..at + 4].copy_from_slice(&seq.to_be_bytes());
    }

    /// Moves a position in the TCP header on: the sequence number's at 4, the acknowledgement's at 8.
    fn advance(&mut self, at: usize, further: u32) {
        if let Some(bytes) = self.head[self.tcp_at + at..].first_chunk_mut() {
            *bytes = u32::from_be_bytes(*bytes)
                .wrapping_add(further)
                .to_be_bytes();
        }
    }

    fn flags(&mut self) -> &mut u8 {
        &mut self.head[self.tcp_at + 13]
    }

    /// Both ports: which way it goes.
    fn ports(&self) -> &[u8] {
        &self.head[self.tcp_at..self.tcp_at + 4]
    }

    /// Whether one of its ports is this.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports()
            .chunks(2)
            .any(|other| other == port.to_be_bytes())
    }

    /// Whether it is a server's answer to a SYN.
    pub fn is_syn_ack(&self) -> bool {
        self.head[self.tcp_at + 13] & (SYN | ACK) == SYN | ACK
    }

    /// Whether it ends its side of the connection.
    pub fn ends_a_side(&self) -> bool {
        self.head[self.tcp_at + 13] & (FIN | RST) != 0
    }

    /// Gives the packet another identification, as a retransmission has.
    pub fn reidentify(&mut self) {
        if self.ethertype == ETHERTYPE_IPV4 {
            self.head[4] ^= 0x80;
        }
        // IPv6 has none; there TCP's timestamps tell.
    }

    /// Whether `next` goes on where this one ends.
    pub fn is_followed_by(&self, next: &Self) -> bool {
        let end = self.seq().wrapping_add(self.payload.len() as u32);
        self.ports() == next.ports()
            && !self.payload.is_empty()
            && !next.payload.is_empty()
            && end == next.seq()
    }

    /// The same bytes in two segments, the first of `at` bytes.
    pub fn cut(&self, at: usize) -> [Self; 2] {
        let (mut first, mut second) = (self.clone(), self.clone());
        first.payload.truncate(at);
        *first.flags() &= !(FIN | PSH);
        second.payload.drain(..at);
        second.set_seq(self.seq().wrapping_add(at as u32));
        *second.flags() &= !SYN;
        [first, second]
    }

    /// This one and what follows it in one segment.
    #[must_use]
    pub fn merge(&self, next: &Self) -> Self {
        let mut merged = next.clone();
        merged.set_seq(self.seq());
        merged.payload = [&self.payload[..], &next.payload].concat();
        merged
    }

    /// The packet from its network header on, with lengths and checksum put right.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.head[..], &self.payload].concat();
        let whole = bytes.len();
        let (at, length) = if self.ethertype == ETHERTYPE_IPV4 {
            (2, whole)
        } else {
            (4, whole - 40)
        };
        bytes[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
        let field = self.tcp_at + 16;
        bytes[field..field + 2].fill(0);
        let sum = if self.offloaded {
            0
        } else {
            !self.checksum(&bytes)
        };
        bytes[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The ones' complement sum over pseudo-header and segment (RFC 9293 §3.1).
    fn checksum(&self, bytes: &[u8]) -> u16 {
        let addresses = if self.ethertype == ETHERTYPE_IPV4 {
            12..20
        } else {
            8..40
        };
        let segment = &bytes[self.tcp_at..];
        let words = bytes[addresses].chunks(2).chain(segment.chunks(2));
        let words = words.map(|word| u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        let sum: u64 = words.map(u64::from).sum::<u64>() + 6 + segment.len() as u64;
        let folded = (0..3).fold(sum, |sum, _| (sum & 0xFFFF) + (sum >> 16));
        folded as u16
    }
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Gives a segment another payload; what follows in the connection goes on behind it.
pub fn rewrite(frames: &mut [Frame], index: usize, payload: Vec<u8>) {
    let [frame, later @ ..] = &mut frames[index..] else {
        return;
    };
    let further = (payload.len() as u32).wrapping_sub(frame.payload.len() as u32);
    frame.payload = payload;
    for other in later {
        let at = if other.ports() == frame.ports() { 4 } else { 8 };
        other.advance(at, further);
    }
}

/// All TCP segments of a capture.
pub fn frames(path: &Path) -> Result<Vec<Frame>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut reader = CaptureReader::new(file)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next()? {
        if let Ok(layer) = network_layer(packet.link, packet.data) {
            let point = Sighted::point(&layer, packet.interface);
            let network = &packet.data[layer.offset..];
            frames.extend(Frame::read(packet.time_ns, point, layer.ethertype, network));
        }
    }
    Ok(frames)
}

/// What the agent says of these segments: the records of one kind.
pub fn said(frames: &[Frame], kind: &str) -> Result<Vec<Value>> {
    said_with(frames, Config::default(), kind)
}

/// The same by an engine with these options.
pub fn said_with(frames: &[Frame], config: Config, kind: &str) -> Result<Vec<Value>> {
    let mut replayed = Replayed::new([], config);
    for frame in frames {
        let bytes = frame.bytes();
        replayed.packet(frame.time_ns, frame.point, (frame.ethertype, &bytes));
    }
    let lines = replayed.finish().into_iter().map(|record| line(&record));
    Ok(lines.filter(|line| line["event"] == kind).collect())
}
