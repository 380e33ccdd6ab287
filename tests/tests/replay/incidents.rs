//! Logins that go wrong together are told as one incident, and each of them as before.

use harness::sweep::packet::Side::{Client, Server};
use serde_json::{Value, json};
use tracer::{record::Nanos, session::Config, sink::Filter};

use crate::{
    hear::{Heard, hear, together},
    script::{MILLISECOND, SECOND, Script, Step},
};

const CLEAR: &str = "captures/odbc18-lab-clear";
const REFUSED: &str = "captures/odbc18-lab-loginfailed";
/// So many packets of the first have passed when the server owes PRELOGIN's answer.
const PRELOGIN: usize = 4;

fn elsewhere(script: &Script, port: u16, server: u8, later: u64) -> Script {
    script.moved(later, |packet| {
        packet.of_client_port(port).of_server(server)
    })
}

/// A login that goes well.
fn well(port: u16, server: u8, later: u64) -> Script {
    let mut script = Script::after(CLEAR, 1);
    script.goes_on_from(1);
    elsewhere(&script, port, server, later)
}

/// A SYN that is reset.
fn shut(port: u16, server: u8, later: u64) -> Script {
    let mut script = Script::after(CLEAR, 1);
    script.wait(MILLISECOND / 10).reset(Server);
    elsewhere(&script, port, server, later)
}

/// Whom the server keeps waiting until this moment, whenever it came.
fn stalled(port: u16, later: u64, until: u64) -> Script {
    let mut script = Script::after(CLEAR, PRELOGIN);
    script.wait(until - later).goes_on_from(PRELOGIN);
    elsewhere(&script, port, 2, later)
}

/// What is said, and two minutes more.
fn heard(scripts: &[Script], config: Config) -> Heard {
    let mut steps = together(scripts);
    let mut last = Script::after(CLEAR, 1);
    last.steps.clear();
    last.wait(steps.last().map_or(0, Step::time_ns) - last.now);
    last.others_pass(120 * SECOND);
    steps.extend(last.steps);
    hear(&steps, 1433, config)
}

fn actions(heard: &Heard) -> Vec<(&Value, &Value)> {
    let lines = heard.of("incident").into_iter();
    lines
        .map(|line| (&line["incident"]["action"], &line["incident"]["cause"]))
        .collect()
}

#[test]
fn a_server_without_workers_is_one_incident_from_its_first_login_to_its_recovery() {
    let mut scripts: Vec<_> = (0..30_u16)
        .map(|n| stalled(20_000 + n, u64::from(n) * 200 * MILLISECOND, 14 * SECOND))
        .collect();
    scripts.extend((0..10_u16).map(|n| well(21_000 + n, 2, (20 + u64::from(n)) * SECOND)));
    let heard = heard(&scripts, Config::default());
    let cause = json!("server_threads_exhausted");
    assert_eq!(
        actions(&heard),
        [(&json!("opened"), &cause), (&json!("closed"), &cause)]
    );
    let lines = heard.of("incident");
    let (opened, closed) = (&lines[0]["incident"], &lines[1]["incident"]);
    assert_eq!(opened["logins"], 5);
    assert_eq!(opened.get("outcome"), None);
    assert_eq!(lines[0]["severity"], "warn", "they were slow");
    assert_eq!(closed["id"], opened["id"]);
    assert_eq!(closed["outcome"], "recovered");
    assert_eq!(lines[1]["severity"], "info");
    assert_eq!(
        (&closed["logins"], &closed["of_logins"]),
        (&json!(30), &json!(40))
    );
    assert_eq!(
        (&closed["slow"], &closed["failed"]),
        (&json!(30), &json!(0))
    );
    assert_eq!(closed["for"], "database");
    assert_eq!(closed["scope"], "server");
    assert!(closed["confidence"].as_f64().unwrap() > 0.8, "{closed:#}");
    let logins = heard.of("login");
    let first = &logins[0]["connection"];
    let began: Vec<_> = logins
        .iter()
        .map(|line| &line["connection"]["start"])
        .collect();
    let earliest = began.iter().map(|start| start.as_str().unwrap()).min();
    assert_eq!(closed["start"].as_str(), earliest);
    assert_eq!(
        first["start"], closed["worst"]["start"],
        "who came first waited longest"
    );
    // Those that were told after it had opened name it.
    let naming = logins
        .iter()
        .filter(|line| line["login"]["incident"] == closed["id"]);
    assert_eq!(naming.count(), 30 - 4);
}

