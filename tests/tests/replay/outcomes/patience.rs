//! A login that is answered late: while both sides hold on it is undecided, and said to be pending
//! once.

use harness::{
    replay::field,
    sweep::packet::Side::{Client, Server},
};
use serde_json::Value;

use crate::{
    hear::{Heard, number},
    judge::{Wrong, text},
    script::{MILLISECOND, SECOND, Script},
};

/// Where a login may wait: so many packets have passed, one side owes, in a phase.
const PLACES: [(&str, usize, &str, &str); 10] = [
    ("captures/odbc18-lab-clear", 3, "client", "prelogin"),
    ("captures/odbc18-lab-clear", 4, "server", "prelogin"),
    ("captures/odbc18-lab-clear", 7, "client", "login"),
    ("captures/odbc18-lab-clear", 8, "server", "login"),
    ("captures/odbc18-lab-tls12", 8, "server", "tls"),
    ("captures/odbc18-lab-tls12", 9, "client", "tls"),
    ("captures/odbc18-lab-tls12", 12, "server", "login"),
    ("captures/odbc18-lab-strict13", 12, "server", "login"),
    ("captures/tsql-lab-ntlm-loginonly", 13, "client", "auth"),
    ("captures/tsql-lab-ntlm-loginonly", 14, "server", "auth"),
];
const BEGUN: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];

/// The one `pending` line says who owes, in which phase, and nothing of an outcome.
fn pending(wrong: &mut Wrong, variant: &str, heard: &Heard, owed_by: &str, phase: &str) {
    let lines = heard.of("pending");
    let [line] = lines[..] else {
        wrong.demand(false, || format!("{variant}: {} pending", lines.len()));
        return;
    };
    let told = text(line, "login.owed_by");
    wrong.demand(told == Some(owed_by), || {
        format!("{variant}: pending owed by {told:?}, right {owed_by}")
    });
    let outcome = field(line, "login.outcome");
    wrong.demand(outcome.is_none(), || {
        format!("{variant}: pending {outcome:?}")
    });
    let told: Vec<_> = BEGUN
        .iter()
        .filter(|name| field(line, &format!("phases.{name}")).is_some())
        .collect();
    let last = told.last().copied().copied();
    wrong.demand(last == Some(phase), || {
        format!("{variant}: pending in {last:?}, right {phase}")
    });
    let waited = number(line, &format!("phases.{phase}.{owed_by}_ns"));
    wrong.demand(waited > 29 * SECOND, || {
        format!("{variant}: pending after {waited} of {owed_by} in {phase}")
    });
    // Thirty seconds after its first packet, and before all that comes later.
    let duration = number(line, "login.duration_ns");
    wrong.demand(
        duration == 0 || duration.abs_diff(30 * SECOND) < SECOND,
        || format!("{variant}: pending after {duration}"),
    );
    let place = |event: &str| heard.lines.iter().position(|line| line["event"] == event);
    wrong.demand(place("pending") < place("login"), || {
        format!("{variant}: pending after its login")
    });
    wrong.demand(line["severity"] == "warn", || {
        format!("{variant}: pending is {}", line["severity"])
    });
}

#[test]
fn a_login_that_goes_on_late_is_pending_once_and_decided_then() {
    let mut wrong = Wrong::default();
    for (capture, kept, owed_by, phase) in PLACES {
        for wait in [35 * SECOND, 130 * SECOND, 600 * SECOND, 3600 * SECOND] {
            for keeps_alive in [false, true] {
                let mut script = Script::after(capture, kept);
                if keeps_alive {
                    for _ in 0..5 {
                        script.others_pass(wait / 5);
                        script.keep_alive(Client);
                    }
                } else {
                    script.others_pass(wait);
                }
                script.goes_on_from(kept);
                let heard = script.heard();
                let variant = format!("{capture}@{kept} {wait} {keeps_alive}");
                wrong.look(&variant, &heard, |judge| {
                    judge.outcome(&["success"]);
                    judge.share(phase, owed_by, wait, 80 * MILLISECOND);
                    judge.said("connection.partial", &Value::Bool(false));
                    judge.said("login.late_reply_ns", &Value::Null);
                });
                pending(&mut wrong, &variant, &heard, owed_by, phase);
            }
        }
    }
}

#[test]
fn a_login_that_goes_on_within_half_a_minute_is_never_pending() {
    let mut wrong = Wrong::default();
    for (capture, kept, owed_by, phase) in PLACES {
        let wait = 29 * SECOND;
        let mut script = Script::after(capture, kept);
        script
            .others_pass(wait)
            .goes_on_from(kept)
            .wait(60 * SECOND);
        script.others_pass(SECOND);
        let heard = script.heard();
        let variant = format!("{capture}@{kept}");
        wrong.look(&variant, &heard, |judge| {
            judge.outcome(&["success"]);
            judge.share(phase, owed_by, wait, 80 * MILLISECOND);
        });
        let pending = heard.of("pending").len();
        wrong.demand(pending == 0, || format!("{variant}: {pending} pending"));
    }
}

/// After the half minute the login may end unanswered as well.
#[test]
fn a_pending_login_that_ends_unanswered_is_decided_by_its_end() {
    let mut wrong = Wrong::default();
    for (capture, kept, owed_by, phase) in PLACES {
        for wait in [40 * SECOND, 400 * SECOND] {
            for (by, end) in [(Client, "aborted"), (Server, "closed")] {
                let mut script = Script::after(capture, kept);
                script.others_pass(wait).close(by);
                let heard = script.heard();
                let variant = format!("{capture}@{kept} {wait} {by:?}");
                wrong.look(&variant, &heard, |judge| {
                    let gave_up = by == Client && owed_by == "server";
                    let right = match phase {
                        _ if gave_up => "timeout",
                        "tls" => "tls_failed",
                        _ => end,
                    };
                    judge.outcome(&[right]);
                    judge.owed_by(Some(owed_by));
                    judge.ended_in(phase);
                    judge.share(phase, owed_by, wait, 80 * MILLISECOND);
                });
                pending(&mut wrong, &variant, &heard, owed_by, phase);
            }
        }
    }
}
