//! Datagrams beside a login: what SQL Browser is asked and answers, and name resolution.
//!
//! Here is which of them are told, and the record that tells one: the packet's first bytes, as they were.

use crate::{beside, bytes::Bytes, key::mapped, layout::record, packet::ethertype};

/// UDP ports of services that are asked.
pub mod service {
    /// SQL Browser (MC-SQLR).
    pub const BROWSER: u16 = 1434;
    /// Name resolution (RFC 1035).
    pub const DNS: u16 = 53;
    /// The same, where everybody on the network is asked (RFC 6762).
    pub const MULTICAST_DNS: u16 = 5353;
    /// The same, as Windows does (RFC 4795).
    pub const LINK_LOCAL_DNS: u16 = 5355;
}

/// Which datagrams are told.
pub mod level {
    /// None.
    pub const OFF: u32 = 0;
    /// SQL Browser's.
    pub const SQL: u32 = 1;
    /// Those of name resolution, Kerberos and LDAP too, and connections to services that a login may wait for.
    pub const FULL: u32 = 2;
}

/// Bytes of a packet that are told of what is asked, from its network header on.
pub const MAX_QUESTION: u32 = 512;
/// Of an answer.
pub const MAX_ANSWER: u32 = 1024;

record! {
    /// A datagram, or a segment of a connection to a service; `kept` bytes of the packet follow the record, from its network header on.
    Datagram {
        /// [`crate::event::Kind::Datagram`].
        kind: u8,
        /// 1: it was seen at the socket of who asks. 0: at that of who is asked.
        at_asker: u8,
        /// The packet's `EtherType`.
        ethertype: u16,
        /// Bytes that follow.
        kept: u32,
        /// When it passed, nanoseconds of `CLOCK_BOOTTIME`.
        time: u64,
        /// When the process was seen to use the socket, likewise; 0 where it is not known.
        held: u64,
        /// The cgroup's id of that process.
        cgroup: u64,
        /// The socket's own address, network byte order; 0 where it has none.
        local: [u32; 4],
        /// The address that it is connected to, likewise.
        remote: [u32; 4],
        /// The socket's port.
        local_port: u16,
        /// The port that it is connected to; 0 where it is not.
        remote_port: u16,
        /// The process (thread group) id as the host sees it; 0 where it is not known.
        pid: u32,
        /// The user id.
        uid: u32,
        /// Fills up to the next field.
        reserved: u32,
        /// Of a connection: when its first SYN passed, nanoseconds as above; 0 of a datagram.
        opened: u64,
        /// When that was answered, likewise; 0 where it was not.
        accepted: u64,
        /// The thread's name, zero-padded.
        name: [u8; 16],
    }
}

/// What a datagram is to the service that it comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It goes there.
    Question,
    /// It comes from there.
    Answer,
    /// ICMP says that one did not arrive there.
    Unreachable,
}

/// A datagram that may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which way it goes.
    pub way: Way,
    /// Who asks: address and port.
    pub asker: ([u32; 4], u16),
    /// The service's port.
    pub service: u16,
    /// Where what it says begins.
    pub payload_at: u32,
}

const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMPV6: u8 = 58;
const UDP_HEADER: u32 = 8;
/// Before the packet that ICMP quotes (RFC 792, RFC 4443 section 3.1).
const ICMP_HEADER: u32 = 8;
/// "Destination unreachable".
const UNREACHABLE: u8 = 3;
const UNREACHABLE_V6: u8 = 1;

/// Whether a port is that of a service whose datagrams are told.
#[inline(always)]
pub const fn is_service(port: u16, level: u32) -> bool {
    let is_asked_often = matches!(
        port,
        service::DNS | service::MULTICAST_DNS | service::LINK_LOCAL_DNS
    );
    level != level::OFF && port == service::BROWSER
        || level == level::FULL && (is_asked_often || beside::is_datagram_service(port))
}

/// How many bytes of a packet may be told: of Kerberos what kind of message it is, and what an error says, of LDAP
/// nothing behind the headers.
#[inline(always)]
pub fn most<B: Bytes + ?Sized>(packet: &B, seen: &Seen) -> u32 {
    let at = seen.payload_at;
    match seen.service {
        beside::port::KERBEROS if beside::is_kerberos_error(packet, at) => u32::MAX,
        beside::port::KERBEROS => at + 1,
        beside::port::LDAP => at,
        _ => u32::MAX,
    }
}

/// What a packet that begins with its network header tells, if it is a datagram of a service. One behind
/// IPv6 extension headers is none, nor a fragment but the first.
#[inline(always)]
pub fn walk<B: Bytes + ?Sized>(packet: &B, kind: u16, level: u32) -> Option<Seen> {
    let outer = network(packet, kind, 0)?;
    if outer.protocol == PROTOCOL_UDP {
        return udp(packet, &outer, level);
    }
    let [said]: [u8; 1] = packet.load(outer.payload_at)?;
    let quoted_at = outer.payload_at + ICMP_HEADER;
    let unreachable = outer.protocol == PROTOCOL_ICMP && said == UNREACHABLE
        || outer.protocol == PROTOCOL_ICMPV6 && said == UNREACHABLE_V6;
    if !unreachable {
        return None;
    }
    let quoted = network(packet, kind, quoted_at)?;
    let seen = udp(packet, &quoted, level)?;
    if quoted.protocol != PROTOCOL_UDP || !matches!(seen.way, Way::Question) {
        return None;
    }
    let way = Way::Unreachable;
    Some(Seen { way, ..seen })
}

