//! NTLM inside full encryption: the challenge and the acknowledgement show by their sizes alone, and
//! a challenge may have the size of either reply.

use harness::{
    replay::field,
    sweep::packet::Side::{Client, Server},
};
use serde_json::Value;

use crate::{
    hear::number,
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script},
};

const CAPTURE: &str = "drivers/tsql-full12-ntlm-refused";
/// Up to LOGIN7 with the NEGOTIATE in it.
const LOGIN: usize = 12;
/// A challenge of a short domain to one with a long name, the SPNEGO wrapping included.
const CHALLENGES: [usize; 10] = [150, 189, 250, 340, 351, 434, 600, 800, 1000, 1200];
const RESPONSES: [usize; 6] = [210, 282, 400, 800, 1200, 1500];
/// How long the domain controller takes.
const SLOW: [u64; 4] = [100 * MILLISECOND, SECOND, 3 * SECOND, 14 * SECOND];
const HOP: u64 = 100_000;

/// Up to the client's response.
fn responded(challenge: usize, response: usize) -> Script {
    let mut script = Script::after(CAPTURE, LOGIN);
    script.wait(MILLISECOND).seal(Server, &[challenge]);
    script.wait(4 * MILLISECOND).seal(Client, &[response]);
    script.wait(HOP).ack(Server);
    script
}

fn each(mut take: impl FnMut(usize, usize, u64)) {
    for challenge in CHALLENGES {
        for response in RESPONSES {
            for slow in SLOW {
                take(challenge, response, slow);
            }
        }
    }
}

/// The acknowledgement is the reply that the client goes on after: the login lasts until then, and
/// the wait for the domain controller is the server's.
#[test]
fn a_login_that_the_domain_controller_lets_in_lasts_until_its_acknowledgement() {
    let mut wrong = Wrong::default();
    each(|challenge, response, slow| {
        for reply in [380, 450, 900] {
            let mut script = responded(challenge, response);
            script.wait(slow).seal(Server, &[reply]);
            let lasts = script.now - script.original(0).time_ns;
            script.ask_and_leave();
            let variant = format!("{challenge} {response} {slow} {reply}");
            wrong.look(&variant, &script.heard(), |judge| {
                judge.outcome(&["success"]);
                judge.duration(lasts);
                judge.share("auth", "server", slow, MILLISECOND);
                judge.said("login.basis", &"inferred".into());
            });
        }
    });
}

/// A refusal is short, and the server leaves after it, or the client does.
#[test]
fn a_login_that_the_domain_controller_refuses_lasts_until_its_refusal() {
    let mut wrong = Wrong::default();
    each(|challenge, response, slow| {
        for reply in [110, 144, 250] {
            for by in [Server, Client] {
                let mut script = responded(challenge, response);
                script.wait(slow).seal(Server, &[reply]);
                let lasts = script.now - script.original(0).time_ns;
                script.wait(2 * MILLISECOND).close(by);
                let variant = format!("{challenge} {response} {slow} {reply} {by:?}");
                wrong.look(&variant, &script.heard(), |judge| {
                    judge.outcome(&["failed"]);
                    judge.duration(lasts);
                    judge.share("auth", "server", slow, MILLISECOND);
                    judge.said("login.basis", &"inferred".into());
                });
            }
        }
    });
}

/// The server owes the answer to the response: a client that leaves has given it up, and a server
/// that leaves owed it.
#[test]
fn a_domain_controller_that_does_not_answer_is_waited_for_to_the_end() {
    let mut wrong = Wrong::default();
    each(|challenge, response, slow| {
        for (end, by, by_reset) in [
            ("timeout", Client, false),
            ("timeout", Client, true),
            ("closed", Server, false),
            ("reset", Server, true),
        ] {
            let mut script = responded(challenge, response);
            script.wait(slow);
            if by_reset {
                script.reset(by);
            } else {
                script.close(by);
            }
            let variant = format!("{challenge} {response} {slow} {end} by {by:?}");
            wrong.look(&variant, &script.heard(), |judge| {
                let end = match (end, by_reset) {
                    ("timeout", false) if slow < SECOND => "aborted",
                    ("timeout", true) if slow < SECOND => "reset",
                    _ => end,
                };
                judge.outcome(&[end]);
                judge.owed_by((slow >= SECOND).then_some("server"));
                if slow >= SECOND {
                    judge.class("abnormal");
                }
                judge.ended_in("auth");
                judge.share("auth", "server", slow, MILLISECOND);
            });
        }
    });
}

/// A short challenge is no acknowledgement. A longer one may be: then sizes are believed to 0.7.
#[test]
fn a_client_that_falls_silent_after_the_challenge_has_not_surely_logged_in() {
    let mut wrong = Wrong::default();
    for challenge in CHALLENGES {
        for silent in [2 * SECOND, 20 * SECOND, 90 * SECOND] {
            for by in [Server, Client] {
                let mut script = Script::after(CAPTURE, LOGIN);
                script.wait(MILLISECOND).seal(Server, &[challenge]);
                script.wait(HOP).ack(Client).others_pass(silent);
                script.close(by);
                let heard = script.heard();
                let variant = format!("{challenge} {silent} {by:?}");
                wrong.look(&variant, &heard, |judge| {
                    let confidence = field(judge.login, "login.confidence").and_then(Value::as_f64);
                    judge.demand(confidence.is_none_or(|told| told <= 0.7), || {
                        format!("believed to {confidence:?}")
                    });
                    judge.never(&["timeout"]);
                    if challenge <= 350 {
                        let end = if by == Server { "closed" } else { "aborted" };
                        judge.outcome(&[end]);
                        judge.owed_by(Some("client"));
                        judge.share("auth", "client", silent, 5 * MILLISECOND);
                    }
                });
                for pending in heard.of("pending") {
                    let server = number(pending, "phases.auth.server_ns");
                    wrong.demand(server < SECOND, || {
                        format!("{variant}: {server} of the server")
                    });
                }
            }
        }
    }
}

/// The response in several records is the same response.
#[test]
fn a_response_in_many_records_is_one() {
    let mut wrong = Wrong::default();
    // Sealing adds 24 bytes to each.
    for pieces in [vec![25, 281], vec![94; 4], vec![40; 17], vec![282, 282]] {
        for apart in [0, 400_000] {
            for (reply, outcome) in [(144, "failed"), (450, "success")] {
                let mut script = Script::after(CAPTURE, LOGIN);
                script.wait(MILLISECOND).seal(Server, &[250]);
                script.wait(4 * MILLISECOND);
                script.seal_apart(Client, &pieces, apart);
                script.wait(3 * SECOND).seal(Server, &[reply]);
                let lasts = script.now - script.original(0).time_ns;
                if outcome == "failed" {
                    script.wait(MILLISECOND).close(Server);
                } else {
                    script.ask_and_leave();
                }
                let variant = format!("{pieces:?} {apart} {outcome}");
                wrong.look(&variant, &script.heard(), |judge| {
                    judge.outcome(&[outcome]);
                    judge.duration(lasts);
                    judge.share("auth", "server", 3 * SECOND, MILLISECOND);
                });
            }
        }
    }
}
