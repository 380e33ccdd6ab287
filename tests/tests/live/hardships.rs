//! What a host does to an agent that lives long: each time it goes on, and says what it missed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use harness::visitor::Visitor;
use serde_json::Value;

use crate::life::{ADDRESS, LIMIT, wait_until};

/// What an agent needs to be in a mount namespace of its own, with a small disk at its first argument.
const SMALL_DISK: &str = "mount -t tmpfs -o size=128k tmpfs $0 && exec \"$@\"";

/// A folder of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A connection that is refused: two lines.
fn is_refused(host: &Namespace) {
    let mut client = host.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg(ADDRESS), "", LIMIT).unwrap();
    assert!(!status.success());
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[test]
fn a_full_disk_costs_lines_which_are_counted_once_there_is_room() {
    root_or_skip!("a full disk costs lines, which are counted once there is room");
    let host = Namespace::new("l").unwrap();
    let folder = Folder::new("full");
    let events = folder.0.join("events").display().to_string();
    let mut command = host.command("unshare");
    command
        .args(["--mount", "sh", "-c", SMALL_DISK])
        .arg(&folder.0)
        .arg(program("tds-tracer").unwrap())
        .args(["run", "--cgroup", &host.group(), "--output", &events]);
    let agent = Running::start(&mut command).unwrap();
    let disk = PathBuf::from(format!("/proc/{}/root{}", agent.pid(), folder.0.display()));
    let events = disk.join("events");
    wait_until("the start", || {
        lines(&events)
            .iter()
            .any(|event| event["agent"]["action"] == "start")
    });
    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
    drop(filler);
    wait_until("word that the disk is full", || {
        is_refused(&host);
        agent.errors().contains("the output cannot be written")
    });
    fs::remove_file(disk.join("filler")).unwrap();
    let lost = |lines: &[Value]| -> u64 {
        let losses = of(lines, "loss");
        let failed = losses
            .iter()
            .filter(|line| line["loss"]["reason"] == "output_failed");
        failed
            .filter_map(|line| line["loss"]["count"].as_u64())
            .sum()
    };
    wait_until("what was lost", || {
        is_refused(&host);
        lost(&lines(&events)) > 0
    });
    // It is gone with the agent.
    let kept = folder.0.join("kept");
    agent.signal("STOP").unwrap();
    fs::copy(&events, &kept).unwrap();
    agent.signal("CONT").unwrap();
    assert_eq!(agent.stop("TERM").unwrap().status.code(), Some(0));
    let told = lines(&kept);
    let numbers: Vec<u64> = told
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    let missing = numbers.last().unwrap() - numbers.len() as u64;
    assert_eq!(missing, lost(&told), "each line that is missing is counted");
}

#[test]
fn interfaces_that_change_faster_than_is_read_are_all_found_and_that_is_told() {
    root_or_skip!("interfaces that change faster than is read are all found, and that is told");
    let host = Namespace::new("l").unwrap();
    let mut agent = Agent::start(&host, &AT_INTERFACES).unwrap();
    let signal = |name: &str| {
        let pid = agent.pid().to_string();
        let (status, _) = run(
            std::process::Command::new("kill").args(["-s", name, &pid]),
            "",
            LIMIT,
        )
        .unwrap();
        assert!(status.success());
    };
    signal("STOP");
    let pairs = (0..500).map(|number| {
        format!("link add v{number} type veth peer name p{number}\nlink delete v{number}\n")
    });
    let last = "link add last0 type veth peer name last1\nlink set last0 up\n".to_owned();
    let batch: String = pairs.chain([last]).collect();
    let mut ip = host.command("ip");
    let (status, said) = run(ip.args(["-batch", "-"]), &batch, LIMIT * 2).unwrap();
    signal("CONT");
    assert!(status.success(), "{said}");
    let found = agent.wait(LIMIT, |events| {
        let told = of(events, "agent");
        let is_last = |event: &&Value| event["agent"]["interface"] == "last0";
        let missed = told
            .iter()
            .any(|event| event["agent"]["reason"] == "interfaces");
        missed && told.iter().filter(is_last).count() == 1
    });
    assert!(
        found.unwrap(),
        "{:#?}",
        of(&agent.events().unwrap(), "agent")
    );
    assert!(agent.stop().unwrap().success);
}

