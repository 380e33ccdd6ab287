//! Farewells neither open nor settle a debt: who owed before, owes until the end.

use harness::sweep::packet::Side::{Client, Server};

use crate::{
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script},
};

/// A login that the server owes an answer to, and how a client takes it back there.
struct Kind {
    capture: &'static str,
    /// Up to the login, and that.
    kept: usize,
    phase: &'static str,
    farewells: &'static [(&'static str, &'static [u8])],
}

/// TLS 1.2's alert: two bytes, eight of a nonce, sixteen of a tag.
const ALERT_12: &[u8] = &record::<26>(21);
/// The attention, a header alone, sealed likewise.
const ATTENTION_12: &[u8] = &record::<32>(23);
/// TLS 1.3's alert: two bytes, their type, sixteen of a tag.
const ALERT_13: &[u8] = &record::<19>(23);
/// TLS 1.3's attention: eight bytes, their type, sixteen of a tag.
const ATTENTION_13: &[u8] = &record::<25>(23);
/// TLS 1.3's `KeyUpdate`: five bytes, their type, sixteen of a tag.
const KEY_UPDATE: &[u8] = &record::<22>(23);
const ATTENTION: &[u8] = &[6, 1, 0, 8, 0, 0, 1, 0];
const KINDS: [Kind; 5] = [
    Kind {
        capture: "captures/odbc18-lab-clear",
        kept: 8,
        phase: "login",
        farewells: &[("attention", ATTENTION)],
    },
    Kind {
        capture: "captures/odbc18-lab-tls12",
        kept: 12,
        phase: "login",
        farewells: &[("close_notify", ALERT_12), ("attention", ATTENTION_12)],
    },
    Kind {
        capture: "captures/odbc18-lab-strict13",
        kept: 12,
        phase: "login",
        farewells: &[
            ("close_notify", ALERT_13),
            ("attention", ATTENTION_13),
            ("KeyUpdate", KEY_UPDATE),
        ],
    },
    Kind {
        capture: "cases/odbc18-lab-tls13intds",
        kept: 10,
        phase: "login",
        farewells: &[
            ("close_notify", ALERT_13),
            ("attention", ATTENTION_13),
            ("KeyUpdate", KEY_UPDATE),
        ],
    },
    Kind {
        capture: "captures/tsql-lab-ntlm-loginonly",
        kept: 14,
        phase: "auth",
        farewells: &[("attention", ATTENTION)],
    },
];

/// One record: its type, its length, and so many bytes.
const fn record<const N: usize>(kind: u8) -> [u8; 64] {
    let mut bytes = [0xA5; 64];
    bytes[0] = kind;
    bytes[1] = 3;
    bytes[2] = 3;
    bytes[3] = 0;
    bytes[4] = N as u8;
    bytes
}

/// The record's own bytes.
fn whole(bytes: &[u8]) -> &[u8] {
    if bytes.len() == 64 {
        &bytes[..5 + usize::from(bytes[4])]
    } else {
        bytes
    }
}

#[test]
fn a_client_that_says_goodbye_to_a_server_that_owes_has_given_it_up() {
    let mut wrong = Wrong::default();
    for kind in KINDS {
        for (name, farewell) in kind.farewells {
            // Said at the end of the wait, or in its middle: the wait is the server's as a whole.
            for (before, after) in [(2 * SECOND, 0), (15 * SECOND, 0), (SECOND / 5, 3 * SECOND)] {
                for by_reset in [false, true] {
                    let mut script = Script::after(kind.capture, kind.kept);
                    script.wait(before).say(Client, whole(farewell));
                    script.wait(after + MILLISECOND / 10);
                    if by_reset {
                        script.reset(Client);
                    } else {
                        script.close(Client);
                    }
                    let wait = before + after;
                    let variant = format!("{} {name} {before} {after} {by_reset}", kind.capture);
                    wrong.look(&variant, &script.heard(), |judge| {
                        // `close_notify` is where the client leaves: less than a second before it is
                        // nobody's fault.
                        let left = *name == "close_notify";
                        let waited = if left { before } else { wait };
                        if waited >= SECOND {
                            judge.outcome(&["timeout"]);
                            judge.owed_by(Some("server"));
                            judge.class("abnormal");
                        }
                        judge.ended_in(kind.phase);
                        judge.share(kind.phase, "server", wait, 10 * MILLISECOND);
                    });
                }
            }
        }
    }
}

