//! What is said of questions to SQL Browser, and of the connection that follows.

mod datagrams;
mod following;
mod names;
mod why;

use harness::{
    agent::of,
    pcap::{self, Packet, Temporary, link},
    replay::events_with,
};
use serde_json::{Value, json};

use self::datagrams::{answers, asks, at, end, instance, listed, named, nobody_listens};
use crate::{
    packets::{SECOND, file, other, replay},
    told::says,
};

const CLIENT: &str = "10.0.0.1";
const SERVER: &str = "10.0.0.2";

/// The `lookup` lines of these packets.
fn lookups(packets: &[Packet]) -> Vec<Value> {
    of(&replay(packets), "lookup")
}

/// The only one.
fn lookup(packets: &[Packet]) -> Value {
    let lines = lookups(packets);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

#[test]
fn a_question_is_answered_in_either_family() {
    for (client, server) in [(CLIENT, SERVER), ("fd00::1", "fd00::2")] {
        let client = end(client, 40_000);
        let line = lookup(&[
            asks(at(0), client, server, &named("inst")),
            answers(at(3), server, client, &listed(&instance("INST", 1500))),
        ]);
        says(
            &line,
            &json!({
                "client.address": client.ip(),
                "client.port": 40_000,
                "server.address": server,
                "server.port": 1500,
                "server.instance": "INST",
                "severity": "info",
                "lookup.kind": "instance",
                "lookup.instance": "inst",
                "lookup.outcome": "answered",
                "lookup.duration_ns": 3_000_000,
                "lookup.requests": 1,
                "lookup.answer.server_name": "SQL1",
                "lookup.answer.instance": "INST",
                "lookup.answer.version": "16.0.1000.6",
                "lookup.answer.clustered": false,
                "lookup.answer.port": 1500,
                "lookup.answers": 1,
                "lookup.instances": 1,
                "lookup.answered_from": null,
                "lookup.instance_mismatch": null,
                "lookup.malformed": null,
                "lookup.partial": null,
            }),
        );
    }
}

#[test]
fn the_same_question_again_is_the_same_lookup_from_the_first_on() {
    let client = end(CLIENT, 40_000);
    let question = |time| asks(time, client, SERVER, &named("INST"));
    let answer = listed(&instance("INST", 1500));
    let line = lookup(&[
        question(at(0)),
        question(at(1000)),
        question(at(2000)),
        answers(at(2040), SERVER, client, &answer),
    ]);
    says(
        &line,
        &json!({"lookup.requests": 3, "lookup.duration_ns": 2_040_000_000}),
    );
    // From another port it is somebody else's.
    let again = asks(at(1000), end(CLIENT, 40_001), SERVER, &named("INST"));
    assert_eq!(lookups(&[question(at(0)), again]).len(), 2);
}

#[test]
fn a_packet_that_was_captured_twice_is_one_question_and_one_answer() {
    let client = end(CLIENT, 40_000);
    let question = |time| asks(time, client, SERVER, &named("INST"));
    let answer = |time| answers(time, SERVER, client, &listed(&instance("INST", 1500)));
    let packets = [
        question(at(0)),
        question(at(0) + 20_000),
        answer(at(1)),
        answer(at(1) + 20_000),
        question(at(2)),
    ];
    says(
        &lookup(&packets),
        &json!({"lookup.requests": 1, "lookup.answers": 1, "lookup.duration_ns": 1_000_000}),
    );
}

#[test]
fn who_is_not_answered_has_waited_until_nobody_waits_any_more() {
    let client = end(CLIENT, 40_000);
    let question = |time| asks(time, client, SERVER, &named("INST"));
    let packets = [question(at(0)), question(at(1000)), other(at(60_000))];
    let line = lookup(&packets);
    says(
        &line,
        &json!({
            "severity": "error",
            "server.port": null,
            "server.instance": "INST",
            "lookup.outcome": "timeout",
            "lookup.duration_ns": 6 * SECOND,
            "lookup.requests": 2,
            "lookup.answer": null,
            "lookup.partial": null,
        }),
    );
    // It is told as of then, however much later the next packet passes.
    assert_eq!(line["timestamp"], "2026-11-22T19:48:44.000000000Z");
}

#[test]
fn where_the_capture_ends_before_an_answer_is_due_the_lookup_says_so() {
    let client = end(CLIENT, 40_000);
    let packets = [asks(at(0), client, SERVER, &named("INST")), other(at(1200))];
    says(
        &lookup(&packets),
        &json!({
            "lookup.outcome": "timeout",
            "lookup.duration_ns": 1_200_000_000,
            "lookup.partial": true,
        }),
    );
}

/// As `odbc18-none-browserdown`: three questions, each from a port of its own.
#[test]
fn where_nobody_listens_icmp_ends_the_lookup() {
    for (client, server) in [(CLIENT, SERVER), ("fd00::1", "fd00::2")] {
        let mut packets = Vec::new();
        for (number, time) in [at(0), at(1101), at(2303)].into_iter().enumerate() {
            let client = end(client, 40_000 + number as u16);
            let question = asks(time, client, server, &named("INST"));
            let icmp = nobody_listens(time + 65_000, &question);
            packets.extend([question, icmp]);
        }
        let lines = lookups(&packets);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        for line in lines {
            says(
                &line,
                &json!({
                    "severity": "error",
                    "server.address": server,
                    "lookup.outcome": "unreachable",
                    "lookup.duration_ns": 65_000,
                }),
            );
        }
    }
}

#[test]
fn a_broadcast_is_one_lookup_with_all_its_answers() {
    let client = end(CLIENT, 40_000);
    let two = instance("A", 1500) + &instance("B", 1501);
    let packets = [
        asks(at(0), client, "255.255.255.255", &[2]),
        answers(at(2), SERVER, client, &listed(&instance("INST", 1433))),
        answers(at(7), "10.0.0.3", client, &listed(&two)),
        other(at(9000)),
    ];
    says(
        &lookup(&packets),
        &json!({
            "server.address": "255.255.255.255",
            "lookup.kind": "broadcast",
            "lookup.instance": null,
            "lookup.outcome": "answered",
            "lookup.duration_ns": 7_000_000,
            "lookup.answers": 2,
            "lookup.instances": 3,
            "lookup.answer.instance": "INST",
            "lookup.answered_from": null,
        }),
    );
}

#[test]
fn of_several_instances_the_one_that_was_asked_for_is_told_else_the_first() {
    let client = end(CLIENT, 40_000);
    let two = listed(&(instance("A", 1500) + &instance("B", 1501)));
    for (question, kind, name, port) in [
        (named("b"), "instance", "B", 1501),
        (vec![3], "list", "A", 1500),
    ] {
        let packets = [
            asks(at(0), client, SERVER, &question),
            answers(at(2), SERVER, client, &two),
        ];
        says(
            &lookup(&packets),
            &json!({
                "lookup.kind": kind,
                "lookup.answer.instance": name,
                "server.port": port,
                "lookup.instances": 2,
            }),
        );
    }
}

#[test]
fn the_port_for_administrators_is_looked_up_too() {
    let client = end(CLIENT, 40_000);
    let packets = [
        asks(at(0), client, SERVER, b"\x0F\x01INST\0"),
        answers(at(2), SERVER, client, &[5, 6, 0, 1, 0xDC, 5]),
    ];
    says(
        &lookup(&packets),
        &json!({
            "lookup.kind": "dac",
            "lookup.instance": "INST",
            "lookup.outcome": "answered",
            "lookup.answer": {"port": 1500},
            "server.port": 1500,
            "server.instance": "INST",
        }),
    );
}

#[test]
fn two_clients_and_two_questions_of_one_client_do_not_mix() {
    let [first, second] = [end(CLIENT, 40_000), end("10.0.0.9", 40_000)];
    let answer = |name, port| listed(&instance(name, port));
    let packets = [
        asks(at(0), first, SERVER, &named("A")),
        asks(at(1), second, SERVER, &named("A")),
        asks(at(2), first, SERVER, &named("B")),
        asks(at(3), first, "10.0.0.3", &named("B")),
        answers(at(5), "10.0.0.3", first, &answer("B", 1503)),
        answers(at(6), SERVER, first, &answer("B", 1502)),
        answers(at(7), SERVER, first, &answer("A", 1501)),
        answers(at(8), SERVER, second, &answer("A", 1501)),
    ];
    let lines = lookups(&packets);
    let said: Vec<_> = lines
        .iter()
        .map(|line| json!([line["server"]["port"], line["lookup"]["duration_ns"]]))
        .collect();
    let expected = [
        json!([1503, 2_000_000]),
        json!([1502, 4_000_000]),
        json!([1501, 7_000_000]),
        json!([1501, 7_000_000]),
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_is_no_answer_is_passed_over_and_said() {
    let client = end(CLIENT, 40_000);
    let question = asks(at(0), client, SERVER, &named("INST"));
    let junk = answers(at(1), SERVER, client, b"\x05\x40\0nothing of that kind");
    let answer = answers(at(2), SERVER, client, &listed(&instance("INST", 1500)));
    let packets = [question.clone(), junk.clone(), answer];
    says(
        &lookup(&packets),
        &json!({"lookup.outcome": "answered", "lookup.malformed": true, "lookup.answers": 1}),
    );
    let packets = [question, junk, other(at(9000))];
    says(
        &lookup(&packets),
        &json!({"lookup.outcome": "timeout", "lookup.malformed": true, "lookup.answers": null}),
    );
}

#[test]
fn what_nobody_asked_and_what_is_no_question_is_not_told() {
    let client = end(CLIENT, 40_000);
    // The worm of 2003.
    let worm = [&[4][..], &[1; 375]].concat();
    let packets = [
        answers(at(0), SERVER, client, &listed(&instance("INST", 1500))),
        asks(at(1), client, SERVER, &worm),
        asks(at(2), client, SERVER, &[]),
        asks(at(3), client, SERVER, &[0x0A, 1, 2]),
    ];
    assert_eq!(lookups(&packets), [Value::Null; 0]);
}

#[test]
fn a_lookup_behind_vlan_tags_and_in_a_tunnel_is_the_same() {
    let client = end(CLIENT, 40_000);
    let packets = [
        asks(at(0), client, SERVER, &named("INST")),
        answers(at(3), SERVER, client, &listed(&instance("INST", 1500))),
    ];
    let plain = &lookup(&packets)["lookup"];
    let tagged = pcap::framed(&packets, |packet| {
        pcap::ethernet(packet, &[(0x88A8, 7), (0x8100, 42)])
    });
    let tunnelled = pcap::framed(&packets, |packet| {
        // GRE over IPv4.
        let [high, low] = (24 + packet.bytes.len() as u16).to_be_bytes();
        let mut outer = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 47, 0, 0];
        outer.extend([192, 0, 2, 1, 192, 0, 2, 2, 0, 0, 8, 0]);
        [pcap::ethernet(packet, &[]), outer].concat()
    });
    for (framed, options) in [(tagged, &[][..]), (tunnelled, &["--decapsulate"])] {
        let file = Temporary::new("framed.pcap", &pcap::file(link::ETHERNET, &framed)).unwrap();
        let lines = of(&events_with(file.path(), options).unwrap(), "lookup");
        assert_eq!(lines.len(), 1);
        assert_eq!(&lines[0]["lookup"], plain);
    }
}

#[test]
fn a_hostile_answer_does_not_make_the_line_too_long() {
    let client = end(CLIENT, 40_000);
    let name = "\u{1}".repeat(10_000);
    let text = format!("ServerName;{name};InstanceName;{name};Version;{name};np;{name};;");
    let packets = [
        asks(at(0), client, SERVER, &[3]),
        answers(at(3), SERVER, client, &listed(&text)),
    ];
    let line = lookup(&packets);
    assert_eq!(line["lookup"]["outcome"], "answered");
    assert!(line.to_string().len() < 8192);
}

#[test]
fn lookups_can_be_left_out_and_asked_for_alone() {
    let client = end(CLIENT, 40_000);
    let packets = [
        asks(at(0), client, SERVER, &named("INST")),
        answers(at(3), SERVER, client, &listed(&instance("INST", 1500))),
        asks(at(10), client, SERVER, &named("NONE")),
        other(at(9000)),
    ];
    let count = |options: &[&str]| events_with(file(&packets).path(), options).unwrap().len();
    assert_eq!(count(&["--events", "lookup"]), 2);
    assert_eq!(count(&["--events", "-lookup,-attempt"]), 0);
    // That which failed, or was slow.
    assert_eq!(count(&["--events", "lookup", "--slow", "100"]), 1);
}
