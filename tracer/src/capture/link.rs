//! From the link header to the network header.

use thiserror::Error;

use super::{be16, be32};

/// Ethertype of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// Ethertype of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86DD;

/// `802.1Q` and `802.1ad`, and the two numbers used for stacked tags before the latter.
const VLAN_ETHERTYPES: [u16; 4] = [0x8100, 0x88A8, 0x9100, 0x9200];
const VLAN_TAG: usize = 4;
/// Two tags are `QinQ`; a few more occur inside providers, and none beyond that.
const MAX_VLAN_TAGS: usize = 4;

const SLL_HEADER: usize = 16;
const SLL2_HEADER: usize = 20;
/// `PACKET_OUTGOING` of `linux/if_packet.h`.
const PACKET_OUTGOING: u16 = 4;

/// What a packet begins with, after <https://www.tcpdump.org/linktypes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet II.
    Ethernet,
    /// BSD loopback: a 4-byte address family in the capturing host's byte order.
    Null,
    /// OpenBSD loopback: the same in network byte order.
    Loop,
    /// No link header; the first nibble tells the IP version.
    Raw,
    /// No link header, IPv4.
    Ipv4,
    /// No link header, IPv6.
    Ipv6,
    /// Linux cooked capture, version 1.
    LinuxSll,
    /// Linux cooked capture, version 2.
    LinuxSll2,
    /// One whose packets are counted and not read.
    Other(u16),
}

impl LinkType {
    /// From the number in a capture's header. In pcap the upper half of that field says how long the
    /// frame check sequences are.
    pub fn from_number(number: i32) -> Self {
        match number & 0xFFFF {
            0 => Self::Null,
            1 => Self::Ethernet,
            // 101 is the number to write; 12 and 14 are what some systems wrote before.
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            other => Self::Other(other.cast_unsigned() as u16),
        }
    }

    /// The number in a capture's header.
    pub fn number(self) -> u16 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Raw => 101,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::LinuxSll2 => 276,
            Self::Other(number) => number,
        }
    }
}

/// Which way a packet passed the capturing host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the host.
    Incoming,
    /// From the host.
    Outgoing,
}

/// Where the network layer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkLayer {
    /// What the network layer is.
    pub ethertype: u16,
    /// Bytes of link header before it, VLAN tags included.
    pub offset: usize,
    /// Which way the packet went, where the link header says (Linux cooked).
    pub direction: Option<Direction>,
    /// The capturing host's interface index, where the link header says (Linux cooked v2).
    pub interface_index: Option<u32>,
}

/// Why a packet has no network layer to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// The packet ends inside its link header.
    #[error("the packet ends inside its link header")]
    Truncated,
    /// The link type is not one that is read.
    #[error("link type {0} is not supported")]
    Unsupported(u16),
    /// The link header is whole and announces something that is not IP.
    #[error("not an IP packet")]
    NotIp,
}

/// Finds the network layer of a packet, behind any VLAN tags.
pub fn network_layer(link: LinkType, data: &[u8]) -> Result<NetworkLayer, LinkError> {
    match link {
        LinkType::Ethernet => ethernet(data),
        LinkType::Null => loopback(data, false),
        LinkType::Loop => loopback(data, true),
        LinkType::Raw => by_version(data, 0),
        LinkType::Ipv4 => Ok(NetworkLayer::at(0, ETHERTYPE_IPV4)),
        LinkType::Ipv6 => Ok(NetworkLayer::at(0, ETHERTYPE_IPV6)),
        LinkType::LinuxSll => sll(data),
        LinkType::LinuxSll2 => sll2(data),
        LinkType::Other(number) => Err(LinkError::Unsupported(number)),
    }
}

/// As [`network_layer`], for a frame known to be Ethernet, such as a tunnel's inner one.
pub fn ethernet(data: &[u8]) -> Result<NetworkLayer, LinkError> {
    tagged(data, 12)
}

