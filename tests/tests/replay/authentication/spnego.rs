//! SPNEGO: which mechanisms a client offers, and which one it comes to.

use serde_json::json;

use crate::told::login;

/// The ticket is taken, and the server's token comes before its acknowledgement.
#[test]
fn kerberos_of_an_offer_of_two_mechanisms() {
    let login = login("rows/pytds-clear-spnego-kerberos");
    let expected = json!({ "kind": "kerberos", "rounds": 1, "mechanisms": ["kerberos", "ntlm"] });
    assert_eq!(login["auth"], expected);
    assert_eq!(login["login"]["outcome"], "success");
    let duration = |phase: &str| &login["phases"][phase]["duration_ns"];
    let durations = json!([duration("login"), duration("auth")]);
    assert_eq!(durations, json!([26_511_565, 124_105]));
}

/// The client sends its ticket, and the server has NTLM: two rounds. The client's answers come in
/// packets of the login's type; its user is a principal, which needs no domain.
#[test]
fn ntlm_where_a_ticket_was_offered_is_a_fallback() {
    let login = login("rows/pytds-clear-fallback");
    let expected = json!({
        "kind": "ntlm",
        "rounds": 2,
        "mechanisms": ["kerberos", "ntlm"],
        "fallback_from": "kerberos",
        "controller_ns": 2_597_547,
        "ntlm": {
            "version": 2, "null_credentials": false,
            "user": "alice@LAB.TEST", "workstation": "VM",
            "target_domain": "lab.test", "target_computer": "scenario.lab.test",
        },
    });
    assert_eq!(login["auth"], expected);
}
