//! Captures of drivers that do what others do not, each with what must be said of it.

use std::path::{Path, PathBuf};

use harness::replay::{Frame, events, events_with, field, frames, said};
use serde_json::{Value, json};

/// The `login` and `close` lines of a capture, each in the order of their connections' starts.
fn lines(capture: &str) -> [Vec<Value>; 2] {
    let mut all = events(&path(capture)).unwrap();
    all.sort_by_key(|event| event["connection"]["start"].as_str().map(str::to_owned));
    ["login", "close"].map(|kind| {
        let of_kind = all.iter().filter(|event| event["event"] == kind);
        of_kind.cloned().collect()
    })
}

fn path(capture: &str) -> PathBuf {
    fixture(&format!("drivers/{capture}"))
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    folder.join(format!("{name}.pcap"))
}

/// Says that `line` has these values, `null` where nothing is to be said; phases as a list of
/// name, nanoseconds and whether it was complete, in the order they happened in.
fn says(line: &Value, expected: &Value) {
    for (path, expected) in expected.as_object().unwrap() {
        if path != "phases" {
            let said = field(line, path).cloned().unwrap_or(Value::Null);
            assert_eq!(said, *expected, "{path} of {line}");
        }
    }
    let Some(expected) = expected["phases"].as_array() else {
        return;
    };
    let mut phases: Vec<_> = line["phases"].as_object().unwrap().iter().collect();
    phases.sort_by_key(|(_, phase)| phase["start_ns"].as_u64());
    let said: Vec<_> = phases
        .iter()
        .map(|(name, phase)| json!([name, phase["duration_ns"], phase["complete"]]))
        .collect();
    assert_eq!(said, *expected, "phases of {line}");
    let sum: u64 = phases
        .iter()
        .filter_map(|(_, phase)| phase["duration_ns"].as_u64())
        .sum();
    assert_eq!(line["login"]["duration_ns"], sum);
}

#[test]
fn both_sides_that_close_at_once_are_one_connection() {
    let [logins, closes] = lines("pymssql-strict13-both-close");
    assert_eq!((logins.len(), closes.len()), (1, 1));
    says(
        &logins[0],
        &json!({
            "login.outcome": "failed", "login.basis": "inferred", "connection.partial": false,
            "tds.encryption": "strict", "tls.version": "1.3", "tls.alpn": "tds/8.0",
            "phases": [["handshake", 50986, true], ["tls", 209_708_660, true], ["prelogin", 583_441, true], ["login", 936_307, true]],
        }),
    );
}

