//! From a packet's first byte to its TCP segment: Ethernet, VLAN tags, IPv4 with options, IPv6
//! with extension headers, TCP with options. Every loop is bounded.

mod plain;

pub use plain::{Plain, is_plainly_unwanted, plain};

use crate::{
    bytes::Bytes,
    key::{FlowKey, mapped},
    seq::{Seq, Span},
};

/// `EtherTypes` (IEEE 802).
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// IPv6.
    pub const IPV6: u16 = 0x86DD;
    /// 802.1Q.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad (`QinQ`).
    pub const QINQ: u16 = 0x88A8;
    /// `QinQ` before it was standardised.
    pub const QINQ_OLD: u16 = 0x9100;
}

/// TCP flags (RFC 793 §3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

const ETHERNET_HEADER: u32 = 14;
const VLAN_TAG: u32 = 4;
/// Tags walked: `QinQ` has two, some providers add a third.
const MAX_VLAN_TAGS: usize = 3;
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
const TCP_HEADER: u32 = 20;
/// Extension headers walked before TCP (RFC 8200 §4.1 recommends each at most once).
const MAX_EXTENSION_HEADERS: usize = 6;

const PROTOCOL_TCP: u8 = 6;

/// What a packet starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header, perhaps with VLAN tags.
    Ethernet,
    /// The network layer; the device has no link header. The value is its `EtherType`.
    Network(u16),
}

/// Why a packet has no TCP segment for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Not IP, not TCP, or not wanted.
    NotTcp,
    /// An IP fragment other than the first.
    Fragment,
    /// It ends inside a header, or a header's length makes no sense.
    Unreadable,
    /// More IPv6 extension headers than are walked.
    ChainTooLong,
}

/// A TCP segment: who, where in the stream, and where its payload lies in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The connection, without direction.
    pub key: FlowKey,
    /// Whether the sender is side `a` of the key.
    pub from_a: bool,
    /// Sequence number: of the first payload byte, or of the SYN before it.
    pub seq: Seq,
    /// Acknowledgement number; means something with [`tcp_flag::ACK`].
    pub ack: Seq,
    /// See [`tcp_flag`].
    pub flags: u8,
    /// IPv4 time to live, IPv6 hop limit.
    pub ttl: u8,
    /// Receive window as sent, unscaled.
    pub window: u16,
    /// Offset of the payload in the packet.
    pub payload_at: u32,
    /// Payload bytes on the wire.
    pub payload_len: u32,
}

impl Segment {
    /// What is there before one is read.
    pub const NONE: Self = Self {
        key: FlowKey {
            a: [0; 4],
            b: [0; 4],
            a_port: 0,
            b_port: 0,
        },
        from_a: false,
        seq: Seq(0),
        ack: Seq(0),
        flags: 0,
        ttl: 0,
        window: 0,
        payload_at: 0,
        payload_len: 0,
    };

    /// Whether `flag` is set.
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The position of the payload's first byte: behind the SYN, which takes a position too.
    #[inline(always)]
    pub const fn start(&self) -> Seq {
        self.seq
            .add((self.flags & tcp_flag::SYN) as u32 / tcp_flag::SYN as u32)
    }

    /// The position after the payload, a FIN not counted.
    #[inline(always)]
    pub const fn end(&self) -> Seq {
        self.start().add(self.payload_len)
    }

    /// The positions of the payload.
    #[inline(always)]
    pub const fn carried(&self) -> Span {
        Span {
            from: self.start(),
            to: self.end(),
        }
    }

    /// The sender's address and the receiver's.
    #[inline(always)]
    pub const fn addresses(&self) -> ([u32; 4], [u32; 4]) {
        if self.from_a {
            (self.key.a, self.key.b)
        } else {
            (self.key.b, self.key.a)
        }
    }

    /// The sender's port.
    #[inline(always)]
    pub const fn source_port(&self) -> u16 {
        if self.from_a {
            self.key.a_port
        } else {
            self.key.b_port
        }
    }

    /// The receiver's port.
    #[inline(always)]
    pub const fn destination_port(&self) -> u16 {
        if self.from_a {
            self.key.b_port
        } else {
            self.key.a_port
        }
    }
}

/// The network layer of a packet.
struct Network {
    source: [u32; 4],
    destination: [u32; 4],
    ttl: u8,
    tcp_at: u32,
    /// Bytes from `tcp_at` to the end of the IP packet.
    tcp_len: u32,
}

/// Walks a packet to its TCP segment.
///
/// # Errors
/// A [`Skip`] where the packet holds none.
#[inline(always)]
pub fn walk<B: Bytes + ?Sized>(packet: &B, link: Link) -> Result<Segment, Skip> {
    walk_if(packet, link, |_, _| true)
}

/// The same for a packet whose source and destination port are `wanted`: for others no more is
/// done than it takes to know them.
///
/// # Errors
/// As [`walk`].
#[inline(always)]
pub fn walk_if<B: Bytes + ?Sized>(
    packet: &B,
    link: Link,
    wanted: impl FnOnce(u16, u16) -> bool,
) -> Result<Segment, Skip> {
    let (kind, at) = match link {
        Link::Ethernet => ethernet(packet)?,
        Link::Network(kind) => (kind, 0),
    };
    let network = match kind {
        ethertype::IPV4 => ipv4(packet, at)?,
        ethertype::IPV6 => ipv6(packet, at)?,
        _ => return Err(Skip::NotTcp),
    };
    tcp(packet, &network, wanted)
}

