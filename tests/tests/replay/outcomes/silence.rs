//! Time in a capture passes between its packets too: replay says of a connection that falls silent
//! what the agent would have said while it waited.

use harness::agent::of;
use harness::pcap::Packet;
use harness::replay::events_with;
use harness::sweep::packet::Side;
use serde_json::json;

use crate::packets::{
    LOGIN7, SECOND, SQL_BATCH, SYN, connection, file, last_ns, other, replay, until,
};
use crate::script::Script;
use crate::told::only;

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
fn what_answers_a_syn_once_its_connection_was_told_opens_none() {
    let mut script = Script::after("captures/odbc18-lab-clear", 1);
    script.others_pass(64 * SECOND).reset(Side::Server);
    script.others_pass(10 * SECOND);
    let heard = script.heard();
    let told = |event| {
        let lines = heard.of(event).into_iter();
        lines
            .map(|line| line["login"]["outcome"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        [told("login"), told("close")],
        [[json!("unreachable")], [json!("unreachable")]]
    );
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
    let of_connections = events.iter().filter(|line| line["event"] != "attempt");
    let told: Vec<_> = of_connections
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
