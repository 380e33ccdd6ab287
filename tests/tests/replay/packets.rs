//! Packets of a real connection, with another end, and what is said of them.

use harness::agent::of;
use harness::pcap::{self, Packet, Temporary, link};
use harness::replay::{events, events_with};
use serde_json::Value;

use crate::told::path;

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MILLISECOND;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;
/// Types of TDS packets.
pub(crate) const SQL_BATCH: u8 = 0x01;
pub(crate) const LOGIN7: u8 = 0x10;

/// Places in the connection: the login packet, its reply, the last request, its response, the
/// client's FIN.
pub(crate) const LOGIN: usize = 7;
pub(crate) const REPLY: usize = 8;
pub(crate) const REQUEST: usize = 17;
pub(crate) const RESPONSE: usize = 18;
pub(crate) const CLIENT_FIN: usize = 19;
/// A TDS packet without a body that asks a server to stop (MS-TDS §2.2.1.7).
pub(crate) const ATTENTION: [u8; 8] = [6, 1, 0, 8, 0, 0, 1, 0];

/// A connection with five requests, closed by its client.
pub(crate) fn connection() -> Vec<Packet> {
    pcap::packets(&path("captures/odbc18-lab-clear")).unwrap()
}

/// The first packets of the connection, and these.
pub(crate) fn up_to(last: usize, more: &[Packet]) -> Vec<Packet> {
    [&connection()[..=last], more].concat()
}

/// All that is said of packets.
pub(crate) fn all_told(packets: &[Packet]) -> Vec<Value> {
    events_with(file(packets).path(), &["--events", "+request"]).unwrap()
}

/// The `login` and `close` of one connection.
pub(crate) fn login_and_close(packets: &[Packet]) -> [Value; 2] {
    let events = all_told(packets);
    ["login", "close"].map(|kind| {
        let lines = of(&events, kind);
        assert_eq!(lines.len(), 1, "{kind}: {events:#?}");
        lines[0].clone()
    })
}

/// A capture of them.
pub(crate) fn file(packets: &[Packet]) -> Temporary {
    let framed = pcap::framed(packets, |packet| pcap::ethernet(packet, &[]));
    Temporary::new("packets.pcap", &pcap::file(link::ETHERNET, &framed)).unwrap()
}

/// Up to the first packet whose payload begins like this, and that one.
pub(crate) fn until(packets: &[Packet], first: u8) -> Vec<Packet> {
    let end = packets
        .iter()
        .position(|packet| packet.payload().first() == Some(&first));
    packets[..=end.unwrap()].to_vec()
}

/// When the last of them passed.
pub(crate) fn last_ns(packets: &[Packet]) -> u64 {
    packets.last().unwrap().time_ns
}

/// A packet that is nobody's business: DNS.
pub(crate) fn other(time_ns: u64) -> Packet {
    let mut bytes = vec![
        0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    bytes.extend([0xC0, 0, 0, 53, 0, 8, 0, 0]);
    Packet {
        time_ns,
        ethertype: 0x0800,
        bytes,
    }
}

/// What is said of them without asking for more.
pub(crate) fn replay(packets: &[Packet]) -> Vec<Value> {
    events(file(packets).path()).unwrap()
}

/// Says that the connection's `close` has these values, `null` where nothing is to be said.
pub(crate) fn closes(packets: &[Packet], expected: &Value) {
    let [_, close] = login_and_close(packets);
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(close["close"][name], *expected, "{name}: {close:#}");
    }
    assert_eq!(close["connection"]["partial"], false, "{close:#}");
}
