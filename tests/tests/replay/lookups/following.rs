//! The connection that follows a lookup.

use harness::{agent::of, pcap::Packet};
use serde_json::{Value, json};

use super::{
    SERVER,
    datagrams::{answers, asks, end, instance, listed, named},
};
use crate::{
    packets::{MILLISECOND, SECOND, connection, last_ns, other, replay},
    told::{logins, only, says, told},
};

/// The client and the server of the connection below.
const CLIENT: &str = "10.77.0.1";
const LAB: &str = "10.77.0.2";
/// A port that nobody knows as SQL Server's.
const PORT: u16 = 50_111;

/// ODBC's connection without its PRELOGIN and what follows: three packets to a port nobody knows.
fn handshake() -> Vec<Packet> {
    let mut packets = connection()[..3].to_vec();
    for packet in &mut packets {
        let is_clients = packet.destination_port() == 1433_u16.to_be_bytes();
        let port = if is_clients {
            packet.destination_port()
        } else {
            packet.source_port()
        };
        port.copy_from_slice(&PORT.to_be_bytes());
    }
    packets
}

/// A lookup of `asked` by the connection's client, so long before the connection, which is answered
/// by this.
fn before(gap_ns: u64, client: &str, asked: &[u8], answer: &[u8]) -> Vec<Packet> {
    let start = connection()[0].time_ns - gap_ns;
    let client = end(client, 40_000);
    vec![
        asks(start, client, LAB, asked),
        answers(start + MILLISECOND, LAB, client, answer),
    ]
}

/// What is said of the handshake's connection after this.
fn followed(lookup: &[Packet], handshake: &[Packet]) -> Vec<Value> {
    let later = other(last_ns(handshake) + 200 * SECOND);
    let packets = [lookup, handshake, &[later]].concat();
    of(&replay(&packets), "login")
}

#[test]
fn what_odbc_looked_up_is_told_to_the_nanosecond_and_its_connection_knows_the_instance() {
    let capture = "captures/odbc18-lab-instance";
    let lookup = only(&told(capture), "lookup");
    says(
        &lookup,
        &json!({
            "client.address": CLIENT,
            "client.port": 40_237,
            "server.address": LAB,
            "server.port": 57_139,
            "lookup.instance": "sqlexpress",
            "lookup.duration_ns": 283_399,
            "timestamp": "2026-11-22T19:48:38.018561091Z",
        }),
    );
    let logins = logins(capture);
    assert_eq!(logins.len(), 1);
    assert_eq!(logins[0]["server"]["instance"], "SQLEXPRESS");
}

#[test]
fn a_port_that_was_announced_is_watched_before_its_first_byte() {
    let answer = listed(&instance("INST", PORT));
    for kept in [1, 3] {
        let handshake = &handshake()[..kept];
        let lookup = before(SECOND, CLIENT, &named("inst"), &answer);
        let logins = followed(&lookup, handshake);
        assert_eq!(logins.len(), 1, "{kept} packets");
        assert_eq!(logins[0]["server"]["port"], PORT);
        assert_eq!(logins[0]["server"]["instance"], "INST");
    }
    // Without the lookup nothing shows whose port that is.
    assert_eq!(followed(&[], &handshake()).len(), 0);
}

#[test]
fn the_port_for_administrators_is_the_instances_too() {
    let [low, high] = PORT.to_le_bytes();
    let lookup = before(SECOND, CLIENT, b"\x0F\x01INST\0", &[5, 6, 0, 1, low, high]);
    let logins = followed(&lookup, &handshake());
    assert_eq!(logins[0]["server"]["instance"], "INST");
}

#[test]
fn another_client_goes_to_the_same_port_without_the_name() {
    let answer = listed(&instance("INST", PORT));
    let lookup = before(SECOND, "10.77.0.9", &named("INST"), &answer);
    let logins = followed(&lookup, &handshake());
    assert_eq!(logins.len(), 1);
    assert_eq!(logins[0]["server"]["instance"], Value::Null);
}

#[test]
fn who_connects_much_later_does_not_follow_the_lookup() {
    let answer = listed(&instance("INST", PORT));
    let lookup = before(3600 * SECOND, CLIENT, &named("INST"), &answer);
    let logins = followed(&lookup, &handshake());
    assert_eq!(logins[0]["server"]["instance"], Value::Null);
}

#[test]
fn nothing_is_concluded_from_an_answer_that_lies_or_is_about_another_instance() {
    let mut longer = listed(&instance("INST", PORT));
    longer[1] += 40;
    let mut shorter = listed(&instance("INST", PORT));
    shorter[1] -= 1;
    let other = listed(&instance("OTHER", PORT));
    for answer in [longer, shorter, other] {
        let lookup = before(SECOND, CLIENT, &named("INST"), &answer);
        assert_eq!(followed(&lookup, &handshake()).len(), 0, "{answer:?}");
    }
}

#[test]
fn an_answer_from_another_address_of_a_cluster_announces_both() {
    let start = connection()[0].time_ns - SECOND;
    let client = end(CLIENT, 40_000);
    let answer = listed(&instance("INST", PORT));
    for (asked, from) in [(LAB, SERVER), (SERVER, LAB)] {
        let lookup = vec![
            asks(start, client, asked, &named("INST")),
            answers(start + MILLISECOND, from, client, &answer),
        ];
        let logins = followed(&lookup, &handshake());
        assert_eq!(logins[0]["server"]["instance"], "INST", "asked {asked}");
    }
}

#[test]
fn who_asks_for_all_instances_of_a_host_and_connects_to_one_has_looked_it_up() {
    let answer = listed(&instance("INST", PORT));
    // Of all hosts, though only one is asked, and of this one.
    for question in [[2], [3]] {
        let lookup = before(SECOND, CLIENT, &question, &answer);
        let later = [other(last_ns(&handshake()) + 200 * SECOND)];
        let parts = |packets: &[Packet]| {
            let attempts = of(&replay(&[packets, &later].concat()), "attempt");
            let mut own = attempts.into_iter();
            let own = own.find(|attempt| attempt["client"]["address"] == CLIENT);
            own.map(|attempt| attempt["attempt"]["parts"].clone())
        };
        let followed = parts(&[&lookup[..], &handshake()].concat()).expect("an attempt");
        assert_eq!(followed[0]["kind"], "lookup", "{followed}");
        assert_eq!(followed[0]["name"], "INST", "{followed}");
        assert_eq!(followed[1]["kind"], "connect", "{followed}");
        // Who has only looked has tried nothing.
        assert_eq!(parts(&lookup), None);
    }
}
