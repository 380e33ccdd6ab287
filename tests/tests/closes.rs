//! How connections end, and what is made of it: a real connection without encryption, with another end.

use std::path::Path;

use harness::agent::of;
use harness::pcap::{self, Packet, Temporary, link};
use harness::replay::events_with;
use serde_json::{Value, json};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const FIN: u8 = 0x01;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
/// Places in the capture: the login packet, its reply, the last request, its response, the client's
/// FIN.
const LOGIN: usize = 7;
const REPLY: usize = 8;
const REQUEST: usize = 17;
const RESPONSE: usize = 18;
const CLIENT_FIN: usize = 19;
/// A TDS packet without a body that asks a server to stop (MS-TDS §2.2.1.7).
const ATTENTION: [u8; 8] = [6, 1, 0, 8, 0, 0, 1, 0];

/// A connection with five requests, closed by its client.
fn connection() -> Vec<Packet> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    pcap::packets(&tests.join("fixtures/captures/odbc18-lab-clear.pcap")).unwrap()
}

/// The first packets of the connection, and these.
fn up_to(last: usize, more: &[Packet]) -> Vec<Packet> {
    [&connection()[..=last], more].concat()
}

/// All that is said of packets.
fn all_told(packets: &[Packet]) -> Vec<Value> {
    let framed = pcap::framed(packets, |packet| pcap::ethernet(packet, &[]));
    let file = Temporary::new("closes.pcap", &pcap::file(link::ETHERNET, &framed)).unwrap();
    events_with(file.path(), &["--events", "+request"]).unwrap()
}

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

/// The first packets of the connection, its last response cut after its header, and these.
fn cut_short(more: &[Packet]) -> Vec<Packet> {
    const KEPT: usize = 20;
    let answer = &connection()[RESPONSE];
    let begun = answer.with(0x18, &answer.payload()[..KEPT], 0, 0);
    let unsent = i32::try_from(answer.payload().len() - KEPT).unwrap();
    let more = more.iter().cloned();
    let more: Vec<_> = more.map(|packet| packet.acknowledging(-unsent)).collect();
    [up_to(REQUEST, &[begun]), more].concat()
}

/// The places in a connection with MARS of the last request in clear, its response, and the
/// client's FIN; and its packets.
fn mars() -> ([usize; 3], Vec<Packet>) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packets = tests.join("fixtures/captures/odbc18-lab-mars-loginonly.pcap");
    ([30, 32, 35], pcap::packets(&packets).unwrap())
}

/// The answer of the server to [`long_request`], a millisecond after its end.
fn answer_to_long_request() -> Packet {
    let (request, answer) = (&connection()[REPLY + 1], &connection()[REPLY + 2]);
    let later = 1801 * MILLISECOND - (answer.time_ns - request.time_ns);
    answer.with(0x18, answer.payload(), later, 0)
}

/// The `login` and `close` of one connection.
fn told(packets: &[Packet]) -> [Value; 2] {
    let events = all_told(packets);
    ["login", "close"].map(|kind| {
        let lines = of(&events, kind);
        assert_eq!(lines.len(), 1, "{kind}: {events:#?}");
        lines[0].clone()
    })
}

/// Says that the connection's `close` has these values, `null` where nothing is to be said.
fn closes(packets: &[Packet], expected: &Value) {
    let [_, close] = told(packets);
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(close["close"][name], *expected, "{name}: {close:#}");
    }
    assert_eq!(close["connection"]["partial"], false, "{close:#}");
}

#[test]
fn a_client_that_resets_after_its_answers_does_no_harm() {
    let reset = connection()[CLIENT_FIN].with(RST | ACK, &[], 0, 0);
    closes(
        &up_to(RESPONSE, &[reset]),
        &json!({
            "by": "client", "how": "rst", "class": "benign_reset", "phase": null,
            "middlebox": false, "requests_in_flight": null, "idle_ns": 131_965,
        }),
    );
}

#[test]
fn a_reset_after_the_clients_fin_does_no_harm() {
    let reset = connection()[CLIENT_FIN].with(RST | ACK, &[], MILLISECOND, 1);
    closes(
        &up_to(CLIENT_FIN, &[reset]),
        &json!({ "by": "client", "how": "fin", "class": "benign_reset" }),
    );
}

