//! What replay can be given: every file format, link type and tunnel says the same of the same
//! packets, and what is damaged is never read wrong.

mod files;
mod links;
mod times;
mod tunnels;

use std::path::{Path, PathBuf};
use std::process::Output;

use harness::pcap::{Packet, Temporary};
use harness::replay::{events_with, run};
use serde_json::Value;

/// Captures on Ethernet: IPv4 in clear, IPv6 and IPv4 with TLS, MARS.
pub(crate) const CAPTURES: [&str; 4] = [
    "odbc18-lab-clear",
    "odbc18-lab-ipv6",
    "odbc18-lab-tls12",
    "odbc18-lab-mars-loginonly",
];

pub(crate) fn capture(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.join(format!("fixtures/captures/{name}.pcap"))
}

/// All lines of a file, replayed with these arguments.
pub(crate) fn lines(file: &Path, arguments: &[&str]) -> Vec<Value> {
    let lines = events_with(file, arguments).unwrap();
    let of = |kind: &str| lines.iter().filter(|line| line["event"] == kind).count();
    // A connection whose login was over before has a close alone.
    assert!(of("login") <= of("close"), "{lines:#?}");
    lines
}

/// The lines of a checked-in capture, of which there must be some.
pub(crate) fn truth(name: &str) -> Vec<Value> {
    let truth = lines(&capture(name), &[]);
    assert_eq!(truth[0]["event"], "login", "{name} has no login");
    truth
}

/// A file of packets with their link headers.
pub(crate) fn written(link: u32, packets: &[Packet]) -> Temporary {
    Temporary::new("inputs.pcap", &harness::pcap::file(link, packets)).unwrap()
}

/// `replay` with exit status, lines and standard error.
pub(crate) fn outcome<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> (Option<i32>, Vec<Value>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = run(arguments).unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (
        status.code(),
        lines.collect(),
        String::from_utf8_lossy(&stderr).into_owned(),
    )
}
