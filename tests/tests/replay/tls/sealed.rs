//! What shows of TLS, and of a login inside it.

use harness::replay::{Frame, frames, said};
use serde_json::json;

use crate::told::{lines, path, says};

#[test]
fn a_finished_of_tls13_inside_a_tds_packet_ends_the_handshake() {
    let [logins, closes] = lines("drivers/pymssql-full13");
    says(
        &logins[0],
        &json!({
            "login.outcome": "success", "login.confidence": 0.98, "tds.encryption": "full", "tls.version": "1.3",
            "phases": [["handshake", 59078, true], ["prelogin", 1_649_452, true], ["tls", 6_768_110, true], ["login", 1_169_475, true]],
        }),
    );
    says(
        &closes[0],
        &json!({"close.by": "client", "close.class": "normal", "requests.count": 2}),
    );
}

#[test]
fn java_pads_its_finished_and_its_farewell() {
    let [logins, closes] = lines("drivers/jtds-full13-refused");
    says(
        &logins[0],
        &json!({
            "login.outcome": "failed", "login.basis": "inferred", "login.confidence": 0.9,
            "phases": [["handshake", 63685, true], ["prelogin", 44_792_683, true], ["tls", 385_351_725, true], ["login", 7_347_624, true]],
        }),
    );
    says(
        &closes[0],
        &json!({"close.by": "server", "close.class": "normal", "requests": null}),
    );
}

#[test]
fn session_tickets_are_no_answer_to_a_sealed_prelogin() {
    let [logins, _] = lines("drivers/odbc18-strict13-silent");
    says(
        &logins[0],
        &json!({
            "login.outcome": "timeout",
            "phases": [["handshake", 53860, true], ["tls", 109_176_751, true], ["prelogin", 2_002_430_478_u64, false]],
        }),
    );
}

#[test]
fn a_client_that_starts_tls_unasked_fails_inside_tls() {
    let [logins, _] = lines("drivers/impacket-tls-unasked");
    says(
        &logins[0],
        &json!({
            "login.outcome": "tls_failed", "tds.encryption": "none",
            "phases": [["handshake", 57546, true], ["prelogin", 852_372, true], ["tls", 1_791_403, false]],
        }),
    );
}

/// ODBC's sealed login rewritten as an alert of a client that does not like the server after all.
#[test]
fn an_encrypted_alert_tells_who_sent_it() {
    let mut all = frames(&path("captures/odbc18-lab-tls12")).unwrap();
    let is_login = |frame: &Frame| frame.payload.starts_with(&[0x17, 3, 3]);
    let login = all.iter().position(is_login).unwrap();
    all.truncate(login + 1);
    all[login].payload[0] = 0x15;
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"tls.alert": {"from": "client"}}));
}

#[test]
fn a_protocol_whose_answer_is_encrypted_is_the_one_asked_for() {
    let [logins, _] = lines("drivers/odbc18-strict13-silent");
    says(
        &logins[0],
        &json!({"tls.version": "1.3", "tls.alpn": "tds/8.0"}),
    );
}

/// A `ClientHello` alone, as FreeTDS sends it and as openssl's client does: without protocols.
#[test]
fn tls_that_nobody_answers_is_tds_only_where_its_client_asks_for_it() {
    let mut all = frames(&path("drivers/pymssql-strict13-both-close")).unwrap();
    let hello = all.iter().position(|frame| !frame.payload.is_empty());
    all.truncate(hello.unwrap() + 1);
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"tds": {"encryption": "strict"}}));
    name_no_protocol(&mut all);
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"tds": null}));
}

/// Makes another extension of the one that names `tds/8.0` in a `ClientHello`.
fn name_no_protocol(frames: &mut [Frame]) {
    let extension = b"\0\x10\0\x0A\0\x08\x07tds/8.0";
    let is_alpn = |window: &[u8]| window == extension;
    let found = frames.iter_mut().find_map(|frame| {
        let at = frame.payload.windows(extension.len()).position(is_alpn)?;
        Some(&mut frame.payload[at..at + 2])
    });
    found.unwrap().copy_from_slice(&[0x5A, 0x5A]);
}

#[test]
fn a_login_inside_tls_that_names_no_protocol_is_less_certain() {
    let mut all = frames(&path("captures/odbc18-lab-strict13")).unwrap();
    for confidence in [0.98, 0.6] {
        let logins = said(&all, "login").unwrap();
        says(
            &logins[0],
            &json!({"login.outcome": "success", "login.confidence": confidence, "tds.encryption": "strict"}),
        );
        if confidence > 0.9 {
            name_no_protocol(&mut all);
        }
    }
}