/// The `EtherType` behind the VLAN tags, and where its header starts.
#[inline(always)]
fn ethernet<B: Bytes + ?Sized>(packet: &B) -> Result<(u16, u32), Skip> {
    let mut kind = u16::from_be_bytes(packet.load(ETHERNET_HEADER - 2).ok_or(Skip::Unreadable)?);
    let mut at = ETHERNET_HEADER;
    for _ in 0..MAX_VLAN_TAGS {
        if !matches!(
            kind,
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD
        ) {
            break;
        }
        kind = u16::from_be_bytes(packet.load(at + 2).ok_or(Skip::Unreadable)?);
        at += VLAN_TAG;
    }
    Ok((kind, at))
}

#[inline(always)]
fn ipv4<B: Bytes + ?Sized>(packet: &B, at: u32) -> Result<Network, Skip> {
    let header: [u8; IPV4_HEADER as usize] = packet.load(at).ok_or(Skip::Unreadable)?;
    if header[9] != PROTOCOL_TCP {
        return Err(Skip::NotTcp);
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    if fragment & 0x1FFF != 0 {
        return Err(Skip::Fragment);
    }
    let header_len = u32::from(header[0] & 0x0F) * 4;
    let total_len = u32::from(u16::from_be_bytes([header[2], header[3]]));
    // BIG TCP leaves the length 0 where it does not fit (Linux 6.3).
    let total_len = if total_len == 0 {
        packet.len().wrapping_sub(at)
    } else {
        total_len
    };
    if header[0] >> 4 != 4 || header_len < IPV4_HEADER || total_len < header_len {
        return Err(Skip::Unreadable);
    }
    Ok(Network {
        source: mapped(u32::from_ne_bytes([
            header[12], header[13], header[14], header[15],
        ])),
        destination: mapped(u32::from_ne_bytes([
            header[16], header[17], header[18], header[19],
        ])),
        ttl: header[8],
        tcp_at: at + header_len,
        tcp_len: total_len - header_len,
    })
}

#[inline(always)]
fn ipv6<B: Bytes + ?Sized>(packet: &B, at: u32) -> Result<Network, Skip> {
    let fixed: [u8; 8] = packet.load(at).ok_or(Skip::Unreadable)?;
    let payload_len = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    // A jumbogram has length 0 here (RFC 2675 §3).
    let end = if payload_len == 0 {
        packet.len()
    } else {
        at + IPV6_HEADER + payload_len
    };
    let mut next = fixed[6];
    let mut tcp_at = at + IPV6_HEADER;
    for _ in 0..MAX_EXTENSION_HEADERS {
        let extension = match next {
            PROTOCOL_TCP => break,
            // Hop-by-hop, routing, destination options, mobility: in units of 8 beyond the first.
            0 | 43 | 60 | 135 => {
                let [after, units]: [u8; 2] = packet.load(tcp_at).ok_or(Skip::Unreadable)?;
                next = after;
                (u32::from(units) + 1) * 8
            }
            // Fragment: only the first one has the TCP header.
            44 => {
                let [after, _, high, low]: [u8; 4] = packet.load(tcp_at).ok_or(Skip::Unreadable)?;
                if u16::from_be_bytes([high, low]) & 0xFFF8 != 0 {
                    return Err(if after == PROTOCOL_TCP {
                        Skip::Fragment
                    } else {
                        Skip::NotTcp
                    });
                }
                next = after;
                8
            }
            // Authentication: in units of 4, minus 2 (RFC 4302 §2.2).
            51 => {
                let [after, units]: [u8; 2] = packet.load(tcp_at).ok_or(Skip::Unreadable)?;
                next = after;
                (u32::from(units) + 2) * 4
            }
            _ => return Err(Skip::NotTcp),
        };
        tcp_at += extension;
    }
    if next != PROTOCOL_TCP {
        return Err(Skip::ChainTooLong);
    }
    Ok(Network {
        source: words(packet.load(at + 8).ok_or(Skip::Unreadable)?),
        destination: words(packet.load(at + 24).ok_or(Skip::Unreadable)?),
        ttl: fixed[7],
        tcp_at,
        tcp_len: end.checked_sub(tcp_at).ok_or(Skip::Unreadable)?,
    })
}

#[inline(always)]
fn tcp<B: Bytes + ?Sized>(
    packet: &B,
    network: &Network,
    wanted: impl FnOnce(u16, u16) -> bool,
) -> Result<Segment, Skip> {
    let header: [u8; TCP_HEADER as usize] = packet.load(network.tcp_at).ok_or(Skip::Unreadable)?;
    let source_port = u16::from_be_bytes([header[0], header[1]]);
    let destination_port = u16::from_be_bytes([header[2], header[3]]);
    if !wanted(source_port, destination_port) {
        return Err(Skip::NotTcp);
    }
    let header_len = u32::from(header[12] >> 4) * 4;
    if header_len < TCP_HEADER || network.tcp_len < header_len {
        return Err(Skip::Unreadable);
    }
    let (key, from_a) = FlowKey::of(
        network.source,
        source_port,
        network.destination,
        destination_port,
    );
    Ok(Segment {
        key,
        from_a,
        seq: Seq(u32::from_be_bytes([
            header[4], header[5], header[6], header[7],
        ])),
        ack: Seq(u32::from_be_bytes([
            header[8], header[9], header[10], header[11],
        ])),
        flags: header[13],
        ttl: network.ttl,
        window: u16::from_be_bytes([header[14], header[15]]),
        payload_at: network.tcp_at + header_len,
        payload_len: network.tcp_len - header_len,
    })
}

#[inline(always)]
const fn words(a: [u8; 16]) -> [u32; 4] {
    [
        u32::from_ne_bytes([a[0], a[1], a[2], a[3]]),
        u32::from_ne_bytes([a[4], a[5], a[6], a[7]]),
        u32::from_ne_bytes([a[8], a[9], a[10], a[11]]),
        u32::from_ne_bytes([a[12], a[13], a[14], a[15]]),
    ]
}

#[cfg(test)]
mod tests;
