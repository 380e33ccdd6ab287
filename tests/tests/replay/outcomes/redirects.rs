//! Sent elsewhere inside TLS: it shows only by the connection that the same process opens then.

use harness::sweep::packet::Side::Client;
use serde_json::json;
use tracer::session::Config;

use crate::hear::{Heard, hear, together};
use crate::script::{MILLISECOND, Script};
use crate::told::{lines, says};

/// A sealed login that is answered and left at once, and another one elsewhere.
fn said(pids: [Option<u32>; 2], later: u64, elsewhere: bool) -> Heard {
    let mut left = Script::after("captures/odbc18-lab-tls12", 13);
    left.wait(MILLISECOND).close(Client);
    let mut other = Script::after("captures/odbc18-lab-tls12", 26);
    if elsewhere {
        other = other.moved(0, |packet| packet.of_server(77));
    }
    let mut other = other.copy(61_234, later);
    for (script, pid) in [&mut left, &mut other].into_iter().zip(pids) {
        if let Some(pid) = pid {
            script.owned_by(pid);
        }
    }
    hear(&together([&left, &other]), 1433, Config::default())
}

fn first(heard: &Heard) -> String {
    let mut logins = heard.of("login");
    assert_eq!(logins.len(), 2, "{logins:#?}");
    logins.sort_by_key(|line| line["connection"]["start"].to_string());
    assert!(
        logins[0]["login"]["redirect"].is_null() || logins[0]["login"]["outcome"] == "redirected"
    );
    logins[0]["login"]["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn the_same_process_at_another_server_was_sent_there() {
    for later in [50 * MILLISECOND, 300 * MILLISECOND, 900 * MILLISECOND] {
        assert_eq!(
            first(&said([Some(7), Some(7)], later, true)),
            "redirected",
            "{later}"
        );
    }
}

#[test]
fn where_it_was_sent_is_of_the_same_attempt_though_the_reply_cannot_be_read() {
    let heard = said([Some(7), Some(7)], 50 * MILLISECOND, true);
    let attempts = heard.of("attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    says(
        attempts[0],
        &json!({
            "attempt.outcome": "success",
            "attempt.connections": 2,
        }),
    );
    let parts = attempts[0]["attempt"]["parts"].as_array().unwrap();
    let outcomes: Vec<_> = parts.iter().map(|part| &part["outcome"]).collect();
    assert_eq!(outcomes, ["redirected", "success"]);
    // What the reply said is not known, only where the client went.
    for login in heard.of("login") {
        assert_eq!(login["login"]["redirect"], json!(null));
        assert_eq!(login["attempt"]["id"], attempts[0]["attempt"]["id"]);
    }
}

#[test]
fn another_login_of_the_same_address_is_somebody_elses() {
    for later in [50 * MILLISECOND, 300 * MILLISECOND, 900 * MILLISECOND] {
        for pids in [
            [Some(7), Some(8)],
            [None, None],
            [None, Some(7)],
            [Some(7), None],
        ] {
            for elsewhere in [true, false] {
                let heard = said(pids, later, elsewhere);
                assert_eq!(first(&heard), "success", "{pids:?} {later} {elsewhere}");
            }
        }
    }
}

/// It only connects anew, as a pool does.
#[test]
fn the_same_process_at_the_same_server_was_sent_nowhere() {
    for later in [50 * MILLISECOND, 900 * MILLISECOND] {
        assert_eq!(
            first(&said([Some(7), Some(7)], later, false)),
            "success",
            "{later}"
        );
    }
}

#[test]
fn the_same_process_at_another_server_much_later_was_not_sent_there() {
    let heard = said([Some(7), Some(7)], 5_000 * MILLISECOND, true);
    assert_eq!(first(&heard), "success");
}

#[test]
fn a_redirect_inside_tls_is_not_guessed_at_where_no_process_is_known() {
    let [logins, _] = lines("drivers/pymssql-full13-redirected");
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
    let [logins, _] = lines("drivers/mssqltds-full12-token-redirected");
    says(
        &logins[0],
        &json!({"login.outcome": "failed", "login.basis": "inferred", "login.confidence": 0.7}),
    );
    says(
        &logins[1],
        &json!({"server.address": "10.87.0.3", "login.outcome": "refused"}),
    );
}
