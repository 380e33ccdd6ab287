//! What a lookup has to do with an attempt that failed or took long.

use serde_json::{Value, json};

use super::datagrams::{answers, asks, end, instance, listed, named};
use crate::packets::{MILLISECOND, SECOND, connection, last_ns, other, replay};
use harness::{agent::of, pcap::Packet};

const CLIENT: &str = "10.77.0.1";
const LAB: &str = "10.77.0.2";

/// The attempts that these packets are, and their causes.
fn attempts(packets: &[Packet]) -> Vec<Value> {
    let later = other(last_ns(packets) + 200 * SECOND);
    let attempts = of(&replay(&[packets, &[later]].concat()), "attempt");
    let told = attempts.iter().map(|line| line["attempt"].clone());
    told.collect()
}

/// The client asks for an instance, so long before its connection.
fn asked(before: u64) -> Packet {
    let start = connection()[0].time_ns - before;
    asks(start, end(CLIENT, 40_000), LAB, &named("INST"))
}

/// It is answered so long after that.
fn answered(question: &Packet, after: u64) -> Packet {
    let answer = listed(&instance("INST", 1433));
    answers(question.time_ns + after, LAB, end(CLIENT, 40_000), &answer)
}

#[test]
fn sql_browser_that_is_silent_is_why_nothing_followed() {
    let told = attempts(&[asked(0)]);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0]["diagnosis"][0]["cause"], "instance_lookup",
        "{told:#?}"
    );
    assert_eq!(told[0]["diagnosis"][0]["evidence"]["lookup"], "timeout");
}

#[test]
fn sql_browser_that_is_late_is_why_the_login_took_long() {
    let question = asked(3 * SECOND);
    let answer = answered(&question, 2999 * MILLISECOND);
    let told = attempts(&[&[question, answer][..], &connection()].concat());
    assert_eq!(
        told[0]["diagnosis"][0]["cause"], "instance_lookup",
        "{told:#?}"
    );
    assert_eq!(told[0]["outcome"], "success");
}

#[test]
fn a_pause_between_the_answer_and_the_connection_is_unexplained() {
    let question = asked(3 * SECOND);
    let answer = answered(&question, MILLISECOND);
    let told = attempts(&[&[question, answer][..], &connection()].concat());
    assert_eq!(
        told[0]["diagnosis"][0]["cause"], "unexplained_time",
        "{told:#?}"
    );
}

#[test]
fn an_announced_port_that_nobody_answers_at_is_stale() {
    let question = asked(2 * MILLISECOND);
    let answer = answered(&question, MILLISECOND);
    let told = attempts(&[question, answer, connection()[0].clone()]);
    let why = &told[0]["diagnosis"][0];
    assert_eq!(why["cause"], "stale_instance_answer", "{told:#?}");
    assert_eq!(why["evidence"]["announced_port"], json!(1433));
    assert_eq!(why["for"], "database");
}
