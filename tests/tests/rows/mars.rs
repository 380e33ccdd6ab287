//! Sessions of MARS: who waited for window, in which order they end, and what is left at the end.

use harness::agent::of;
use serde_json::{Value, json};

use crate::{only, told};

/// The sessions of a capture, each in whole.
fn sessions(events: &[Value]) -> Vec<Value> {
    let lines = of(events, "mars").into_iter();
    lines.map(|line| line["mars"].clone()).collect()
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

/// The size of the records shows that there are sessions, not how many.
#[test]
fn sessions_inside_tls_are_inferred() {
    let events = told("rows/odbc18-full12-mars");
    assert_eq!(sessions(&events), [Value::Null; 0]);
    let sum = json!({
        "sessions": 1, "max_concurrent": 1, "resets": 0, "basis": "inferred",
    });
    assert_eq!(only(&events, "close")["mars"], sum);
}