impl NetworkLayer {
    fn at(offset: usize, ethertype: u16) -> Self {
        Self {
            ethertype,
            offset,
            direction: None,
            interface_index: None,
        }
    }
}

/// Reads the ethertype at `at` and skips VLAN tags behind it.
fn tagged(data: &[u8], at: usize) -> Result<NetworkLayer, LinkError> {
    let ethertype = be16(data, at).ok_or(LinkError::Truncated)?;
    untag(data, at + 2, ethertype)
}

/// Skips VLAN tags at `offset`, announced by `ethertype`.
fn untag(data: &[u8], mut offset: usize, mut ethertype: u16) -> Result<NetworkLayer, LinkError> {
    for _ in 0..MAX_VLAN_TAGS {
        if !VLAN_ETHERTYPES.contains(&ethertype) {
            break;
        }
        ethertype = be16(data, offset + 2).ok_or(LinkError::Truncated)?;
        offset += VLAN_TAG;
    }
    match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Ok(NetworkLayer::at(offset, ethertype)),
        _ => Err(LinkError::NotIp),
    }
}

fn sll(data: &[u8]) -> Result<NetworkLayer, LinkError> {
    let packet_type = be16(data, 0).ok_or(LinkError::Truncated)?;
    let layer = tagged(data, SLL_HEADER - 2)?;
    Ok(NetworkLayer {
        direction: Some(direction(packet_type)),
        ..layer
    })
}

fn sll2(data: &[u8]) -> Result<NetworkLayer, LinkError> {
    if data.len() < SLL2_HEADER {
        return Err(LinkError::Truncated);
    }
    let ethertype = be16(data, 0).ok_or(LinkError::Truncated)?;
    let layer = untag(data, SLL2_HEADER, ethertype)?;
    Ok(NetworkLayer {
        direction: Some(direction(u16::from(data[10]))),
        interface_index: be32(data, 4),
        ..layer
    })
}

fn direction(packet_type: u16) -> Direction {
    if packet_type == PACKET_OUTGOING {
        Direction::Outgoing
    } else {
        Direction::Incoming
    }
}

fn loopback(data: &[u8], network_order: bool) -> Result<NetworkLayer, LinkError> {
    let family = be32(data, 0).ok_or(LinkError::Truncated)?;
    // Families are below 256, so a number that only fits the other byte order gives it away.
    let family = if !network_order && family > 0xFFFF {
        family.swap_bytes()
    } else {
        family
    };
    match family {
        2 => Ok(NetworkLayer::at(4, ETHERTYPE_IPV4)),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, and macOS.
        10 | 24 | 28 | 30 => Ok(NetworkLayer::at(4, ETHERTYPE_IPV6)),
        _ => Err(LinkError::NotIp),
    }
}

