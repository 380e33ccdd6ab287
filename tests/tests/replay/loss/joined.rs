//! Joined late, or seen by halves: nothing is told that was not seen to begin.

use harness::replay::{Frame, frames, said};
use harness::sweep::packet::Side::{self, Client, Server};
use serde_json::json;

use crate::{
    hear::Heard,
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script, Step},
    told::{path, says},
};

const CAPTURES: [&str; 6] = [
    "captures/odbc18-lab-clear",
    "captures/odbc18-lab-tls12",
    "captures/odbc18-lab-strict13",
    "captures/odbc18-lab-krb-loginonly",
    "captures/tsql-lab-ntlm-loginonly",
    "cases/odbc18-lab-tls13intds",
];
const PHASES: [&str; 6] = ["handshake", "prelogin", "tls", "login", "auth", "mars"];

/// One side's packets.
fn half(capture: &str, side: Side) -> Heard {
    let mut script = Script::after(capture, 0);
    let all = script.length();
    for place in 0..all {
        let packet = script.original(place);
        if packet.side == side {
            script.steps.push(Step::Packet(packet.clone()));
        }
        script.now = packet.time_ns;
    }
    script.others_pass(200 * SECOND);
    script.heard()
}

/// Of the client's alone no answer was seen: no phase that ends with one is over, and nobody failed to
/// answer.
#[test]
fn of_the_clients_half_alone_no_answer_is_missed() {
    let mut wrong = Wrong::default();
    for capture in CAPTURES {
        wrong.look(capture, &half(capture, Client), |judge| {
            // Its requests show that it was let in.
            judge.outcome(&["unknown", "success"]);
            judge.owed_by(None);
            for phase in ["prelogin", "login", "auth"] {
                let told = &judge.login["phases"][phase]["complete"];
                judge.demand(told != true, || format!("{phase} is complete"));
            }
            for phase in PHASES {
                let server = judge.login["phases"][phase]["server_ns"]
                    .as_u64()
                    .unwrap_or(0);
                judge.demand(server < SECOND, || format!("{phase}: server {server}"));
            }
        });
    }
}

/// Of the server's alone no question was seen, and no phase begins with an answer; what it says in
/// clear is read.
#[test]
fn of_the_servers_half_alone_clear_replies_are_read_and_no_phase_is_told() {
    for capture in CAPTURES {
        let heard = half(capture, Server);
        let (logins, closes) = (heard.of("login"), heard.of("close"));
        assert!(logins.len() <= 1 && closes.len() <= 1, "{capture}");
        for line in logins.iter().chain(&closes) {
            for phase in PHASES {
                let told = &line["phases"][phase];
                assert!(told.is_null(), "{capture}: {phase}: {told}");
            }
            let outcome = &line["login"]["outcome"];
            assert!(
                outcome.is_null() || outcome == "unknown" || outcome == "success",
                "{capture}: {outcome}"
            );
            assert!(line["login"]["owed_by"].is_null(), "{capture}");
        }
        let clear = [
            "captures/odbc18-lab-clear",
            "captures/odbc18-lab-krb-loginonly",
        ];
        if clear.contains(&capture) {
            let line = closes[0];
            assert_eq!(line["login"]["outcome"], "success", "{capture}: {line:#}");
            assert!(!line["tds"]["spid"].is_null(), "{capture}: {line:#}");
        }
    }
}

/// A connection in use, from a moment on.
fn in_use(capture: &str, reply: usize, from: u64) -> Script {
    let mut script = Script::after(capture, reply + 1);
    let start = script.original(0).time_ns;
    for _ in 0..8 {
        script.wait(600 * SECOND);
        for place in [reply + 1, reply + 2] {
            let packet = script.original(place);
            script.wait(MILLISECOND).say(packet.side, packet.payload());
        }
    }
    script.wait(SECOND).close(Client);
    script.steps.retain(|step| match step {
        Step::Packet(packet) => packet.time_ns >= start + from,
        _ => true,
    });
    script
}

#[test]
fn a_pooled_connection_has_the_same_name_whenever_the_agent_starts() {
    for (capture, reply) in [
        ("captures/odbc18-lab-clear", 8),
        ("captures/odbc18-lab-tls12", 12),
        ("captures/odbc18-lab-strict13", 12),
    ] {
        let mut names = Vec::new();
        for from in [SECOND, 610 * SECOND, 1900 * SECOND, 3700 * SECOND] {
            let heard = in_use(capture, reply, from).heard();
            assert_eq!(heard.of("login").len(), 0, "{capture} {from}");
            let closes = heard.of("close");
            assert_eq!(closes.len(), 1, "{capture} {from}");
            for phase in PHASES {
                assert!(
                    closes[0]["phases"][phase].is_null(),
                    "{capture} {from}: {phase}"
                );
            }
            assert!(closes[0]["auth"].is_null(), "{capture} {from}");
            names.push(closes[0]["connection"]["id"].clone());
        }
        names.dedup();
        assert_eq!(names.len(), 1, "{capture}: {names:?}");
    }
}

/// What is told when the agent comes is a count, not a line each.
#[test]
fn nothing_is_told_of_pooled_connections_until_they_end() {
    for (capture, reply) in [
        ("captures/odbc18-lab-clear", 8),
        ("captures/odbc18-lab-tls12", 12),
    ] {
        let mut script = in_use(capture, reply, SECOND);
        // Without its end, and others pass for a while.
        let last = script.steps.len() - 3;
        script.steps.truncate(last);
        script.others_pass(50 * SECOND);
        let heard = script.heard();
        let before: Vec<_> = heard
            .lines
            .iter()
            .map(|line| line["event"].clone())
            .collect();
        // The agent stops: that is the connection's end.
        assert_eq!(before, ["close"], "{capture}");
        assert_eq!(
            heard.lines[0]["connection"]["partial_reasons"],
            serde_json::json!(["joined_late", "agent_stop"]),
            "{capture}"
        );
    }
}

#[test]
fn of_a_sealed_connection_whose_handshake_was_missed_no_login_is_told() {
    let all = frames(&path("drivers/pymssql-full13")).unwrap();
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