/// Keep-alives of either side show that both live, and settle nothing.
#[test]
fn keep_alives_settle_no_debt() {
    let mut wrong = Wrong::default();
    for kind in KINDS {
        for side in [Client, Server] {
            let mut script = Script::after(kind.capture, kind.kept);
            for _ in 0..4 {
                script.wait(15 * SECOND).keep_alive(side);
            }
            script.wait(SECOND).close(Client);
            wrong.look(
                &format!("{} {side:?}", kind.capture),
                &script.heard(),
                |judge| {
                    judge.outcome(&["timeout"]);
                    judge.owed_by(Some("server"));
                    judge.ended_in(kind.phase);
                    judge.share(kind.phase, "server", 61 * SECOND, 10 * MILLISECOND);
                },
            );
        }
    }
}

/// A server that ends it after owing was not given up on: it closed, or reset.
#[test]
fn a_server_that_ends_what_it_owes_is_named_as_the_debtor() {
    let mut wrong = Wrong::default();
    for kind in KINDS {
        for wait in [2 * SECOND, 60 * SECOND] {
            for (by_reset, outcome) in [(false, "closed"), (true, "reset")] {
                let mut script = Script::after(kind.capture, kind.kept);
                script.others_pass(wait);
                if by_reset {
                    script.reset(Server);
                } else {
                    script.close(Server);
                }
                let variant = format!("{} {wait} {outcome}", kind.capture);
                wrong.look(&variant, &script.heard(), |judge| {
                    judge.outcome(&[outcome]);
                    judge.owed_by(Some("server"));
                    judge.class("abnormal");
                    judge.ended_in(kind.phase);
                    judge.share(kind.phase, "server", wait, 10 * MILLISECOND);
                    judge.said("login.stranger", &serde_json::Value::Null);
                });
            }
        }
    }
}

/// Where the client owes the next message, whoever ends it: the wait is the client's.
#[test]
fn a_client_that_falls_silent_is_waited_for_whoever_ends_it() {
    // After the handshake, after PRELOGIN's answer, after TLS, after a challenge in clear.
    const SILENT: [(&str, usize, &str); 6] = [
        ("captures/odbc18-lab-clear", 3, "prelogin"),
        ("captures/odbc18-lab-clear", 7, "login"),
        ("captures/odbc18-lab-tls12", 7, "tls"),
        ("captures/odbc18-lab-tls12", 11, "login"),
        ("drivers/pymssql-full13", 10, "login"),
        ("captures/tsql-lab-ntlm-loginonly", 13, "auth"),
    ];
    let mut wrong = Wrong::default();
    for (capture, kept, phase) in SILENT {
        for (end, by, by_reset) in [
            ("closed", Server, false),
            ("reset", Server, true),
            ("aborted", Client, false),
            ("reset", Client, true),
        ] {
            for keeps_alive in [false, true] {
                let mut script = Script::after(capture, kept);
                if keeps_alive {
                    script.wait(9 * SECOND).keep_alive(Server).wait(11 * SECOND);
                } else {
                    script.wait(20 * SECOND);
                }
                if by_reset {
                    script.reset(by);
                } else {
                    script.close(by);
                }
                let variant = format!("{capture}@{kept} {end} by {by:?} {keeps_alive}");
                wrong.look(&variant, &script.heard(), |judge| {
                    // TLS is agreed on and nobody has begun it: it may be read either way.
                    let tls = ["tls_failed", end];
                    let aborted = ["reset", "aborted"];
                    judge.outcome(match (phase, kept) {
                        ("tls", _) => &tls,
                        // A probe that sent no data is aborted, though it resets.
                        (_, 3) if by == Client && by_reset => &aborted,
                        _ => &tls[1..],
                    });
                    judge.owed_by(Some("client"));
                    judge.ended_in(phase);
                    judge.share(phase, "client", 20 * SECOND, 20 * MILLISECOND);
                });
            }
        }
    }
}
