//! Ends of every kind: both sides at once, and such as no packet shows.

use harness::{
    replay::field,
    sweep::packet::{
        ACK, FIN,
        Side::{Client, Server},
    },
};
use serde_json::Value;

use crate::{
    hear::number,
    judge::{Wrong, text},
    script::{MICROSECOND, MILLISECOND, SECOND, Script},
};

/// Up to a message that the server owes an answer to.
const OWED: [(&str, usize, &str); 5] = [
    ("captures/odbc18-lab-clear", 5, "prelogin"),
    ("captures/odbc18-lab-clear", 8, "login"),
    ("captures/odbc18-lab-tls12", 8, "tls"),
    ("captures/odbc18-lab-tls12", 12, "login"),
    ("captures/tsql-lab-ntlm-loginonly", 14, "auth"),
];

/// Both close before they have heard of each other; every packet until the last ACK is theirs.
#[test]
fn a_simultaneous_close_is_one_close_with_every_packet() {
    let mut wrong = Wrong::default();
    for (capture, asked) in [
        ("captures/odbc18-lab-clear", 19),
        ("captures/odbc18-lab-tls12", 23),
    ] {
        for first in [Client, Server] {
            let mut script = Script::after(capture, asked);
            let numbers = [script.stands(Client), script.stands(Server)];
            let both = [numbers, [numbers[1], numbers[0]]];
            script.wait(MILLISECOND);
            for side in [first, first.other()] {
                script.wait(10 * MICROSECOND);
                script.send_numbered(side, FIN | ACK, both[side as usize], &[]);
            }
            for side in [first, first.other()] {
                script.wait(10 * MICROSECOND).ack(side);
            }
            script.others_pass(120 * SECOND);
            let packets = script
                .packets()
                .map(|packet| packet.side)
                .collect::<Vec<_>>();
            wrong.look(&format!("{capture} {first:?}"), &script.heard(), |judge| {
                judge.outcome(&["success"]);
                let close = judge.close;
                judge.demand(text(close, "close.how") == Some("fin"), || {
                    format!("{close:#}")
                });
                judge.demand(
                    field(close, "close.half_open").is_none_or(|told| told == false),
                    || "half open".to_owned(),
                );
                for side in [Client, Server] {
                    let sent = packets.iter().filter(|of| **of == side).count() as u64;
                    let told = number(close, &format!("tcp.packets.{}", side.name()));
                    judge.demand(told == sent, || {
                        format!("{told} packets of the {}, right {sent}", side.name())
                    });
                }
                judge.said("connection.partial", &Value::Bool(false));
            });
        }
    }
}

/// The network is gone: the client's kernel closes the socket, and no packet of it shows.
#[test]
fn a_client_whose_close_no_packet_shows_has_given_up_by_its_socket() {
    let mut wrong = Wrong::default();
    for (capture, kept, phase) in OWED {
        for wait in [3 * SECOND, 15 * SECOND, 100 * SECOND] {
            let mut script = Script::after(capture, kept);
            script.owned_by(7).others_pass(wait).socket_ends();
            script.others_pass(200 * SECOND);
            wrong.look(
                &format!("{capture}@{kept} {wait}"),
                &script.heard(),
                |judge| {
                    judge.outcome(&["timeout"]);
                    judge.owed_by(Some("server"));
                    judge.ended_in(phase);
                    judge.share(phase, "server", wait, 1200 * MILLISECOND);
                    judge.class("abnormal");
                },
            );
        }
    }
}

/// Its socket alone ends a connection that was in use.
#[test]
fn a_connection_in_use_whose_close_no_packet_shows_is_closed_once() {
    let mut wrong = Wrong::default();
    for (capture, asked) in [
        ("captures/odbc18-lab-clear", 19),
        ("captures/odbc18-lab-tls12", 23),
    ] {
        let mut script = Script::after(capture, asked);
        script.owned_by(7).others_pass(15 * SECOND).socket_ends();
        script.others_pass(200 * SECOND);
        wrong.look(capture, &script.heard(), |judge| {
            judge.outcome(&["success"]);
            judge.owed_by(None);
        });
    }
}

