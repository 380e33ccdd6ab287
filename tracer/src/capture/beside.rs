//! From a network header to a packet of a service that a login may wait for.

use std::net::IpAddr;

use tracer_ebpf::{
    beside::{is_datagram_service, is_service},
    packet::{Segment, tcp_flag},
    seq::Seq,
};

use super::{
    be16,
    datagrams::{self, ICMP_HEADER, UDP, UDP_HEADER, addresses},
    tunnel::{Network, first_part},
};
use crate::session::{Beside, Piece, Sign, Transport, address};

/// What a datagram tells of an exchange with a service, or ICMP of one.
pub(crate) fn datagram(network: Network<'_>, time: u64) -> Option<Beside<'_>> {
    let (protocol, payload) = first_part(network)?;
    if protocol == UDP {
        return udp(network, payload, time);
    }
    datagrams::is_unreachable(network.0, protocol, payload).then_some(())?;
    let quoted = (network.0, payload.get(ICMP_HEADER..)?);
    let (UDP, udp) = first_part(quoted)? else {
        return None;
    };
    let [source, destination] = addresses(quoted)?;
    let (from, to) = (be16(udp, 0)?, be16(udp, 2)?);
    let sign = Sign::Refuses;
    is_datagram_service(to).then(|| told((source, from), (destination, to), sign, time))
}

fn udp<'a>(network: Network<'a>, udp: &'a [u8], time: u64) -> Option<Beside<'a>> {
    let (from, to) = (be16(udp, 0)?, be16(udp, 2)?);
    let [source, destination] = addresses(network)?;
    let len = usize::from(be16(udp, 4)?).checked_sub(UDP_HEADER)?;
    let kept = udp.get(UDP_HEADER..)?;
    let piece = Piece {
        seq: Seq(0),
        kept: &kept[..kept.len().min(len)],
        len,
    };
    let (source, destination) = ((source, from), (destination, to));
    if is_datagram_service(to) {
        Some(told(source, destination, Sign::Asks(piece), time))
    } else if is_datagram_service(from) {
        Some(told(destination, source, Sign::Answers(piece), time))
    } else {
        None
    }
}

fn told(client: (IpAddr, u16), service: (IpAddr, u16), sign: Sign<'_>, time: u64) -> Beside<'_> {
    Beside {
        time,
        client,
        service,
        transport: Transport::Udp,
        sign,
        opened: None,
        accepted: None,
        process: None,
    }
}

/// What a segment tells of a connection to a service; `packet` is what was kept of its packet, from the network
/// header on.
pub(crate) fn segment<'a>(segment: &Segment, packet: &'a [u8], time: u64) -> Option<Beside<'a>> {
    let (from, to) = (segment.source_port(), segment.destination_port());
    let asks = is_service(to);
    if !asks && !is_service(from) {
        return None;
    }
    let (source, destination) = segment.addresses();
    let (source, destination) = ((address(source), from), (address(destination), to));
    let (client, service) = if asks {
        (source, destination)
    } else {
        (destination, source)
    };
    let sign = sign(segment, packet, asks)?;
    Some(Beside {
        transport: Transport::Tcp,
        ..told(client, service, sign, time)
    })
}

fn sign<'a>(segment: &Segment, packet: &'a [u8], asks: bool) -> Option<Sign<'a>> {
    if segment.has(tcp_flag::SYN) {
        let accepts = segment.has(tcp_flag::ACK);
        // Else it is no answer to who asks.
        return (accepts != asks).then_some(if accepts { Sign::Accepts } else { Sign::Opens });
    }
    if segment.has(tcp_flag::RST) {
        return Some(if asks { Sign::Ends } else { Sign::Refuses });
    }
    if segment.payload_len > 0 {
        let kept = packet.get(segment.payload_at as usize..).unwrap_or(&[]);
        let len = segment.payload_len as usize;
        let piece = Piece {
            seq: segment.start(),
            kept: &kept[..kept.len().min(len)],
            len,
        };
        return Some(if asks {
            Sign::Asks(piece)
        } else {
            Sign::Answers(piece)
        });
    }
    segment.has(tcp_flag::FIN).then_some(Sign::Ends)
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::{
        bytes::Snapped,
        packet::{Link, walk},
    };

    use super::*;
    use crate::capture::link::ETHERTYPE_IPV4;

    /// From 10.0.0.1 to 10.0.0.2.
    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let len = (20 + payload.len() as u16).to_be_bytes();
        let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    fn tcp(ports: [u16; 2], flags: u8, payload: &[u8]) -> Vec<u8> {
        let [from, to] = ports.map(u16::to_be_bytes);
        let head = [&from[..], &to, &[0, 0, 0, 9, 0, 0, 0, 0, 0x50, flags]].concat();
        ipv4(6, &[&head[..], &[0; 6], payload].concat())
    }

    /// Who is asked, and what the packet is.
    fn seen(packet: &[u8]) -> Option<(u16, Sign<'_>)> {
        let bytes = Snapped {
            kept: packet,
            wire_len: packet.len() as u32,
        };
        let walked = walk(&bytes, Link::Network(ETHERTYPE_IPV4)).unwrap();
        let beside = segment(&walked, packet, 1)?;
        Some((beside.service.1, beside.sign))
    }

    #[test]
    fn a_segment_to_a_service_is_what_its_flags_say() {
        assert_eq!(seen(&tcp([9, 88], 0x02, b"")), Some((88, Sign::Opens)));
        assert_eq!(seen(&tcp([88, 9], 0x12, b"")), Some((88, Sign::Accepts)));
        assert_eq!(seen(&tcp([88, 9], 0x14, b"")), Some((88, Sign::Refuses)));
        assert_eq!(seen(&tcp([9, 88], 0x14, b"")), Some((88, Sign::Ends)));
        assert_eq!(seen(&tcp([88, 9], 0x11, b"")), Some((88, Sign::Ends)));
        assert_eq!(seen(&tcp([9, 88], 0x10, b"")), None, "an acknowledgement");
        assert_eq!(seen(&tcp([9, 5432], 0x02, b"")), None, "another service");
        let asks = tcp([9, 389], 0x18, b"ask");
        let piece = Piece {
            seq: Seq(9),
            kept: b"ask",
            len: 3,
        };
        assert_eq!(seen(&asks), Some((389, Sign::Asks(piece))));
        let answers = tcp([389, 9], 0x18, b"ask");
        assert_eq!(seen(&answers), Some((389, Sign::Answers(piece))));
    }

    #[test]
    fn a_datagram_that_icmp_quotes_was_refused() {
        let question = [&[0x9C, 0x40, 0, 88, 0, 9, 0, 0][..], b"j"].concat();
        let question = ipv4(UDP, &question);
        let asked = datagram((ETHERTYPE_IPV4, &question), 1).unwrap();
        assert!(matches!(asked.sign, Sign::Asks(piece) if piece.kept == b"j"));
        let icmp = ipv4(1, &[&[3, 3, 0, 0, 0, 0, 0, 0], &question[..]].concat());
        let refused = datagram((ETHERTYPE_IPV4, &icmp), 1).unwrap();
        assert_eq!(
            (refused.client, refused.sign),
            (asked.client, Sign::Refuses)
        );
        assert_eq!(refused.service.1, 88);
    }
}
