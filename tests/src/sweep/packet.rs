//! TCP packets of one connection, and new ones in the manner of its sides.

use std::sync::Arc;

use tracer::capture::link::ETHERTYPE_IPV4;
use tracer_ebpf::flow::{FlowKey, Point};

/// This side has said all.
pub const FIN: u8 = 0x01;
/// A connection begins.
pub const SYN: u8 = 0x02;
/// It ends at once.
pub const RST: u8 = 0x04;
/// There is data.
pub const PSH: u8 = 0x08;
/// What the other side sent has arrived.
pub const ACK: u8 = 0x10;

const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Who opened the connection.
    Client,
    /// Who was connected to.
    Server,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// How the checksum was found: what is not right was left to the network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checksum {
    Right,
    /// Only the pseudo-header's sum, as Linux leaves it.
    Unfinished,
    /// Anything else; kept as it is.
    Other(u16),
}

/// A TCP packet from its network header on.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Who sent it.
    pub side: Side,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// TCP flags.
    pub flags: u8,
    /// Ethertype of the network layer.
    pub ethertype: u16,
    /// Where it was captured.
    pub point: Point,
    /// All of it.
    pub bytes: Arc<[u8]>,
    tcp_at: usize,
    data_at: usize,
    checksum: Checksum,
}

/// Address and port, as the packet has them.
pub type End = (Vec<u8>, u16);

impl Packet {
    /// A TCP packet that is whole, and its two ends: `None` for all else. Its side is set by whoever
    /// knows the connection.
    pub fn read(
        time_ns: u64,
        point: Point,
        ethertype: u16,
        bytes: &[u8],
    ) -> Option<(Self, [End; 2])> {
        let is_four = ethertype == ETHERTYPE_IPV4;
        let (tcp_at, end, protocol, addresses) = if is_four {
            let header = usize::from(bytes.first()? & 0x0F) * 4;
            (header, usize::from(be16(bytes, 2)?), *bytes.get(9)?, 12..20)
        } else {
            let length = usize::from(be16(bytes, 4)?);
            (IPV6_HEADER, IPV6_HEADER + length, *bytes.get(6)?, 8..40)
        };
        let bytes = bytes.get(..end)?;
        if protocol != 6 {
            return None;
        }
        let data_at = tcp_at + usize::from(bytes.get(tcp_at + 12)? >> 4) * 4;
        bytes.get(data_at..)?;
        let (source, destination) = bytes[addresses.clone()].split_at(addresses.len() / 2);
        let ends = [
            (source.to_vec(), be16(bytes, tcp_at)?),
            (destination.to_vec(), be16(bytes, tcp_at + 2)?),
        ];
        let mut packet = Self {
            time_ns,
            side: Side::Client,
            seq: be32(bytes, tcp_at + 4)?,
            ack: be32(bytes, tcp_at + 8)?,
            flags: bytes[tcp_at + 13],
            ethertype,
            point,
            bytes: bytes.into(),
            tcp_at,
            data_at,
            checksum: Checksum::Right,
        };
        let found = be16(bytes, tcp_at + 16)?;
        packet.checksum = match found {
            sum if sum == packet.right_sum() => Checksum::Right,
            sum if sum == packet.pseudo_sum() => Checksum::Unfinished,
            sum => Checksum::Other(sum),
        };
        Some((packet, ends))
    }

