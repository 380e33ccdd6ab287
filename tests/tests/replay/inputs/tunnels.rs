//! `--decapsulate`.

use harness::agree::compare;
use harness::capture::{Capture, available};
use harness::drivers::{Driver, Encrypt, Login};
use harness::net::{CLIENT_V4, INTERFACE, Namespace, Network, SERVER_V4};
use harness::pcap::{self, Packet, link};
use harness::peer::Peer;
use harness::{driver_or_skip, root_or_skip};

use super::{CAPTURES, capture, lines, truth, written};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
const UDP: u8 = 17;
const GRE: u8 = 47;
const DECAPSULATE: &[&str] = &["--decapsulate"];

/// What is inside, as bytes of that kind.
type Wrap = fn(u16, Vec<u8>) -> (u16, Vec<u8>);

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(payload);
    packet
}

fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
    packet.extend([0xFD; 32]);
    packet.extend(payload);
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xC0, 0];
    packet.extend(port.to_be_bytes());
    packet.extend((8 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

fn frame(tags: &[(u16, u16)], ethertype: u16, bytes: Vec<u8>) -> Vec<u8> {
    let packet = Packet {
        time_ns: 0,
        ethertype,
        bytes,
    };
    [pcap::ethernet(&packet, tags), packet.bytes.clone()].concat()
}

/// The number of the protocol that carries IP itself.
fn ip_in_ip(ethertype: u16) -> u8 {
    if ethertype == IPV4 { 4 } else { 41 }
}

fn vxlan(tags: &[(u16, u16)], ethertype: u16, inner: Vec<u8>) -> Vec<u8> {
    let frame = frame(tags, ethertype, inner);
    [&[8, 0, 0, 0, 0, 0, 42, 0][..], &frame].concat()
}

fn gre(flags: u8, options: &[u8], protocol: u16, inner: &[u8]) -> Vec<u8> {
    let protocol = protocol.to_be_bytes();
    [&[flags, 0, protocol[0], protocol[1]], options, inner].concat()
}

const TUNNELS: &[(&str, Wrap)] = &[
    ("VXLAN", |kind, inner| {
        (IPV4, ipv4(UDP, &udp(4789, &vxlan(&[], kind, inner))))
    }),
    ("VXLAN on Linux' old port", |kind, inner| {
        (IPV4, ipv4(UDP, &udp(8472, &vxlan(&[], kind, inner))))
    }),
    ("VXLAN over IPv6, tagged inside", |kind, inner| {
        (
            IPV6,
            ipv6(UDP, &udp(4789, &vxlan(&[(0x8100, 42)], kind, inner))),
        )
    }),
    ("GENEVE", |kind, inner| {
        let frame = frame(&[], kind, inner);
        let tunnel = [&[0, 0, 0x65, 0x58, 0, 0, 1, 0][..], &frame].concat();
        (IPV4, ipv4(UDP, &udp(6081, &tunnel)))
    }),
    ("GENEVE with options and no frame", |kind, inner| {
        let kind = kind.to_be_bytes();
        let header = [2, 0, kind[0], kind[1], 0, 0, 1, 0, 1, 2, 3, 1, 9, 9, 9, 9];
        (IPV4, ipv4(UDP, &udp(6081, &[&header[..], &inner].concat())))
    }),
    ("GRE", |kind, inner| {
        (IPV4, ipv4(GRE, &gre(0, &[], kind, &inner)))
    }),
    ("GRE over IPv6", |kind, inner| {
        (IPV6, ipv6(GRE, &gre(0, &[], kind, &inner)))
    }),
    (
        "GRE with checksum, key and number, around a frame",
        |kind, inner| {
            let frame = frame(&[], kind, inner);
            (IPV4, ipv4(GRE, &gre(0xB0, &[0; 12], 0x6558, &frame)))
        },
    ),
    ("IP in IPv4", |kind, inner| {
        (IPV4, ipv4(ip_in_ip(kind), &inner))
    }),
    ("IP in IPv6", |kind, inner| {
        (IPV6, ipv6(ip_in_ip(kind), &inner))
    }),
    ("VXLAN in GRE", |kind, inner| {
        let vxlan = ipv4(UDP, &udp(4789, &vxlan(&[], kind, inner)));
        (IPV4, ipv4(GRE, &gre(0, &[], IPV4, &vxlan)))
    }),
];

fn wrapped(packets: &[Packet], wrap: Wrap) -> Vec<Packet> {
    let wrapped: Vec<_> = packets
        .iter()
        .map(|packet| {
            let (ethertype, bytes) = wrap(packet.ethertype, packet.bytes.clone());
            Packet {
                time_ns: packet.time_ns,
                ethertype,
                bytes,
            }
        })
        .collect();
    pcap::framed(&wrapped, |packet| pcap::ethernet(packet, &[]))
}

#[test]
fn inside_every_tunnel_is_what_was_put_there_and_without_asking_nothing() {
    for name in CAPTURES {
        let packets = pcap::packets(&capture(name)).unwrap();
        let truth = truth(name);
        for (tunnel, wrap) in TUNNELS {
            let file = written(link::ETHERNET, &wrapped(&packets, *wrap));
            assert_eq!(lines(file.path(), DECAPSULATE), truth, "{name} in {tunnel}");
            let claimed = lines(file.path(), &[]);
            assert!(claimed.is_empty(), "{name} in {tunnel}: {claimed:#?}");
        }
    }
}

/// The packet in two parts, of which the first has so many bytes behind its IPv4 header.
fn fragments(packet: &Packet, first: usize) -> [Packet; 2] {
    let (header, payload) = packet.bytes.split_at(20);
    let (sooner, later) = payload.split_at(first);
    [(0x2000, sooner), (first as u16 / 8, later)].map(|(fragment, payload)| {
        let mut bytes = [header, payload].concat();
        bytes[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
        Packet {
            bytes,
            ..packet.clone()
        }
    })
}

#[test]
fn a_tunnel_in_fragments_is_counted_once_for_each_packet_inside() {
    let packets = pcap::packets(&capture(CAPTURES[0])).unwrap();
    let of_ipv4 = TUNNELS
        .iter()
        .filter(|(_, wrap)| wrap(IPV4, vec![0x45]).0 == IPV4);
    for (tunnel, wrap) in of_ipv4 {
        let packets = packets.iter().flat_map(|packet| {
            let (ethertype, bytes) = wrap(packet.ethertype, packet.bytes.clone());
            let packet = Packet {
                time_ns: packet.time_ns,
                ethertype,
                bytes,
            };
            fragments(&packet, 32)
        });
        let framed = pcap::framed(&packets.collect::<Vec<_>>(), |packet| {
            pcap::ethernet(packet, &[])
        });
        let file = written(link::ETHERNET, &framed);
        let said = lines(file.path(), DECAPSULATE);
        let losses = said.iter().map(|line| &line["loss"]);
        let lost: u64 = losses
            .inspect(|loss| assert_eq!(loss["reason"], "fragment", "{tunnel}"))
            .map(|loss| loss["count"].as_u64().unwrap())
            .sum();
        assert_eq!(lost, framed.len() as u64 / 2, "{tunnel}");
        assert!(lines(file.path(), &[]).is_empty(), "{tunnel}");
    }
}

#[test]
fn fragments_of_what_is_no_tunnel_are_no_loss() {
    let dns = Packet {
        time_ns: 1,
        ethertype: IPV4,
        bytes: ipv4(UDP, &udp(53, &[0; 200])),
    };
    let framed = pcap::framed(&fragments(&dns, 64), |packet| pcap::ethernet(packet, &[]));
    let file = written(link::ETHERNET, &framed);
    assert!(lines(file.path(), DECAPSULATE).is_empty());
}

#[test]
fn what_is_in_no_tunnel_is_the_same_when_tunnels_are_asked_for() {
    for name in CAPTURES {
        assert_eq!(lines(&capture(name), DECAPSULATE), truth(name), "{name}");
    }
}

/// A device of a tunnel, with an address inside it.
fn tunnel_end(host: &Namespace, remote: &str, address: &str) {
    let link = [
        "link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789",
    ];
    host.ip(&[&link[..], &["remote", remote, "dev", INTERFACE]].concat())
        .unwrap();
    host.ip(&["addr", "add", &format!("{address}/24"), "dev", "vx0"])
        .unwrap();
    host.ip(&["link", "set", "vx0", "up"]).unwrap();
}

#[test]
fn a_login_through_a_real_vxlan_device_is_the_same_outside_as_inside() {
    root_or_skip!("a login through a real VXLAN device is the same outside as inside");
    driver_or_skip!(Driver::Tsql);
    assert!(available(), "no tcpdump or tshark");
    let (client, server) = ("10.88.0.1", "10.88.0.2");
    let network = Network::new().unwrap();
    tunnel_end(&network.client, SERVER_V4, client);
    tunnel_end(&network.server, CLIENT_V4, server);
    let listen = format!("{server}:1433");
    let arguments = ["--encrypt", "off", "--listen", &listen];
    let _peer = Peer::scenario(Some(&network.server), &arguments).unwrap();
    let inside = Capture::start(&network.client, "vx0", 1433).unwrap();
    let outside = Capture::start_udp(&network.client, INTERFACE, 4789).unwrap();
    let login = Login::to(server, 1433, Encrypt::Off);
    let fared = Driver::Tsql.run(Some(&network.client), &login).unwrap();
    assert!(fared.ok, "{}", fared.output);
    let (inside, outside) = (inside.stop().unwrap(), outside.stop().unwrap());
    let truth = lines(inside.file(), &[]);
    assert_eq!(truth[0]["login"]["outcome"], "success", "{truth:#?}");
    let opened = lines(outside.file(), DECAPSULATE);
    // Between the two devices a packet may wait: the SYN for its neighbour's address, others for the
    // processor.
    let mut differences = compare(&truth, &opened);
    differences.retain(|difference| !difference.is_time);
    assert_eq!(differences, []);
    assert!(lines(outside.file(), &[]).is_empty());
}
