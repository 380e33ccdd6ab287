//! Tunnels opened on request: VXLAN, GENEVE, GRE, IP in IP and 6in4.

use super::{
    be16,
    link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, ethernet},
};

/// Tunnels within tunnels that are opened; more is a loop or an attack.
const MAX_DEPTH: usize = 4;
/// IPv6 extension headers that are walked; the kernel half has the same bound.
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const IPV4_IN_IP: u8 = 4;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const GRE: u8 = 47;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// RFC 7348, and the port Linux used before it.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// RFC 8926.
const GENEVE_PORT: u16 = 6081;
/// Ethernet inside GRE or GENEVE.
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const UDP_HEADER: usize = 8;

/// A network layer: its ethertype, and the bytes from its header on.
pub type Network<'a> = (u16, &'a [u8]);

/// Opens the tunnels around a packet and returns the innermost network layer that is whole enough
/// to be recognised; the packet itself when it is in no tunnel.
pub fn decapsulate(outer: Network<'_>) -> Network<'_> {
    let mut network = outer;
    for _ in 0..MAX_DEPTH {
        match open(network) {
            Some(inner) => network = inner,
            None => break,
        }
    }
    network
}

fn open((ethertype, bytes): Network<'_>) -> Option<Network<'_>> {
    let (protocol, payload) = match ethertype {
        ETHERTYPE_IPV4 => ipv4_payload(bytes)?,
        ETHERTYPE_IPV6 => ipv6_payload(bytes)?,
        _ => return None,
    };
    match protocol {
        IPV4_IN_IP => ip(ETHERTYPE_IPV4, payload),
        IPV6_IN_IP => ip(ETHERTYPE_IPV6, payload),
        GRE => gre(payload),
        UDP => match be16(payload, 2)? {
            port if VXLAN_PORTS.contains(&port) => vxlan(payload.get(UDP_HEADER..)?),
            GENEVE_PORT => geneve(payload.get(UDP_HEADER..)?),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a packet is the first fragment of a tunnel's. What is inside cannot be read; the fragments
/// behind it do not say what they are of, so each packet inside is counted here.
pub fn begins_in_fragments((ethertype, bytes): Network<'_>) -> bool {
    let packet = match ethertype {
        ETHERTYPE_IPV4 => ipv4(bytes),
        ETHERTYPE_IPV6 => ipv6(bytes),
        _ => None,
    };
    let Some((Part::First, protocol, payload)) = packet else {
        return false;
    };
    match protocol {
        IPV4_IN_IP | IPV6_IN_IP | GRE => true,
        UDP => {
            be16(payload, 2).is_some_and(|port| port == GENEVE_PORT || VXLAN_PORTS.contains(&port))
        }
        _ => false,
    }
}

/// RFC 2784 and 2890; version 1 is PPTP and carries no IP directly.
fn gre(payload: &[u8]) -> Option<Network<'_>> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 0x0007;

    let flags = be16(payload, 0)?;
    if flags & (ROUTING | VERSION) != 0 {
        return None;
    }
    let options = [CHECKSUM, KEY, SEQUENCE];
    let present = options.iter().filter(|flag| flags & **flag != 0).count();
    by_protocol(be16(payload, 2)?, payload.get(4 + 4 * present..)?)
}

/// RFC 7348 section 5: the I flag must be set.
fn vxlan(payload: &[u8]) -> Option<Network<'_>> {
    if payload.first()? & 0x08 == 0 {
        return None;
    }
    by_protocol(TRANSPARENT_ETHERNET, payload.get(8..)?)
}

/// RFC 8926 section 3.4.
fn geneve(payload: &[u8]) -> Option<Network<'_>> {
    let first = *payload.first()?;
    if first >> 6 != 0 {
        return None;
    }
    let options = usize::from(first & 0x3F) * 4;
    by_protocol(be16(payload, 2)?, payload.get(8 + options..)?)
}

fn by_protocol(protocol: u16, bytes: &[u8]) -> Option<Network<'_>> {
    match protocol {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => ip(protocol, bytes),
        TRANSPARENT_ETHERNET => {
            let layer = ethernet(bytes).ok()?;
            ip(layer.ethertype, bytes.get(layer.offset..)?)
        }
        _ => None,
    }
}

/// Accepts an inner packet only if its version agrees with what announced it.
fn ip(ethertype: u16, bytes: &[u8]) -> Option<Network<'_>> {
    let version = bytes.first()? >> 4;
    let agrees =
        (ethertype, version) == (ETHERTYPE_IPV4, 4) || (ethertype, version) == (ETHERTYPE_IPV6, 6);
    agrees.then_some((ethertype, bytes))
}