/// Starts so many processes that do nothing, and ends with them.
const SLEEPERS: &str = "i=0; while [ $i -lt 500 ]; do sleep 600 & i=$((i+1)); done; echo all; wait";

#[test]
fn among_more_processes_than_it_may_open_files_an_older_connection_has_its_own() {
    root_or_skip!("among more processes than it may open files, an older connection has its own");
    let host = Namespace::new("l").unwrap();
    let mut sleepers = host.command("unshare");
    sleepers.args(["--pid", "--fork", "--kill-child", "sh", "-c", SLEEPERS]);
    let mut sleepers = Running::start(&mut sleepers).unwrap();
    assert!(sleepers.wait_lines(LIMIT, |lines| !lines.is_empty()));
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let client = Visitor::answered(&host, ADDRESS, &["--again"]).unwrap();
    let pid = client.pid();
    let mut command = host.command("prlimit");
    command
        .arg("--nofile=400")
        .arg(program("tds-tracer").unwrap())
        .args(["run", "--source", "sockets", "--cgroup", &host.group()]);
    let mut agent = Agent::start_by(&mut command).unwrap();
    client.leave().unwrap();
    agent.wait_for("close", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let logins = of(&record.events, "login");
    assert_eq!(logins[0]["process"]["pid"], pid, "{:#}", logins[0]);
}

/// Seconds for which interfaces and processes come and go; those of `TDS_TRACER_CHURN`, or a few.
fn churn() -> Duration {
    let asked = std::env::var("TDS_TRACER_CHURN").ok();
    Duration::from_secs(asked.map_or(8, |seconds| seconds.parse().unwrap()))
}

/// Memory of a process that is its own, bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.unwrap().trim().parse::<u64>().unwrap() << 10
}

#[test]
fn interfaces_and_processes_by_the_hundred_come_and_go_and_memory_stays() {
    /// What tables take once they have seen as many as they hold.
    const MORE: u64 = 6 << 20;
    root_or_skip!("interfaces and processes by the hundred come and go, and memory stays");
    let host = Namespace::new("l").unwrap();
    let mut agent = Agent::start(&host, &AT_INTERFACES).unwrap();
    let round = |number: usize| {
        let added = (0..20).map(|link| {
            let name = format!("r{number}l{link}");
            format!("link add {name} type veth peer name r{number}p{link}\nlink set {name} up\n")
        });
        let deleted = (0..20).map(|link| format!("link delete r{number}l{link}\n"));
        let batch: String = added.chain(deleted).collect();
        let (status, said) = run(host.command("ip").args(["-batch", "-"]), &batch, LIMIT).unwrap();
        assert!(status.success(), "{said}");
        for _ in 0..10 {
            is_refused(&host);
        }
    };
    let mut number = 0;
    let mut go_on = |least: usize, time: Duration| {
        let end = std::time::Instant::now() + time;
        while std::time::Instant::now() < end || number < least {
            round(number);
            number += 1;
        }
        number
    };
    // As long as it takes for what is kept of each to have been there.
    go_on(10, churn() / 5);
    let before = memory(agent.pid());
    let number = go_on(20, churn() * 4 / 5);
    let all = |events: &[Value]| of(events, "close").len() >= 10 * number;
    assert!(agent.wait(LIMIT, all).unwrap());
    let after = memory(agent.pid());
    println!("{before} bytes after a fifth of {number} rounds, {after} after all");
    assert!(
        after < before + MORE,
        "{before} bytes before, {after} after"
    );
    assert!(agent.stop().unwrap().success);
}