#[test]
fn a_port_that_is_shut_and_logins_that_are_refused_elsewhere_are_two_incidents() {
    let refused = Script::after(REFUSED, 0);
    let refused = Script::after(REFUSED, refused.length());
    let mut scripts = Vec::new();
    for n in 0..8_u16 {
        let later = u64::from(n) * SECOND;
        scripts.push(shut(20_000 + n, 2, later));
        scripts.push(elsewhere(&refused, 21_000 + n, 3, later));
    }
    let heard = heard(&scripts, Config::default());
    let lines = heard.of("incident");
    let of = |cause: &str| -> Vec<&Value> {
        let lines = lines.iter().map(|line| &line["incident"]);
        lines
            .filter(|incident| incident["cause"] == cause)
            .collect()
    };
    let (shut, refused) = (of("port_closed"), of("login_rejected"));
    assert_eq!((shut.len(), refused.len()), (2, 2), "{lines:#?}");
    for closed in [shut[1], refused[1]] {
        assert_eq!(
            (&closed["action"], &closed["outcome"]),
            (&json!("closed"), &json!("quiet"))
        );
        assert_eq!(closed["logins"], 8);
        assert_eq!(closed["servers"]["count"], 1);
    }
    assert_ne!(shut[0]["id"], refused[0]["id"]);
}

#[test]
fn a_storm_of_failures_is_a_handful_of_lines_and_slow_leaves_none_of_them_out() {
    let scripts: Vec<_> = (0..3000_u16)
        .map(|n| shut(20_000 + n, 2, u64::from(n) * 20 * MILLISECOND))
        .collect();
    let heard = heard(&scripts, Config::default());
    let lines = heard.of("incident");
    assert!(lines.len() <= 4, "{lines:#?}");
    let closed = &lines.last().unwrap()["incident"];
    assert_eq!(closed["logins"], 3000);
    assert_eq!(lines[0]["severity"], "error");
    let filter = Filter {
        slow: Some(Nanos(SECOND)),
        ..Filter::default()
    };
    assert_eq!(heard.logins_that_pass(&filter), 3000);
}

#[test]
fn logins_that_nobody_answers_for_long_are_an_incident_before_they_are_decided() {
    let scripts: Vec<_> = (0..6_u16)
        .map(|n| {
            let mut script = Script::after(CLEAR, PRELOGIN);
            script.others_pass(50 * SECOND).close(Client);
            elsewhere(&script, 20_000 + n, 2, u64::from(n) * SECOND)
        })
        .collect();
    let heard = heard(&scripts, Config::default());
    let lines = heard.of("incident");
    let (opened, closed) = (&lines[0], &lines.last().unwrap());
    assert_eq!(opened["incident"]["pending"], 5, "{opened:#}");
    let first = heard.of("login")[0];
    assert!(opened["timestamp"].as_str() < first["timestamp"].as_str());
    let closed = &closed["incident"];
    assert_eq!(
        (&closed["logins"], &closed["failed"]),
        (&json!(6), &json!(6))
    );
    assert_eq!(
        (&closed["pending"], &closed["of_logins"]),
        (&json!(0), &json!(6))
    );
}

#[test]
fn an_incident_that_a_capture_ends_in_is_told_as_going_on() {
    let scripts: Vec<_> = (0..6_u16)
        .map(|n| shut(20_000 + n, 2, u64::from(n) * SECOND))
        .collect();
    let heard = hear(&together(&scripts), 1433, Config::default());
    let lines = heard.of("incident");
    let last = lines.last().unwrap();
    assert_eq!(last["incident"]["outcome"], "ongoing");
    assert_eq!(last["severity"], "error");
}

#[test]
fn healthy_logins_and_a_few_that_fail_now_and_then_are_no_incident() {
    let mut scripts: Vec<_> = (0..60_u16)
        .map(|n| well(20_000 + n, 2, u64::from(n) * SECOND))
        .collect();
    scripts.extend((0..4_u16).map(|n| shut(21_000 + n, 3, u64::from(n) * 15 * SECOND)));
    let told = heard(&scripts, Config::default());
    assert!(told.of("incident").is_empty());
    let none = Config {
        incidents: None,
        ..Config::default()
    };
    let scripts: Vec<_> = (0..9_u16)
        .map(|n| shut(20_000 + n, 2, u64::from(n) * SECOND))
        .collect();
    assert!(
        heard(&scripts, none).of("incident").is_empty(),
        "nobody wants them"
    );
}
