//! What `extract` takes out of captures says the same as they do, and holds nothing that is secret.

use std::{
    fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{
    capture::Segment,
    drivers::PASSWORD,
    pcap,
    replay::{agent, captures, events},
    secrets::{self, Needle},
};
use serde_json::Value;

const ALL: &str =
    "redirected,success,failed,refused,unreachable,timeout,tls_failed,reset,closed,aborted,unknown";
/// Texts of requests, and a password of another client's.
const TEXTS: [&str; 3] = ["SELECT", "select", "Passw0rd!"];

/// Captures of real drivers, and the project's own.
fn every_capture() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let folders = ["captures", "cases", "drivers", "rows", "sequences"];
    let folders = folders.iter().map(|name| fixtures.join(name));
    let mut paths: Vec<PathBuf> = [captures()]
        .into_iter()
        .chain(folders)
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "pcap"))
        .collect();
    paths.sort();
    paths
}

/// A capture that was taken out of another; gone with this.
struct Extracted(PathBuf);

impl Deref for Extracted {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Extracted {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// A capture of the connections that these options name; nothing where there is none.
fn extracted(capture: &Path, options: &[&str], name: &str) -> Option<Extracted> {
    let id = std::process::id();
    let to = std::env::temp_dir().join(format!("tds-tracer-extract-{id}-{name}.pcapng"));
    let mut command = Command::new(agent().unwrap());
    command
        .arg("extract")
        .args(options)
        .arg("--output")
        .arg(&to);
    let output = command.arg(capture).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Some(Extracted(to)),
        _ if error.contains("is wanted") => None,
        _ => panic!("{}: {error}", capture.display()),
    }
}

/// What is said of connections. Lookups are left out with the connections that are not wanted, and so is what is
/// known by them: attempts, and how the server's name is written.
fn of_connections(capture: &Path, which: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut said = events(capture).unwrap();
    said.retain(|event| {
        matches!(
            event["event"].as_str(),
            Some("login" | "close" | "pending" | "mars")
        ) && which(event)
    });
    for event in &mut said {
        let fields = event.as_object_mut().unwrap();
        for name in ["line", "attempt", "diagnosis"] {
            fields.remove(name);
        }
        if let Some(instance) = event.pointer_mut("/server/instance") {
            *instance = instance.as_str().unwrap().to_lowercase().into();
        }
        // Of a connection whose beginning was not seen, the headers alone are told.
        let reasons = event.pointer("/connection/partial_reasons");
        let late = Value::from("joined_late");
        if reasons.is_some_and(|reasons| reasons.as_array().unwrap().contains(&late)) {
            event.as_object_mut().unwrap().remove("tds");
        }
    }
    said
}

/// The payloads of TCP over IPv4.
fn segments(capture: &Path) -> Vec<Segment> {
    let packets = pcap::packets(capture).unwrap_or_default();
    let tcp = packets
        .into_iter()
        .filter(|packet| packet.ethertype == 0x0800 && packet.bytes[9] == 6);
    tcp.map(|packet| Segment {
        at_ns: packet.time_ns,
        stream: 0,
        from_client: true,
        flags: 0,
        payload: packet.payload().to_vec(),
    })
    .collect()
}

#[test]
fn every_connection_says_the_same_once_it_is_taken_out() {
    let mut compared = 0;
    for capture in every_capture() {
        let Some(to) = extracted(&capture, &["--outcome", ALL], "same") else {
            continue;
        };
        let before = of_connections(&capture, |_| true);
        let after = of_connections(&to, |_| true);
        assert_eq!(before, after, "{}", capture.display());
        compared += before.len();
    }
    assert!(compared > 100, "{compared} lines");
}

#[test]
fn only_the_connections_that_are_wanted_are_taken_out() {
    let capture = captures().join("odbc18-lab-multisubnet.pcap");
    let lines = of_connections(&capture, |event| event["event"] == "close");
    assert!(lines.len() > 1, "{lines:?}");
    for line in &lines {
        let id = line["connection"]["id"].as_str().unwrap();
        let to = extracted(&capture, &["--connection", id], "one").unwrap();
        let said = of_connections(&to, |event| event["event"] == "close");
        let ids: Vec<_> = said.iter().map(|line| &line["connection"]["id"]).collect();
        assert_eq!(ids, [id]);
    }
    let slow = of_connections(&capture, |event| {
        let took = event["login"]["duration_ns"].as_u64();
        event["event"] == "close" && took.is_some_and(|took| took > 100_000_000)
    });
    let to = extracted(&capture, &["--login-slower", "100ms"], "slow");
    let said = to.map(|to| of_connections(&to, |event| event["event"] == "close"));
    assert_eq!(said.unwrap_or_default().len(), slow.len());
}

#[test]
fn what_is_secret_in_a_capture_is_not_in_what_is_taken_out_of_it() {
    let mut hidden = 0;
    for capture in every_capture() {
        let Some(to) = extracted(&capture, &["--outcome", ALL], "secret") else {
            continue;
        };
        let [before, after] = [&*capture, &*to].map(|path| fs::read(path).unwrap());
        let texts = TEXTS.iter().copied().chain([PASSWORD, "S3cret"]);
        let mut needles: Vec<Needle> = texts.flat_map(Needle::of).collect();
        needles.extend(secrets::ntlm(&segments(&capture)));
        hidden += secrets::found(&needles, &before).len();
        let found = secrets::found(&needles, &after);
        assert!(found.is_empty(), "{}: {found:?}", capture.display());
    }
    assert!(hidden > 50, "{hidden} secrets");
}

#[test]
fn what_can_not_be_done_is_an_error_of_one_line() {
    let capture = captures().join("odbc18-lab-clear.pcap");
    let capture = capture.to_str().unwrap();
    for (arguments, error) in [
        (&["extract", capture][..], "say which connections"),
        (
            &["extract", "--outcome", "sad", capture],
            "use one of redirected",
        ),
        (&["extract", "--connection", "7", capture], "16 hex digits"),
        (
            &["extract", "--outcome", "failed", "-"],
            "save standard input",
        ),
        (&["extract", "--login-slower", "1h", capture], "is wanted"),
        (
            &["extract", "--outcome", "failed", "/nowhere"],
            "No such file",
        ),
    ] {
        let output = Command::new(agent().unwrap())
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(error), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
    }
}
