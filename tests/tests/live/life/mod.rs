//! How the agent starts, stops and refuses, and that it leaves a host as it was.

mod interfaces;
mod refused;
mod start_and_stop;
mod started;
mod state;

use std::process::Command;
use std::time::{Duration, Instant};

use harness::net::Namespace;
use harness::peer::program;
use serde_json::Value;

pub(crate) const ADDRESS: &str = "127.0.0.1:1433";
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn agent(host: &Namespace, arguments: &[&str]) -> Command {
    let mut command = host.command(program("tds-tracer").unwrap());
    command.arg("run").args(arguments);
    command
}

fn has_action(lines: &[String], action: &str) -> bool {
    lines.iter().any(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["agent"]["action"] == action
    })
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The classifiers and qdiscs of a host.
fn attached(host: &Namespace) -> String {
    let net = output(host.command("bpftool").arg("net"));
    net + &output(host.command("tc").args(["qdisc", "show"]))
}

pub(crate) fn assert_nothing_of_ours(host: &Namespace) {
    let attached = attached(host);
    assert!(!attached.contains("tds_"), "{attached}");
    assert!(!attached.contains("clsact"), "{attached}");
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what} not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
