//! Peers that speak no TDS 7: told, and beyond a rate only counted.

use harness::agent::of;
use harness::pcap::{self, Packet, Temporary, link};
use harness::replay::events;
use serde_json::json;

use crate::{only, path};

/// A port scanner's connection, so many times at once.
fn probes(count: u16) -> Vec<Packet> {
    let mut probe = pcap::packets(&path("drivers/nmap-probe")).unwrap();
    let client = probe[0].source_port().to_vec();
    let mut all = Vec::new();
    for number in 0..count {
        let port = (20_000 + number).to_be_bytes();
        all.extend(probe.iter().cloned().map(|mut packet| {
            let from_client = packet.source_port() == client;
            let own = if from_client {
                packet.source_port()
            } else {
                packet.destination_port()
            };
            own.copy_from_slice(&port);
            packet
        }));
    }
    all.sort_by_key(|packet| packet.time_ns);
    all
}

#[test]
fn a_flood_of_strangers_is_told_in_part_and_counted_in_whole() {
    let framed = pcap::framed(&probes(100), |packet| pcap::ethernet(packet, &[]));
    let file = Temporary::new("flood.pcap", &pcap::file(link::ETHERNET, &framed)).unwrap();
    let events = events(file.path()).unwrap();
    let logins = of(&events, "login");
    let strangers = logins.iter().map(|login| &login["login"]["stranger"]);
    assert_eq!(strangers.collect::<Vec<_>>(), vec![&json!("other"); 20]);
    assert_eq!(of(&events, "close").len(), 20);
    let loss = &only(&events, "loss")["loss"];
    let said = json!([loss["reason"], loss["count"]]);
    assert_eq!(said, json!(["stranger_suppressed", 80]));
}
