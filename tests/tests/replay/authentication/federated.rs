//! A federated login inside full encryption: the server asks for a token, and the client may take
//! minutes to get one.

use harness::sweep::packet::Side::{Client, Server};

use crate::{
    hear::number,
    judge::{Wrong, text},
    script::{MILLISECOND, SECOND, Script},
};

const CAPTURE: &str = "cases/entra-second-factor";
/// Up to FEDAUTHINFO.
const ASKED: usize = 14;
const WAITS: [u64; 7] = [
    100 * MILLISECOND,
    900 * MILLISECOND,
    2 * SECOND,
    16 * SECOND,
    40 * SECOND,
    130 * SECOND,
    300 * SECOND,
];
/// A token of one record, and one of two TDS packets.
const TOKENS: [&[usize]; 3] = [&[1700], &[3500], &[4120, 900]];

#[test]
fn a_federated_login_is_decided_by_the_reply_to_its_token_however_late_that_comes() {
    let mut wrong = Wrong::default();
    for wait in WAITS {
        for token in TOKENS {
            for (reply, outcome) in [
                (180, "failed"),
                (300, "failed"),
                (380, "success"),
                (700, "success"),
            ] {
                for server_takes in [5 * MILLISECOND, 4 * SECOND] {
                    let mut script = Script::after(CAPTURE, ASKED);
                    let start = script.original(0).time_ns;
                    script.others_pass(wait).seal(Client, token);
                    script.wait(server_takes).seal(Server, &[reply]);
                    let lasts = script.now - start;
                    if outcome == "failed" {
                        script.wait(MILLISECOND).close(Server);
                    } else {
                        script.ask_and_leave();
                    }
                    let heard = script.heard();
                    let variant = format!("{wait} {token:?} {reply} {server_takes}");
                    wrong.look(&variant, &heard, |judge| {
                        judge.outcome(&[outcome]);
                        judge.duration(lasts);
                        judge.share("auth", "client", wait, 2 * MILLISECOND);
                        judge.share("auth", "server", server_takes, 2 * MILLISECOND);
                        judge.said("login.basis", &"inferred".into());
                    });
                    let pending = heard.of("pending");
                    let right = usize::from(lasts > 30 * SECOND);
                    wrong.demand(pending.len() == right, || {
                        format!("{variant}: {} pending", pending.len())
                    });
                    for line in pending.into_iter().filter(|_| wait > 30 * SECOND) {
                        let owed_by = text(line, "login.owed_by");
                        wrong.demand(owed_by == Some("client"), || {
                            format!("{variant}: pending owed by {owed_by:?}")
                        });
                    }
                }
            }
        }
    }
}

/// Who leaves before the token has left before the login was decided; the client owed the token.
#[test]
fn a_federated_login_that_ends_before_its_token_was_the_clients_to_go_on_with() {
    let mut wrong = Wrong::default();
    for wait in WAITS {
        for (end, by, by_reset) in [
            ("aborted", Client, false),
            ("reset", Client, true),
            ("closed", Server, false),
            ("reset", Server, true),
        ] {
            // A server that leaves at once after a short reply has refused, for all that shows.
            if by == Server && wait < SECOND {
                continue;
            }
            let mut script = Script::after(CAPTURE, ASKED);
            script.others_pass(wait);
            if by_reset {
                script.reset(by);
            } else {
                script.close(by);
            }
            let variant = format!("{wait} {end} by {by:?}");
            wrong.look(&variant, &script.heard(), |judge| {
                judge.outcome(&[end]);
                judge.owed_by((wait >= SECOND).then_some("client"));
                judge.ended_in("auth");
                judge.share("auth", "client", wait, 2 * MILLISECOND);
                judge.demand(
                    number(judge.login, "phases.auth.server_ns") < SECOND / 2,
                    || "the server was waited for".to_owned(),
                );
            });
        }
    }
}

/// The answer to the token never comes.
#[test]
fn a_server_that_does_not_answer_a_token_is_waited_for() {
    let mut wrong = Wrong::default();
    for wait in [2 * SECOND, 70 * SECOND] {
        for token in TOKENS {
            let mut script = Script::after(CAPTURE, ASKED);
            script.wait(20 * SECOND).seal(Client, token);
            script.others_pass(wait).close(Client);
            wrong.look(&format!("{wait} {token:?}"), &script.heard(), |judge| {
                judge.outcome(&["timeout"]);
                judge.owed_by(Some("server"));
                judge.ended_in("auth");
                judge.share("auth", "server", wait, 2 * MILLISECOND);
                judge.share("auth", "client", 20 * SECOND, 2 * MILLISECOND);
            });
        }
    }
}
