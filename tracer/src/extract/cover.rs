//! A packet as it is handed on: headers, what is told of its payload, and zeros.

use crate::{
    capture::{
        checksum::{right_checksum, tcp_checksum},
        link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        shown::Shown,
    },
    session::Checksum,
};

use super::kept::Kept;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
/// Where TCP's header says what covers its payload.
const TCP_CHECKSUM: usize = 16;
/// An extension header of IPv6 that is as long whatever it says.
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
/// Options of TCP that are told: end, padding, segment size, window scale, selective acknowledgements, times.
const TOLD_OPTIONS: [u8; 7] = [0, 1, 2, 3, 4, 5, 8];

/// What was kept of a packet, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Bytes of the payload that are as they were.
    pub(crate) told: u64,
    /// Bytes that are zeros now.
    pub(crate) hidden: u64,
}

/// Overwrites what is not told of a packet. `network` begins at its network header.
pub(crate) fn cover(
    ethertype: u16,
    network: &mut [u8],
    shown: &Shown,
    kept: &mut Kept,
) -> Option<Covered> {
    let payload_at = shown.segment.payload_at as usize;
    let payload_len = shown.segment.payload_len as usize;
    let (header, protocol_at) = match ethertype {
        ETHERTYPE_IPV4 => ipv4(network)?,
        ETHERTYPE_IPV6 => ipv6(network, payload_at)?,
        _ => return None,
    };
    let checksum = tcp_checksum(ethertype, network);
    let start = shown.segment.start();
    let there = network.len();
    let (head, rest) = network.split_at_mut(payload_at.min(there));
    let (payload, behind) = rest.split_at_mut(payload_len.min(rest.len()));
    for told in &shown.told {
        kept.add(*told, start, payload);
    }
    let told = kept.show(start, payload) as u64;
    // What fills a frame up may be of anything.
    behind.fill(0);
    options(head.get_mut(protocol_at + TCP_HEADER..).unwrap_or_default());
    let hidden = payload.len() as u64 - told;
    if let Some(summed) = header {
        finish_ipv4(network, summed);
    }
    let tcp = network.get(protocol_at..)?;
    let field = finished(ethertype, network, tcp, checksum, payload_len);
    if let Some(field) = field
        && let Some(place) = network
            .get_mut(protocol_at + TCP_CHECKSUM..)
            .and_then(<[u8]>::first_chunk_mut)
    {
        *place = field.to_be_bytes();
    }
    Some(Covered { told, hidden })
}

/// IPv4's options are zeros. How long the header is where its own checksum was right, and where TCP begins.
fn ipv4(network: &mut [u8]) -> Option<(Option<usize>, usize)> {
    let len = usize::from(network.first()? & 0x0F) * 4;
    let header = network.get_mut(..len)?;
    let was_right = ones_complement(header) == 0;
    header.get_mut(IPV4_HEADER..)?.fill(0);
    Some((was_right.then_some(len), len))
}

/// The bodies of IPv6's extension headers are zeros. Where TCP begins.
fn ipv6(network: &mut [u8], payload_at: usize) -> Option<(Option<usize>, usize)> {
    let mut next = *network.get(6)?;
    let mut at = IPV6_HEADER;
    while next != 6 && at + TCP_HEADER < payload_at {
        let (kind, len) = (next, usize::from(*network.get(at + 1)?));
        let len = match kind {
            FRAGMENT => 8,
            AUTHENTICATION => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        next = *network.get(at)?;
        if kind != FRAGMENT {
            network.get_mut(at + 2..at + len)?.fill(0);
        }
        at += len;
    }
    (next == 6).then_some((None, at))
}

/// Of TCP's options those that are not known keep their kind and length alone.
fn options(mut options: &mut [u8]) {
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            // What is behind the end is nothing.
            rest.fill(0);
            return;
        }
        if *kind == 1 {
            options = rest;
            continue;
        }
        let told = TOLD_OPTIONS.contains(kind);
        let Some((len, rest)) = rest.split_first_mut() else {
            return;
        };
        let body = usize::from(*len).saturating_sub(2).min(rest.len());
        let (body, behind) = rest.split_at_mut(body);
        if !told {
            body.fill(0);
        }
        options = behind;
    }
}

fn finish_ipv4(network: &mut [u8], len: usize) {
    let Some(header) = network.get_mut(..len) else {
        return;
    };
    header[10..12].fill(0);
    let sum = ones_complement(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The checksum of TCP that stands for the same as before: right, left to the network card, or wrong. Of a packet of
/// which that can not be said it would tell something of what is hidden.
fn finished(
    ethertype: u16,
    network: &[u8],
    tcp: &[u8],
    was: Option<Checksum>,
    payload_len: usize,
) -> Option<u16> {
    let addresses = match ethertype {
        ETHERTYPE_IPV4 => network.get(12..20)?,
        _ => network.get(8..40)?,
    };
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let right = || {
        tcp.get(..header + payload_len)
            .map(|segment| right_checksum(addresses, segment))
    };
    match was {
        Some(Checksum::Right) => right(),
        Some(Checksum::Wrong) => right().map(|right| right ^ 0x0101),
        Some(Checksum::Unfinished) => None,
        None => (payload_len > 0).then_some(0),
    }
}

/// The checksum of RFC 1071; 0 where one that is among the bytes is right.
fn ones_complement(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_options_that_are_not_known_only_the_kind_and_the_length_stay() {
        let mut bytes = [
            2, 4, 5, 0xB4, 34, 6, b'c', b'o', b'o', b'k', 1, 8, 4, 1, 2, 0, b'x',
        ];
        options(&mut bytes);
        assert_eq!(
            bytes,
            [2, 4, 5, 0xB4, 34, 6, 0, 0, 0, 0, 1, 8, 4, 1, 2, 0, 0]
        );
        for strange in [&mut [30_u8][..], &mut [30, 0], &mut [30, 200, b'k', b'e']] {
            options(strange);
            assert!(strange.iter().skip(2).all(|byte| *byte == 0));
        }
    }

    #[test]
    fn extension_headers_keep_their_order_and_lengths_alone() {
        let mut packet = vec![0_u8; 40 + 16 + 8 + 20];
        packet[6] = 60;
        packet[40..42].copy_from_slice(&[44, 1]);
        packet[42..56].fill(b'x');
        packet[56..64].copy_from_slice(&[6, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(ipv6(&mut packet, 84), Some((None, 64)));
        assert!(packet[42..56].iter().all(|byte| *byte == 0));
        assert_eq!(packet[60..64], [1, 2, 3, 4]);
        let mut endless = vec![0_u8; 60];
        assert_eq!(ipv6(&mut endless, 4000), None);
    }
}