#[test]
fn a_reset_before_the_answer_does_harm() {
    let reset = connection()[CLIENT_FIN].with(RST | ACK, &[], 0, 0);
    closes(
        &up_to(REQUEST, &[reset]),
        &json!({
            "by": "client", "how": "rst", "class": "abnormal", "phase": "command",
            "requests_in_flight": 1,
        }),
    );
}

#[test]
fn a_reset_in_the_middle_of_the_login_ends_it() {
    let reset = connection()[REPLY].with(RST | ACK, &[], 0, 0);
    let packets = up_to(LOGIN, &[reset]);
    let [login, _] = told(&packets);
    assert_eq!(login["login"]["outcome"], "reset", "{login:#}");
    assert_eq!(login["phases"]["login"]["complete"], false, "{login:#}");
    closes(
        &packets,
        &json!({ "by": "server", "how": "rst", "class": "abnormal", "phase": "login" }),
    );
}

#[test]
fn a_server_that_closes_first_does_so_for_a_reason() {
    let fin = connection()[RESPONSE].with(FIN | ACK, &[], SECOND, 39);
    let answer = connection()[CLIENT_FIN].with(FIN | ACK, &[], 2 * SECOND, 0);
    let last = connection()[RESPONSE].with(ACK, &[], 3 * SECOND, 40);
    let rest = [fin, answer.acknowledging(1), last.acknowledging(1)];
    closes(
        &up_to(RESPONSE, &rest),
        &json!({ "by": "server", "how": "fin", "class": "abnormal", "phase": null }),
    );
}

#[test]
fn a_reset_from_in_between_is_known_by_its_hops() {
    let mut reset = connection()[RESPONSE].with(RST | ACK, &[], 0, 39);
    for (hops, middlebox) in [(0, false), (1, false), (11, true)] {
        *reset.time_to_live() = 64 - hops;
        closes(
            &up_to(RESPONSE, std::slice::from_ref(&reset)),
            &json!({
                "by": "server", "how": "rst", "class": "abnormal", "middlebox": middlebox,
            }),
        );
    }
}

#[test]
fn probes_that_nobody_answered_are_counted_and_so_is_the_silence() {
    let last = &connection()[CLIENT_FIN];
    let mut more: Vec<_> = (0..10)
        .map(|probe| last.with(ACK, &[], (30 + probe) * SECOND, -1))
        .collect();
    more.push(last.with(RST | ACK, &[], 40 * SECOND, 0));
    closes(
        &up_to(RESPONSE, &more),
        &json!({
            "by": "client", "how": "rst", "keep_alive_probes": 10, "class": "abnormal",
            "idle_ns": 40 * SECOND + 131_965,
        }),
    );
}

#[test]
fn a_reply_to_a_login_that_was_given_up_is_late() {
    let given_up = connection()[LOGIN].with(FIN | ACK, &[], 15 * SECOND, 346);
    let reply = connection()[REPLY].clone();
    let late = reply.with(0x18, reply.payload(), 15 * SECOND + MILLISECOND, 0);
    let after = late.time_ns - given_up.time_ns;
    let [login, close] = told(&up_to(LOGIN, &[given_up, late]));
    assert_eq!(login["login"]["outcome"], "timeout", "{login:#}");
    assert_eq!(login["login"]["owed_by"], "server", "{login:#}");
    let duration_ns = 15 * SECOND + 826_283;
    assert_eq!(login["login"]["duration_ns"], duration_ns, "{login:#}");
    assert_eq!(close["login"]["late_reply_ns"], after, "{close:#}");
}