/// The network layer of a packet.
struct Network {
    protocol: u8,
    source: [u32; 4],
    destination: [u32; 4],
    payload_at: u32,
}

#[inline(always)]
fn network<B: Bytes + ?Sized>(packet: &B, kind: u16, at: u32) -> Option<Network> {
    match kind {
        ethertype::IPV4 => {
            let header: [u8; 20] = packet.load(at)?;
            let later = u16::from_be_bytes([header[6], header[7]]) & 0x1FFF;
            if header[0] >> 4 != 4 || later != 0 {
                return None;
            }
            let word = |at: usize| {
                mapped(u32::from_ne_bytes([
                    header[at],
                    header[at + 1],
                    header[at + 2],
                    header[at + 3],
                ]))
            };
            Some(Network {
                protocol: header[9],
                source: word(12),
                destination: word(16),
                payload_at: at + u32::from(header[0] & 0x0F) * 4,
            })
        }
        ethertype::IPV6 => {
            let [_, _, _, _, _, _, protocol, _]: [u8; 8] = packet.load(at)?;
            Some(Network {
                protocol,
                source: words(packet, at + 8)?,
                destination: words(packet, at + 24)?,
                payload_at: at + 40,
            })
        }
        _ => None,
    }
}

#[inline(always)]
fn words<B: Bytes + ?Sized>(packet: &B, at: u32) -> Option<[u32; 4]> {
    let bytes: [u8; 16] = packet.load(at)?;
    let word =
        |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Some([word(0), word(4), word(8), word(12)])
}

#[inline(always)]
fn udp<B: Bytes + ?Sized>(packet: &B, network: &Network, level: u32) -> Option<Seen> {
    let [a, b, c, d]: [u8; 4] = packet.load(network.payload_at)?;
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let (way, asker, service) = if is_service(to, level) {
        (Way::Question, (network.source, from), to)
    } else if is_service(from, level) {
        (Way::Answer, (network.destination, to), from)
    } else {
        return None;
    };
    Some(Seen {
        way,
        asker,
        service,
        payload_at: network.payload_at + UDP_HEADER,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 10.0.0.1 to 10.0.0.2.
    fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    fn ports(from: u16, to: u16) -> Vec<u8> {
        [from.to_be_bytes(), to.to_be_bytes(), [0, 8], [0; 2]].concat()
    }

    fn address(last: u8) -> [u32; 4] {
        mapped(u32::from_ne_bytes([10, 0, 0, last]))
    }

    #[test]
    fn a_question_and_its_answer_name_who_asks() {
        let question = ipv4(PROTOCOL_UDP, &ports(40_000, 1434));
        let seen = walk(&question[..], ethertype::IPV4, level::SQL).unwrap();
        assert_eq!(seen.way, Way::Question);
        assert_eq!(seen.asker, (address(1), 40_000));
        let answer = ipv4(PROTOCOL_UDP, &ports(1434, 40_000));
        let seen = walk(&answer[..], ethertype::IPV4, level::SQL).unwrap();
        assert_eq!((seen.way, seen.service), (Way::Answer, 1434));
        assert_eq!(seen.asker, (address(2), 40_000));
        assert_eq!(seen.payload_at, 28);
    }

    #[test]
    fn names_are_told_only_where_they_are_wanted() {
        let question = ipv4(PROTOCOL_UDP, &ports(40_000, 53));
        let told = [level::OFF, level::SQL, level::FULL]
            .map(|level| walk(&question[..], ethertype::IPV4, level).is_some());
        assert_eq!(told, [false, false, true]);
    }

    #[test]
    fn of_a_ticket_only_its_kind_is_told_and_of_an_error_all() {
        let told = |first: u8| {
            let packet = ipv4(
                PROTOCOL_UDP,
                &[&ports(88, 40_000)[..], &[first; 64]].concat(),
            );
            let seen = walk(&packet[..], ethertype::IPV4, level::FULL).unwrap();
            most(&packet[..], &seen)
        };
        assert_eq!((told(0x6B), told(0x6D)), (29, 29));
        assert_eq!(told(0x7E), u32::MAX);
        let ldap = ipv4(
            PROTOCOL_UDP,
            &[&ports(40_000, 389)[..], &[0x30; 64]].concat(),
        );
        let seen = walk(&ldap[..], ethertype::IPV4, level::FULL).unwrap();
        assert_eq!(most(&ldap[..], &seen), 28);
    }

    #[test]
    fn what_icmp_quotes_did_not_arrive() {
        let question = ipv4(PROTOCOL_UDP, &ports(40_000, 1434));
        let icmp = [&[UNREACHABLE, 3, 0, 0, 0, 0, 0, 0], &question[..]].concat();
        let seen = walk(
            &ipv4(PROTOCOL_ICMP, &icmp)[..],
            ethertype::IPV4,
            level::FULL,
        );
        let seen = seen.unwrap();
        assert_eq!(seen.way, Way::Unreachable);
        assert_eq!(seen.asker, (address(1), 40_000));
        let echo = [&[8, 0, 0, 0, 0, 0, 0, 0], &question[..]].concat();
        let echo = ipv4(PROTOCOL_ICMP, &echo);
        assert_eq!(walk(&echo[..], ethertype::IPV4, level::FULL), None);
    }

    #[test]
    fn a_packet_that_is_cut_is_none() {
        let question = ipv4(PROTOCOL_UDP, &ports(40_000, 1434));
        for len in 0..24 {
            assert_eq!(walk(&question[..len], ethertype::IPV4, level::FULL), None);
        }
    }
}
