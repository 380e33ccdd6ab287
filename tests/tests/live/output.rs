//! Where the agent writes: its lines, its log and that of its kernel programs.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::{Agent, Record};
use harness::agree::ASK_ALL;
use harness::capture::{Capture, Captured};
use harness::net::{Namespace, Network};
use harness::peer::program;
use harness::process::{Running, run};
use harness::root_or_skip;

use crate::life::{LIMIT, agent, assert_nothing_of_ours, wait_until};
use crate::run::{PORT, agreeing, alone};

/// What an agent with these options says of a refused connection.
fn refused(options: &[&str]) -> Record {
    let observe = || {
        let (record, captured) = observed(options);
        (record, captured, ())
    };
    agreeing(&[], observe).0
}

fn observed(options: &[&str]) -> (Record, Captured) {
    let network = Network::new().unwrap();
    let arguments = [options, &ASK_ALL].concat();
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    let capture = Capture::start(&network.client, "lo", PORT).unwrap();
    let limit = Duration::from_secs(20);
    let mut client = network.client.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg("127.0.0.1:1433"), "", limit).unwrap();
    assert!(!status.success());
    agent.wait_for("close", 1, limit).unwrap();
    let captured = capture.stop().unwrap();
    (agent.stop().unwrap(), captured)
}

#[test]
fn the_programs_speak_in_the_agents_log_only_when_asked() {
    root_or_skip!("the programs speak in the agent's log only when asked");
    let _alone = alone();
    let words = "new flow of ports 1433 and ";
    let log = refused(&["--log-level", "debug"]).log;
    assert!(log.contains(words), "{log}");
    let log = refused(&[]).log;
    assert!(!log.contains(words), "{log}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    root_or_skip!("a log that nobody reads stops nothing");
    let host = Namespace::new("l").unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut agent = host
        .command(program("tds-tracer").unwrap())
        .args(["run", "--log-level", "debug"])
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let started = lines.any(|line| line.unwrap().contains(r#""action":"start""#));
    assert!(started, "{:?}", agent.wait());
    let stopped = Command::new("kill").arg(agent.id().to_string()).status();
    assert!(stopped.unwrap().success());
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains(r#""action":"stop""#), "{last}");
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}

/// Waits for the end of a program that was told to end.
fn ended(mut child: Child) -> Option<i32> {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("still running after {LIMIT:?}");
}

#[test]
fn a_reader_that_leaves_ends_it() {
    root_or_skip!("a reader that leaves ends it");
    let host = Namespace::new("l").unwrap();
    let mut child = agent(&host, &[])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"start\"") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it did not start");
    }
    drop(reader);
    assert_eq!(ended(child), Some(0));
    assert_nothing_of_ours(&host);
}

#[test]
fn a_moved_output_is_opened_anew_when_asked() {
    root_or_skip!("a moved output is opened anew when asked");
    let host = Namespace::new("l").unwrap();
    let directory = Directory::new("hup");
    let (path, moved) = (directory.0.join("events"), directory.0.join("events.1"));
    let arguments = ["--output", path.to_str().unwrap()];
    let running = Running::start(&mut agent(&host, &arguments)).unwrap();
    let holds =
        |path: &PathBuf, word: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(word));
    wait_until("the start", || holds(&path, "\"start\""));
    fs::rename(&path, &moved).unwrap();
    running.signal("HUP").unwrap();
    wait_until("a new file", || path.exists());
    let ended = running.stop("TERM").unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(holds(&path, "\"stop\""), "the new file lacks the stop");
    assert!(!holds(&moved, "\"stop\""), "the moved file has the stop");
}

/// A directory of this test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
