//! NTLM: the names that its messages show, by each policy, and the wait for the domain controller.

use serde_json::{Value, json};

use crate::told::{login, only, told_with};

const LOGIN_ONLY: &str = "captures/tsql-lab-ntlm-loginonly";

fn auth(identities: &str) -> Value {
    only(&told_with(LOGIN_ONLY, identities), "login")["auth"].clone()
}

#[test]
fn every_name_is_told_where_names_are_shown() {
    let expected = json!({
        "kind": "ntlm", "rounds": 1, "controller_ns": 64_449_318,
        "ntlm": {
            "version": 2, "null_credentials": false,
            "domain": "LAB", "user": "alice", "workstation": "vm",
            "target_domain": "lab.test", "target_computer": "sql1.lab.test",
        },
    });
    assert_eq!(auth("show"), expected);
}

#[test]
fn no_name_is_told_where_names_are_hidden() {
    let expected = json!({
        "kind": "ntlm", "rounds": 1, "controller_ns": 64_449_318,
        "ntlm": { "version": 2, "null_credentials": false },
    });
    assert_eq!(auth("hide"), expected);
}

#[test]
fn a_hashed_name_is_the_same_wherever_it_is_told() {
    let login = only(&told_with(LOGIN_ONLY, "hash"), "login");
    let ntlm = &login["auth"]["ntlm"];
    for name in [
        "domain",
        "user",
        "workstation",
        "target_domain",
        "target_computer",
    ] {
        let hash = ntlm[name].as_str().unwrap();
        let is_hash = hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(is_hash, "{name}: {ntlm:#}");
    }
    assert_ne!(ntlm["domain"], ntlm["user"]);
    assert!(!login.to_string().contains("alice"), "{login:#}");
}

#[test]
fn the_first_version_is_told_by_its_response() {
    let expected = json!({
        "kind": "ntlm", "rounds": 1, "controller_ns": 34_458,
        "ntlm": {
            "version": 1, "null_credentials": false,
            "domain": "LAB", "user": "alice", "workstation": "vm",
            "target_domain": "lab.test", "target_computer": "scenario.lab.test",
        },
    });
    assert_eq!(login("rows/tsql-clear-ntlm1")["auth"], expected);
}

#[test]
fn a_client_without_user_and_domain_is_nobody() {
    let expected = json!({
        "kind": "ntlm", "rounds": 1, "controller_ns": 73_115,
        "ntlm": {
            "version": 1, "null_credentials": true, "workstation": "vm",
            "target_domain": "lab.test", "target_computer": "scenario.lab.test",
        },
    });
    assert_eq!(login("rows/tsql-clear-ntlm-nobody")["auth"], expected);
}
