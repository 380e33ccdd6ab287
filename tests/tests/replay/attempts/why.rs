//! Why a whole attempt failed or took long.

use harness::sweep::packet::{ACK, FIN, Side};
use serde_json::{Value, json};

use super::scripted::{CAPTURE, elsewhere, heard, login, refused, slower, unanswered};
use crate::script::{MICROSECOND, MILLISECOND, SECOND, Script};

fn why(attempt: &Value) -> &Value {
    &attempt["attempt"]["diagnosis"][0]
}

/// A login whose PRELOGIN is never answered; its client leaves after fifteen seconds.
fn silent(port: u16, server: u8, later: u64) -> Script {
    let mut script = Script::after(CAPTURE, 4);
    script.wait(15 * SECOND).close(Side::Client);
    elsewhere(&script, port, server, later)
}

#[test]
fn an_attempt_that_went_well_at_once_has_no_cause() {
    let race = [
        unanswered(40_001, 3, 0),
        login(40_002, 4, 10 * MICROSECOND),
        slower(40_003, 5, 20 * MICROSECOND, FIN | ACK),
    ];
    let next = [
        refused(41_001, 3, 9 * SECOND),
        login(41_002, 4, 9 * SECOND + MILLISECOND),
    ];
    let heard = heard(&[&race[..], &next].concat());
    let attempts = heard.of("attempt");
    assert_eq!(attempts.len(), 2);
    for attempt in attempts {
        assert_eq!(attempt["attempt"].get("diagnosis"), None, "{attempt:#}");
    }
}

#[test]
fn the_winner_of_a_race_that_never_says_anything_is_dead() {
    let heard = heard(&[
        silent(40_001, 3, 0),
        slower(40_002, 4, 20 * MICROSECOND, FIN | ACK),
    ]);
    let attempts = heard.of("attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    let why = why(attempts[0]);
    assert_eq!(why["cause"], "parallel_race_won_by_dead_backend", "{why:#}");
    assert_eq!(why["for"], "network");
    assert_eq!(why["evidence"]["won"], "10.77.0.3");
    assert_eq!(why["evidence"]["losers_accepted"], 1);
    // What was told of the login itself follows.
    let second = &attempts[0]["attempt"]["diagnosis"][1];
    assert_eq!(second["cause"], "server_silent");
}

#[test]
fn a_dead_address_that_is_tried_first_is_why_the_attempt_took_long() {
    let mut dead = Script::after(CAPTURE, 1);
    let syn = dead.original(0);
    for wait in [1, 2] {
        dead.wait(wait * SECOND);
        let again = syn.at(dead.now);
        dead.steps.push(crate::script::Step::Packet(again));
    }
    let heard = heard(&[elsewhere(&dead, 40_001, 3, 0), login(40_002, 4, 5 * SECOND)]);
    let attempts = heard.of("attempt");
    let causes = attempts[0]["attempt"]["diagnosis"].as_array().unwrap();
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["cause"], "sequential_dead_address");
    let evidence = json!({"dead_addresses": ["10.77.0.3"], "lost_ns": 5 * SECOND});
    assert_eq!(causes[0]["evidence"], evidence);
}

#[test]
fn an_attempt_of_one_login_has_the_causes_of_that() {
    let heard = heard(&[silent(40_001, 3, 0)]);
    let login = &heard.of("login")[0]["diagnosis"];
    assert_eq!(&heard.of("attempt")[0]["attempt"]["diagnosis"], login);
    assert_eq!(login[0]["cause"], "server_silent");
}