#[test]
fn a_finished_of_tls13_inside_a_tds_packet_ends_the_handshake() {
    let [logins, closes] = lines("pymssql-full13");
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
fn a_sealed_login_that_was_answered_is_not_what_its_connection_ends_in() {
    let [_, closes] = lines("pymssql-strict13-both-close");
    says(
        &closes[0],
        &json!({"login.outcome": "failed", "close.how": "fin", "close.class": "normal", "close.phase": null}),
    );
    // A login that was not answered is.
    let [_, closes] = lines("odbc18-strict13-silent");
    says(
        &closes[0],
        &json!({"login.outcome": "timeout", "close.phase": "prelogin"}),
    );
}

#[test]
fn a_login_without_prelogin_is_known_on_any_port() {
    let [logins, closes] = lines("jtds-clear-port14330");
    says(
        &logins[0],
        &json!({
            "server.port": 14330, "login.outcome": "success", "login.basis": "observed", "connection.partial": false,
            "tds.encryption": "none", "tds.version": "7.1", "auth.kind": "sql",
            "login.app_name": "jTDS", "login.client_library": "jTDS",
            "phases": [["handshake", 51837, true], ["login", 102_231_706, true]],
        }),
    );
    says(
        &closes[0],
        &json!({"requests.batch": 2, "close.by": "client", "close.class": "normal"}),
    );
}

#[test]
fn java_pads_its_finished_and_its_farewell() {
    let [logins, closes] = lines("jtds-full13-refused");
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
fn ntlm_inside_tls_goes_on_after_the_challenge() {
    let [logins, closes] = lines("jtds-full12-ntlm");
    says(
        &logins[0],
        &json!({
            "login.outcome": "success", "login.confidence": 0.98, "auth.kind": "unknown", "auth.rounds": 1,
            "phases": [
                ["handshake", 52178, true], ["prelogin", 64_727_270, true], ["tls", 1_877_329_365, true],
                ["login", 28_068_886, true], ["auth", 396_958_806, true],
            ],
        }),
    );
    says(&closes[0], &json!({"requests.count": 2}));
}

#[test]
fn a_refusal_after_ntlm_inside_tls_is_no_success() {
    let [logins, _] = lines("tsql-full12-ntlm-refused");
    says(
        &logins[0],
        &json!({
            "login.outcome": "failed", "login.basis": "inferred",
            "phases": [
                ["handshake", 50766, true], ["prelogin", 7_523_737, true], ["tls", 16_723_126, true],
                ["login", 1_152_039, true], ["auth", 192_463_045, true],
            ],
        }),
    );
}

#[test]
fn a_refusal_at_length_is_known_by_the_server_that_closes() {
    let [logins, closes] = lines("mssqltds-strict13-refused-at-length");
    says(
        &logins[0],
        &json!({"login.outcome": "failed", "login.confidence": 0.7}),
    );
    says(
        &closes[0],
        &json!({"close.by": "server", "close.class": "normal"}),
    );
}

#[test]
fn a_redirect_inside_tls_is_not_guessed_at_where_no_process_is_known() {
    let [logins, _] = lines("pymssql-full13-redirected");
    says(
        &logins[0],
        &json!({
            "server.port": 1433, "login.outcome": "success", "login.basis": "inferred", "login.confidence": 0.6,
            "login.redirect": null,
            "phases": [["handshake", 51316, true], ["prelogin", 2_919_567, true], ["tls", 16_105_544, true], ["login", 857_870, true]],
        }),
    );
    says(
        &logins[1],
        &json!({"server.port": 14330, "login.outcome": "success"}),
    );
}

#[test]
fn a_short_reply_after_which_the_client_goes_elsewhere_is_believed_to_be_a_refusal_with_little_confidence()
 {
    let [logins, _] = lines("mssqltds-full12-token-redirected");
    says(
        &logins[0],
        &json!({"login.outcome": "failed", "login.basis": "inferred", "login.confidence": 0.7}),
    );
    says(
        &logins[1],
        &json!({"server.address": "10.87.0.3", "login.outcome": "refused"}),
    );
}

#[test]
fn a_token_inside_the_login_packet_needs_no_second_round() {
    let [logins, _] = lines("tedious-full12-token");
    says(
        &logins[0],
        &json!({
            "login.outcome": "success",
            "phases": [["handshake", 62914, true], ["prelogin", 65_006_637, true], ["tls", 120_234_281, true], ["login", 97_539_114, true]],
        }),
    );
}

#[test]
fn session_tickets_are_no_answer_to_a_sealed_prelogin() {
    let [logins, _] = lines("odbc18-strict13-silent");
    says(
        &logins[0],
        &json!({
            "login.outcome": "timeout",
            "phases": [["handshake", 53860, true], ["tls", 109_176_751, true], ["prelogin", 2_002_430_478_u64, false]],
        }),
    );
}

#[test]
fn a_client_that_leaves_after_the_handshake_leaves_in_the_next_phase() {
    let [logins, closes] = lines("tedious-full12-untrusted");
    says(
        &logins[0],
        &json!({
            "login.outcome": "aborted",
            "phases": [["handshake", 64085, true], ["prelogin", 188_693_190, true], ["tls", 73_976_101, true], ["login", 1_825_364, false]],
        }),
    );
    says(&closes[0], &json!({"close.phase": "login"}));
}

#[test]
fn a_client_that_starts_tls_unasked_fails_inside_tls() {
    let [logins, _] = lines("impacket-tls-unasked");
    says(
        &logins[0],
        &json!({
            "login.outcome": "tls_failed", "tds.encryption": "none",
            "phases": [["handshake", 57546, true], ["prelogin", 852_372, true], ["tls", 1_791_403, false]],
        }),
    );
}

#[test]
fn an_ntlm_answer_under_the_logins_packet_type_is_one() {
    let [logins, _] = lines("pytds-loginonly-ntlm");
    says(
        &logins[0],
        &json!({
            "login.outcome": "success", "auth.kind": "ntlm", "auth.rounds": 1, "auth.controller_ns": 347_521_272,
            "phases": [
                ["handshake", 58497, true], ["prelogin", 26_508_318, true], ["tls", 19_896_731, true],
                ["login", 1_729_871, true], ["auth", 349_289_511, true],
            ],
        }),
    );
}

/// The names of a challenge: what stands around the eight bytes that are withheld.
#[test]
fn the_names_of_a_challenge_are_told_where_identities_are() {
    let capture = fixture("captures/tsql-lab-ntlm-loginonly");
    for (show, domain, computer) in [
        (true, json!("lab.test"), json!("sql1.lab.test")),
        (false, Value::Null, Value::Null),
    ] {
        let policy = if show { "show" } else { "hide" };
        let all = events_with(&capture, &["--identities", policy]).unwrap();
        let login = all.iter().find(|event| event["event"] == "login").unwrap();
        says(
            login,
            &json!({
                "auth.kind": "ntlm", "auth.ntlm.version": 2,
                "auth.ntlm.target_domain": domain, "auth.ntlm.target_computer": computer,
            }),
        );
    }
}

#[test]
fn https_on_the_port_of_sql_server_is_no_login() {
    let [logins, _] = lines("https-on-1433");
    assert_eq!(logins.len(), 3);
    for login in &logins {
        says(
            login,
            &json!({"login.outcome": "closed", "tds": null, "login.stranger": "tls", "auth": null}),
        );
    }
}

/// A `ClientHello` alone, as FreeTDS sends it and as openssl's client does: without protocols.
#[test]
fn tls_that_nobody_answers_is_tds_only_where_its_client_asks_for_it() {
    let mut all = frames(&path("pymssql-strict13-both-close")).unwrap();
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
    let mut all = frames(&fixture("captures/odbc18-lab-strict13")).unwrap();
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

#[test]
fn a_protocol_whose_answer_is_encrypted_is_the_one_asked_for() {
    let [logins, _] = lines("odbc18-strict13-silent");
    says(
        &logins[0],
        &json!({"tls.version": "1.3", "tls.alpn": "tds/8.0"}),
    );
}

/// ODBC's sealed login rewritten as an alert of a client that does not like the server after all.
#[test]
fn an_encrypted_alert_tells_who_sent_it() {
    let mut all = frames(&fixture("captures/odbc18-lab-tls12")).unwrap();
    let is_login = |frame: &Frame| frame.payload.starts_with(&[0x17, 3, 3]);
    let login = all.iter().position(is_login).unwrap();
    all.truncate(login + 1);
    all[login].payload[0] = 0x15;
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"tls.alert": {"from": "client"}}));
}

