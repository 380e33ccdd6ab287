//! The phases of a login, and what they add up to.

mod sequences;

use serde_json::json;

use crate::told::{lines, says};

#[test]
fn a_login_without_prelogin_is_known_on_any_port() {
    let [logins, closes] = lines("drivers/jtds-clear-port14330");
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
fn a_client_that_leaves_after_the_handshake_leaves_in_the_next_phase() {
    let [logins, closes] = lines("drivers/tedious-full12-untrusted");
    says(
        &logins[0],
        &json!({
            "login.outcome": "aborted",
            "phases": [["handshake", 64085, true], ["prelogin", 188_693_190, true], ["tls", 73_976_101, true], ["login", 1_825_364, false]],
        }),
    );
    says(&closes[0], &json!({"close.phase": "login"}));
}
