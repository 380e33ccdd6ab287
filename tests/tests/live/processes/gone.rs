//! A process that is gone before the agent can look at it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use harness::agent::Agent;
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;

const ADDRESS: &str = "127.0.0.1:1433";
const LIMIT: Duration = Duration::from_secs(20);

/// A control group as a container's, gone with it.
struct Group {
    outer: PathBuf,
    container: String,
}

impl Group {
    fn new() -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?;
            (fields.next()? == "cgroup2").then_some(point)
        });
        let group = Self {
            outer: PathBuf::from(root.unwrap()).join(format!("tdst-{}", std::process::id())),
            container: "0123456789abcdef".repeat(4),
        };
        fs::create_dir_all(group.inner()).unwrap();
        group
    }

    fn inner(&self) -> PathBuf {
        self.outer.join(format!("docker-{}.scope", self.container))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(self.inner()).ok();
        fs::remove_dir(&self.outer).ok();
    }
}

fn signal(agent: &Agent, name: &str) {
    let pid = agent.pid().to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_process_that_is_gone_has_its_control_group_and_container() {
    root_or_skip!("a process that is gone has its control group and container");
    let host = Namespace::new("l").unwrap();
    let group = Group::new();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut agent = Agent::start(&host, &[]).unwrap();
    signal(&agent, "STOP");
    let procs = group.inner().join("cgroup.procs");
    let client = program("raw-client").unwrap();
    let line = format!(
        "echo $$ > {} && exec {} {ADDRESS} --send prelogin --read",
        procs.display(),
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
    let path = process["cgroup"]
        .as_str()
        .and_then(|path| path.strip_prefix('/'));
    assert!(
        path.is_some_and(|path| group.inner().ends_with(path)),
        "{login:#}"
    );
    assert_eq!(process["container_id"], *group.container, "{login:#}");
}
