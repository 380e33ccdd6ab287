//! Most packets that pass are of no watched port, and plain. They are told at the least cost.

use super::{ETHERNET_HEADER, Link, PROTOCOL_TCP, ethertype};
use crate::{bytes::Bytes, seq::Seq};

/// The network layer's header and the ports.
const IPV4: usize = super::IPV4_HEADER as usize + 4;
const IPV6: usize = super::IPV6_HEADER as usize + 4;
/// Of TCP's header, as far as the window.
const TCP: usize = 16;

/// Whether a packet is plainly none of a source and destination port that are `wanted`. Plain is IPv4
/// without options or IPv6 without extension headers, behind no tag, whole as far as the ports;
/// of any other packet this says no, and [`super::walk_if`] knows.
#[inline(always)]
pub fn is_plainly_unwanted<B: Bytes + ?Sized>(
    packet: &B,
    link: Link,
    wanted: impl FnOnce(u16, u16) -> bool,
) -> bool {
    unwanted(packet, link, wanted).unwrap_or(false)
}

/// `None` where the packet is not plain.
#[inline(always)]
fn unwanted<B: Bytes + ?Sized>(
    packet: &B,
    link: Link,
    wanted: impl FnOnce(u16, u16) -> bool,
) -> Option<bool> {
    let (kind, at) = match link {
        Link::Ethernet => {
            let kind = u16::from_be_bytes(packet.load(ETHERNET_HEADER - 2)?);
            (kind, ETHERNET_HEADER)
        }
        Link::Network(kind) => (kind, 0),
    };
    let ports: [u8; 4] = match kind {
        ethertype::IPV4 => {
            let header: [u8; IPV4] = packet.load(at)?;
            if header[9] != PROTOCOL_TCP {
                return Some(true);
            }
            if header[0] != 0x45 || header[6] & 0x1F != 0 || header[7] != 0 {
                return None;
            }
            *header.last_chunk()?
        }
        ethertype::IPV6 => {
            let header: [u8; IPV6] = packet.load(at)?;
            if header[6] != PROTOCOL_TCP {
                return None;
            }
            *header.last_chunk()?
        }
        _ => return None,
    };
    let [source, destination] =
        [[ports[0], ports[1]], [ports[2], ports[3]]].map(u16::from_be_bytes);
    Some(!wanted(source, destination))
}

/// What the headers of a plain segment say of where it stands in its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// As [`super::Segment::seq`].
    pub seq: Seq,
    /// As [`super::Segment::ack`].
    pub ack: Seq,
    /// As [`super::Segment::flags`].
    pub flags: u8,
    /// As [`super::Segment::window`].
    pub window: u16,
    /// As [`super::Segment::payload_len`].
    pub payload_len: u32,
}

/// The segment of a packet without link header that is plain and TCP's, as [`is_plainly_unwanted`] has
/// it, and says how long it is; `None` of any other.
#[inline(always)]
pub fn plain<B: Bytes + ?Sized>(packet: &B, kind: u16) -> Option<Plain> {
    match kind {
        ethertype::IPV4 => {
            let header: [u8; super::IPV4_HEADER as usize + TCP] = packet.load(0)?;
            let is_plain = header[0] == 0x45
                && header[6] << 2 == 0
                && header[7] == 0
                && header[9] == PROTOCOL_TCP;
            let len = u32::from(u16::from_be_bytes([header[2], header[3]]));
            let len = len.checked_sub(super::IPV4_HEADER)?;
            is_plain.then_some(tcp(header.last_chunk()?, len)?)
        }
        ethertype::IPV6 => {
            let header: [u8; super::IPV6_HEADER as usize + TCP] = packet.load(0)?;
            let len = u32::from(u16::from_be_bytes([header[4], header[5]]));
            (header[6] == PROTOCOL_TCP).then_some(tcp(header.last_chunk()?, len)?)
        }
        _ => None,
    }
}

/// A segment of TCP that is so long with its header. One without a length is no plain one.
#[inline(always)]
fn tcp(header: &[u8; TCP], len: u32) -> Option<Plain> {
    let header_len = u32::from(header[12] >> 4) * 4;
    if header_len < super::TCP_HEADER || len < header_len {
        return None;
    }
    Some(Plain {
        seq: Seq(u32::from_be_bytes([
            header[4], header[5], header[6], header[7],
        ])),
        ack: Seq(u32::from_be_bytes([
            header[8], header[9], header[10], header[11],
        ])),
        flags: header[13],
        window: u16::from_be_bytes([header[14], header[15]]),
        payload_len: len - header_len,
    })
}
