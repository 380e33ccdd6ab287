//! What is a round of authentication, and what is none.

use harness::replay::{frames, said};
use serde_json::json;

use crate::told::{lines, path, says};

#[test]
fn ntlm_inside_tls_goes_on_after_the_challenge() {
    let [logins, closes] = lines("drivers/jtds-full12-ntlm");
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
    let [logins, _] = lines("drivers/tsql-full12-ntlm-refused");
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
fn an_ntlm_answer_under_the_logins_packet_type_is_one() {
    let [logins, _] = lines("drivers/pytds-loginonly-ntlm");
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

#[test]
fn a_token_inside_the_login_packet_needs_no_second_round() {
    let [logins, _] = lines("drivers/tedious-full12-token");
    says(
        &logins[0],
        &json!({
            "login.outcome": "success",
            "phases": [["handshake", 62914, true], ["prelogin", 65_006_637, true], ["tls", 120_234_281, true], ["login", 97_539_114, true]],
        }),
    );
}

/// The server's Kerberos token and its acknowledgement are one reply.
#[test]
fn a_token_that_comes_with_the_acknowledgement_is_no_round() {
    let all = frames(&path("drivers/odbc18-clear-kerberos-joined")).unwrap();
    let logins = said(&all, "login").unwrap();
    says(
        &logins[0],
        &json!({"login.outcome": "success", "auth.kind": "kerberos", "auth.rounds": null, "phases.auth": null}),
    );
}
