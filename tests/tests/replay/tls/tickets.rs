//! TLS 1.3 inside TDS 7: session tickets, `KeyUpdate`s, padding and records look alike, and change
//! nothing of a login.

use harness::sweep::packet::Side::{Client, Server};

use crate::{
    judge::{Judge, Wrong},
    script::{MILLISECOND, SECOND, Script, records},
};

/// Finished and LOGIN7 in one segment, and each in its own.
const TOGETHER: (&str, usize) = ("cases/odbc18-lab-tls13intds", 9);
const APART: (&str, usize) = ("drivers/pymssql-full13", 10);
const HOP: u64 = 100_000;
const KEY_UPDATE: usize = 22;
/// How the server takes the login, and what it says.
const ANSWERS: [(u64, &[usize], &str); 6] = [
    (5 * MILLISECOND, &[378], "success"),
    (5 * MILLISECOND, &[180], "failed"),
    (3 * SECOND, &[378], "success"),
    (3 * SECOND, &[180], "failed"),
    (14 * SECOND, &[700], "success"),
    (14 * SECOND, &[130], "failed"),
];

/// The server answers after so long, and what follows an answer follows; the login lasted so long.
fn answers(script: &mut Script, wait: u64, reply: &[usize], outcome: &str) -> u64 {
    script.wait(wait).seal(Server, reply);
    let lasts = script.now - script.original(0).time_ns;
    if outcome == "failed" {
        script.wait(MILLISECOND).close(Server);
    } else {
        script.ask_and_leave();
    }
    lasts
}

/// The login was decided then, and the server was waited for in it for so long.
fn decided(judge: &mut Judge<'_>, outcome: &str, lasts: u64, wait: u64) {
    judge.outcome(&[outcome]);
    judge.duration(lasts);
    judge.share("login", "server", wait, MILLISECOND);
    judge.no_phase("auth");
}

/// Tickets of a server: as many as it likes, all alike or each of its own length.
fn tickets() -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for length in [64, 100, 200, 250, 340, 400, 500, 1100] {
        for count in 1..=4 {
            all.push(vec![length; count]);
        }
    }
    all.extend([
        vec![250, 266],
        vec![234, 250, 266],
        vec![200, 201, 202, 203],
    ]);
    all
}

#[test]
fn tickets_after_the_login_are_not_its_reply() {
    let mut wrong = Wrong::default();
    for (capture, finished) in [TOGETHER, APART] {
        for tickets in tickets() {
            for in_one in [true, false] {
                for (wait, reply, outcome) in ANSWERS {
                    let login = finished + 1;
                    let mut script = Script::after(capture, login);
                    script.wait(2 * HOP);
                    if in_one && !tickets.is_empty() {
                        script.seal(Server, &tickets);
                    } else {
                        script.seal_apart(Server, &tickets, HOP / 4);
                    }
                    let took = script.now - script.original(login - 1).time_ns;
                    let lasts = answers(&mut script, wait, reply, outcome);
                    let variant = format!("{capture} {tickets:?} {in_one} {wait} {outcome}");
                    wrong.look(&variant, &script.heard(), |judge| {
                        decided(judge, outcome, lasts, wait + took);
                    });
                }
            }
        }
    }
}

#[test]
fn tickets_before_the_login_are_not_its_reply() {
    let mut wrong = Wrong::default();
    let (capture, finished) = APART;
    for tickets in tickets() {
        for think in [HOP, 2 * SECOND] {
            for (wait, reply, outcome) in ANSWERS {
                let mut script = Script::after(capture, finished);
                script.wait(HOP);
                if !tickets.is_empty() {
                    script.seal(Server, &tickets);
                }
                script.wait(think).goes_on(finished..finished + 1);
                let lasts = answers(&mut script, wait, reply, outcome);
                let variant = format!("{tickets:?} {think} {wait} {outcome}");
                wrong.look(&variant, &script.heard(), |judge| {
                    decided(judge, outcome, lasts, wait);
                    judge.share("login", "client", think, MILLISECOND);
                });
            }
        }
    }
}

#[test]
fn tickets_between_the_records_of_a_login_are_not_its_reply() {
    let mut wrong = Wrong::default();
    let (capture, finished) = APART;
    for tickets in tickets() {
        for pieces in [[23, 222], [122, 123]] {
            for (wait, reply, outcome) in ANSWERS {
                let mut script = Script::after(capture, finished);
                script.wait(HOP).seal(Client, &pieces[..1]);
                script.wait(HOP / 4);
                if !tickets.is_empty() {
                    script.seal(Server, &tickets);
                }
                script.wait(HOP / 4).seal(Client, &pieces[1..]);
                let lasts = answers(&mut script, wait, reply, outcome);
                let variant = format!("{tickets:?} {pieces:?} {wait} {outcome}");
                wrong.look(&variant, &script.heard(), |judge| {
                    decided(judge, outcome, lasts, wait);
                });
            }
        }
    }
}