fn by_version(data: &[u8], offset: usize) -> Result<NetworkLayer, LinkError> {
    match data.get(offset).ok_or(LinkError::Truncated)? >> 4 {
        4 => Ok(NetworkLayer::at(offset, ETHERTYPE_IPV4)),
        6 => Ok(NetworkLayer::at(offset, ETHERTYPE_IPV6)),
        _ => Err(LinkError::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The link header of odbc18-lab-any-sll2's first packet: an outgoing SYN on interface 2.
    const SLL2_OUTGOING: [u8; 20] = [
        0x08, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 2, 0x42, 0x0A, 0x4D, 0, 1, 0, 0,
    ];

    fn ethernet_frame(tags: &[u16], ethertype: u16) -> Vec<u8> {
        let mut frame = vec![0; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 42]);
        }
        frame.extend(ethertype.to_be_bytes());
        frame
    }

    #[test]
    fn ethernet_is_fourteen_bytes_and_four_more_for_every_tag() {
        for (tags, offset) in [
            (&[][..], 14),
            (&[0x8100][..], 18),
            (&[0x88A8, 0x8100][..], 22),
            (&[0x9100, 0x8100][..], 22),
        ] {
            let layer = ethernet(&ethernet_frame(tags, ETHERTYPE_IPV6)).unwrap();
            assert_eq!((layer.offset, layer.ethertype), (offset, ETHERTYPE_IPV6));
            assert_eq!(layer.direction, None);
        }
    }

    #[test]
    fn what_is_not_ip_is_told_apart_from_what_is_cut() {
        assert_eq!(
            ethernet(&ethernet_frame(&[], 0x0806)),
            Err(LinkError::NotIp)
        );
        let endless = ethernet_frame(&[0x8100; 9], ETHERTYPE_IPV4);
        assert_eq!(ethernet(&endless), Err(LinkError::NotIp));
        let whole = ethernet_frame(&[0x8100], ETHERTYPE_IPV4);
        assert_eq!(ethernet(&whole[..17]), Err(LinkError::Truncated));
        assert_eq!(
            network_layer(LinkType::Other(105), &whole),
            Err(LinkError::Unsupported(105))
        );
    }

    #[test]
    fn cooked_captures_say_which_way_the_packet_went() {
        let layer = network_layer(LinkType::LinuxSll2, &SLL2_OUTGOING).unwrap();
        assert_eq!((layer.offset, layer.ethertype), (20, ETHERTYPE_IPV4));
        assert_eq!(layer.direction, Some(Direction::Outgoing));
        assert_eq!(layer.interface_index, Some(2));

        let mut sll = [0; 16];
        sll[14..].copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
        let layer = network_layer(LinkType::LinuxSll, &sll).unwrap();
        assert_eq!(
            (layer.offset, layer.direction),
            (16, Some(Direction::Incoming))
        );
        sll[1] = 4;
        let layer = network_layer(LinkType::LinuxSll, &sll).unwrap();
        assert_eq!(layer.direction, Some(Direction::Outgoing));
    }

    #[test]
    fn a_tag_behind_a_cooked_header_is_skipped_too() {
        let mut sll2 = SLL2_OUTGOING.to_vec();
        sll2[..2].copy_from_slice(&0x8100u16.to_be_bytes());
        sll2.extend([0, 42, 0x86, 0xDD]);
        let layer = network_layer(LinkType::LinuxSll2, &sll2).unwrap();
        assert_eq!((layer.offset, layer.ethertype), (24, ETHERTYPE_IPV6));
    }

    #[test]
    fn loopback_families_are_read_in_either_byte_order() {
        for (link, family, ethertype) in [
            (LinkType::Null, [2, 0, 0, 0], ETHERTYPE_IPV4),
            (LinkType::Null, [0, 0, 0, 2], ETHERTYPE_IPV4),
            (LinkType::Null, [30, 0, 0, 0], ETHERTYPE_IPV6),
            (LinkType::Loop, [0, 0, 0, 24], ETHERTYPE_IPV6),
        ] {
            let layer = network_layer(link, &family).unwrap();
            assert_eq!((layer.offset, layer.ethertype), (4, ethertype));
        }
        assert_eq!(
            network_layer(LinkType::Loop, &[2, 0, 0, 0]),
            Err(LinkError::NotIp)
        );
    }

    #[test]
    fn raw_packets_tell_their_version_themselves() {
        for (first, expected) in [(0x45, Ok(ETHERTYPE_IPV4)), (0x60, Ok(ETHERTYPE_IPV6))] {
            let layer = network_layer(LinkType::Raw, &[first]);
            assert_eq!(layer.map(|layer| layer.ethertype), expected);
        }
        assert_eq!(network_layer(LinkType::Raw, &[0]), Err(LinkError::NotIp));
        assert_eq!(network_layer(LinkType::Raw, &[]), Err(LinkError::Truncated));
        assert!(network_layer(LinkType::Ipv4, &[]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_an_offset_within_them_or_an_error(
            number in 0i32..300,
            data in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        ) {
            if let Ok(layer) = network_layer(LinkType::from_number(number), &data) {
                assert!(layer.offset <= data.len());
            }
        }
    }
}
