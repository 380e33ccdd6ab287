//! Time in a capture passes between its packets too: replay says of a connection that falls silent
//! what the agent would have said while it waited.

use std::path::Path;

use harness::agent::of;
use harness::pcap::{self, Packet, Temporary, link};
use harness::replay::{events, events_with};
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const FIN: u8 = 0x01;
const ACK: u8 = 0x10;
const SQL_BATCH: u8 = 0x01;
const LOGIN7: u8 = 0x10;

/// The packets of a whole connection without encryption.
fn connection() -> Vec<Packet> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    pcap::packets(&tests.join("fixtures/captures/odbc18-lab-clear.pcap")).unwrap()
}

/// Up to the first packet whose payload begins like this, and that one.
fn until(packets: &[Packet], first: u8) -> Vec<Packet> {
    let end = packets
        .iter()
        .position(|packet| packet.payload().first() == Some(&first));
    packets[..=end.unwrap()].to_vec()
}

fn last_ns(packets: &[Packet]) -> u64 {
    packets.last().unwrap().time_ns
}

/// A packet that is nobody's business: DNS.
fn other(time_ns: u64) -> Packet {
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

fn file(packets: &[Packet]) -> Temporary {
    let framed = pcap::framed(packets, |packet| pcap::ethernet(packet, &[]));
    Temporary::new("silence.pcap", &pcap::file(link::ETHERNET, &framed)).unwrap()
}

fn replay(packets: &[Packet]) -> Vec<Value> {
    events(file(packets).path()).unwrap()
}

/// The only line of a kind.
fn only(events: &[Value], kind: &str) -> Value {
    let lines = of(events, kind);
    assert_eq!(lines.len(), 1, "{kind}: {events:#?}");
    lines[0].clone()
}

#[test]
fn a_login_without_answer_is_pending_while_both_sides_hold_on() {
    let mut packets = until(&connection(), LOGIN7);
    let end = last_ns(&packets);
    for later in [60 * SECOND, 3600 * SECOND] {
        packets.push(other(end + later));
        let events = replay(&packets);
        let pending = only(&events, "pending");
        assert_eq!(pending["login"]["outcome"], json!(null), "{pending:#}");
        assert_eq!(pending["login"]["owed_by"], "server", "{pending:#}");
        assert_eq!(pending["phases"]["login"]["complete"], false, "{pending:#}");
        // Nobody has given up when the file ends.
        let login = only(&events, "login");
        assert_eq!(login["login"]["outcome"], "unknown", "{login:#}");
        let reasons = &login["connection"]["partial_reasons"];
        assert_eq!(*reasons, json!(["agent_stop"]));
    }
}

#[test]
fn how_long_a_login_may_be_undecided_before_that_is_told_is_an_option() {
    let mut packets = until(&connection(), LOGIN7);
    packets.push(other(packets[0].time_ns + 40 * SECOND));
    let file = file(&packets);
    for (arguments, after) in [
        (&[][..], Some(30)),
        (&["--pending", "5"], Some(5)),
        (&["--pending", "40s"], Some(40)),
        (&["--pending", "1m"], None),
    ] {
        let events = events_with(file.path(), arguments).unwrap();
        let durations: Vec<_> = of(&events, "pending")
            .iter()
            .map(|pending| pending["login"]["duration_ns"].as_u64().unwrap())
            .collect();
        let right: Vec<u64> = after.map(|seconds| seconds * SECOND).into_iter().collect();
        assert_eq!(durations, right, "{arguments:?}");
    }
}

#[test]
fn a_syn_without_answer_is_unreachable_once_others_have_gone_on_for_long_enough() {
    let mut packets = connection();
    packets.truncate(1);
    let cut = only(&replay(&packets), "login");
    assert_eq!(
        cut["login"]["outcome"], "unknown",
        "the file ends too early to say"
    );

    packets.push(other(packets[0].time_ns + 30 * SECOND));
    let events = replay(&packets);
    for kind in ["login", "close"] {
        let line = only(&events, kind);
        assert_eq!(line["login"]["outcome"], "unreachable", "{line:#}");
        assert_eq!(line["connection"]["partial"], false, "{line:#}");
        assert_eq!(line["login"]["duration_ns"], 0, "{line:#}");
    }
}

#[test]
fn what_fell_silent_is_told_before_what_comes_after_the_silence() {
    let whole = connection();
    let mut packets = vec![whole[0].clone()];
    packets[0]
        .source_port()
        .copy_from_slice(&999_u16.to_be_bytes());
    let later = whole.into_iter().map(|packet| Packet {
        time_ns: packet.time_ns + 600 * SECOND,
        ..packet
    });
    packets.extend(later);
    let events = replay(&packets);
    let told: Vec<_> = events
        .iter()
        .map(|line| (line["event"].as_str().unwrap(), &line["login"]["outcome"]))
        .collect();
    assert_eq!(
        told,
        [
            ("login", &json!("unreachable")),
            ("close", &json!("unreachable")),
            ("login", &json!("success")),
            ("close", &json!("success")),
        ]
    );
}

#[test]
fn a_straggler_of_a_reset_connection_is_part_of_it_for_some_seconds() {
    let whole = connection();
    let mut packets = until(&whole, SQL_BATCH);
    let mut straggler = packets.pop().unwrap();
    let reset = straggler.with(RST | ACK, &[], 0, 0);
    packets.push(reset.clone());
    for (after, connections) in [(SECOND / 2, 1), (10 * SECOND, 2)] {
        straggler.time_ns = reset.time_ns + after;
        let file = [&packets[..], std::slice::from_ref(&straggler)].concat();
        let events = replay(&file);
        let closes = of(&events, "close");
        assert_eq!(closes.len(), connections, "{after} ns later: {events:#?}");
        assert_eq!(closes[0]["close"]["how"], "rst");
        assert_eq!(closes[0]["connection"]["partial"], false);
        let late = closes
            .get(1)
            .map(|close| &close["connection"]["partial_reasons"][0]);
        assert_eq!(late, (connections == 2).then_some(&json!("joined_late")));
    }
}

#[test]
fn a_side_that_never_closes_is_half_open_after_a_minute() {
    let mut packets = connection();
    let fin = packets
        .iter_mut()
        .position(|packet| *packet.flags() & FIN != 0);
    packets.truncate(fin.unwrap() + 1);
    let end = last_ns(&packets);
    let cut = only(&replay(&packets), "close");
    assert_eq!(
        cut["connection"]["partial"], true,
        "the file ends too early to say"
    );

    packets.push(other(end + 90 * SECOND));
    let close = only(&replay(&packets), "close");
    assert_eq!(close["connection"]["partial"], false, "{close:#}");
    assert_eq!(close["close"]["half_open"], true, "{close:#}");
}

#[test]
fn a_long_silence_after_the_login_changes_nothing_of_it() {
    let whole = connection();
    let quiet = whole
        .iter()
        .position(|packet| packet.payload().first() == Some(&SQL_BATCH));
    let mut packets = whole.clone();
    for packet in &mut packets[quiet.unwrap()..] {
        packet.time_ns += 86_400 * SECOND;
    }
    assert_eq!(*packets[0].flags(), SYN);
    let (before, after) = (replay(&whole), replay(&packets));
    assert_eq!(only(&before, "login"), only(&after, "login"));
    assert_eq!(
        only(&before, "close")["close"]["by"],
        only(&after, "close")["close"]["by"]
    );
}
