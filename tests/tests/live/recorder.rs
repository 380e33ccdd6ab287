//! The flight recorder: the packets of the logins that went wrong, as captures that say the same as live.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::capture;
use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::net::Namespace;
use harness::peer::Peer;
use harness::replay::events;
use harness::root::skip;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let id = std::process::id();
        Self(std::env::temp_dir().join(format!("tds-tracer-live-recorder-{id}")))
    }

    /// Waits until so many bundles are there, and gives them, the oldest first.
    fn bundles(&self, many: usize) -> Vec<PathBuf> {
        let end = Instant::now() + LIMIT;
        loop {
            let entries = fs::read_dir(&self.0).into_iter().flatten();
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.retain(|path| path.extension().is_none());
            paths.sort();
            if paths.len() >= many {
                return paths;
            }
            assert!(Instant::now() < end, "{paths:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The logins that are said of a bundle's packets, by what both know.
fn logins(bundle: &Path) -> Vec<Value> {
    let said = events(&bundle.join("packets.pcapng")).unwrap();
    let logins = said.into_iter().filter(|event| event["event"] == "login");
    logins.map(|login| known(&login)).collect()
}

fn known(login: &Value) -> Value {
    let mut known = login.clone();
    let fields = known.as_object_mut().unwrap();
    let both = [
        "connection",
        "client",
        "server",
        "login",
        "phases",
        "tds",
        "auth",
    ];
    fields.retain(|name, _| both.contains(&name.as_str()));
    let connection = known["connection"].as_object_mut().unwrap();
    connection.retain(|name, _| ["id", "start", "partial"].contains(&name.as_str()));
    known
}

/// As Wireshark reads it, as many packets as the counters say.
fn every_packet_says_whose_it_is(bundle: &Path) {
    if !capture::available() {
        skip("tshark", "a bundle in Wireshark");
        return;
    }
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(bundle.join("packets.pcapng"));
    let output = tshark
        .args(["-T", "fields", "-e", "frame.comment"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let comments = String::from_utf8(output.stdout).unwrap();
    for comment in comments.lines() {
        let whose = comment.contains("connection ") && comment.contains(", process ");
        assert!(whose, "{comment}");
    }
    let counters = fs::read_to_string(bundle.join("counters.json")).unwrap();
    let counters: Value = serde_json::from_str(&counters).unwrap();
    assert_eq!(counters["packets"], comments.lines().count(), "{counters}");
}

#[test]
fn the_packets_of_a_login_that_failed_are_written_and_say_the_same() {
    root_or_skip!("the packets of a login that failed are written and say the same");
    let driver = Driver::PythonTds;
    driver_or_skip!(driver);
    let _alone = alone();
    let host = Namespace::new("f").unwrap();
    let folder = Folder::new();
    let listen = format!("127.0.0.1:{PORT}");
    let well = ["--listen", &listen, "--encrypt", "not-sup"];
    let server = Peer::scenario(Some(&host), &well).unwrap();
    let recorder = folder.0.to_str().unwrap();
    let arguments = ["--recorder", recorder, "--recorder-bytes", "1M"];
    let mut agent = Agent::start(&host, &arguments).unwrap();
    let login = Login::to("127.0.0.1", PORT, Encrypt::Off);
    let fared = driver.run(Some(&host), &login).unwrap();
    assert!(fared.ok, "{}", fared.output);
    drop(server);
    let refuses = [&well[..], &["--fail-login", "8"]].concat();
    let _server = Peer::scenario(Some(&host), &refuses).unwrap();
    driver.run(Some(&host), &login).unwrap();

    let told = agent.wait_for("login", 2, LIMIT).unwrap();
    let failed: Vec<_> = told
        .iter()
        .filter(|line| line["severity"] == "error")
        .collect();
    assert!(!failed.is_empty(), "{told:#?}");
    let bundle = &folder.bundles(1)[0];
    let again = logins(bundle);
    for line in &failed {
        assert!(again.contains(&known(line)), "{line:#}\n{again:#?}");
    }
    let id = |line: &Value| line["connection"]["id"].clone();
    let well = told.iter().find(|line| line["severity"] == "info").unwrap();
    assert!(again.iter().all(|line| id(line) != id(well)), "{again:#?}");

    // All that is held, the login that went well too.
    harness::process::run(
        Command::new("kill").args(["-USR1", &agent.pid().to_string()]),
        "",
        LIMIT,
    )
    .unwrap();
    let all = logins(folder.bundles(2).last().unwrap());
    assert!(all.contains(&known(well)), "{well:#}\n{all:#?}");
    assert!(agent.stop().unwrap().success);

    for bundle in folder.bundles(2) {
        every_packet_says_whose_it_is(&bundle);
        let needles = Needle::of(PASSWORD);
        for file in fs::read_dir(&bundle).unwrap() {
            let file = file.unwrap().path();
            let found = secrets::found(&needles, &fs::read(&file).unwrap());
            assert_eq!(found, [] as [&str; 0], "{}", file.display());
        }
        let options = fs::read_to_string(bundle.join("options.json")).unwrap();
        assert!(options.contains("recorder-bytes"), "{options}");
        let lines = fs::read_to_string(bundle.join("events.jsonl")).unwrap();
        assert!(
            lines
                .lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
    }
}