/// A pooled connection is older than the agent, and the other host is gone.
#[test]
fn a_connection_joined_late_that_ends_abnormally_is_closed() {
    let mut wrong = Wrong::default();
    for (capture, reply) in [
        ("captures/odbc18-lab-clear", 8),
        ("captures/odbc18-lab-tls12", 12),
        ("captures/odbc18-lab-strict13", 12),
    ] {
        for asks in [false, true] {
            for keep_alives in [0, 1, 10] {
                for by_reset in [true, false] {
                    // A silence after nothing at all is no connection.
                    if by_reset || asks {
                        let mut script = Script::after(capture, reply + 1);
                        script.steps.clear();
                        late(&mut script, reply, asks, keep_alives, by_reset);
                        let variant =
                            format!("{capture}, asks {asks}, {keep_alives}, reset {by_reset}");
                        closed_late(&mut wrong, &variant, &script, by_reset);
                    }
                }
            }
        }
    }
}

/// What happens to it: a request perhaps, keep-alives that nobody answers, and what the kernel does
/// then.
fn late(script: &mut Script, reply: usize, asks: bool, keep_alives: usize, by_reset: bool) {
    if asks {
        let request = script.original(reply + 1).payload().to_vec();
        let answer = script.original(reply + 2).payload().to_vec();
        script.wait(10 * SECOND).say(Client, &request);
        script.wait(MILLISECOND).say(Server, &answer);
    }
    script.wait(10 * SECOND);
    for _ in 0..keep_alives {
        script.wait(SECOND).send_at(Client, ACK, 1, &[]);
    }
    if by_reset {
        script.wait(SECOND).reset(Client);
    }
    script.others_pass(40 * SECOND);
}

fn closed_late(wrong: &mut Wrong, variant: &str, script: &Script, by_reset: bool) {
    let heard = script.heard();
    let closes = heard.of("close");
    let told = [
        heard.of("login").len(),
        heard.of("pending").len(),
        closes.len(),
    ];
    wrong.count();
    wrong.demand(told == [0, 0, 1], || {
        format!("{variant}: {told:?} logins, pendings, closes")
    });
    for close in closes {
        let reasons = close["connection"]["partial_reasons"].as_array();
        let is_late = reasons.is_some_and(|all| all.contains(&"joined_late".into()));
        wrong.demand(is_late, || format!("{variant}: {reasons:?}"));
        if by_reset {
            let end = [&close["close"]["how"], &close["close"]["by"]];
            wrong.demand(end == ["rst", "client"], || format!("{variant}: {end:?}"));
        }
        for path in ["handshake", "prelogin", "tls", "login", "auth"] {
            wrong.demand(close["phases"][path].is_null(), || {
                format!("{variant}: {path}")
            });
        }
        wrong.demand(close["auth"].is_null(), || {
            format!("{variant}: {}", close["auth"])
        });
    }
}

/// The last ACK is on its way when the capture ends, or was missed.
#[test]
fn both_fins_make_a_close_without_their_last_acknowledgement() {
    let mut wrong = Wrong::default();
    for (capture, asked) in [
        ("captures/odbc18-lab-clear", 19),
        ("captures/odbc18-lab-tls12", 23),
    ] {
        for by in [Client, Server] {
            let mut script = Script::after(capture, asked);
            script.wait(MILLISECOND).send(by, FIN | ACK, &[]);
            script.wait(MILLISECOND).send(by.other(), FIN | ACK, &[]);
            script.others_pass(100 * SECOND);
            wrong.look(&format!("{capture} {by:?}"), &script.heard(), |judge| {
                judge.outcome(&["success"]);
                let half_open = field(judge.close, "close.half_open").cloned();
                judge.demand(half_open.is_none_or(|told| told == false), || {
                    "half open".to_owned()
                });
                let [told, right] = [text(judge.close, "close.by"), Some(by.name())];
                judge.demand(told == right, || {
                    format!("closed by {told:?}, right {right:?}")
                });
            });
        }
    }
}
