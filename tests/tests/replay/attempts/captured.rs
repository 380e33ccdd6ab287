//! Attempts of real drivers, whose times were read off the packets.

use std::{collections::BTreeMap, fs, path::PathBuf};

use harness::{
    agent::of,
    pcap::{self, Packet},
    replay::{events, events_with, field},
};
use serde_json::{Value, json};

use super::parts;
use crate::{
    packets::{SECOND, last_ns, other, replay},
    told::{only, path, says},
};

fn attempt(capture: &str) -> Value {
    only(&events(&path(capture)).unwrap(), "attempt")
}

#[test]
fn a_lookup_and_the_connection_that_follows_are_one_attempt() {
    let attempt = attempt("captures/odbc18-lab-instance");
    says(
        &attempt,
        &json!({
            "client.address": "10.77.0.1",
            "severity": "info",
            "attempt.start": "2026-11-22T19:48:38.018277692Z",
            "attempt.outcome": "success",
            "attempt.duration_ns": 7_010_986,
            "attempt.unexplained_ns": 108_291,
            "attempt.connections": 1,
            "attempt.target": {"name": "sql1.lab.test", "instance": "SQLEXPRESS", "port": 57139},
        }),
    );
    assert_eq!(
        parts(&attempt),
        [
            json!(["lookup", "answered", 0, 283_399, false]),
            json!(["login", "success", 391_690, 6_619_296, false]),
        ]
    );
    assert_eq!(attempt["attempt"]["parts"][0]["name"], "sqlexpress");
}

#[test]
fn a_redirect_and_where_it_leads_are_one_attempt() {
    let attempt = attempt("captures/mssqltds-mock-routing");
    says(
        &attempt,
        &json!({
            "attempt.outcome": "success",
            "attempt.duration_ns": 2_992_008,
            "attempt.unexplained_ns": 587_869,
            "attempt.connections": 2,
            "attempt.target.port": 1433,
        }),
    );
    assert_eq!(
        parts(&attempt),
        [
            json!(["login", "redirected", 0, 1_377_439, false]),
            json!(["login", "success", 1_965_308, 1_026_700, false]),
        ]
    );
}

#[test]
fn where_a_redirect_leads_and_nobody_answers_is_part_of_the_attempt_though_nothing_proves_its_port()
{
    let mut packets = pcap::packets(&path("captures/mssqltds-mock-routing")).unwrap();
    let is_next = |packet: &mut Packet| packet.destination_port() == 57_139_u16.to_be_bytes();
    let syn = packets.iter_mut().position(is_next).unwrap();
    packets.truncate(syn + 1);
    packets.push(other(last_ns(&packets) + 60 * SECOND));
    let lines = replay(&packets);
    let attempt = only(&lines, "attempt");
    says(
        &attempt,
        &json!({
            "severity": "error",
            "attempt.outcome": "unreachable",
            "attempt.connections": 2,
        }),
    );
    assert_eq!(
        parts(&attempt),
        [
            json!(["login", "redirected", 0, 1_377_439, false]),
            json!(["connect", "unreachable", 1_965_308, 0, false]),
        ]
    );
}

#[test]
fn two_families_that_race_are_one_attempt_and_the_slower_one_has_not_failed() {
    let capture = path("captures/odbc18-lab-multisubnet");
    let lines = events(&capture).unwrap();
    let attempt = only(&lines, "attempt");
    says(
        &attempt,
        &json!({
            "client.address": "fd77::1",
            "attempt.outcome": "success",
            "attempt.duration_ns": 5_669_411,
            "attempt.unexplained_ns": 0,
            "attempt.connections": 2,
        }),
    );
    assert_eq!(
        parts(&attempt),
        [
            json!(["login", "success", 0, 5_669_411, false]),
            json!(["connect", "aborted", 106_678, 51_146, true]),
        ]
    );
    let loser = &of(&lines, "login")[0];
    says(
        loser,
        &json!({
            "severity": "info",
            "login.outcome": "aborted",
            "login.loser": true,
            "login.stranger": null,
            "attempt.number": 1,
        }),
    );
}

