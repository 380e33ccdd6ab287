//! Attempts of real drivers whose packets were changed as a network, a server or a driver may change them.

use harness::{
    agent::of,
    pcap::{self, Packet},
};
use serde_json::{Value, json};

use super::parts;
use crate::{
    packets::{ACK, MILLISECOND, RST, SECOND, SYN, last_ns, other, replay},
    told::{only, path, says},
};

/// Asked from, and answered by, in a capture of ODBC's lookup.
const ASKED_FROM: u16 = 40_237;
const BROWSER: u16 = 1434;

fn captured(capture: &str) -> Vec<Packet> {
    pcap::packets(&path(capture)).unwrap()
}

fn is_from(packet: &Packet, port: u16) -> bool {
    packet.clone().source_port() == port.to_be_bytes()
}

fn is_to(packet: &Packet, port: u16) -> bool {
    packet.clone().destination_port() == port.to_be_bytes()
}

/// The same so much earlier, from another port.
fn earlier(packet: &Packet, by_ns: u64, port: u16) -> Packet {
    let mut packet = packet.clone();
    packet.time_ns -= by_ns;
    packet.source_port().copy_from_slice(&port.to_be_bytes());
    packet
}

/// All that is said, a minute having passed.
fn said(mut packets: Vec<Packet>) -> Vec<Value> {
    packets.sort_by_key(|packet| packet.time_ns);
    packets.push(other(last_ns(&packets) + 60 * SECOND));
    replay(&packets)
}

/// What each part of the only attempt was, and came to.
fn outcomes(lines: &[Value]) -> Vec<Value> {
    let parts = parts(&only(lines, "attempt")).into_iter();
    parts.map(|part| json!([part[0], part[1]])).collect()
}

#[test]
fn a_question_that_was_asked_in_vain_from_another_port_is_of_the_same_attempt() {
    let mut packets = captured("captures/odbc18-lab-instance");
    let question = packets.iter().find(|packet| is_from(packet, ASKED_FROM));
    let question = question.unwrap().clone();
    packets
        .extend([2, 1].map(|before| earlier(&question, before * SECOND, 50_000 + before as u16)));
    let lines = said(packets);
    assert_eq!(
        parts(&only(&lines, "attempt")),
        [
            json!(["lookup", "timeout", 0, SECOND, false]),
            json!(["lookup", "timeout", SECOND, SECOND, false]),
            json!(["lookup", "answered", 2 * SECOND, 283_399, false]),
            json!(["login", "success", 2 * SECOND + 391_690, 6_619_296, false]),
        ]
    );
    // Each question is told for itself, too.
    assert_eq!(of(&lines, "lookup").len(), 3);
}

#[test]
fn a_lookup_whose_answer_was_not_seen_is_of_the_attempt_that_knows_the_instance() {
    let mut packets = captured("captures/odbc18-lab-instance");
    packets.retain(|packet| !is_from(packet, BROWSER));
    let lines = said(packets);
    assert_eq!(
        outcomes(&lines),
        [json!(["lookup", "timeout"]), json!(["login", "success"])]
    );
    assert_eq!(only(&lines, "attempt")["severity"], "info");
}

#[test]
fn a_server_that_refuses_is_asked_for_again_in_the_same_attempt() {
    let packets = captured("captures/odbc18-lab-instance");
    let (lookup, login): (Vec<_>, Vec<_>) = packets
        .into_iter()
        .partition(|packet| is_from(packet, BROWSER) || is_to(packet, BROWSER));
    let [mut syn, mut refusal] = [0, 1].map(|place| login[place].clone());
    refusal = refusal.with(RST | ACK, &[], 0, 0);
    for (port, packet) in [(50_001_u16, &mut syn), (50_001, &mut refusal)] {
        let own = if is_to(packet, 57_139) {
            packet.source_port()
        } else {
            packet.destination_port()
        };
        own.copy_from_slice(&port.to_be_bytes());
    }
    let later = |packet: &Packet| {
        let mut packet = packet.clone();
        packet.time_ns += 200 * MILLISECOND;
        packet
    };
    let again: Vec<_> = lookup.iter().chain(&login).map(later).collect();
    let lines = said([lookup, vec![syn, refusal], again].concat());
    assert_eq!(
        outcomes(&lines),
        [
            json!(["lookup", "answered"]),
            json!(["connect", "refused"]),
            json!(["lookup", "answered"]),
            json!(["login", "success"]),
        ]
    );
}

#[test]
fn where_a_redirect_to_a_name_leads_and_nobody_answers_is_part_of_the_attempt() {
    let mut packets = captured("captures/odbc18-lab-routing");
    let next = packets.iter().position(|packet| is_to(packet, 57_139));
    packets.truncate(next.unwrap() + 1);
    let lines = said(packets);
    assert_eq!(
        outcomes(&lines),
        [
            json!(["login", "redirected"]),
            json!(["connect", "unreachable"]),
        ]
    );
    let attempt = only(&lines, "attempt");
    says(
        &attempt,
        &json!({"severity": "error", "attempt.outcome": "unreachable"}),
    );
    let first = &attempt["attempt"]["diagnosis"][0];
    assert_eq!(first["cause"], "redirect_blocked", "{attempt:#}");
}

