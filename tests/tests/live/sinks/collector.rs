//! A collector that others have written: rotel, which takes OTLP by gRPC and by HTTP, and hands it on.

use std::collections::BTreeMap;

use harness::agent::of;
use harness::drivers::{Driver, python};
use harness::process::Running;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::otlp::{parse, receiver};
use super::place::Place;
use crate::life::{LIMIT, wait_until};

/// Where it takes what by gRPC and by HTTP, and hands it on to: the strict receiver's port.
const TAKES: [(&str, &str); 2] = [("grpc", "127.0.0.1:5317"), ("http", "127.0.0.1:5318")];
const PROGRAM: &str = "import os, rotel, sys; program = os.path.dirname(rotel.__file__) + '/rotel-agent'; \
                       os.execv(program, [program, *sys.argv[1:]])";

/// The collector, which hands on to the strict receiver at its usual port.
fn collector(place: &Place) -> Running {
    collector_at(place, TAKES.map(|(_, address)| address), "4318")
}

/// One that takes what comes by gRPC and by HTTP there, and hands it on to that port.
pub(super) fn collector_at(place: &Place, takes: [&str; 2], to: &str) -> Running {
    let [grpc, http] = takes;
    let mut collector = place.host.command(python());
    collector.args([
        "-c",
        PROGRAM,
        "start",
        "--exporter",
        "otlp",
        "--disable-batching",
    ]);
    collector.args(["--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http]);
    collector.args([
        "--otlp-exporter-endpoint",
        &format!("http://127.0.0.1:{to}"),
    ]);
    collector.args(["--otlp-exporter-protocol", "http"]);
    collector.args([
        "--pid-file",
        &place.folder.path(&format!("{to}.pid")),
        "--log-file",
        &place.folder.path(&format!("{to}.log")),
    ]);
    let collector = Running::start(&mut collector).unwrap();
    wait_until("the collector", || {
        let mut sockets = place.host.command("ss");
        let listening = sockets.args(["-Hltn"]).output().unwrap();
        let listening = String::from_utf8_lossy(&listening.stdout).into_owned();
        takes.iter().all(|address| listening.contains(address))
    });
    collector
}

/// How often each line arrived as a log record, by its number in the run.
fn arrived(lines: &[Value]) -> BTreeMap<u64, usize> {
    let mut arrived = BTreeMap::new();
    for line in lines.iter().filter(|line| line["log"].is_string()) {
        let number = line["attributes"]["tds_tracer.line"].as_u64().unwrap();
        *arrived.entry(number).or_default() += 1;
    }
    arrived
}

#[test]
fn a_collector_that_is_killed_meanwhile_gets_each_record_by_grpc_and_by_http() {
    root_or_skip!("a collector that is killed meanwhile gets each record by gRPC and by HTTP");
    driver_or_skip!(Driver::Tsql);
    for (protocol, address) in TAKES {
        let place = Place::new(&format!("collector-{protocol}"));
        let mut receiver = receiver(&place, &[""]);
        let sink =
            format!("kind=otlp,protocol={protocol},url=http://{address},signals=logs,traces");
        let mut agent = place.agent(&[&sink]);
        place.log_in_until(&mut agent, 2);
        let collector = collector(&place);
        let has_all = |lines: &[String], closes: usize| {
            let lines = parse(lines);
            let count = |name: &str| lines.iter().filter(|line| line["log"] == name).count();
            let has_spans = lines.iter().any(|line| line["span"].is_string());
            // Each connection is closed, and an attempt of its own.
            let told = ["tds_tracer.close", "tds_tracer.attempt"].map(count);
            told.iter().all(|count| *count >= closes) && has_spans
        };
        let reached = receiver.wait_lines(LIMIT, |lines| has_all(lines, 2));
        let complaints = receiver.errors();
        assert!(reached, "{protocol}: {:?} {complaints}", receiver.lines());
        // It is away, and comes back.
        drop(collector);
        place.log_in_until(&mut agent, 4);
        let _collector = self::collector(&place);
        let reached = receiver.wait_lines(LIMIT, |lines| has_all(lines, 4));
        let complaints = receiver.errors();
        assert!(reached, "{protocol}: {:?} {complaints}", receiver.lines());
        let record = agent.stop().unwrap();
        assert!(record.success, "{}", record.log);
        let lines = parse(receiver.lines());
        assert_eq!(receiver.errors(), "");
        let numbers: Vec<_> = arrived(&lines).into_keys().collect();
        let expected: Vec<_> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected, "{protocol}: none is missing");
        for name in ["login", "close"] {
            let mut lines: Vec<_> = lines
                .iter()
                .filter(|line| line["log"] == format!("tds_tracer.{name}"))
                .map(|line| line["attributes"]["tds_tracer.line"].to_string())
                .collect();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(
                lines.len(),
                of(&record.events, name).len(),
                "{protocol}: {name}"
            );
        }
        let log = lines.iter().find(|line| line["log"].is_string()).unwrap();
        assert_eq!(log["resource"]["service.name"], "tds-tracer");
        assert_eq!(
            log["resource"]["service.instance.id"],
            record.events[0]["run_id"]
        );
    }
}
