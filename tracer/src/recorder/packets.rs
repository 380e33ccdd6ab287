//! What the kernel has told, as the packets that it was told of: their headers, those bytes of the payload that were
//! told, and zeros.

use std::collections::HashMap;

use tracer_ebpf::{
    event::{Direction, Event, Kind},
    framing::{Framing, SMP_HEADER, TDS_HEADER, TLS_HEADER},
    packet::tcp_flag,
    seq::{Seq, Span},
};

use super::ring::{Name, Noted};
use crate::{
    capture::checksum::{right_checksum, unfinished_checksum},
    extract::kept::Kept,
    session::address,
};

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const TCP: u8 = 6;

/// A packet, from its network header on.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) name: Name,
    /// Nanoseconds of the events' clock.
    pub(crate) time: u64,
    pub(crate) ifindex: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The packets of what was noted; `is_local` says which sides' packets had not left this host yet, whose checksums
/// are left to its network card.
pub(crate) fn packets<'a>(
    noted: impl Iterator<Item = &'a Noted>,
    is_local: impl Fn(&Name, Direction) -> bool,
) -> Vec<Packet> {
    let mut noted: Vec<_> = noted.collect();
    // What is told late, as a SYN that was held back, belongs before.
    noted.sort_by_key(|noted| noted.event.time);
    let mut kept: HashMap<Name, [Kept; 2]> = HashMap::new();
    let mut packets: Vec<Packet> = Vec::new();
    let mut rest = noted.as_slice();
    while let Some(first) = rest.first() {
        let name = first.name();
        let same = rest
            .iter()
            .take_while(|other| is_same(&first.event, &other.event))
            .count();
        let (of_packet, behind) = rest.split_at(same);
        rest = behind;
        let Some(direction) = direction(&first.event) else {
            continue;
        };
        let kept = &mut kept.entry(name).or_default()[direction as usize];
        let local = is_local(&name, direction);
        packets.push(Packet {
            name,
            time: first.event.time,
            ifindex: first.event.ifindex,
            bytes: packet(of_packet, direction, local, kept),
        });
    }
    packets
}

fn direction(event: &Event) -> Option<Direction> {
    match event.direction {
        0 => Some(Direction::ToServer),
        1 => Some(Direction::ToClient),
        _ => None,
    }
}

/// Whether both are of one packet.
fn is_same(one: &Event, other: &Event) -> bool {
    let same = |event: &Event| {
        (
            event.key,
            event.born,
            event.time,
            event.direction,
            event.tcp_flags,
            event.ack,
            event.payload_len,
        )
    };
    same(one) == same(other) && start(one) == start(other)
}

/// Where the payload of an event's packet begins; a SYN's own event has the number of the SYN before it.
fn start(event: &Event) -> Seq {
    match Kind::of(event.kind) {
        Some(Kind::Syn | Kind::SynAck) => event.seq.add(1),
        _ => event.seq,
    }
}

/// One packet, of which all of these tell.
fn packet(noted: &[&Noted], direction: Direction, local: bool, kept: &mut Kept) -> Vec<u8> {
    let event = &noted[0].event;
    let is_syn = event.tcp_flags & tcp_flag::SYN != 0;
    let start = start(event);
    let seq = if is_syn { start.back(1) } else { start };
    for noted in noted {
        note(&noted.event, &noted.run, kept);
    }
    let mut payload = vec![0; event.payload_len as usize];
    kept.show(start, &mut payload);
    with_headers(event, direction, seq, &payload, local)
}

/// Remembers the parts of the stream that an event tells.
fn note(event: &Event, run: &[u8], kept: &mut Kept) {
    match Kind::of(event.kind) {
        Some(Kind::Segment | Kind::More) => {
            for (span, bytes) in event.told(run) {
                kept.add(span, span.from, bytes);
            }
        }
        Some(Kind::Header) => {
            let len = match Framing::of(event.framing) {
                Some(Framing::Tds) => TDS_HEADER,
                Some(Framing::Tls) => TLS_HEADER,
                _ => SMP_HEADER + TDS_HEADER,
            };
            let from = event.run_seq;
            let to = from.add(len.min(event.packet_len).min(8));
            kept.add(Span { from, to }, from, &event.header);
            // An SMP header is longer; what passed before the segment is not told again.
            let from = event.run_seq.max(event.seq);
            let to = from.add(event.run_len);
            kept.add(Span { from, to }, from, run);
        }
        _ => {}
    }
}

fn with_headers(
    event: &Event,
    direction: Direction,
    seq: Seq,
    payload: &[u8],
    local: bool,
) -> Vec<u8> {
    let key = &event.key;
    let from_a = (event.client_is_a != 0) == (direction == Direction::ToServer);
    let ((from, from_port), (to, to_port)) = if from_a {
        ((key.a, key.a_port), (key.b, key.b_port))
    } else {
        ((key.b, key.b_port), (key.a, key.a_port))
    };
    let mut segment = Vec::with_capacity(TCP_HEADER + payload.len());
    segment.extend(from_port.to_be_bytes());
    segment.extend(to_port.to_be_bytes());
    segment.extend(seq.0.to_be_bytes());
    segment.extend(event.ack.0.to_be_bytes());
    segment.extend([(TCP_HEADER as u8 / 4) << 4, event.tcp_flags]);
    segment.extend(event.window.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(payload);
    let mut addresses = Vec::with_capacity(32);
    let mut bytes = Vec::with_capacity(IPV6_HEADER + segment.len());
    match (address(from), address(to)) {
        (std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
            addresses.extend(from.octets());
            addresses.extend(to.octets());
            // What is longer than its field was to be cut by the network card, and captures have it so.
            let len = u16::try_from(IPV4_HEADER + segment.len()).unwrap_or(0);
            bytes.extend([0x45, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, event.ttl, TCP, 0, 0]);
            bytes.extend(&addresses);
            let sum = header_checksum(&bytes);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            for address in [from, to] {
                addresses.extend(match address {
                    std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    std::net::IpAddr::V6(address) => address.octets(),
                });
            }
            let len = u16::try_from(segment.len()).unwrap_or(0);
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([TCP, event.ttl]);
            bytes.extend(&addresses);
        }
    }
    let checksum = if local {
        unfinished_checksum(&addresses, segment.len())
    } else {
        right_checksum(&addresses, &segment)
    };
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend(segment);
    bytes
}

fn header_checksum(header: &[u8]) -> u16 {
    let words = header.as_chunks::<2>().0.iter();
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
