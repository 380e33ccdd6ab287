//! The same packet captured twice: a mirrored port, or two interfaces in one file.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

use super::sighted::Sighted;

/// Packets of one connection a copy is looked for among.
const REMEMBERED: usize = 8;
/// A copy follows its original within this time, nanoseconds; a retransmission takes longer.
const WINDOW: u64 = 5_000_000;
/// Bytes compared: the headers, with the IPv4 identification and the TCP options.
const COMPARED: usize = 96;
/// IPv4: time to live and header checksum change on the way.
const IPV4_VOLATILE: [usize; 3] = [8, 10, 11];
/// IPv6: so does the hop limit.
const IPV6_VOLATILE: usize = 7;

/// The last packets of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    last: [(u64, u64); REMEMBERED],
    next: usize,
}

impl Copies {
    /// Whether this packet was seen a moment ago; else it is remembered.
    pub(super) fn is_copy(&mut self, packet: &Sighted<'_>) -> bool {
        let print = print(packet);
        let recent = |time: u64| time != 0 && packet.time_ns.abs_diff(time) <= WINDOW;
        if self
            .last
            .iter()
            .any(|(other, time)| *other == print && recent(*time))
        {
            return true;
        }
        self.last[self.next % REMEMBERED] = (print, packet.time_ns);
        self.next = (self.next + 1) % REMEMBERED;
        false
    }
}

/// A fingerprint of a packet's headers.
fn print(packet: &Sighted<'_>) -> u64 {
    let mut head = [0_u8; COMPARED];
    let len = packet.network.1.len().min(COMPARED);
    head[..len].copy_from_slice(&packet.network.1[..len]);
    if head[0] >> 4 == 4 {
        for at in IPV4_VOLATILE {
            head[at] = 0;
        }
    } else {
        head[IPV6_VOLATILE] = 0;
    }
    FixedState::default().hash_one((packet.wire_len, head))
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::flow::Point;

    use super::*;

    fn packet(time: u64, ttl: u8, id: u8) -> (u64, Vec<u8>) {
        let mut bytes = vec![0x45, 0, 0, 40, 0, id, 0, 0, ttl, 6, ttl, ttl];
        bytes.resize(40, 7);
        (time, bytes)
    }

    fn is_copy(copies: &mut Copies, (time, bytes): &(u64, Vec<u8>)) -> bool {
        let wire_len = bytes.len() as u32;
        copies.is_copy(&Sighted {
            network: (0x0800, bytes),
            wire_len,
            time_ns: *time,
            untimed: false,
            point: Point::new(1, false),
        })
    }

    #[test]
    fn a_packet_that_passed_a_router_is_a_copy_and_a_retransmission_is_none() {
        let mut copies = Copies::default();
        assert!(!is_copy(&mut copies, &packet(1_000_000, 64, 1)));
        assert!(is_copy(&mut copies, &packet(1_100_000, 63, 1)));
        assert!(!is_copy(&mut copies, &packet(1_200_000, 64, 2)));
        assert!(!is_copy(&mut copies, &packet(301_000_000, 64, 1)));
    }
}
