use super::*;

const CLIENT_PORT: u16 = 50_000;
const SERVER_PORT: u16 = 1433;

fn tcp_bytes(options: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(CLIENT_PORT.to_be_bytes());
    out.extend(SERVER_PORT.to_be_bytes());
    out.extend(7_u32.to_be_bytes());
    out.extend(9_u32.to_be_bytes());
    out.push(u8::try_from(((20 + options) / 4) << 4).unwrap());
    out.push(tcp_flag::ACK | tcp_flag::PSH);
    out.extend(512_u16.to_be_bytes());
    out.extend([0; 4]);
    out.extend(vec![1; options]);
    out.extend(payload);
    out
}

fn ipv4_bytes(options: usize, fragment: u16, tcp: &[u8]) -> Vec<u8> {
    let mut out = vec![0x40 | u8::try_from((20 + options) / 4).unwrap(), 0];
    out.extend(
        u16::try_from(20 + options + tcp.len())
            .unwrap()
            .to_be_bytes(),
    );
    out.extend([0, 0]);
    out.extend(fragment.to_be_bytes());
    out.extend([64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    out.extend(vec![1; options]);
    out.extend(tcp);
    out
}

fn ipv6_bytes(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    out.extend([next, 57]);
    out.extend([0xFD; 16]);
    out.extend([0xFE; 16]);
    out.extend(rest);
    out
}

fn ethernet_bytes(tags: &[u16], kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 12];
    for tag in tags {
        out.extend(tag.to_be_bytes());
        out.extend([0, 42]);
    }
    out.extend(kind.to_be_bytes());
    out.extend(rest);
    out
}

fn payload_of<'a>(packet: &'a [u8], segment: &Segment) -> &'a [u8] {
    let at = segment.payload_at as usize;
    &packet[at..at + segment.payload_len as usize]
}

#[test]
fn options_of_ip_and_tcp_are_stepped_over() {
    let packet = ethernet_bytes(
        &[],
        ethertype::IPV4,
        &ipv4_bytes(8, 0, &tcp_bytes(12, b"abc")),
    );
    let segment = walk(packet.as_slice(), Link::Ethernet).unwrap();
    assert_eq!(payload_of(&packet, &segment), b"abc");
    assert_eq!(
        (segment.source_port(), segment.destination_port()),
        (CLIENT_PORT, SERVER_PORT)
    );
    assert_eq!(
        (segment.seq, segment.ack, segment.window, segment.ttl),
        (Seq(7), Seq(9), 512, 64)
    );
}

#[test]
fn the_padding_of_a_short_frame_is_no_payload() {
    let mut packet = ethernet_bytes(&[], ethertype::IPV4, &ipv4_bytes(0, 0, &tcp_bytes(0, b"")));
    packet.resize(60, 0);
    assert_eq!(
        walk(packet.as_slice(), Link::Ethernet).unwrap().payload_len,
        0
    );
}

#[test]
fn one_two_and_three_vlan_tags_are_stepped_over() {
    for tags in [&[0x8100][..], &[0x88A8, 0x8100], &[0x9100, 0x8100, 0x8100]] {
        let packet = ethernet_bytes(
            tags,
            ethertype::IPV4,
            &ipv4_bytes(0, 0, &tcp_bytes(0, b"x")),
        );
        assert_eq!(
            payload_of(&packet, &walk(packet.as_slice(), Link::Ethernet).unwrap()),
            b"x"
        );
    }
}

#[test]
fn a_device_without_link_header_starts_at_the_network_layer() {
    let packet = ipv4_bytes(0, 0, &tcp_bytes(0, b"raw"));
    let segment = walk(packet.as_slice(), Link::Network(ethertype::IPV4)).unwrap();
    assert_eq!(payload_of(&packet, &segment), b"raw");
}

#[test]
fn ipv6_extension_headers_are_stepped_over() {
    let mut rest = vec![60, 0, 0, 0, 0, 0, 0, 0]; // hop-by-hop, then destination options
    rest.extend([44, 1]);
    rest.extend([0; 14]);
    rest.extend([6, 0, 0, 1, 0, 0, 0, 1]); // first fragment, then TCP
    rest.extend(tcp_bytes(0, b"six"));
    let packet = ethernet_bytes(&[], ethertype::IPV6, &ipv6_bytes(0, &rest));
    let segment = walk(packet.as_slice(), Link::Ethernet).unwrap();
    assert_eq!(payload_of(&packet, &segment), b"six");
    assert_eq!(segment.ttl, 57);
}

