//! From a network header to a datagram of SQL Browser or a name server, or to ICMP's word that one did not
//! arrive.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    be16,
    link::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
    tunnel::{Network, first_part},
};
use crate::{
    dns,
    session::{Datagram, Input, Said},
    tds::browser::{ANSWER, PORT},
};

const ICMP: u8 = 1;
pub(super) const UDP: u8 = 17;
const ICMPV6: u8 = 58;
pub(super) const UDP_HEADER: usize = 8;
/// Before the packet that ICMP quotes (RFC 792, RFC 4443 section 3.1).
pub(super) const ICMP_HEADER: usize = 8;

/// Where a message of name resolution says that it is an answer (RFC 1035 section 4.1.1).
const FLAGS: usize = 2;
const IS_ANSWER: u8 = 0x80;

/// ICMP "destination unreachable", and the one code of it that is said of packets too long.
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
/// The same of `ICMPv6`.
const UNREACHABLE_V6: u8 = 1;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// SQL Browser.
    Browser,
    /// A name server.
    Dns,
}

impl Service {
    fn at(port: u16) -> Option<Self> {
        match port {
            PORT => Some(Self::Browser),
            dns::PORT | dns::MULTICAST_PORT | dns::LINK_LOCAL_PORT => Some(Self::Dns),
            _ => None,
        }
    }

    /// What the engine is told.
    pub(crate) const fn input(self, datagram: Datagram<'_>) -> Input<'_> {
        match self {
            Self::Browser => Input::Browser(datagram),
            Self::Dns => Input::Dns(datagram),
        }
    }
}

/// What a packet tells of an exchange with SQL Browser or a name server, if anything.
pub(crate) fn read(network: Network<'_>, time: u64) -> Option<(Service, Datagram<'_>)> {
    let (protocol, payload) = first_part(network)?;
    if protocol == UDP {
        return datagram(network, payload, time);
    }
    is_unreachable(network.0, protocol, payload).then_some(())?;
    unreachable(network.0, payload, time)
}

/// Whether a packet's payload is ICMP's word that another one did not arrive.
pub(super) fn is_unreachable(ethertype: u16, protocol: u8, payload: &[u8]) -> bool {
    match (ethertype, protocol, payload) {
        (ETHERTYPE_IPV4, ICMP, [UNREACHABLE, code, ..]) => *code != FRAGMENTATION_NEEDED,
        (ETHERTYPE_IPV6, ICMPV6, [UNREACHABLE_V6, ..]) => true,
        _ => false,
    }
}

fn datagram<'a>(network: Network<'a>, udp: &'a [u8], time: u64) -> Option<(Service, Datagram<'a>)> {
    let ports = (be16(udp, 0)?, be16(udp, 2)?);
    let [from, to] = [ports.0, ports.1].map(Service::at);
    let service = to.or(from)?;
    let [source, destination] = addresses(network)?;
    let len = usize::from(be16(udp, 4)?).checked_sub(UDP_HEADER)?;
    let kept = udp.get(UDP_HEADER..)?;
    // Behind it an Ethernet frame may be filled up.
    let kept = &kept[..kept.len().min(len)];
    // An administrator's program may ask from the same port.
    let answers = match from {
        Some(Service::Browser) => kept.first() == Some(&ANSWER),
        // And one that everybody hears goes from that port to that port.
        Some(Service::Dns) => kept.get(FLAGS).is_some_and(|flags| flags & IS_ANSWER != 0),
        None => false,
    };
    let datagram = if to.is_some() && !answers {
        Datagram {
            time,
            asker: (source, ports.0),
            browser: destination,
            said: Said::Question(kept),
            process: None,
        }
    } else {
        Datagram {
            time,
            asker: (destination, ports.1),
            browser: source,
            said: Said::Answer { kept, len },
            process: None,
        }
    };
    Some((service, datagram))
}

/// The question that an ICMP message quotes.
fn unreachable(ethertype: u16, icmp: &[u8], time: u64) -> Option<(Service, Datagram<'_>)> {
    let quoted = (ethertype, icmp.get(ICMP_HEADER..)?);
    let (UDP, udp) = first_part(quoted)? else {
        return None;
    };
    let [source, destination] = addresses(quoted)?;
    let service = Service::at(be16(udp, 2)?)?;
    let datagram = Datagram {
        time,
        asker: (source, be16(udp, 0)?),
        browser: destination,
        said: Said::Unreachable,
        process: None,
    };
    Some((service, datagram))
}

