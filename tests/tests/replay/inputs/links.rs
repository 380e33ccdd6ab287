//! Link types.

use harness::pcap::{self, Packet, link};

use super::{CAPTURES, capture, lines, truth, written};

const OUTGOING: u16 = 4;
const SERVER: u16 = 1433;

/// What a header of a cooked capture says of the way: the client's host captured.
fn packet_type(packet: &Packet) -> u16 {
    let tcp = if packet.bytes[0] >> 4 == 4 { 20 } else { 40 };
    let source = u16::from_be_bytes([packet.bytes[tcp], packet.bytes[tcp + 1]]);
    if source == SERVER { 0 } else { OUTGOING }
}

fn sll(packet: &Packet) -> Vec<u8> {
    let mut header = packet_type(packet).to_be_bytes().to_vec();
    header.extend([0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0]);
    header.extend(packet.ethertype.to_be_bytes());
    header
}

fn sll2(packet: &Packet) -> Vec<u8> {
    let mut header = packet.ethertype.to_be_bytes().to_vec();
    header.extend([0, 0, 0, 0, 0, 7, 0, 1]);
    header.extend([packet_type(packet) as u8, 6, 2, 2, 2, 2, 2, 2, 0, 0]);
    header
}

/// Cooked headers announce a tag like Ethernet does, and it follows them.
fn tagged(header: fn(&Packet) -> Vec<u8>, packet: &Packet) -> Vec<u8> {
    let announced = Packet {
        ethertype: 0x8100,
        ..packet.clone()
    };
    let mut header = header(&announced);
    header.extend([0, 42]);
    header.extend(packet.ethertype.to_be_bytes());
    header
}

/// The family of a BSD loopback header; that of IPv6 differs by system.
fn family(packet: &Packet, of_ipv6: u32) -> u32 {
    if packet.ethertype == 0x0800 {
        2
    } else {
        of_ipv6
    }
}

type Header = Box<dyn Fn(&Packet) -> Vec<u8>>;

fn links() -> Vec<(&'static str, u32, Header)> {
    let ethernet = |tags: &'static [(u16, u16)]| -> Header {
        Box::new(move |packet| pcap::ethernet(packet, tags))
    };
    let little = |of_ipv6| -> Header {
        Box::new(move |packet| family(packet, of_ipv6).to_le_bytes().to_vec())
    };
    let big = |of_ipv6| -> Header {
        Box::new(move |packet| family(packet, of_ipv6).to_be_bytes().to_vec())
    };
    vec![
        ("Ethernet", link::ETHERNET, ethernet(&[])),
        ("VLAN", link::ETHERNET, ethernet(&[(0x8100, 42)])),
        (
            "VLAN of priority",
            link::ETHERNET,
            ethernet(&[(0x8100, 0xE000)]),
        ),
        (
            "QinQ",
            link::ETHERNET,
            ethernet(&[(0x88A8, 7), (0x8100, 42)]),
        ),
        (
            "QinQ of old",
            link::ETHERNET,
            ethernet(&[(0x9100, 7), (0x8100, 42)]),
        ),
        (
            "two tags of one kind",
            link::ETHERNET,
            ethernet(&[(0x8100, 7), (0x8100, 42)]),
        ),
        ("raw IP", link::RAW, Box::new(|_| Vec::new())),
        ("BSD loopback", link::NULL, little(24)),
        ("BSD loopback of the other byte order", link::NULL, big(28)),
        ("macOS loopback", link::NULL, little(30)),
        ("OpenBSD loopback", link::LOOP, big(24)),
        ("Linux cooked", link::LINUX_SLL, Box::new(sll)),
        ("Linux cooked 2", link::LINUX_SLL2, Box::new(sll2)),
        (
            "Linux cooked, tagged",
            link::LINUX_SLL,
            Box::new(|packet| tagged(sll, packet)),
        ),
        (
            "Linux cooked 2, tagged",
            link::LINUX_SLL2,
            Box::new(|packet| tagged(sll2, packet)),
        ),
    ]
}

#[test]
fn every_link_type_says_the_same_of_the_same_packets() {
    for name in CAPTURES {
        let packets = pcap::packets(&capture(name)).unwrap();
        let truth = truth(name);
        for (title, number, header) in links() {
            let file = written(number, &pcap::framed(&packets, header));
            assert_eq!(lines(file.path(), &[]), truth, "{name} as {title}");
        }
    }
}

#[test]
fn the_link_types_that_name_their_ip_version_say_the_same_of_the_same_packets() {
    for name in CAPTURES {
        let packets = pcap::packets(&capture(name)).unwrap();
        let number = if packets[0].ethertype == 0x0800 {
            link::IPV4
        } else {
            link::IPV6
        };
        let file = written(number, &packets);
        assert_eq!(lines(file.path(), &[]), truth(name), "{name} as {number}");
    }
}

#[test]
fn a_link_type_that_is_not_read_is_named_and_nothing_claimed() {
    let packets = pcap::packets(&capture(CAPTURES[0])).unwrap();
    // IEEE 802.11.
    let file = written(105, &packets);
    let (status, lines, log) = super::outcome([file.path()]);
    assert_eq!(status, Some(0), "{log}");
    assert!(lines.is_empty(), "{lines:#?}");
    assert!(log.contains("link type 105 is not supported"), "{log}");
}

#[test]
fn the_same_packet_on_two_interfaces_counts_once() {
    for name in CAPTURES {
        let packets = pcap::packets(&capture(name)).unwrap();
        // As with `-i any` on a host whose tagged interface is one of its own.
        let twice: Vec<_> = packets
            .iter()
            .flat_map(|packet| {
                let mut later = packet.clone();
                later.time_ns += 1_000;
                let mut header = sll2(packet);
                let first = pcap::framed(std::slice::from_ref(packet), |_| header.clone());
                header[7] = 9;
                let second = pcap::framed(&[later], |_| header.clone());
                [first, second].concat()
            })
            .collect();
        let file = written(link::LINUX_SLL2, &twice);
        assert_eq!(lines(file.path(), &[]), truth(name), "{name}");
    }
}