    /// What it carries.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.data_at..]
    }

    /// Whether one of these flags is set.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The sequence number after it.
    pub fn end(&self) -> u32 {
        let ends = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.payload().len() as u32 + ends)
    }

    /// The identification of an IPv4 packet, by which copies and retransmissions differ.
    pub fn identification(&self) -> Option<u16> {
        (self.ethertype == ETHERTYPE_IPV4).then(|| be16(&self.bytes, 4).unwrap_or(0))
    }

    /// Whether both are the same packet, seen twice.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        self.side == other.side
            && (self.seq, self.ack, self.flags) == (other.seq, other.ack, other.flags)
            && self.payload() == other.payload()
            && self.identification() == other.identification()
    }

    /// The same at another time.
    #[must_use]
    pub fn at(&self, time_ns: u64) -> Self {
        Self {
            time_ns,
            ..self.clone()
        }
    }

    /// The same sent once more: another packet with the same bytes.
    #[must_use]
    pub fn again(&self, time_ns: u64) -> Self {
        let mut bytes = self.bytes.to_vec();
        self.identify(&mut bytes, 0x8000);
        self.with_bytes(time_ns, bytes)
    }

    /// The same with another identification once more.
    #[must_use]
    pub fn renumbered(&self, change: u16) -> Self {
        let mut bytes = self.bytes.to_vec();
        self.identify(&mut bytes, change);
        self.with_bytes(self.time_ns, bytes)
    }

    /// Another packet of the same side, without TCP options.
    #[must_use]
    pub fn says(&self, time_ns: u64, flags: u8, [seq, ack]: [u32; 2], payload: &[u8]) -> Self {
        let mut bytes = self.bytes[..self.tcp_at + TCP_HEADER].to_vec();
        bytes.extend(payload);
        let at = self.tcp_at;
        bytes[at + 4..at + 8].copy_from_slice(&seq.to_be_bytes());
        bytes[at + 8..at + 12].copy_from_slice(&ack.to_be_bytes());
        bytes[at + 12] = ((TCP_HEADER / 4) as u8) << 4;
        bytes[at + 13] = flags;
        let (field, length) = if self.ethertype == ETHERTYPE_IPV4 {
            (2, bytes.len())
        } else {
            (4, bytes.len() - IPV6_HEADER)
        };
        bytes[field..field + 2].copy_from_slice(&(length as u16).to_be_bytes());
        // Unlike those of the packets around it, and of each other.
        self.identify(&mut bytes, 0x4000 ^ flags_of(flags, payload));
        let mut packet = self.with_bytes(time_ns, bytes);
        (packet.seq, packet.ack, packet.flags) = (seq, ack, flags);
        packet.data_at = at + TCP_HEADER;
        packet.sealed()
    }

    /// The same header with source and destination exchanged: the other side's, which never spoke.
    #[must_use]
    pub fn turned(&self) -> Self {
        let mut bytes = self.bytes.to_vec();
        let addresses = if self.ethertype == ETHERTYPE_IPV4 {
            12..20
        } else {
            8..40
        };
        for range in [addresses, self.tcp_at..self.tcp_at + 4] {
            let half = range.len() / 2;
            bytes[range].rotate_left(half);
        }
        let mut packet = self.with_bytes(self.time_ns, bytes);
        packet.side = self.side.other();
        packet.checksum = Checksum::Right;
        packet.sealed()
    }

    /// The same from or to another port of the client.
    #[must_use]
    pub fn of_client_port(&self, port: u16) -> Self {
        let at = self.tcp_at + if self.side == Side::Client { 0 } else { 2 };
        let mut bytes = self.bytes.to_vec();
        bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        self.with_bytes(self.time_ns, bytes).sealed()
    }

    /// The same from or to a server whose IPv4 address ends like this.
    #[must_use]
    pub fn of_server(&self, last: u8) -> Self {
        let at = if self.side == Side::Client { 19 } else { 15 };
        let mut bytes = self.bytes.to_vec();
        bytes[at] = last;
        self.identify(&mut bytes, 0);
        self.with_bytes(self.time_ns, bytes).sealed()
    }

    /// The client's port.
    pub fn client_port(&self) -> u16 {
        let at = self.tcp_at + if self.side == Side::Client { 0 } else { 2 };
        be16(&self.bytes, at).unwrap_or(0)
    }

    /// Its connection, as the engine knows it; of IPv4.
    pub fn key(&self) -> FlowKey {
        let address = |at: usize| {
            let octets = self.bytes[at..].first_chunk().copied().unwrap_or_default();
            [0, 0, 0xFFFF_u32.to_be(), u32::from_ne_bytes(octets)]
        };
        let port = |at| be16(&self.bytes, self.tcp_at + at).unwrap_or(0);
        FlowKey::of(address(12), port(0), address(16), port(2)).0
    }

    fn with_bytes(&self, time_ns: u64, bytes: Vec<u8>) -> Self {
        Self {
            time_ns,
            bytes: bytes.into(),
            ..self.clone()
        }
    }

    fn identify(&self, bytes: &mut [u8], change: u16) {
        if self.ethertype == ETHERTYPE_IPV4 {
            let id = be16(bytes, 4).unwrap_or(0) ^ change;
            bytes[4..6].copy_from_slice(&id.to_be_bytes());
            bytes[10..12].fill(0);
            let sum = !folded(words(&bytes[..self.tcp_at]));
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// The same with the checksum that its sender's packets have.
    fn sealed(self) -> Self {
        let sum = match self.checksum {
            Checksum::Right => self.right_sum(),
            Checksum::Unfinished => self.pseudo_sum(),
            Checksum::Other(sum) => sum,
        };
        let mut bytes = self.bytes.to_vec();
        bytes[self.tcp_at + 16..self.tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
        Self {
            bytes: bytes.into(),
            ..self
        }
    }

    fn pseudo_header(&self) -> u64 {
        let addresses = if self.ethertype == ETHERTYPE_IPV4 {
            12..20
        } else {
            8..40
        };
        words(&self.bytes[addresses]) + 6 + (self.bytes.len() - self.tcp_at) as u64
    }

    fn pseudo_sum(&self) -> u16 {
        folded(self.pseudo_header())
    }

    /// RFC 9293 §3.1, the checksum field taken for zero.
    fn right_sum(&self) -> u16 {
        let segment = &self.bytes[self.tcp_at..];
        let field = u64::from(be16(segment, 16).unwrap_or(0));
        !folded(self.pseudo_header() + words(segment) - field)
    }
}

/// Tells packets of one moment apart.
fn flags_of(flags: u8, payload: &[u8]) -> u16 {
    u16::from(flags) << 4 | (payload.len() as u16 & 0x0F)
}

fn words(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2);
    words
        .map(|word| u64::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])))
        .sum()
}

fn folded(sum: u64) -> u16 {
    (0..3).fold(sum, |sum, _| (sum & 0xFFFF) + (sum >> 16)) as u16
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