/// Which part of an IP packet another one carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    First,
    Later,
}

impl Part {
    fn of(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            _ => Self::Later,
        }
    }
}

/// Protocol and payload of an unfragmented IPv4 packet.
pub(super) fn ipv4_payload(bytes: &[u8]) -> Option<(u8, &[u8])> {
    whole(ipv4(bytes)?)
}

/// Protocol and payload of an unfragmented IPv6 packet, behind its extension headers.
pub(super) fn ipv6_payload(bytes: &[u8]) -> Option<(u8, &[u8])> {
    whole(ipv6(bytes)?)
}

/// Protocol and payload of a packet that is whole, or of its first fragment, as far as they are there.
pub(super) fn first_part((ethertype, bytes): Network<'_>) -> Option<(u8, &[u8])> {
    let (part, protocol, payload) = match ethertype {
        ETHERTYPE_IPV4 => ipv4(bytes)?,
        ETHERTYPE_IPV6 => ipv6(bytes)?,
        _ => return None,
    };
    (part != Part::Later).then_some((protocol, payload))
}

fn whole((part, protocol, payload): (Part, u8, &[u8])) -> Option<(u8, &[u8])> {
    (part == Part::Whole).then_some((protocol, payload))
}

fn ipv4(bytes: &[u8]) -> Option<(Part, u8, &[u8])> {
    const OFFSET: u16 = 0x1FFF;
    const MORE_FRAGMENTS: u16 = 0x2000;

    let first = *bytes.first()?;
    let header_len = usize::from(first & 0x0F) * 4;
    if first >> 4 != 4 || header_len < 20 {
        return None;
    }
    let fragment = be16(bytes, 6)?;
    let part = Part::of(fragment & OFFSET, fragment & MORE_FRAGMENTS != 0);
    Some((part, *bytes.get(9)?, bytes.get(header_len..)?))
}