/// A client that leaves after tickets alone has had no answer.
#[test]
fn a_server_that_sends_tickets_and_no_reply_owes_the_reply() {
    let mut wrong = Wrong::default();
    for (capture, finished) in [TOGETHER, APART] {
        for tickets in tickets() {
            for (end, by, by_reset) in [
                ("timeout", Client, false),
                ("timeout", Client, true),
                ("closed", Server, false),
                ("reset", Server, true),
            ] {
                let mut script = Script::after(capture, finished + 1);
                script.wait(2 * HOP);
                if !tickets.is_empty() {
                    script.seal(Server, &tickets);
                }
                script.wait(15 * SECOND);
                if by_reset {
                    script.reset(by);
                } else {
                    script.close(by);
                }
                // One record of this length alone may be an acknowledgement.
                if tickets.len() == 1 && tickets[0] > 350 {
                    continue;
                }
                let variant = format!("{capture} {tickets:?} {end} {by:?}");
                wrong.look(&variant, &script.heard(), |judge| {
                    judge.outcome(&[end]);
                    judge.owed_by(Some("server"));
                    judge.class("abnormal");
                    judge.ended_in("login");
                    judge.share("login", "server", 15 * SECOND, 2 * MILLISECOND);
                });
            }
        }
    }
}

#[test]
fn key_updates_of_either_side_change_nothing() {
    let mut wrong = Wrong::default();
    for (capture, finished) in [TOGETHER, APART] {
        let login = finished + 1;
        for (wait, reply, outcome) in ANSWERS {
            for place in ["before", "after", "late"] {
                for side in [Client, Server] {
                    if place == "before" && capture == TOGETHER.0 {
                        continue;
                    }
                    let kept = if place == "before" { finished } else { login };
                    let mut script = Script::after(capture, kept);
                    script.wait(HOP).seal(side, &[KEY_UPDATE]);
                    let mut waits = wait;
                    match place {
                        "before" => {
                            script.goes_on(finished..login);
                        }
                        "after" => waits += HOP,
                        _ => {
                            script.wait(wait / 2).seal(side.other(), &[KEY_UPDATE]);
                            waits += HOP + wait / 2;
                        }
                    }
                    let lasts = answers(&mut script, wait, reply, outcome);
                    let variant = format!("{capture} {place} {side:?} {wait} {outcome}");
                    wrong.look(&variant, &script.heard(), |judge| {
                        decided(judge, outcome, lasts, waits);
                    });
                }
            }
        }
    }
}

/// How long a record becomes.
type Pad = fn(usize) -> usize;

/// Java pads each record by 16 bytes; others to a multiple.
#[test]
fn padded_records_are_read_as_bare_ones() {
    let pads: [(&str, Pad); 3] = [
        ("by 16", |length| length + 16),
        ("to 32", |length| (length - 17).next_multiple_of(32) + 17),
        ("to 64", |length| (length - 17).next_multiple_of(64) + 17),
    ];
    let mut wrong = Wrong::default();
    for (name, pad) in pads {
        for tickets in [vec![], vec![250], vec![250, 250]] {
            for (wait, reply, outcome) in ANSWERS {
                let (capture, finished) = APART;
                let mut script = Script::after(capture, finished - 1);
                // CCS and Finished inside TDS, as captured.
                let mut payload = script.original(finished - 1).payload().to_vec();
                let length = pad(69);
                payload.truncate(8 + 6);
                payload.extend(records(&[length]));
                payload[2..4].copy_from_slice(&((14 + 5 + length) as u16).to_be_bytes());
                script.wait(HOP).say(Client, &payload);
                script.wait(HOP).seal(Client, &[pad(228)]).wait(HOP);
                let padded = |lengths: &[usize]| -> Vec<usize> {
                    lengths.iter().map(|length| pad(*length)).collect()
                };
                if !tickets.is_empty() {
                    script.seal(Server, &padded(&tickets));
                }
                let reply = padded(reply);
                // A refusal padded beyond the shortest acknowledgement shows by the server's end.
                let lasts = answers(&mut script, wait, &reply, outcome);
                let variant = format!("{name} {tickets:?} {wait} {outcome}");
                wrong.look(&variant, &script.heard(), |judge| {
                    decided(judge, outcome, lasts, wait + HOP);
                });
            }
        }
    }
}

