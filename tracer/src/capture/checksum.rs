//! The TCP checksum, which is not finished yet on the way out of a host that leaves it to the network
//! card.

use super::{
    be16,
    link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    tunnel::{ipv4_payload, ipv6_payload},
};

use crate::session::Checksum;

const TCP: u8 = 6;
const MIN_TCP_HEADER: usize = 20;

/// What the TCP checksum of a packet is. `bytes` begin at the network header.
///
/// `None` where that cannot be said: no TCP, a fragment, a packet the snap length cut, or one whose
/// length the header leaves open because the network card was to split it.
pub fn tcp_checksum(ethertype: u16, bytes: &[u8]) -> Option<Checksum> {
    let (addresses, protocol, segment) = match ethertype {
        ETHERTYPE_IPV4 => {
            let packet = bytes.get(..usize::from(be16(bytes, 2)?))?;
            let (protocol, segment) = ipv4_payload(packet)?;
            (packet.get(12..20)?, protocol, segment)
        }
        ETHERTYPE_IPV6 => {
            let packet = bytes.get(..40 + usize::from(be16(bytes, 4)?))?;
            let (protocol, segment) = ipv6_payload(packet)?;
            (packet.get(8..40)?, protocol, segment)
        }
        _ => return None,
    };
    if protocol != TCP || segment.len() < MIN_TCP_HEADER {
        return None;
    }
    // The pseudo-header of RFC 9293 section 3.1. A segment is shorter than 2^16.
    let without_length = sum(addresses) + u64::from(TCP);
    let pseudo = without_length + segment.len() as u64;
    let field = be16(segment, 16)?;
    Some(if fold(pseudo + sum(segment)) == 0xFFFF {
        Checksum::Right
    } else if [0, fold(pseudo), fold(without_length)].contains(&field) {
        Checksum::Unfinished
    } else {
        Checksum::Wrong
    })
}

/// The checksum that makes a segment right, its checksum field counting as zero.
pub(crate) fn right_checksum(addresses: &[u8], segment: &[u8]) -> u16 {
    let pseudo = sum(addresses) + u64::from(TCP) + segment.len() as u64;
    !fold(pseudo + sum(&segment[..16]) + sum(&segment[18..]))
}

/// What a host leaves in the field for its network card to finish: the sum of the pseudo-header.
pub(crate) fn unfinished_checksum(addresses: &[u8], segment_len: usize) -> u16 {
    fold(sum(addresses) + u64::from(TCP) + segment_len as u64)
}

/// The sum of 16-bit words, folded. In longer words and in the other byte order it comes to the same,
/// swapped (RFC 1071 section 2), and four bytes at once are less work than two.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_le_bytes(*word)))
        .sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    u64::from(fold(whole + u64::from(u32::from_le_bytes(last))).swap_bytes())
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A SYN between two hosts of different machines, from its IPv4 header on.
    const SYN: [u8; 60] = [
        0x45, 0x00, 0x00, 0x3C, 0x1C, 0x46, 0x40, 0x00, 0x40, 0x06, 0xB1, 0xE6, 0xAC, 0x10, 0x0A,
        0x63, 0xAC, 0x10, 0x0A, 0x0C, 0xC3, 0x50, 0x05, 0x99, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
        0x00, 0x00, 0xA0, 0x02, 0xFA, 0xF0, 0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0x05, 0xB4, 0x04,
        0x02, 0x08, 0x0A, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
    ];

    fn with_right_checksum(
        mut packet: Vec<u8>,
        network: usize,
        addresses: std::ops::Range<usize>,
    ) -> Vec<u8> {
        let checksum = right_checksum(&packet[addresses], &packet[network..]);
        packet[network + 16..network + 18].copy_from_slice(&checksum.to_be_bytes());
        packet
    }

    #[test]
    fn a_right_checksum_is_told_from_an_offloaded_one() {
        assert_eq!(
            tcp_checksum(ETHERTYPE_IPV4, &SYN),
            Some(Checksum::Unfinished),
            "0"
        );
        let right = with_right_checksum(SYN.to_vec(), 20, 12..20);
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &right), Some(Checksum::Right));
        // Ethernet pads short frames; the padding is not the packet's.
        let padded = [&right[..], &[0x55; 6]].concat();
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &padded), Some(Checksum::Right));
    }

    #[test]
    fn ipv6_and_odd_lengths_are_summed_too() {
        let segment = [&SYN[20..], b"odd"].concat();
        let mut packet = vec![0x60, 0, 0, 0, 0, segment.len() as u8, TCP, 64];
        packet.extend((0..32).map(|byte| byte * 7));
        packet.extend(segment);
        let right = with_right_checksum(packet, 40, 8..40);
        assert_eq!(tcp_checksum(ETHERTYPE_IPV6, &right), Some(Checksum::Right));
        for at in [9, 45, right.len() - 1] {
            let mut wrong = right.clone();
            wrong[at] ^= 0x10;
            assert_eq!(tcp_checksum(ETHERTYPE_IPV6, &wrong), Some(Checksum::Wrong));
        }
    }

    #[test]
    fn what_is_left_to_the_card_is_told_from_damage() {
        // Linux leaves the pseudo-header's sum; Windows the same without the length where the card is
        // to cut the segment.
        let pseudo = fold(sum(&SYN[12..20]) + u64::from(TCP) + 40);
        let without_length = fold(sum(&SYN[12..20]) + u64::from(TCP));
        for (field, checksum) in [
            (0, Checksum::Unfinished),
            (pseudo, Checksum::Unfinished),
            (without_length, Checksum::Unfinished),
            (!pseudo, Checksum::Wrong),
            (pseudo ^ 0x0101, Checksum::Wrong),
        ] {
            let mut packet = SYN;
            packet[36..38].copy_from_slice(&field.to_be_bytes());
            assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &packet), Some(checksum));
        }
        // Addresses that were rewritten leave a checksum that is neither.
        let mut packet = with_right_checksum(SYN.to_vec(), 20, 12..20);
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &packet), Some(Checksum::Wrong));
    }

    #[test]
    fn what_is_not_whole_is_not_judged() {
        let right = with_right_checksum(SYN.to_vec(), 20, 12..20);
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &right[..59]), None);
        let mut fragment = right.clone();
        fragment[6] = 0x20;
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &fragment), None);
        let mut left_to_the_card = right.clone();
        left_to_the_card[2..4].fill(0);
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &left_to_the_card), None);
        let mut udp = right;
        udp[9] = 17;
        assert_eq!(tcp_checksum(ETHERTYPE_IPV4, &udp), None);
        assert_eq!(tcp_checksum(0x0806, &SYN), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(
            six: bool,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..160),
        ) {
            let ethertype = if six { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
            let _judged = tcp_checksum(ethertype, &bytes);
        }
    }
}
