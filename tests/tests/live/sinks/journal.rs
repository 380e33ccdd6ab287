//! systemd's journal.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use harness::drivers::Driver;
use harness::process::{Running, run};
use harness::root::skip;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::place::Place;
use crate::life::{LIMIT, wait_until};

#[test]
fn the_journal_gets_the_line_and_its_values_as_fields() {
    root_or_skip!("the journal gets the line and its values as fields");
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("journal");
    let path = place.folder.path("journal.sock");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(LIMIT)).unwrap();
    let agent = place.agent(&[&format!("kind=journald,path={path},events=login")]);
    place.log_in();
    let mut heard = vec![0; 1 << 16];
    let mut entries = Vec::new();
    for _ in 0..2 {
        let length = journal.recv(&mut heard).unwrap();
        entries.push(String::from_utf8(heard[..length].to_vec()).unwrap());
    }
    agent.stop().unwrap();
    let has = |entry: &String, field: &str| entry.lines().any(|line| line == field);
    let success = |entry: &&String| has(entry, "TDS_LOGIN_OUTCOME=success");
    let success = entries.iter().find(success).unwrap();
    for field in [
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=tds-tracer",
        "TDS_EVENT=login",
        "TDS_SERVER_PORT=1433",
    ] {
        assert!(has(success, field), "{field} in {success}");
    }
    let refused = |entry: &&String| has(entry, "TDS_LOGIN_OUTCOME=refused");
    assert!(has(entries.iter().find(refused).unwrap(), "PRIORITY=3"));
    let message = success
        .lines()
        .find_map(|line| line.strip_prefix("MESSAGE="));
    let line: Value = serde_json::from_str(message.unwrap()).unwrap();
    assert_eq!(line["login"]["outcome"], "success");
}

/// The program of systemd's journal.
pub(super) const JOURNALD: &str = "/lib/systemd/systemd-journald";
/// Where one of a test's own listens, in the test's folder.
pub(super) const SOCKET: &str = "run/systemd/journal.tds/socket";

/// A journal of its own, whose `/run` is a folder of this test, and which is kept nowhere else. It takes as much as
/// comes, as it does of the agent's unit.
pub(super) fn journald(place: &Place) -> Running {
    let settings = place.folder.path("run/systemd/journald@tds.conf.d");
    fs::create_dir_all(place.folder.path("run/log/journal")).unwrap();
    fs::create_dir_all(&settings).unwrap();
    let volatile = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n";
    fs::write(format!("{settings}/here.conf"), volatile).unwrap();
    let mut journald = Command::new("unshare");
    let script = format!(
        "mount --bind {} /run && exec {JOURNALD} tds",
        place.folder.path("run")
    );
    journald.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let journald = Running::start(&mut journald).unwrap();
    wait_until("the journal", || {
        fs::exists(place.folder.path(SOCKET)).unwrap()
    });
    journald
}

/// What `journalctl` says of that journal.
pub(super) fn journalctl(place: &Place, arguments: &[&str]) -> String {
    let mut journalctl = Command::new("journalctl");
    let files = place.folder.path("run/log/journal/*/*.journal");
    journalctl.args(["--quiet", "--file", &files]);
    run(journalctl.args(arguments), "", LIMIT).unwrap().1
}

#[test]
fn journalctl_finds_records_by_their_values_and_says_whose_they_are() {
    const PROMISE: &str = "journalctl finds records by their values and says whose they are";
    root_or_skip!(PROMISE);
    driver_or_skip!(Driver::Tsql);
    if !fs::exists(JOURNALD).unwrap() {
        skip(JOURNALD, PROMISE);
        return;
    }
    let place = Place::new("journald");
    let _journald = journald(&place);
    let socket = place.folder.path(SOCKET);
    let agent = place.agent(&[&format!("kind=journald,path={socket},events=login")]);
    place.log_in();
    let found = |field: &str| {
        let text = journalctl(&place, &["--output=json", field]);
        let entries = text.lines().map(serde_json::from_str);
        entries
            .collect::<Result<Vec<Value>, _>>()
            .unwrap_or_default()
    };
    wait_until("an entry", || {
        !found("TDS_LOGIN_OUTCOME=refused").is_empty()
    });
    let refused = &found("TDS_LOGIN_OUTCOME=refused")[0];
    assert_eq!(refused["PRIORITY"], "3");
    assert_eq!(refused["_PID"], agent.pid().to_string());
    let success = found("TDS_LOGIN_OUTCOME=success");
    let line: Value = serde_json::from_str(success[0]["MESSAGE"].as_str().unwrap()).unwrap();
    assert_eq!(line["server"]["port"], 1433);
    agent.stop().unwrap();
}
