//! A receiver of OTLP that is as strict as the official messages are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use harness::agent::of;
use harness::drivers::{Driver, PASSWORD, python};
use harness::peer::workspace;
use harness::process::Running;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::identities::{Identities, assert_refused};
use super::place::Place;
use crate::life::LIMIT;

/// A receiver at its usual port, with these arguments.
pub(super) fn receiver(place: &Place, arguments: &[&str]) -> Running {
    receiver_at(place, "4318", arguments)
}

/// One at another port, or by gRPC at `grpc:PORT`.
pub(super) fn receiver_at(place: &Place, port: &str, arguments: &[&str]) -> Running {
    let mut receiver = place.host.command(python());
    receiver.arg(workspace().join("tests/drivers/otlp.py"));
    let mut receiver = Running::start(receiver.arg(port).args(arguments)).unwrap();
    receiver.wait_lines(LIMIT, |lines| !lines.is_empty());
    receiver
}

pub(super) fn parse(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_strict_receiver_of_otlp_gets_every_record_and_its_spans_whatever_it_answers_first() {
    root_or_skip!(
        "a strict receiver of OTLP gets every record and its spans whatever it answers first"
    );
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("otlp");
    let headers = place.folder.path("headers");
    fs::write(&headers, "Authorization: Bearer of-this-test\n").unwrap();
    let sink = format!("kind=otlp,url=http://127.0.0.1:4318,headers={headers}");
    let mut agent = place.agent(&[&sink]);
    place.log_in_until(&mut agent, 2);
    let mut receiver = receiver(&place, &["503,garbage,close,429,partial"]);
    let logs =
        |lines: &[Value], name: &str| lines.iter().filter(|line| line["log"] == name).count();
    let all = |lines: &[String]| {
        let lines = parse(lines);
        let attempts = lines.iter().any(|line| {
            line["span"]
                .as_str()
                .is_some_and(|name| name.starts_with("SQL login"))
        });
        logs(&lines, "tds_tracer.close") >= 2 && logs(&lines, "tds_tracer.loss") >= 1 && attempts
    };
    let reached = receiver.wait_lines(LIMIT, all);
    let complaints = receiver.errors();
    assert!(reached, "{:?} {complaints}", receiver.lines());
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    let told = parse(receiver.lines());
    assert!(receiver.errors().is_empty(), "{}", receiver.errors());
    let answers: Vec<_> = told
        .iter()
        .filter(|line| line["request"].is_string())
        .collect();
    assert!(
        answers
            .iter()
            .all(|line| line["authorization"] == "Bearer of-this-test")
    );
    for name in ["login", "close", "attempt"] {
        let expected = of(&record.events, name).len();
        assert_eq!(
            logs(&told, &format!("tds_tracer.{name}")),
            expected,
            "{name}"
        );
    }
    // What it has refused is counted, and told as a record of its own.
    let refused = told
        .iter()
        .find(|line| line["log"] == "tds_tracer.loss")
        .unwrap();
    assert_eq!(
        refused["attributes"]["tds_tracer.loss.reason"],
        "sink_refused"
    );
    has_its_parts(&told);
    let refused = |line: &&Value| line["attributes"]["tds_tracer.login.outcome"] == "refused";
    let refused: Vec<_> = told.iter().filter(refused).collect();
    assert!(refused.iter().any(|line| line["severity"] == 17));
    assert!(refused.iter().any(|line| line["status"] == 2));
    let text = receiver.lines().join("\n");
    assert_eq!(
        secrets::found(&Needle::of(PASSWORD), text.as_bytes()),
        Vec::<&str>::new()
    );
}

/// The span of a login that succeeds is below that of its attempt, and has its phases below it.
fn has_its_parts(told: &[Value]) {
    let spans: Vec<_> = told
        .iter()
        .filter(|line| line["span"].is_string())
        .collect();
    let ids: BTreeSet<_> = spans.iter().map(|span| span["id"].to_string()).collect();
    let success = |span: &&&Value| span["attributes"]["tds_tracer.login.outcome"] == "success";
    let login = spans.iter().find(success).unwrap();
    assert!(
        login["span"]
            .as_str()
            .unwrap()
            .starts_with("SQL connection "),
        "{login}"
    );
    assert!(
        ids.contains(&login["parent"].to_string()),
        "its attempt is there: {login}"
    );
    let below: Vec<_> = spans
        .iter()
        .filter(|span| span["parent"] == login["id"])
        .collect();
    let names: BTreeSet<_> = below
        .iter()
        .map(|span| span["span"].as_str().unwrap())
        .collect();
    for name in ["socket connect", "prelogin", "login"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
}

/// The newest values of a metric's series, by what tells them apart.
fn newest(told: &[Value], metric: &str) -> BTreeMap<String, Value> {
    let of_it = told.iter().filter(|line| line["metric"] == metric);
    of_it
        .map(|line| (line["attributes"].to_string(), line.clone()))
        .collect()
}

/// The sum of a metric's series.
fn sum(told: &[Value], metric: &str) -> u64 {
    let newest = newest(told, metric);
    newest
        .values()
        .filter_map(|line| line["value"].as_u64())
        .sum()
}

#[test]
fn a_strict_receiver_of_otlp_is_told_metrics_with_examples_that_are_spans() {
    root_or_skip!("a strict receiver of OTLP is told metrics with examples that are spans");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("metrics");
    // The first answers are lost: what is told later says all of it.
    let mut receiver = receiver(&place, &["503,close"]);
    // What is not said in lines is counted as well.
    let sink = "kind=otlp,url=http://127.0.0.1:4318,interval=1s,events=login,attempt";
    let mut agent = place.agent(&[sink]);
    place.log_in_until(&mut agent, 4);
    let logins = of(&agent.events().unwrap(), "login").len() as u64;
    let all = |lines: &[String]| {
        let lines = parse(lines);
        sum(&lines, "tds.logins") == logins && lines.iter().any(|line| line["span"].is_string())
    };
    let reached = receiver.wait_lines(LIMIT, all);
    let complaints = receiver.errors();
    assert!(reached, "{:?} {complaints}", receiver.lines());
    // The last word is what was counted by then.
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    assert_eq!(receiver.errors(), "");
    let told = parse(receiver.lines());
    for (metric, kind, unit) in [
        ("tds.logins", "sum", ""),
        ("tds.closes", "sum", ""),
        ("tds.login.duration", "exponential_histogram", "s"),
        ("tds.login.phase.duration", "exponential_histogram", "s"),
        ("tds.attempt.duration", "exponential_histogram", "s"),
        ("tds_tracer.connections", "gauge", ""),
        ("process.cpu.time", "sum", "s"),
        ("process.memory.usage", "gauge", "By"),
    ] {
        let line = told.iter().find(|line| line["metric"] == metric);
        let line = line.unwrap_or_else(|| panic!("no {metric}"));
        assert_eq!((&line["kind"], &line["unit"]), (&kind.into(), &unit.into()));
    }
    assert_eq!(
        sum(&told, "tds.closes"),
        of(&record.events, "close").len() as u64
    );
    let of_logins = newest(&told, "tds.logins");
    let success = |line: &&Value| line["attributes"]["tds_tracer.login.outcome"] == "success";
    let success = of_logins.values().find(success).unwrap();
    assert_eq!(success["attributes"]["server.address"], "127.0.0.1");
    assert_eq!(success["attributes"]["server.port"], 1433);
    let spans = told.iter().filter(|line| line["span"].is_string());
    let spans: BTreeSet<_> = spans
        .map(|span| [&span["trace"], &span["id"]].map(|id| id.as_str().unwrap().to_owned()))
        .map(|ids| ids.concat())
        .collect();
    for metric in [
        "tds.login.duration",
        "tds.login.phase.duration",
        "tds.attempt.duration",
    ] {
        for line in newest(&told, metric).values() {
            let examples = line["examples"].as_array().unwrap();
            let is_told = |example: &Value| spans.contains(example.as_str().unwrap());
            assert!(!examples.is_empty() || line["attributes"]["tds_tracer.side"].is_string());
            assert!(examples.iter().all(is_told), "{line} in {spans:?}");
        }
    }
}

#[test]
fn who_takes_otlp_by_tls_and_who_sends_it_have_to_know_each_other() {
    root_or_skip!("who takes OTLP by TLS and who sends it have to know each other");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("mutual");
    let known = Identities::new(&place.folder);
    let file = |name: &str| place.folder.path(name);
    let arguments = ["", &file("server"), &file("server.key"), &file("clients")];
    let mut receiver = receiver(&place, &arguments);
    let url = "kind=otlp,url=https://127.0.0.1:4318,signals=logs,events=login";
    let sinks = known.sinks(url);
    let sinks: Vec<_> = sinks.iter().map(String::as_str).collect();
    let mut agent = place.agent(&sinks);
    place.log_in_until(&mut agent, 2);
    let has = |lines: &[String]| {
        let lines = parse(lines);
        let logs = lines.iter().filter(|line| line["log"].is_string());
        logs.count() >= 2 && lines.iter().any(|line| line["refused"].is_string())
    };
    let reached = receiver.wait_lines(LIMIT, has);
    let complaints = receiver.errors();
    assert!(reached, "{:?} {complaints}", receiver.lines());
    assert_refused(&mut agent);
    let logs = parse(receiver.lines());
    let logs = logs.iter().filter(|line| line["log"].is_string());
    assert_eq!(logs.count(), 2);
    agent.stop().unwrap();
}
