//! What was not seen: connections older than the agent, and such as had to give way.

use std::time::Duration;

use harness::accounts::Trial;
use harness::agent::{Agent, Record, of};
use harness::agree::{ASK_ALL, disagreements};
use harness::capture::{Capture, Captured};
use harness::net::{Namespace, Network};
use harness::peer::Peer;
use harness::process::run;
use harness::root_or_skip;
use harness::visitor::Visitor;
use serde_json::Value;

use crate::run::{PORT, alone};

#[test]
fn a_connection_older_than_the_agent_is_partial_and_has_its_process() {
    root_or_skip!("a connection older than the agent is partial and has its process");
    let _alone = alone();
    let (record, captured, pid) = joined_late();
    // After the silence the first packet finds nothing in the caches, so its two stamps lie
    // further apart than those of others.
    let mut differences = disagreements(&record.events, captured.file(), PORT, &[]).unwrap();
    // What its messages say stays in the kernel: nobody saw them begin.
    let is_said =
        |row: &str| row.contains(" tds.client_version") || row.contains(" tds.encryption_asked");
    differences.retain(|difference| !difference.is_time && !is_said(&difference.row));
    assert_eq!(differences, [], "{:#?}", record.events);
    let logins = of(&record.events, "login");
    let login = logins.first().unwrap_or_else(|| panic!("{record:#?}"));
    assert_eq!(login["login"]["outcome"], "unknown", "{login:#}");
    assert_eq!(
        login["connection"]["partial_reasons"][0], "joined_late",
        "{login:#}"
    );
    assert_eq!(login["process"]["name"], "raw-client", "{login:#}");
    assert_eq!(login["process"]["pid"], pid, "{login:#}");
}

/// What is said of a connection whose PRELOGIN was answered before anybody watched, and the process
/// that made it.
fn joined_late() -> (Record, Captured, u32) {
    let network = Network::new().unwrap();
    let port = PORT.to_string();
    let address = format!("127.0.0.1:{PORT}");
    let _server = Peer::scenario(Some(&network.client), &["--listen", &address]).unwrap();
    let client = Visitor::answered(&network.client, &address, &["--again"]).unwrap();

    let arguments = [&["--port", port.as_str()][..], &ASK_ALL].concat();
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    let capture = Capture::start(&network.client, "lo", PORT).unwrap();
    let pid = client.pid();
    client.leave().unwrap();
    for event in ["login", "close"] {
        agent.wait_for(event, 1, Duration::from_secs(20)).unwrap();
    }
    let captured = capture.stop().unwrap();
    (agent.stop().unwrap(), captured, pid)
}

/// Refused connections, each of which stays in the table until another takes its place; no more in
/// a second than the agent itself remembers.
const REFUSED: &str =
    "for _ in {1..200}; do : < /dev/tcp/127.0.0.1/1434; sleep 0.025; done 2> /dev/null; true";

/// The ends of the connections to the server that is there.
fn closes(events: &[Value]) -> Vec<Value> {
    let mut closes = of(events, "close");
    closes.retain(|close| close["server"]["port"] == 1433);
    closes
}

#[test]
fn a_connection_that_the_kernel_forgot_closes_when_it_ends() {
    root_or_skip!("a connection that the kernel forgot closes when it ends");
    let host = Namespace::new("l").unwrap();
    let address = "127.0.0.1:1433";
    let _server = Peer::scenario(Some(&host), &["--listen", address]).unwrap();
    let ports = ["--port", "1433", "--port", "1434", "--max-flows", "64"];
    let mut agent = Agent::start(&host, &ports).unwrap();
    let clients =
        ["fin", "rst"].map(|end| Visitor::answered(&host, address, &["--end", end]).unwrap());
    let limit = Duration::from_secs(20);
    run(host.command("bash").args(["-c", REFUSED]), "", limit).unwrap();
    for client in clients {
        client.leave().unwrap();
    }
    agent
        .wait(limit, |events| closes(events).len() == 2)
        .unwrap();

    let record = agent.stop().unwrap();
    let mut ends: Vec<_> = closes(&record.events)
        .into_iter()
        .map(|close| {
            assert_eq!(close["close"]["by"], "client", "{close:#}");
            let reasons = close["connection"]["partial_reasons"].as_array();
            assert_eq!(*reasons.unwrap(), ["events_lost"], "{close:#}");
            close["close"]["how"].as_str().unwrap().to_owned()
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["fin", "rst"]);
}

#[test]
fn connections_whose_records_do_not_fit_are_told_or_counted_each() {
    root_or_skip!("connections whose records do not fit are told or counted each");
    let _alone = alone();
    // While it is stopped there are more than a ring of 64 KiB holds.
    let trial = Trial {
        parts: [150, 300, 150],
        options: &["--ring-bytes", "65536"],
        flood: true,
    };
    let (accounts, _) = trial.run().unwrap();
    let complaints = accounts.complaints();
    assert_eq!(complaints, [""; 0], "{accounts}: {:#?}", accounts.kept);
    assert!(accounts.lost() > 0, "nothing was lost: {accounts}");
    assert!(accounts.whole > 0, "nothing was told whole: {accounts}");
}