/// Source and destination.
pub(super) fn addresses((ethertype, bytes): Network<'_>) -> Option<[IpAddr; 2]> {
    match ethertype {
        ETHERTYPE_IPV4 => {
            let address = |at| Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?).into());
            Some([address(12)?, address(16)?])
        }
        ETHERTYPE_IPV6 => {
            let address = |at| {
                let address = Ipv6Addr::from(*bytes.get(at..)?.first_chunk::<16>()?);
                Some(address.to_canonical())
            };
            Some([address(8)?, address(24)?])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x04A\0";

    fn read(network: Network<'_>, time: u64) -> Option<Datagram<'_>> {
        super::read(network, time).map(|(_, datagram)| datagram)
    }

    fn udp(ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let len = (UDP_HEADER + payload.len()) as u16;
        let [source, destination] = ports.map(u16::to_be_bytes);
        [&source, &destination, &len.to_be_bytes(), &[0; 2], payload].concat()
    }

    /// From 10.0.0.1 to 10.0.0.2.
    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let len = (20 + payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    /// From `fd00::1` to `fd00::2`.
    fn ipv6(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], protocol, 64];
        for last in [1, 2] {
            packet.extend([0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        packet.extend(payload);
        packet
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_question_and_its_answer_name_the_same_asker_in_both_families() {
        let question = udp([40_000, PORT], QUESTION);
        let answer = udp([PORT, 40_000], b"\x05\0\0");
        for (ethertype, first, second) in [
            (ETHERTYPE_IPV4, "10.0.0.1", "10.0.0.2"),
            (ETHERTYPE_IPV6, "fd00::1", "fd00::2"),
        ] {
            let wrap = |payload: &[u8]| match ethertype {
                ETHERTYPE_IPV4 => ipv4(UDP, payload),
                _ => ipv6(UDP, payload),
            };
            let [asked, answered] = [wrap(&question), wrap(&answer)];
            let asked = read((ethertype, &asked), 1).unwrap();
            assert_eq!(asked.asker, (address(first), 40_000));
            assert_eq!(asked.browser, address(second));
            assert_eq!(asked.said, Said::Question(QUESTION));
            let answered = read((ethertype, &answered), 2).unwrap();
            // The packet above, with source and destination as they were.
            assert_eq!(answered.asker, (address(second), 40_000));
            assert_eq!(answered.browser, address(first));
            let (kept, len) = (&b"\x05\0\0"[..], 3);
            assert_eq!(answered.said, Said::Answer { kept, len });
        }
    }

    #[test]
    fn each_service_is_known_by_its_port() {
        for (port, service) in [(PORT, Service::Browser), (dns::PORT, Service::Dns)] {
            for ports in [[40_000, port], [port, 40_000]] {
                let packet = ipv4(UDP, &udp(ports, QUESTION));
                let read = super::read((ETHERTYPE_IPV4, &packet), 1);
                assert_eq!(read.unwrap().0, service);
            }
        }
    }

    #[test]
    fn a_question_behind_extension_headers_is_one() {
        let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
        let behind = [&options[..], &udp([40_000, PORT], QUESTION)].concat();
        let packet = ipv6(0, &behind);
        let read = read((ETHERTYPE_IPV6, &packet), 1).unwrap();
        assert_eq!(read.said, Said::Question(QUESTION));
    }

    #[test]
    fn what_fills_a_frame_is_no_part_of_a_question_and_a_cut_answer_keeps_its_length() {
        let mut padded = ipv4(UDP, &udp([40_000, PORT], QUESTION));
        padded.extend([0; 20]);
        let said = read((ETHERTYPE_IPV4, &padded), 1).unwrap().said;
        assert_eq!(said, Said::Question(QUESTION));
        let answer = ipv4(UDP, &udp([PORT, 40_000], &[5; 100]));
        let said = read((ETHERTYPE_IPV4, &answer[..48]), 1).unwrap().said;
        let (kept, len) = (&[5; 20][..], 100);
        assert_eq!(said, Said::Answer { kept, len });
    }

    #[test]
    fn icmp_that_quotes_a_question_says_that_it_did_not_arrive() {
        let question = udp([40_000, PORT], QUESTION);
        let quoted = ipv4(UDP, &question);
        // A router quotes no more than the ports and the length.
        let icmp = [&[UNREACHABLE, 3, 0, 0, 0, 0, 0, 0][..], &quoted[..28]].concat();
        let packet = ipv4(ICMP, &icmp);
        let told = read((ETHERTYPE_IPV4, &packet), 1).unwrap();
        assert_eq!(told.asker, (address("10.0.0.1"), 40_000));
        assert_eq!(told.said, Said::Unreachable);

        let icmp = [
            &[UNREACHABLE_V6, 4, 0, 0, 0, 0, 0, 0][..],
            &ipv6(UDP, &question),
        ]
        .concat();
        let packet = ipv6(ICMPV6, &icmp);
        let told = read((ETHERTYPE_IPV6, &packet), 1).unwrap();
        assert_eq!(told.asker, (address("fd00::1"), 40_000));
        assert_eq!(told.said, Said::Unreachable);
    }

    #[test]
    fn what_is_of_neither_service_is_passed_over() {
        let ntp = udp([40_000, 123], QUESTION);
        let too_long = [
            &[UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0, 0, 0][..],
            &ipv4(UDP, &udp([40_000, PORT], QUESTION)),
        ]
        .concat();
        let echo = [&[8, 0, 0, 0, 0, 0, 0, 0][..], &[0; 40]].concat();
        for (protocol, payload) in [(UDP, &ntp), (ICMP, &too_long), (ICMP, &echo)] {
            let packet = ipv4(protocol, payload);
            assert_eq!(read((ETHERTYPE_IPV4, &packet), 1), None);
        }
        let question = ipv4(UDP, &udp([40_000, PORT], QUESTION));
        for length in 0..28 {
            assert_eq!(read((ETHERTYPE_IPV4, &question[..length]), 1), None);
        }
        let mut later = question;
        later[7] = 8;
        assert_eq!(read((ETHERTYPE_IPV4, &later), 1), None);
    }
}