#[test]
fn a_client_that_takes_its_login_back_has_given_it_up() {
    let login = &connection()[LOGIN];
    let attention = login.with(0x18, &ATTENTION, 2 * SECOND, 346);
    let fin = login.with(FIN | ACK, &[], 2 * SECOND + MILLISECOND, 354);
    let [login, close] = told(&up_to(LOGIN, &[attention, fin]));
    assert_eq!(login["login"]["outcome"], "timeout", "{login:#}");
    assert_eq!(login["login"]["attention"], true, "{login:#}");
    assert_eq!(close["close"]["phase"], "login", "{close:#}");
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
fn a_login_from_before_tds_7_is_named_for_what_it_is() {
    let first = connection()[3].clone();
    let mut login = vec![2, 1, 2, 0, 0, 0, 0, 0];
    login.resize(512, 0);
    let login = first.with(0x18, &login, 0, 0);
    let fin = first.with(FIN | ACK, &[], MILLISECOND, 512);
    let [login, _] = told(&up_to(2, &[login, fin]));
    assert_eq!(login["login"]["stranger"], "pre_tds7", "{login:#}");
    assert_eq!(login["login"]["outcome"], "aborted", "{login:#}");
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
fn a_client_that_resets_in_the_middle_of_a_response_does_harm() {
    let fin = connection()[CLIENT_FIN].with(FIN | ACK, &[], 0, 0);
    let reset = connection()[CLIENT_FIN].with(RST | ACK, &[], MILLISECOND, 1);
    for (how, more) in [("rst", vec![reset.clone()]), ("fin", vec![fin, reset])] {
        let packets = cut_short(&more);
        closes(
            &packets,
            &json!({
                "by": "client", "how": how, "class": "abnormal", "phase": "command",
                "requests_in_flight": 1,
            }),
        );
        let events = all_told(&packets);
        let requests = of(&events, "request");
        let last = requests.last().unwrap();
        assert_eq!(last["request"]["complete"], false, "{last:#}");
    }
}

#[test]
fn a_session_of_mars_that_is_left_with_a_request_is_not_in_order() {
    let ([request, response, fin], packets) = mars();
    // The client's FIN follows its request at once; the server has only a reset to say to it.
    let later = packets[request].time_ns + MILLISECOND - packets[fin].time_ns;
    let back = -32;
    let unsent = i32::try_from(packets[response].payload().len()).unwrap();
    let end = packets[fin]
        .with(FIN | ACK, &[], later, back)
        .acknowledging(-unsent);
    let mut more = packets[..=request].to_vec();
    let reset = packets[response].with(RST | ACK, &[], 2 * MILLISECOND, 0);
    more.extend([end, reset]);
    closes(
        &more,
        &json!({
            "by": "client", "how": "fin", "class": "abnormal", "phase": "command",
            "requests_in_flight": 1,
        }),
    );
}

#[test]
fn probes_that_were_answered_do_not_count() {
    let (client, server) = (&connection()[CLIENT_FIN], &connection()[RESPONSE]);
    let more = (1..=20).flat_map(|probe| {
        let answer = server.with(ACK, &[], probe * SECOND + MILLISECOND, 39);
        [client.with(ACK, &[], probe * SECOND, -1), answer]
    });
    let mut more: Vec<_> = more.collect();
    more.push(client.with(RST | ACK, &[], 30 * SECOND, 0));
    let expected = json!({
        "by": "client", "how": "rst", "class": "benign_reset", "keep_alive_probes": null,
    });
    closes(&up_to(RESPONSE, &more), &expected);
}

#[test]
fn a_reset_of_a_client_that_nobody_hears_does_harm() {
    let (client, server) = (&connection()[CLIENT_FIN], &connection()[RESPONSE]);
    let mut shut = server.with(ACK, &[], MILLISECOND, 39);
    shut.window().fill(0);
    let mut reopened = shut.with(ACK, &[], MILLISECOND, 0);
    reopened.window().fill(1);
    let again = server.with(0x18, server.payload(), SECOND, 0);
    let heard = client.with(ACK, &[], 2 * SECOND, 0);
    let reset = client.with(RST | ACK, &[], 3 * SECOND, 0);
    for (class, before) in [
        ("abnormal", vec![shut.clone()]),
        ("benign_reset", vec![shut, reopened]),
        ("abnormal", vec![again.clone()]),
        ("benign_reset", vec![again, heard]),
    ] {
        let packets = [before, vec![reset.clone()]].concat();
        closes(&up_to(RESPONSE, &packets), &json!({ "class": class }));
    }
}

#[test]
fn a_session_of_mars_is_seen_wherever_its_headers_are_cut() {
    let ([request, ..], packets) = mars();
    let expected = of(&all_told(&packets), "mars");
    let whole = &packets[request];
    for cut in 1..30_u8 {
        let mut cuts = packets.clone();
        let (head, tail) = whole.payload().split_at(cut.into());
        let rest = whole.with(0x18, tail, 0, cut.into());
        cuts.splice(request..=request, [whole.with(0x18, head, 0, 0), rest]);
        let events = all_told(&cuts);
        let close = &of(&events, "close")[0];
        assert_eq!(close["requests"]["batch"], 2, "{cut}: {close:#}");
        assert_eq!(of(&events, "mars"), expected, "{cut}");
        assert!(of(&events, "loss").is_empty(), "{cut}");
    }
}