fn ipv6(bytes: &[u8]) -> Option<(Part, u8, &[u8])> {
    const OFFSET: u16 = 0xFFF8;
    const MORE_FRAGMENTS: u16 = 0x0001;

    if bytes.first()? >> 4 != 6 {
        return None;
    }
    let mut part = Part::Whole;
    let mut protocol = *bytes.get(6)?;
    let mut rest = bytes.get(40..)?;
    for _ in 0..MAX_EXTENSIONS {
        let length = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => 8 + 8 * usize::from(*rest.get(1)?),
            AUTHENTICATION => 8 + 4 * usize::from(*rest.get(1)?),
            FRAGMENT => {
                let fragment = be16(rest, 2)?;
                part = Part::of(fragment & OFFSET, fragment & MORE_FRAGMENTS != 0);
                8
            }
            _ => return Some((part, protocol, rest)),
        };
        protocol = *rest.first()?;
        rest = rest.get(length..)?;
        if part == Part::Later {
            return Some((part, protocol, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        packet.extend([0xFD; 32]);
        packet.extend(payload);
        packet
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0xC0, 0];
        packet.extend(port.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(payload);
        packet
    }

    fn framed(tags: &[u8], packet: &[u8]) -> Vec<u8> {
        [&[2; 12], tags, &[8, 0], packet].concat()
    }

    fn inner() -> Vec<u8> {
        ipv4(6, b"a TCP segment")
    }

    #[test]
    fn every_kind_of_tunnel_is_opened() {
        let inner = inner();
        let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0], &framed(&[], &inner)[..]].concat();
        let tagged = [
            &[8, 0, 0, 0, 0, 0, 42, 0],
            &framed(&[0x81, 0, 0, 7], &inner)[..],
        ]
        .concat();
        let geneve = [
            &[1, 0, 0x65, 0x58, 0, 0, 1, 0, 9, 9, 9, 9][..],
            &framed(&[], &inner),
        ]
        .concat();
        let gre = [&[0, 0, 8, 0], &inner[..]].concat();
        let gre_with_key = [&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1], &framed(&[], &inner)[..]].concat();
        let options = [&[4, 0, 1, 4, 0, 0, 0, 0], &inner[..]].concat();
        for (name, outer) in [
            ("VXLAN", ipv4(UDP, &udp(4789, &vxlan))),
            ("VXLAN, tagged inside", ipv4(UDP, &udp(8472, &tagged))),
            ("GENEVE", ipv4(UDP, &udp(6081, &geneve))),
            ("GRE", ipv4(GRE, &gre)),
            ("GRE with a key around Ethernet", ipv4(GRE, &gre_with_key)),
            ("IP in IP", ipv4(IPV4_IN_IP, &inner)),
            ("VXLAN in IP in IP", ipv4(4, &ipv4(UDP, &udp(4789, &vxlan)))),
        ] {
            assert_eq!(
                decapsulate((ETHERTYPE_IPV4, &outer)),
                (ETHERTYPE_IPV4, &inner[..]),
                "{name}"
            );
        }
        let behind_options = ipv6(DESTINATION_OPTIONS, &options);
        let opened = decapsulate((ETHERTYPE_IPV6, &behind_options));
        assert_eq!(opened, (ETHERTYPE_IPV4, &inner[..]));
        let six = ipv6(6, b"a TCP segment");
        let six_in_four = ipv4(IPV6_IN_IP, &six);
        assert_eq!(
            decapsulate((ETHERTYPE_IPV4, &six_in_four)),
            (ETHERTYPE_IPV6, &six[..])
        );
    }

    #[test]
    fn what_is_no_tunnel_stays_as_it_is() {
        let inner = inner();
        let vxlan = [&[8, 0, 0, 0, 0, 0, 42, 0], &framed(&[], &inner)[..]].concat();
        let mut fragment = ipv4(UDP, &udp(4789, &vxlan));
        fragment[6] = 0x20;
        for outer in [
            inner.clone(),
            ipv4(UDP, &udp(53, &vxlan)),
            ipv4(UDP, &udp(4789, &vxlan[..20])),
            ipv4(UDP, &udp(4789, &[0; 60])),
            ipv4(GRE, &[0, 1, 8, 0, 0x45]),
            ipv4(IPV6_IN_IP, &inner),
            fragment,
        ] {
            assert_eq!(
                decapsulate((ETHERTYPE_IPV4, &outer)),
                (ETHERTYPE_IPV4, &outer[..])
            );
        }
    }

    #[test]
    fn a_tunnel_of_tunnels_without_end_stops() {
        let mut packet = inner();
        for _ in 0..20 {
            packet = ipv4(IPV4_IN_IP, &packet);
        }
        let (_, left) = decapsulate((ETHERTYPE_IPV4, &packet));
        assert_eq!(left.len(), packet.len() - 20 * MAX_DEPTH);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_part_of_themselves(
            six: bool,
            mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..160),
        ) {
            let ethertype = if six { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
            if let Some(first) = bytes.first_mut() {
                *first = if six { 0x60 } else { 0x45 };
            }
            let (_, inner) = decapsulate((ethertype, &bytes));
            assert!(bytes.ends_with(inner));
        }
    }
}
