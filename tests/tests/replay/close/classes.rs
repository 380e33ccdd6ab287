//! Ends of every class: a real connection without encryption, with another end.

use harness::agent::of;
use harness::pcap::Packet;
use serde_json::json;

use crate::packets::{
    ACK, CLIENT_FIN, FIN, MILLISECOND, REQUEST, RESPONSE, RST, SECOND, all_told, closes,
    connection, up_to,
};

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
