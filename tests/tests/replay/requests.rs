//! Requests one by one, and in sum.

use std::{fs, path::Path};

use harness::{
    agent::of,
    pcap::Packet,
    replay::{frames, said_with},
};
use serde_json::{Value, json};
use tracer::session::Config;

use crate::packets::{
    ACK, ATTENTION, FIN, MILLISECOND, REPLY, REQUEST, RESPONSE, SECOND, all_told, connection, up_to,
};
use crate::told::{only, told};

/// The first packets of the connection up to its login, then an RPC of ten packets, one every 200
/// milliseconds.
fn long_request() -> Vec<Packet> {
    let first = &connection()[REPLY + 1];
    let parts = (0..10_u8).map(|part| {
        let mut packet = vec![3, u8::from(part == 9), 0, 100, 0, 0, part + 1, 0];
        packet.resize(100, 0);
        let later = u64::from(part) * 200 * MILLISECOND;
        first.with(0x18, &packet, later, i32::from(part) * 100)
    });
    up_to(REPLY, &parts.collect::<Vec<_>>())
}

/// The answer of the server to [`long_request`], a millisecond after its end.
fn answer_to_long_request() -> Packet {
    let (request, answer) = (&connection()[REPLY + 1], &connection()[REPLY + 2]);
    let later = 1801 * MILLISECOND - (answer.time_ns - request.time_ns);
    answer.with(0x18, answer.payload(), later, 0)
}

/// A pooled connection is handed on: the request that does so says it, and no other.
#[test]
fn a_request_that_resets_the_connection_says_so() {
    let events = told("rows/tedious-clear-reset-connection");
    let said = of(&events, "request").into_iter().map(|line| {
        let request = &line["request"];
        let times = ["first_byte_ns", "duration_ns", "server_ns"].map(|name| &request[name]);
        assert!(times.iter().all(|time| time == &times[0]), "{line:#}");
        let facts = ["complete", "cancelled", "reset_connection"].map(|name| &request[name]);
        json!([request["kind"], times[0], facts])
    });
    let expected = json!([
        ["batch", 517_544, [true, false, false]],
        ["batch", 123_014, [true, false, false]],
        ["batch", 129_692, [true, false, true]],
        ["batch", 98_053, [true, false, false]],
    ]);
    assert_eq!(Value::Array(said.collect()), expected);
    let mut sum = only(&events, "close")["requests"].clone();
    assert_eq!(sum["server_ns"]["max"], 517_544);
    sum.as_object_mut().unwrap().remove("server_ns");
    let expected = json!({
        "count": 4, "batch": 4, "rpc": 0, "bulk": 0, "transaction": 0, "attention": 0,
    });
    assert_eq!(sum, expected);
}

#[test]
fn a_transaction_is_begun_by_a_request_of_its_own() {
    let events = told("rows/pytds-loginonly12-resumed");
    let kinds = of(&events, "request")
        .into_iter()
        .map(|line| line["request"]["kind"].clone());
    let expected = ["transaction", "batch", "transaction", "batch"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

#[test]
fn a_request_taken_back_says_how_long_the_server_took_over_that() {
    let request = &connection()[REQUEST];
    let answer = &connection()[RESPONSE];
    let sent = request.payload().len().cast_signed() as i32;
    let attention = request.with(0x18, &ATTENTION, SECOND, sent);
    let later = SECOND + 40 * MILLISECOND - (answer.time_ns - request.time_ns);
    let answer = answer.with(0x18, answer.payload(), later, 0);
    let events = all_told(&up_to(REQUEST, &[attention, answer]));
    let requests = of(&events, "request");
    let request = &requests.last().unwrap()["request"];
    assert_eq!(request["cancelled"], true, "{request:#}");
    assert_eq!(request["complete"], true, "{request:#}");
    assert_eq!(request["cancel_ns"], 40 * MILLISECOND, "{request:#}");
    assert_eq!(request["duration_ns"], SECOND + 40 * MILLISECOND);
}

#[test]
fn a_request_that_is_never_answered_was_waited_for_to_the_end() {
    let request = &connection()[REQUEST];
    let sent = request.payload().len().cast_signed() as i32;
    let fin = request.with(FIN | ACK, &[], 5 * SECOND, sent);
    let events = all_told(&up_to(REQUEST, &[fin]));
    let requests = of(&events, "request");
    let request = &requests.last().unwrap()["request"];
    assert_eq!(request["complete"], false, "{request:#}");
    assert_eq!(request["first_byte_ns"], Value::Null, "{request:#}");
    assert_eq!(request["duration_ns"], 5 * SECOND, "{request:#}");
    let close = &of(&events, "close")[0];
    assert_eq!(close["close"]["requests_in_flight"], 1, "{close:#}");
    assert_eq!(close["close"]["class"], "abnormal", "{close:#}");
}

#[test]
fn the_server_is_not_waited_for_while_the_client_still_sends() {
    let packets = [long_request(), vec![answer_to_long_request()]].concat();
    let events = all_told(&packets);
    let request = &of(&events, "request")[0];
    assert_eq!(request["request"]["server_ns"], MILLISECOND, "{request:#}");
    let close = &of(&events, "close")[0];
    let requests = &close["requests"];
    assert_eq!(requests["count"], 1, "{close:#}");
    assert_eq!(requests["server_ns"]["max"], MILLISECOND, "{close:#}");
    let command = &close["phases"]["command"];
    let server = command["server_ns"].as_u64().unwrap() + command["network_ns"].as_u64().unwrap();
    assert_eq!(server, MILLISECOND, "{close:#}");
}

#[test]
fn counted_or_told_the_requests_of_a_connection_are_the_same() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut many = 0;
    for folder in ["captures", "drivers", "rows", "sequences", "faults"] {
        for entry in fs::read_dir(fixtures.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "pcap") {
                continue;
            }
            let frames = frames(&path).unwrap();
            let closes = |requests| {
                let config = Config {
                    requests,
                    ..Config::default()
                };
                said_with(&frames, config, "close").unwrap()
            };
            let (counted, told) = (closes(false), closes(true));
            assert_eq!(counted, told, "{}", path.display());
            let count = |close: &Value| close["requests"]["count"].as_u64();
            many += told.iter().filter(|close| count(close) > Some(2)).count();
        }
    }
    assert!(many > 10, "{many}");
}