/// LOGIN7 in many records, in one segment or in many: TLS 1.0 sends one byte, and then the rest.
#[test]
fn a_login_in_many_records_is_one() {
    struct Way {
        capture: &'static str,
        login: usize,
        /// What sealing adds to a record.
        overhead: usize,
        length: usize,
    }
    const WAYS: [Way; 4] = [
        Way {
            capture: "captures/odbc18-lab-tls12",
            login: 11,
            overhead: 24,
            length: 370,
        },
        Way {
            capture: "drivers/pymssql-full13",
            login: 10,
            overhead: 17,
            length: 228,
        },
        Way {
            capture: "captures/odbc18-lab-strict13",
            login: 11,
            overhead: 17,
            length: 363,
        },
        Way {
            capture: "rows/tsql-full10",
            login: 11,
            overhead: 32,
            length: 224,
        },
    ];
    let mut wrong = Wrong::default();
    for way in WAYS {
        let bare = way.length - way.overhead;
        let even = |parts: usize| vec![bare.div_ceil(parts) + way.overhead; parts];
        let one_and_rest = vec![1 + way.overhead, bare - 1 + way.overhead];
        for pieces in [
            even(1),
            one_and_rest,
            even(2),
            even(4),
            even(7),
            even(8),
            even(10),
            even(13),
            even(14),
            even(15),
            even(16),
        ] {
            for apart in [0, HOP, 2 * MILLISECOND] {
                for (wait, reply, outcome) in ANSWERS {
                    let mut script = Script::after(way.capture, way.login);
                    script.wait(HOP);
                    if apart == 0 {
                        script.seal(Client, &pieces);
                    } else {
                        script.seal_apart(Client, &pieces, apart);
                    }
                    let lasts = answers(&mut script, wait, reply, outcome);
                    let name = way.capture;
                    let variant = format!("{name} {pieces:?} {apart} {wait} {outcome}");
                    wrong.look(&variant, &script.heard(), |judge| {
                        decided(judge, outcome, lasts, wait);
                    });
                }
            }
        }
    }
}

/// TLS 1.0's replies come in two records each, too.
#[test]
fn replies_of_tls_10_are_one_and_the_rest() {
    let mut wrong = Wrong::default();
    for (wait, _, outcome) in ANSWERS {
        let mut script = Script::after("rows/tsql-full10", 11);
        script.wait(HOP).seal(Client, &[32, 224]);
        let reply: &[usize] = if outcome == "failed" {
            &[32, 144]
        } else {
            &[32, 416]
        };
        let lasts = answers(&mut script, wait, reply, outcome);
        wrong.look(&format!("{wait} {outcome}"), &script.heard(), |judge| {
            decided(judge, outcome, lasts, wait);
        });
    }
}

/// The server wants another key share: one more round of hellos, and all else as without.
#[test]
fn a_hello_retry_request_is_a_part_of_the_handshake() {
    const RETRY: [u8; 32] = [
        0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8,
        0x91, 0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8,
        0x33, 0x9C,
    ];
    let mut wrong = Wrong::default();
    for (capture, login) in [(TOGETHER.0, 9), (APART.0, 10)] {
        for server_takes in [HOP, 2 * SECOND] {
            for client_takes in [HOP, 3 * SECOND] {
                for (wait, reply, outcome) in ANSWERS {
                    let mut script = Script::after(capture, 8);
                    let hello = script.original(7).payload().to_vec();
                    let mut retry = script.original(8).payload()[..8 + 5 + 122].to_vec();
                    // Behind TDS' header, the record's, the message's, and the version.
                    retry[8 + 5 + 4 + 2..][..32].copy_from_slice(&RETRY);
                    let length = retry.len() as u16;
                    retry[2..4].copy_from_slice(&length.to_be_bytes());
                    script.wait(server_takes).say(Server, &retry);
                    script.wait(client_takes).say(Client, &hello);
                    script.goes_on(8..login + 1);
                    let lasts = answers(&mut script, wait, reply, outcome);
                    let variant =
                        format!("{capture} {server_takes} {client_takes} {wait} {outcome}");
                    wrong.look(&variant, &script.heard(), |judge| {
                        decided(judge, outcome, lasts, wait);
                        judge.share("tls", "client", client_takes, 5 * MILLISECOND);
                        judge.share("tls", "server", server_takes, 8 * MILLISECOND);
                    });
                }
            }
        }
    }
}

/// What is left to itself for a while says nothing new.
#[test]
fn a_client_that_thinks_between_tls_and_its_login_is_waited_for() {
    let mut wrong = Wrong::default();
    let (capture, finished) = APART;
    for think in [2 * SECOND, 40 * SECOND] {
        let mut script = Script::after(capture, finished);
        script.others_pass(think).goes_on(finished..finished + 1);
        let lasts = answers(&mut script, 2 * SECOND, &[378], "success");
        wrong.look(&format!("{think}"), &script.heard(), |judge| {
            decided(judge, "success", lasts, 2 * SECOND);
            judge.share("login", "client", think, MILLISECOND);
        });
    }
}
