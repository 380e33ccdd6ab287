//! Most packets that pass are of no watched port, and plain. They are told at the least cost.

use super::{ETHERNET_HEADER, Link, PROTOCOL_TCP, ethertype};
use crate::bytes::Bytes;

/// The network layer's header and the ports.
const IPV4: usize = super::IPV4_HEADER as usize + 4;
const IPV6: usize = super::IPV6_HEADER as usize + 4;

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

/// The TCP flags of a packet without link header that is plain and TCP's, as [`is_plainly_unwanted`] has
/// it; `None` of any other.
#[inline(always)]
pub fn plain_flags<B: Bytes + ?Sized>(packet: &B, kind: u16) -> Option<u8> {
    const FLAGS: u32 = 13;
    let at = match kind {
        ethertype::IPV4 => {
            let header: [u8; 12] = packet.load(0)?;
            let plain = header[0] == 0x45 && header[6] << 2 == 0 && header[7] == 0;
            (plain && header[9] == PROTOCOL_TCP).then_some(super::IPV4_HEADER)?
        }
        ethertype::IPV6 => {
            let header: [u8; 8] = packet.load(0)?;
            (header[6] == PROTOCOL_TCP).then_some(super::IPV6_HEADER)?
        }
        _ => return None,
    };
    let [flags, _]: [u8; 2] = packet.load(at + FLAGS)?;
    Some(flags)
}