/// ODBC's login in clear without what follows it.
#[test]
fn a_login_that_nobody_answers_has_the_version_it_asked_for() {
    let mut all = frames(&fixture("captures/odbc18-lab-clear")).unwrap();
    let is_login = |frame: &Frame| frame.payload.starts_with(&[0x10, 1]);
    let login = all.iter().position(is_login).unwrap();
    all.truncate(login + 1);
    let logins = said(&all, "login").unwrap();
    says(
        &logins[0],
        &json!({"tds.version": "7.4", "auth.kind": "sql"}),
    );
}

#[test]
fn the_language_is_the_one_the_server_chose() {
    let all = frames(&fixture("captures/odbc18-lab-clear")).unwrap();
    let logins = said(&all, "login").unwrap();
    says(&logins[0], &json!({"login.language": "us_english"}));
}

/// The server's Kerberos token and its acknowledgement are one reply.
#[test]
fn a_token_that_comes_with_the_acknowledgement_is_no_round() {
    let all = frames(&path("odbc18-clear-kerberos-joined")).unwrap();
    let logins = said(&all, "login").unwrap();
    says(
        &logins[0],
        &json!({"login.outcome": "success", "auth.kind": "kerberos", "auth.rounds": null, "phases.auth": null}),
    );
}

#[test]
fn a_probe_that_looks_like_a_request_is_no_login() {
    let [logins, closes] = lines("nmap-probe");
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.stranger": "other", "connection.partial": false}),
    );
    says(&closes[0], &json!({"close.by": "client", "requests": null}));
}

/// ODBC's PRELOGIN and its answer rewritten as a login of TDS 5.0 and a LOGINACK whose status, 6,
/// refuses there.
#[test]
fn a_refused_login_of_tds_5_is_no_success() {
    let mut all = frames(&fixture("captures/odbc18-lab-clear")).unwrap();
    let mut rewrite = |start: [u8; 2], kind: u8, body: &[u8]| {
        let is_one = |frame: &&mut Frame| frame.payload.starts_with(&start);
        let payload = &mut all.iter_mut().find(is_one).unwrap().payload;
        payload[0] = kind;
        payload[8..].fill(0);
        payload[8..8 + body.len()].copy_from_slice(body);
    };
    rewrite([0x12, 1], 2, &[]);
    rewrite([4, 1], 4, b"\xAD\x0A\0\x06\x05\0\0\0\0\0\0\0\0\xFD");
    let logins = said(&all, "login").unwrap();
    assert_eq!(logins.len(), 1);
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.stranger": "pre_tds7", "tds": null, "auth": null}),
    );
}

#[test]
fn no_request_succeeds_at_a_server_that_never_spoke_tds() {
    // Random bytes both ways, the client's behind the headers of a batch, a login and a batch.
    let [logins, _] = lines("random-on-1433");
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.basis": "observed", "login.stranger": "other", "connection.partial": false}),
    );
}

#[test]
fn of_a_sealed_connection_whose_handshake_was_missed_no_login_is_told() {
    let all = frames(&path("pymssql-full13")).unwrap();
    let is_login = |frame: &&Frame| frame.payload.starts_with(&[0x17, 3, 3, 0, 228]);
    let login = all.iter().find(is_login).unwrap();
    let late: Vec<_> = all
        .iter()
        .filter(|frame| frame.time_ns >= login.time_ns)
        .cloned()
        .collect();
    assert!(said(&late, "login").unwrap().is_empty());
    let closes = said(&late, "close").unwrap();
    assert_eq!(closes.len(), 1);
    says(
        &closes[0],
        &json!({"connection.partial_reasons": ["joined_late"], "login": null, "auth": null}),
    );
}
