//! Datagrams of SQL Browser between hosts, and what ICMP says of them.

use std::net::{IpAddr, SocketAddr};

use harness::pcap::Packet;

use crate::packets::MILLISECOND;

const ICMP: u8 = 1;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
pub(super) const BROWSER: u16 = 1434;
/// When the first of them passes.
pub(super) const START: u64 = 1_795_376_918_000_000_000;

/// So many milliseconds after the start.
pub(super) fn at(milliseconds: u64) -> u64 {
    START + milliseconds * MILLISECOND
}

pub(super) fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

/// A client asks SQL Browser.
pub(super) fn asks(time_ns: u64, client: SocketAddr, browser: &str, question: &[u8]) -> Packet {
    datagram(time_ns, client, end(browser, BROWSER), question)
}

/// SQL Browser answers.
pub(super) fn answers(time_ns: u64, browser: &str, client: SocketAddr, answer: &[u8]) -> Packet {
    datagram(time_ns, end(browser, BROWSER), client, answer)
}

/// The answer that lists these instances.
pub(super) fn listed(instances: &str) -> Vec<u8> {
    let [low, high] = (instances.len() as u16).to_le_bytes();
    [&[5, low, high], instances.as_bytes()].concat()
}

/// An instance that listens on TCP.
pub(super) fn instance(name: &str, port: u16) -> String {
    format!("ServerName;SQL1;InstanceName;{name};IsClustered;No;Version;16.0.1000.6;tcp;{port};;")
}

/// A question to one instance.
pub(super) fn named(name: &str) -> Vec<u8> {
    [&[4], name.as_bytes(), &[0]].concat()
}

pub(super) fn datagram(time_ns: u64, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Packet {
    let [source, destination] = [from.port(), to.port()].map(u16::to_be_bytes);
    let len = (8 + payload.len() as u16).to_be_bytes();
    let udp = [&source[..], &destination, &len, &[0; 2], payload].concat();
    ip(time_ns, from.ip(), to.ip(), UDP, &udp)
}

/// A host says that the datagram did not arrive: nobody listens on its port.
pub(super) fn nobody_listens(time_ns: u64, datagram: &Packet) -> Packet {
    let (protocol, kind, code) = match datagram.ethertype {
        0x0800 => (ICMP, 3, 3),
        _ => (ICMPV6, 1, 4),
    };
    let header = [kind, code, 0, 0, 0, 0, 0, 0];
    let icmp = [&header[..], &datagram.bytes].concat();
    let [source, destination] = ends(datagram);
    ip(time_ns, destination, source, protocol, &icmp)
}

fn ends(packet: &Packet) -> [IpAddr; 2] {
    let bytes = &packet.bytes;
    let v4 = |at: usize| IpAddr::from(*bytes[at..].first_chunk::<4>().unwrap());
    let v6 = |at: usize| IpAddr::from(*bytes[at..].first_chunk::<16>().unwrap());
    match packet.ethertype {
        0x0800 => [v4(12), v4(16)],
        _ => [v6(8), v6(24)],
    }
}

fn ip(time_ns: u64, from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Packet {
    let (ethertype, bytes) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let [high, low] = (20 + payload.len() as u16).to_be_bytes();
            let mut bytes = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0];
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            (0x0800, bytes)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            let mut bytes = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            bytes.extend(from.octets());
            bytes.extend(to.octets());
            (0x86DD, bytes)
        }
        _ => panic!("two families"),
    };
    Packet {
        time_ns,
        ethertype,
        bytes: [&bytes, payload].concat(),
    }
}
