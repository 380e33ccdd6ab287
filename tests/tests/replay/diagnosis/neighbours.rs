//! Causes that need a look at other connections of the same client and server.

use harness::sweep::packet::Side::{Client, Server};
use serde_json::Value;
use tracer::session::Config;

use super::{sure_of, top, waits};
use crate::{
    hear::{hear, together},
    script::{MILLISECOND, SECOND, Script},
};

const CLEAR: &str = "captures/odbc18-lab-clear";

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
    let mut full: Vec<_> = (0..5)
        .map(|n| healthy(20_000 + n, u64::from(n) * MILLISECOND))
        .collect();
    full.push(refused(21_000, SECOND));
    let logins = told(&full);
    let last = logins.last().unwrap();
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

#[test]
fn an_idle_connection_that_something_else_resets_was_dropped() {
    let mut script = Script::after(CLEAR, 10);
    script.wait(300 * SECOND).reset(Server);
    let last = script.steps.len() - 1;
    for (place, packet) in script.packets().enumerate() {
        if place == last {
            let mut bytes = packet.bytes.to_vec();
            // Another distance: IPv4's time to live, and its checksum.
            bytes[8] = bytes[8].wrapping_sub(9);
            let sum = u16::from_be_bytes([bytes[10], bytes[11]]).wrapping_add(0x0900);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.bytes = bytes.into();
        }
    }
    let heard = script.heard();
    let (login, close) = heard.only().unwrap();
    assert!(login.get("diagnosis").is_none(), "{login}");
    assert_eq!(top(close), "idle_drop", "{close}");
}

#[test]
fn an_answer_to_a_client_that_has_left_is_late_in_the_close() {
    let mut script = Script::after(CLEAR, 4);
    script.wait(3 * SECOND).reset(Client);
    let answer = script.original(5);
    script.wait(50 * MILLISECOND).say(Server, answer.payload());
    let heard = script.heard();
    let (login, close) = heard.only().unwrap();
    assert_eq!(top(login), "server_silent", "{login}");
    assert_eq!(top(close), "late_reply", "{close}");
    assert!(sure_of(close, "server_silent") > 0.7, "{close}");
}
