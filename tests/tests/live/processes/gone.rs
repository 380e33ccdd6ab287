//! A process that is gone before the agent can look at it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::{AT_INTERFACES, Agent};
use harness::group::Group;
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;

const ADDRESS: &str = "127.0.0.1:1433";
const LIMIT: Duration = Duration::from_mins(1);

fn signal(agent: &Agent, name: &str) {
    let pid = agent.pid().to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_process_that_is_gone_has_its_control_group_and_container() {
    root_or_skip!("a process that is gone has its control group and container");
    let host = Namespace::new("l").unwrap();
    let group = Group::new().unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut agent = Agent::start(&host, &AT_INTERFACES).unwrap();
    signal(&agent, "STOP");
    let client = program("raw-client").unwrap();
    let line = format!(
        "{} && exec {} {ADDRESS} --send prelogin --read",
        group.enter(),
        client.display()
    );
    let fared = run(host.command("bash").args(["-c", &line]), "", LIMIT);
    signal(&agent, "CONT");
    let (status, output) = fared.unwrap();
    assert!(status.success(), "{output}");

    let logins = agent.wait_for("login", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let login = logins.first().unwrap_or_else(|| panic!("{record:#?}"));
    let process = &login["process"];
    assert_eq!(process["name"], "raw-client", "{login:#}");
    assert!(process["executable"].is_null(), "it is not gone: {login:#}");
    assert_eq!(process["cgroup"], *group.path().unwrap(), "{login:#}");
    assert_eq!(process["container_id"], *group.container(), "{login:#}");
}

/// Another process with the id of one that is gone; `None` where somebody was faster.
fn decoy(pid: u32) -> Option<Child> {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        if child.id() == pid {
            return Some(child);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    None
}

#[test]
fn a_process_is_not_taken_for_one_that_has_its_id_later() {
    root_or_skip!("a process is not taken for one that has its id later");
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut agent = Agent::start(&host, &[]).unwrap();
    signal(&agent, "STOP");
    let mut found = None;
    let mut clients = 0;
    while found.is_none() && clients < 10 {
        let mut client = host.command(program("raw-client").unwrap());
        client.args([ADDRESS, "--send", "prelogin", "--read"]);
        let mut client = client.stdout(Stdio::null()).spawn().unwrap();
        assert!(client.wait().unwrap().success());
        clients += 1;
        found = decoy(client.id());
    }
    signal(&agent, "CONT");
    let mut decoy = found.expect("an id that is free again");
    let logins = agent.wait_for("login", clients, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let ended = decoy.kill().and_then(|()| decoy.wait());
    ended.unwrap();
    let login = logins.last().unwrap_or_else(|| panic!("{record:#?}"));
    let process = &login["process"];
    assert_eq!(process["pid"], decoy.id(), "{login:#}");
    assert_eq!(process["name"], "raw-client", "{login:#}");
    assert!(process["executable"].is_null(), "{login:#}");
}
