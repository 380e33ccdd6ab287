//! Causes that need a look at other connections of the same client and server.

use harness::sweep::packet::Side::Server;
use serde_json::Value;
use tracer::session::Config;

use super::{sure_of, top, waits};
use crate::{
    hear::{hear, together},
    script::{MILLISECOND, SECOND, Script},
};

const CLEAR: &str = "captures/odbc18-lab-clear";
const STRICT: &str = "captures/odbc18-lab-strict13";

fn told(scripts: &[Script]) -> Vec<Value> {
    let heard = hear(&together(scripts), 1433, Config::default());
    heard.of("login").into_iter().cloned().collect()
}

fn healthy(port: u16, begins: u64) -> Script {
    waits(CLEAR, 4, (port, begins, 0))
}

/// A SYN that is reset.
fn refused(port: u16, begins: u64) -> Script {
    let mut script = Script::after(CLEAR, 1);
    script.wait(MILLISECOND / 10).reset(Server);
    script.copy(port, begins)
}

#[test]
fn a_port_that_is_shut_and_one_without_room_are_told_apart() {
    let shut: Vec<_> = (0..4)
        .map(|n| refused(20_000 + n, u64::from(n) * SECOND))
        .collect();
    assert!(told(&shut).iter().all(|line| top(line) == "port_closed"));
    // It was open until just now.
    let mut stopped: Vec<_> = (0..5)
        .map(|n| healthy(20_000 + n, u64::from(n) * MILLISECOND))
        .collect();
    stopped.extend((0..3).map(|n| refused(21_000 + n, SECOND + u64::from(n) * SECOND)));
    let logins = told(&stopped);
    assert!(
        logins[5..].iter().all(|line| top(line) == "port_closed"),
        "{logins:#?}"
    );
    // It takes others meanwhile.
    let full: Vec<_> = (0..10)
        .map(|n| {
            let begins = u64::from(n) * 100 * MILLISECOND;
            if n % 2 == 0 {
                refused(20_000 + n, begins)
            } else {
                healthy(20_000 + n, begins)
            }
        })
        .collect();
    let logins = told(&full);
    let last = logins
        .iter()
        .rfind(|line| line["login"]["outcome"] == "refused");
    let last = last.unwrap();
    assert_eq!(top(last), "listen_backlog", "{last}");
}

#[test]
fn syns_that_are_sent_again_all_at_once_found_no_room() {
    // The same for each: its SYN passes twice.
    let late = |port: u16, begins: u64| {
        let mut script = Script::after(CLEAR, 1);
        let syn = script.original(0);
        script.wait(SECOND);
        let again = syn.again(script.now);
        script.steps.push(crate::script::Step::Packet(again));
        script.goes_on_from(1);
        script.copy(port, begins)
    };
    let alone = told(&[late(20_000, 0)]);
    assert_eq!(top(&alone[0]), "packet_loss", "{}", alone[0]);
    let mut scripts: Vec<_> = (0..8)
        .map(|n| late(20_000 + n, u64::from(n) * MILLISECOND))
        .collect();
    scripts.push(healthy(21_000, 0));
    let logins = told(&scripts);
    let last = logins.last().unwrap();
    assert_eq!(top(last), "listen_backlog", "{last}");
}

#[test]
fn a_connection_that_is_dropped_with_many_others_met_a_limit() {
    let dropped = |port: u16, begins: u64| {
        let mut script = Script::after(CLEAR, 4);
        script.wait(MILLISECOND).reset(Server);
        script.copy(port, begins)
    };
    let scripts: Vec<_> = (0..9)
        .map(|n| dropped(20_000 + n, u64::from(n) * 50 * MILLISECOND))
        .collect();
    let logins = told(&scripts);
    assert!(
        sure_of(&logins[0], "connection_limit") <= 0.5,
        "one alone: {}",
        logins[0]
    );
    assert!(
        sure_of(&logins[8], "connection_limit") > 0.8,
        "{}",
        logins[8]
    );
}

#[test]
fn a_server_that_is_usually_quick_makes_a_shorter_wait_a_long_one() {
    let mut scripts: Vec<_> = (0..20)
        .map(|n| healthy(20_000 + n, u64::from(n) * SECOND))
        .collect();
    scripts.push(waits(CLEAR, 8, (21_000, 30 * SECOND, 400 * MILLISECOND)));
    let logins = told(&scripts);
    let last = logins.last().unwrap();
    assert_eq!(top(last), "server_slow_login", "{last}");
    assert!(
        last["diagnosis"][0]["evidence"]["usual_ns"]
            .as_u64()
            .unwrap()
            < MILLISECOND
    );
    // Where nothing is known of the server it is not.
    let alone = told(&[waits(CLEAR, 8, (21_000, 0, 400 * MILLISECOND))]);
    assert!(alone[0].get("diagnosis").is_none());
}

/// A connection from this port, so long after one moment for all, whenever it was captured.
fn begins(script: &Script, port: u16, at: u64) -> Script {
    let moment = 2_000_000_000 * SECOND;
    let captured = script.steps[0].time_ns();
    script.copy(port, moment - captured + at)
}

#[test]
fn a_server_that_leaves_over_prelogin_and_lets_in_who_begins_with_tls_wants_tds_8() {
    let strict = Script::after(STRICT, 0);
    let strict = Script::after(STRICT, strict.length());
    let mut closed = Script::after(CLEAR, 4);
    closed.wait(MILLISECOND).close(Server);
    let mut reset = Script::after(CLEAR, 4);
    reset.wait(MILLISECOND).reset(Server);
    for (left, sure) in [(closed, 0.55), (reset, 0.35)] {
        let alone = told(&[begins(&left, 20_000, 0)]);
        let alone = sure_of(&alone[0], "strict_only_server");
        assert!((sure..sure + 0.1).contains(&alone), "{alone}");
        let both = told(&[
            begins(&strict, 21_000, 0),
            begins(&left, 20_000, 5 * SECOND),
        ]);
        assert_eq!(top(&both[1]), "strict_only_server", "{both:#?}");
        assert!(sure_of(&both[1], "strict_only_server") > 0.8, "{}", both[1]);
        // Who begins with PRELOGIN too gets in.
        let both = told(&[
            begins(&healthy(21_000, 0), 21_000, 0),
            begins(&left, 20_000, 5 * SECOND),
        ]);
        assert_eq!(top(&both[1]), "connection_limit", "{}", both[1]);
    }
}