#[test]
fn an_address_of_the_other_family_that_is_dead_has_lost_however_soon_the_capture_ends() {
    let mut packets = captured("captures/odbc18-lab-multisubnet");
    let is_other = |packet: &Packet| packet.ethertype == 0x0800;
    packets.retain(|packet| !is_other(packet) || *packet.clone().flags() & (SYN | ACK) == SYN);
    let ended = replay(&packets);
    let went_on = said(packets);
    for (lines, outcome) in [(ended, "unknown"), (went_on, "unreachable")] {
        let attempt = only(&lines, "attempt");
        says(
            &attempt,
            &json!({
                "severity": "info",
                "attempt.outcome": "success",
                "attempt.connections": 2,
            }),
        );
        assert_eq!(
            parts(&attempt),
            [
                json!(["login", "success", 0, 5_669_411, false]),
                json!(["connect", outcome, 106_678, 0, true]),
            ]
        );
    }
}

#[test]
fn a_try_after_syns_in_vain_is_of_the_same_attempt_whether_or_not_it_is_answered() {
    let packets = captured("captures/odbc18-lab-clear");
    let mut dead = packets[0].clone();
    dead.source_port()
        .copy_from_slice(&50_001_u16.to_be_bytes());
    let later = |packet: &Packet, by: u64| {
        let mut packet = packet.clone();
        packet.time_ns += by;
        packet
    };
    let syns = [0, 1, 3].map(|seconds| later(&dead, seconds * SECOND));
    let next: Vec<_> = packets
        .iter()
        .map(|packet| later(packet, 5 * SECOND))
        .collect();
    for (next, outcome) in [(&next[..], "success"), (&next[..1], "unreachable")] {
        let lines = said([&syns, next].concat());
        let attempt = only(&lines, "attempt");
        says(
            &attempt,
            &json!({"attempt.outcome": outcome, "attempt.connections": 2}),
        );
        assert_eq!(outcomes(&lines)[0], json!(["connect", "unreachable"]));
    }
}

/// An instance's lookup, and the login so much later.
fn instance_apart(by: u64) -> Vec<Packet> {
    let mut packets = captured("captures/odbc18-lab-instance");
    for packet in &mut packets {
        if !is_from(packet, BROWSER) && !is_to(packet, BROWSER) {
            packet.time_ns += by;
        }
    }
    packets
}

#[test]
fn the_time_between_a_lookup_and_its_connection_is_unexplained_until_it_is_too_long_to_be_one() {
    for by in [0, 700 * MILLISECOND, 4_900 * MILLISECOND] {
        let lines = said(instance_apart(by));
        let attempt = only(&lines, "attempt");
        says(
            &attempt,
            &json!({
                "attempt.outcome": "success",
                "attempt.connections": 1,
                "attempt.duration_ns": 7_010_986 + by,
                "attempt.unexplained_ns": 108_291 + by,
            }),
        );
        assert_eq!(
            parts(&attempt),
            [
                json!(["lookup", "answered", 0, 283_399, false]),
                json!(["login", "success", 391_690 + by, 6_619_296, false]),
            ]
        );
    }
    let lines = said(instance_apart(5_100 * MILLISECOND));
    let attempts = of(&lines, "attempt");
    let unexplained = attempts
        .iter()
        .map(|line| line["attempt"]["unexplained_ns"].clone());
    assert_eq!(unexplained.collect::<Vec<_>>(), [0, 0], "{attempts:#?}");
}

#[test]
fn a_question_that_is_repeated_from_its_port_is_one_lookup_from_the_first_one_on() {
    let mut packets = captured("captures/odbc18-lab-instance");
    let question = packets.iter().find(|packet| is_from(packet, ASKED_FROM));
    let mut first = question.unwrap().clone();
    first.time_ns -= SECOND;
    packets.push(first);
    let lines = said(packets);
    let attempt = only(&lines, "attempt");
    assert_eq!(
        parts(&attempt),
        [
            json!(["lookup", "answered", 0, SECOND + 283_399, false]),
            json!(["login", "success", SECOND + 391_690, 6_619_296, false]),
        ]
    );
    assert_eq!(attempt["attempt"]["unexplained_ns"], 108_291);
    assert_eq!(only(&lines, "lookup")["lookup"]["requests"], 2);
}

#[test]
fn two_clients_of_one_instance_that_take_turns_have_an_attempt_each() {
    let own = captured("captures/odbc18-lab-instance");
    let client = &own[0].bytes[12..16];
    let others = own.iter().map(|packet| {
        let mut packet = packet.clone();
        packet.time_ns += 50_000;
        // From another port, too: from the same one it would be the same connection under another address.
        let (address, port) = if packet.bytes[12..16] == *client {
            (12, packet.source_port())
        } else {
            (16, packet.destination_port())
        };
        port[1] ^= 1;
        packet.bytes[address + 3] = 99;
        packet
    });
    let both = own.iter().cloned().chain(others).collect();
    let attempts = of(&said(both), "attempt");
    assert_eq!(attempts.len(), 2, "{attempts:#?}");
    for attempt in attempts {
        assert_eq!(
            parts(&attempt),
            [
                json!(["lookup", "answered", 0, 283_399, false]),
                json!(["login", "success", 391_690, 6_619_296, false]),
            ]
        );
    }
}
