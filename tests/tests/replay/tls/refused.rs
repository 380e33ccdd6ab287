//! Encryption asked for and not to be had: what happened is told, not what both sides' options allow.

use harness::sweep::packet::Side::{Client, Server};
use serde_json::{Value, json};

use crate::{
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script},
};

const CAPTURE: &str = "captures/odbc18-lab-clear";
const OPTIONS: [(u8, &str); 2] = [(1, "on"), (3, "req")];

/// A PRELOGIN with another encryption option.
fn with_option(prelogin: &[u8], option: u8) -> Vec<u8> {
    let mut bytes = prelogin.to_vec();
    let entry = bytes[8..].chunks(5).find(|entry| entry[0] == 1).unwrap();
    let at = 8 + usize::from(u16::from_be_bytes([entry[1], entry[2]]));
    bytes[at] = option;
    bytes
}

/// Up to the server's answer that it encrypts nothing.
fn answered(asked: u8) -> Script {
    let mut script = Script::after(CAPTURE, 3);
    let prelogin = with_option(script.original(3).payload(), asked);
    let answer = with_option(script.original(5).payload(), 2);
    script.wait(MILLISECOND / 10).say(Client, &prelogin);
    script.wait(MILLISECOND / 10).ack(Server);
    script.wait(MILLISECOND).say(Server, &answer);
    script.wait(MILLISECOND / 10).ack(Client);
    script
}

#[test]
fn a_client_that_goes_on_in_clear_is_not_encrypted_whatever_it_asked_for() {
    let mut wrong = Wrong::default();
    let plain = Script::after(CAPTURE, 22).heard();
    let (plain, _) = plain.only().unwrap();
    for (asked, name) in OPTIONS {
        for think in [0, 2 * SECOND, 40 * SECOND] {
            let mut script = answered(asked);
            script.others_pass(think).goes_on_from(7);
            wrong.look(&format!("{name} {think}"), &script.heard(), |judge| {
                judge.outcome(&["success"]);
                judge.said("tds.encryption", &"none".into());
                judge.said("tds.encryption_asked", &name.into());
                judge.said("tds.encryption_answered", &"not_sup".into());
                judge.no_phase("tls");
                judge.share("login", "client", think, 5 * MILLISECOND);
                // All that it says in clear is read.
                for path in ["tds.spid", "tds.version", "auth.kind", "login.basis"] {
                    let right = harness::replay::field(plain, path).cloned();
                    judge.said(path, &right.unwrap_or(Value::Null));
                }
            });
        }
    }
}

#[test]
fn a_client_that_says_nothing_more_was_refused_encryption() {
    let mut wrong = Wrong::default();
    for (asked, name) in OPTIONS {
        for wait in [MILLISECOND, 2 * SECOND, 40 * SECOND] {
            for (end, by, by_reset) in [
                ("aborted", Client, false),
                ("reset", Client, true),
                ("closed", Server, false),
                ("reset", Server, true),
            ] {
                let mut script = answered(asked);
                script.others_pass(wait);
                if by_reset {
                    script.reset(by);
                } else {
                    script.close(by);
                }
                wrong.look(
                    &format!("{name} {wait} {end} {by:?}"),
                    &script.heard(),
                    |judge| {
                        judge.outcome(&[end]);
                        judge.said("tds.encryption", &"refused".into());
                        judge.said("tds.encryption_asked", &name.into());
                        judge.said("tds.encryption_answered", &"not_sup".into());
                        // No message of TLS has passed.
                        judge.no_phase("tls");
                        judge.owed_by((wait >= SECOND).then_some("client"));
                        let share = json!(judge.login["phases"]);
                        let waited: u64 = share
                            .as_object()
                            .into_iter()
                            .flatten()
                            .filter_map(|(_, phase)| phase["client_ns"].as_u64())
                            .sum();
                        judge.demand(waited >= wait, || format!("client {waited} of {wait}"));
                    },
                );
            }
        }
    }
}
