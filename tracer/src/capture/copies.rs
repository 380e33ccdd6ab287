//! The same packet captured twice: a mirrored port, or two interfaces in one file.

use super::tracker::Sighted;

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

/// Any numbers without a pattern: digits of pi.
const KEYS: [u64; 2] = [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7345];

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

/// A fingerprint of a packet's headers. Its multiplications do not wait for each other, as they would
/// in a hash that is fed with one word after the other.
fn print(packet: &Sighted<'_>) -> u64 {
    let mut head = [0; COMPARED];
    let len = packet.network.1.len().min(COMPARED);
    head[..len].copy_from_slice(&packet.network.1[..len]);
    if head[0] >> 4 == 4 {
        for at in IPV4_VOLATILE {
            head[at] = 0;
        }
    } else {
        head[IPV6_VOLATILE] = 0;
    }
    let (words, _) = head.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    pairs
        .iter()
        .fold(u64::from(packet.wire_len), |print, [one, other]| {
            let [one, other] = [one, other].map(|word| u64::from_le_bytes(*word));
            let product = u128::from(one ^ KEYS[0]) * u128::from(other ^ KEYS[1]);
            (print ^ product as u64 ^ (product >> 64) as u64).rotate_left(23)
        })
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
