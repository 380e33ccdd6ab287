//! Sessions of MARS: who waited for window, in which order they end, and what is left at the end.

use harness::agent::of;
use harness::pcap::{self, Packet};
use serde_json::{Value, json};

use crate::packets::{ACK, FIN, MILLISECOND, RST, all_told, closes};
use crate::told::{only, path, told};

/// The sessions of a capture, each in whole.
fn sessions(events: &[Value]) -> Vec<Value> {
    let lines = of(events, "mars").into_iter();
    lines.map(|line| line["mars"].clone()).collect()
}

/// The places in a connection with MARS of the last request in clear, its response, and the
/// client's FIN; and its packets.
fn connection() -> ([usize; 3], Vec<Packet>) {
    let packets = path("captures/odbc18-lab-mars-loginonly");
    ([30, 32, 35], pcap::packets(&packets).unwrap())
}

/// Three results of six packets to a client that takes four. The second session of the number 1 is
/// opened before 2 and closed after it; 0 is never closed, nor used.
#[test]
fn a_sender_at_the_end_of_its_window_is_told_and_sessions_end_in_any_order() {
    let events = told("rows/pytds-clear-mars");
    let result = |sid: u16, stalled: u64, duration: u64| {
        json!({
            "sid": sid, "requests": 1, "bytes": { "client": 62, "server": 22_582 },
            "window_stalls": 2, "stalled_ns": stalled, "duration_ns": duration,
            "closed_by": "client", "how": "fin",
        })
    };
    let expected = [
        result(1, 2_961_721, 9_475_278),
        result(2, 11_193_198, 15_272_587),
        result(1, 4_207_458, 15_318_844),
        json!({
            "sid": 0, "requests": 0, "bytes": { "client": 0, "server": 0 },
            "window_stalls": 0, "stalled_ns": 0, "duration_ns": 24_966_293, "how": "fin",
        }),
    ];
    assert_eq!(sessions(&events), expected);
    let close = only(&events, "close");
    let sum = json!({ "sessions": 4, "max_concurrent": 3, "resets": 0 });
    assert_eq!(close["mars"], sum);
    assert_eq!(close["phases"]["mars"]["complete"], false, "{close:#}");
    assert_eq!(close["close"]["class"], "normal", "{close:#}");
}

/// Sessions and connection are closed by the client, whose kernel then resets the server's answer.
#[test]
fn a_reset_while_sessions_close_is_benign() {
    let events = told("rows/odbc18-clear-mars-reset");
    let session = |sid: u16, requests: u64, bytes: [u64; 2], duration: u64| {
        json!({
            "sid": sid, "requests": requests,
            "bytes": { "client": bytes[0], "server": bytes[1] },
            "window_stalls": 0, "stalled_ns": 0, "duration_ns": duration,
            "closed_by": "client", "how": "fin",
        })
    };
    let expected = [
        session(1, 1, [62, 92], 138_080),
        session(0, 6, [584, 444], 956_885),
    ];
    assert_eq!(sessions(&events), expected);
    let close = only(&events, "close");
    let sum = json!({ "sessions": 2, "max_concurrent": 2, "resets": 0 });
    assert_eq!(close["mars"], sum);
    let end = &close["close"];
    let end = json!([
        end["by"],
        end["how"],
        end["class"],
        end["middlebox"],
        end["phase"]
    ]);
    assert_eq!(end, json!(["client", "fin", "benign_reset", false, null]));
    assert_eq!(close["phases"]["mars"]["complete"], true, "{close:#}");
}

#[test]
fn a_session_of_mars_that_is_left_with_a_request_is_not_in_order() {
    let ([request, response, fin], packets) = connection();
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
fn a_session_of_mars_is_seen_wherever_its_headers_are_cut() {
    let ([request, ..], packets) = connection();
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
