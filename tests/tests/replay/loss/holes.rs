//! Bytes that are missing: lost on their way, the sender still owes them; lost to the capture alone,
//! something was not seen.

use harness::{
    replay::field,
    sweep::packet::{
        ACK, FIN, PSH, RST,
        Side::{Client, Server},
    },
};
use serde_json::{Value, json};

use crate::{
    hear::number,
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script},
};

/// Where the server's message comes in two segments, the first of which nobody sees.
/// Last: whether it decides the login.
const PLACES: [(&str, usize, &str, bool); 5] = [
    ("captures/odbc18-lab-clear", 5, "prelogin", false),
    ("captures/odbc18-lab-clear", 8, "login", true),
    ("captures/odbc18-lab-tls12", 8, "tls", false),
    ("captures/odbc18-lab-strict13", 5, "tls", false),
    ("captures/tsql-lab-ntlm-loginonly", 15, "auth", true),
];

/// The second part of the server's message passes; its receiver does not get on.
fn with_a_hole(capture: &str, place: usize, first_is_seen: bool) -> (Script, [u32; 2], Vec<u8>) {
    let mut script = Script::after(capture, place);
    let message = script.original(place).payload().to_vec();
    let half = message.len() / 2;
    let numbers = [script.stands(Client), script.stands(Server)];
    script.wait(MILLISECOND);
    if first_is_seen {
        script.say(Server, &message[..half]);
    } else {
        script.skip(Server, half as u32);
    }
    script.say(Server, &message[half..]);
    // The client wants the first part.
    script
        .wait(MILLISECOND / 10)
        .send_numbered(Client, ACK, numbers, &[]);
    (script, numbers, message)
}

/// The client leaves, and has not got the first part.
fn leaves(script: &mut Script, numbers: [u32; 2], by_reset: bool) {
    script.wait(15 * SECOND);
    let flags = if by_reset { RST | ACK } else { FIN | ACK };
    script.send_numbered(Client, flags, numbers, &[]);
    script.wait(MILLISECOND);
    if !by_reset {
        script.reset(Server);
    }
}

/// Seen on the client's host.
#[test]
fn bytes_lost_on_their_way_are_still_owed_by_their_sender() {
    let mut wrong = Wrong::default();
    for (capture, place, phase, _) in PLACES {
        for by_reset in [false, true] {
            let (mut script, numbers, _) = with_a_hole(capture, place, false);
            leaves(&mut script, numbers, by_reset);
            wrong.look(
                &format!("{capture}@{place} {by_reset}"),
                &script.heard(),
                |judge| {
                    judge.said("connection.partial", &Value::Bool(false));
                    judge.outcome(&["timeout"]);
                    judge.owed_by(Some("server"));
                    judge.class("abnormal");
                    judge.ended_in(phase);
                    judge.share(phase, "server", 15 * SECOND, 100 * MILLISECOND);
                },
            );
        }
    }
}

/// Seen on the server's host: the first part passes, again and again, and gets lost later. What
/// decides a login has passed then, and is not taken back.
#[test]
fn bytes_that_their_receiver_never_got_are_still_owed_though_they_passed_here() {
    let mut wrong = Wrong::default();
    for (capture, place, phase, decides) in PLACES {
        if decides {
            continue;
        }
        for copies in [1, 6] {
            for by_reset in [false, true] {
                let (mut script, numbers, message) = with_a_hole(capture, place, true);
                let first = &message[..message.len() / 2];
                for _ in 0..copies {
                    script.wait(SECOND);
                    script.send_numbered(Server, PSH | ACK, [numbers[1], numbers[0]], first);
                }
                leaves(&mut script, numbers, by_reset);
                let variant = format!("{capture}@{place} {copies} {by_reset}");
                wrong.look(&variant, &script.heard(), |judge| {
                    judge.outcome(&["timeout"]);
                    judge.owed_by(Some("server"));
                    judge.class("abnormal");
                    judge.ended_in(phase);
                    let shares = ["server_ns", "network_ns"]
                        .map(|share| number(judge.login, &format!("phases.{phase}.{share}")));
                    let waited: u64 = shares.iter().sum();
                    let right = (15 + copies) * SECOND;
                    judge.demand(waited >= right, || format!("{shares:?} for the server"));
                    let again = number(judge.login, &format!("phases.{phase}.retransmits"));
                    judge.demand(again == copies, || format!("{again} retransmits"));
                });
            }
        }
    }
}

/// The receiver's ACK shows that it got what was not seen.
#[test]
fn bytes_that_only_the_capture_lost_make_the_connection_partial() {
    let mut wrong = Wrong::default();
    for (capture, place, _, _) in PLACES {
        let mut script = Script::after(capture, place);
        let message = script.original(place).payload().to_vec();
        let half = message.len() / 2;
        script.wait(MILLISECOND).skip(Server, half as u32);
        script.say(Server, &message[half..]);
        script
            .wait(MILLISECOND / 10)
            .ack(Client)
            .goes_on_from(place + 1);
        wrong.look(&format!("{capture}@{place}"), &script.heard(), |judge| {
            judge.said("connection.partial", &Value::Bool(true));
            let reasons = field(judge.login, "connection.partial_reasons").cloned();
            judge.demand(reasons == Some(json!(["gap"])), || {
                format!("partial: {reasons:?}")
            });
            // The client went on to ask: it was let in.
            judge.outcome(&["success", "unknown"]);
            judge.owed_by(None);
        });
    }
}

/// The lost part comes at last: all is as if it had been late.
#[test]
fn bytes_that_come_at_last_were_late() {
    let mut wrong = Wrong::default();
    for (capture, place, phase, _) in PLACES {
        for late in [300 * MILLISECOND, 5 * SECOND] {
            let (mut script, numbers, message) = with_a_hole(capture, place, false);
            script.wait(late);
            let half = message.len() / 2;
            script.send_numbered(
                Server,
                PSH | ACK,
                [numbers[1], numbers[0]],
                &message[..half],
            );
            script.wait(MILLISECOND).ack(Client).goes_on_from(place + 1);
            wrong.look(
                &format!("{capture}@{place} {late}"),
                &script.heard(),
                |judge| {
                    judge.said("connection.partial", &Value::Bool(false));
                    judge.outcome(&["success"]);
                    let client = number(judge.login, &format!("phases.{phase}.client_ns"));
                    judge.demand(client < 250 * MILLISECOND, || format!("client {client}"));
                },
            );
        }
    }
}