#[test]
fn later_fragments_are_told_apart_from_other_protocols() {
    let tcp = tcp_bytes(0, b"");
    let packet = ipv4_bytes(0, 0x2001, &tcp);
    assert_eq!(
        walk(packet.as_slice(), Link::Network(ethertype::IPV4)).unwrap_err(),
        Skip::Fragment
    );
    let first = ipv4_bytes(0, 0x2000, &tcp);
    assert!(walk(first.as_slice(), Link::Network(ethertype::IPV4)).is_ok());
    let six = ipv6_bytes(44, &[6, 0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(
        walk(six.as_slice(), Link::Network(ethertype::IPV6)).unwrap_err(),
        Skip::Fragment
    );
    let udp = ipv6_bytes(17, &[0; 8]);
    assert_eq!(
        walk(udp.as_slice(), Link::Network(ethertype::IPV6)).unwrap_err(),
        Skip::NotTcp
    );
}

#[test]
fn an_endless_header_chain_is_refused() {
    let rest = [0; 80];
    let packet = ipv6_bytes(0, &rest);
    assert_eq!(
        walk(packet.as_slice(), Link::Network(ethertype::IPV6)).unwrap_err(),
        Skip::ChainTooLong
    );
}

#[test]
fn both_directions_have_the_same_key() {
    let a = FlowKey::of([1; 4], 50_000, [2; 4], 1433);
    let b = FlowKey::of([2; 4], 1433, [1; 4], 50_000);
    assert_eq!(a.0, b.0);
    assert_ne!(a.1, b.1);
    let same_port = FlowKey::of([1; 4], 1433, [2; 4], 1433);
    let back = FlowKey::of([2; 4], 1433, [1; 4], 1433);
    assert_eq!(same_port.0, back.0);
    assert_ne!(same_port.1, back.1);
}

#[test]
fn a_cut_off_packet_is_unreadable_and_never_a_panic() {
    let packet = ethernet_bytes(
        &[0x8100],
        ethertype::IPV4,
        &ipv4_bytes(4, 0, &tcp_bytes(4, b"")),
    );
    for len in 0..packet.len() {
        assert!(walk(&packet[..len], Link::Ethernet).is_err() || len >= packet.len() - 4);
    }
}

#[test]
fn what_is_plainly_unwanted_has_no_wanted_segment() {
    let six = [
        ipv6_bytes(6, &tcp_bytes(0, b"x")),
        ipv6_bytes(17, &tcp_bytes(0, b"x")),
        ipv6_bytes(60, &[6, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let mut udp = ipv4_bytes(0, 0, &tcp_bytes(0, b"x"));
    udp[9] = 17;
    let four = [
        (0, 0),
        (8, 0),
        (0, 0x4000),
        (0, 0x2000),
        (0, 0x2001),
        (0, 0x0100),
    ]
    .map(|(options, fragment)| ipv4_bytes(options, fragment, &tcp_bytes(0, b"x")));
    let kinds = [ethertype::IPV4, ethertype::IPV6, 0x0806];
    for network in four.iter().chain([&udp]).chain(&six) {
        for tags in [&[][..], &[0x8100]] {
            for kind in kinds {
                let packet = ethernet_bytes(tags, kind, network);
                for len in 0..=packet.len() {
                    for port in [SERVER_PORT, 443] {
                        let packet = &packet[..len];
                        let wanted = |from, to| from == port || to == port;
                        let segment = walk_if(packet, Link::Ethernet, wanted);
                        let plainly = is_plainly_unwanted(packet, Link::Ethernet, wanted);
                        assert!(!plainly || segment.is_err_and(|skip| skip != Skip::Fragment));
                    }
                }
            }
        }
    }
}

#[test]
fn a_plain_packet_is_settled_by_its_ports() {
    let (tcp, wanted) = (tcp_bytes(12, b"x"), |_, to| to == SERVER_PORT);
    for (kind, network) in [
        (ethertype::IPV4, ipv4_bytes(0, 0x4000, &tcp)),
        (ethertype::IPV6, ipv6_bytes(6, &tcp)),
    ] {
        let packet = ethernet_bytes(&[], kind, &network);
        let (ethernet, none) = (Link::Ethernet, Link::Network(kind));
        for (bytes, link) in [(&packet, ethernet), (&network, none)] {
            assert!(!is_plainly_unwanted(bytes.as_slice(), link, wanted));
            assert!(is_plainly_unwanted(bytes.as_slice(), link, |_, _| false));
        }
    }
}

#[test]
fn the_connections_of_a_client_to_a_server_have_slots_of_their_own() {
    let key = |port| FlowKey::of([0, 0, 9, 11], port, [0, 0, 9, 12], SERVER_PORT).0;
    let slots: std::collections::HashSet<u32> = (SERVER_PORT..=u16::MAX)
        .map(|port| key(port).slot())
        .collect();
    assert_eq!(slots.len(), usize::from(u16::MAX - SERVER_PORT) + 1);
    assert!(slots.iter().all(|slot| *slot < FlowKey::SLOTS));
}

#[test]
fn a_plain_segment_is_what_the_walk_says() {
    let mut plains = 0;
    for options in [0, 12, 40] {
        for fragment in [0, 0x4000, 0x2000, 5] {
            for len in [0, 1, 400] {
                let tcp = tcp_bytes(options, &vec![9; len]);
                let padded = [ipv4_bytes(0, fragment, &tcp), vec![0; 6]].concat();
                for (kind, bytes) in [
                    (ethertype::IPV4, ipv4_bytes(0, fragment, &tcp)),
                    (ethertype::IPV4, ipv4_bytes(8, fragment, &tcp)),
                    (ethertype::IPV4, padded),
                    (ethertype::IPV6, ipv6_bytes(6, &tcp)),
                    (
                        ethertype::IPV6,
                        ipv6_bytes(60, &[&[6, 0, 0, 0, 0, 0, 0, 0], &tcp[..]].concat()),
                    ),
                    (ethertype::VLAN, tcp.clone()),
                ] {
                    for end in 0..=bytes.len() {
                        let Some(plain) = plain(&bytes[..end], kind) else {
                            continue;
                        };
                        plains += 1;
                        let segment = walk(bytes.as_slice(), Link::Network(kind)).unwrap();
                        let walked = Plain {
                            seq: segment.seq,
                            ack: segment.ack,
                            flags: segment.flags,
                            window: segment.window,
                            payload_len: segment.payload_len,
                        };
                        assert_eq!(plain, walked);
                    }
                }
            }
        }
    }
    assert!(plains > 1000, "{plains}");
}