#[test]
fn a_login_that_failed_for_good_and_the_next_one_from_its_port_are_attempts_of_their_own() {
    let lines = events(&path("captures/tsql-lab-portreuse")).unwrap();
    let attempts = of(&lines, "attempt");
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|line| json!([line["attempt"]["outcome"], line["severity"]]))
        .collect();
    assert_eq!(
        outcomes,
        [json!(["failed", "error"]), json!(["success", "info"])]
    );
}

#[test]
fn a_driver_that_tries_again_at_the_same_address_makes_one_attempt() {
    // ODBC does so five times, after 100 ms and twice as long each time, up to a second.
    let lines = events(&path("captures/odbc18-none-refused")).unwrap();
    let attempts = of(&lines, "attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["attempt"]["connections"], 6);
    assert_eq!(attempts[0]["attempt"]["outcome"], "refused");
    let logins = of(&lines, "login");
    let numbers: Vec<_> = logins
        .iter()
        .map(|line| &line["attempt"]["number"])
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn who_asks_for_no_attempts_still_finds_their_names_in_the_logins() {
    let capture = path("captures/mssqltds-mock-routing");
    let lines = events_with(&capture, &["--events", "-attempt"]).unwrap();
    assert_eq!(of(&lines, "attempt").len(), 0);
    let logins = of(&lines, "login");
    assert_eq!(logins[0]["attempt"]["id"], logins[1]["attempt"]["id"]);
    assert_eq!(
        [1, 2].map(Value::from),
        [0, 1].map(|one| logins[one]["attempt"]["number"].clone())
    );
    // Neither slow nor failed.
    let slow = events_with(&capture, &["--slow", "1000"]).unwrap();
    assert_eq!(of(&slow, "attempt").len(), 0);
}

/// All captures beside the tests.
pub(super) fn captures() -> Vec<PathBuf> {
    let folders = [
        "captures",
        "cases",
        "drivers",
        "others",
        "rows",
        "sequences",
    ];
    let entries = folders.iter().flat_map(|folder| {
        let folder = path(&format!("{folder}/x")).with_file_name("");
        fs::read_dir(folder).unwrap()
    });
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|kind| kind == "pcap"))
        .collect()
}

#[test]
fn of_every_capture_each_login_is_part_of_one_attempt_and_nothing_is_left_over() {
    let mut joined = 0;
    for capture in captures() {
        let lines = events(&capture).unwrap();
        let title = capture.display();
        let mut parts = BTreeMap::new();
        for attempt in of(&lines, "attempt") {
            let told = &attempt["attempt"];
            let nanos = |value: &Value, name: &str| value[name].as_u64().unwrap();
            let whole = nanos(told, "duration_ns");
            assert!(
                nanos(told, "unexplained_ns") <= whole,
                "{title}: {attempt:#}"
            );
            let own = told["parts"].as_array().unwrap();
            joined += usize::from(own.len() > 1);
            let ends = own
                .iter()
                .map(|part| nanos(part, "start_ns") + nanos(part, "duration_ns"));
            assert_eq!(ends.max(), Some(whole), "{title}: {attempt:#}");
            assert_eq!(own[0]["start_ns"], 0, "{title}: {attempt:#}");
            let ids = own.iter().filter_map(|part| part["connection_id"].as_str());
            let ids: Vec<_> = ids.collect();
            assert_eq!(told["connections"], ids.len(), "{title}: {attempt:#}");
            for id in ids {
                let other = parts.insert(id.to_owned(), told["id"].clone());
                assert_eq!(other, None, "{title}: {id} is in two attempts");
            }
        }
        for kind in ["login", "close"] {
            for line in of(&lines, kind) {
                let Some(attempt) = field(&line, "attempt.id") else {
                    // Of a login that was over before, and where times are not known.
                    assert_eq!(line["connection"]["partial"], true, "{title}: {line:#}");
                    continue;
                };
                let id = line["connection"]["id"].as_str().unwrap();
                assert_eq!(parts.get(id), Some(attempt), "{title}: {line:#}");
            }
        }
        let named = of(&lines, "login");
        let named = named.iter().filter(|line| line["attempt"].is_object());
        assert_eq!(named.count(), parts.len(), "{title}");
    }
    assert!(joined >= 3, "{joined} attempts of several parts");
}
