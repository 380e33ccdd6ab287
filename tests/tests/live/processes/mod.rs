//! Whose connection it is: of a client's socket, of an accepted one, of one among thousands.

mod contained;
mod containerd;
mod gone;
mod namespaces;
mod pods;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::middle::Middle;
use harness::net::{Namespace, SERVER_V4};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use serde_json::Value;

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
/// The port by which a relay reaches the server, which is not watched.
const OUTSIDE: u16 = 2433;
const SHORT: [&str; 6] = ["--send", "prelogin", "--wait", "0", "--end", "rst"];

/// The same program under names of its own.
struct Named(PathBuf);

impl Named {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-names", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A client of this name that connects so many times from a port up.
    fn client(&self, host: &Namespace, name: &str, from_port: u16, count: u16) -> Command {
        let path = self.0.join(name);
        if !path.exists() {
            std::os::unix::fs::symlink(program("raw-client").unwrap(), &path).unwrap();
        }
        let mut command = host.command(path);
        command
            .arg(format!("127.0.0.1:{PORT}"))
            .args(SHORT)
            .args(["--from-port", &from_port.to_string()])
            .args(["--count", &count.to_string()]);
        command
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An agent that tells logins only, of which there will be many.
fn watch(host: &Namespace) -> Running {
    let mut command = host.command(program("tds-tracer").unwrap());
    let mut agent = Running::start(command.args(["run", "--events", "login,loss,agent"])).unwrap();
    let started = |lines: &[String]| lines.iter().any(|line| line.contains("\"start\""));
    assert!(agent.wait_lines(LIMIT, started), "{}", agent.errors());
    agent
}

/// Its `login` and `loss` lines, once there are so many of the first, or no more come.
fn told(mut agent: Running, logins: usize) -> [Vec<Value>; 2] {
    let is_login = |line: &&String| line.contains("\"event\":\"login\"");
    agent.wait_lines(Duration::from_secs(20), |lines| {
        lines.iter().filter(is_login).count() >= logins
    });
    let ended = agent.stop("TERM").unwrap();
    assert!(ended.status.success(), "{}", ended.errors);
    let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let events: Vec<_> = ended.lines.iter().map(parse).collect();
    ["login", "loss"].map(|event| of(&events, event))
}

fn port(login: &Value) -> u64 {
    login["client"]["port"].as_u64().unwrap()
}

#[test]
fn an_accepted_connection_is_the_servers_where_only_its_socket_is_known() {
    root_or_skip!("an accepted connection is the server's where only its socket is known");
    let _alone = alone();
    // The client's socket goes to another port, as behind a gateway: none that is watched.
    let (network, middle) = Middle::relay("ports").unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let mut agent = Agent::start(&network.server, &["--port", &PORT.to_string()]).unwrap();
    let count = 100;
    let mut client = network.client.command(program("raw-client").unwrap());
    client
        .arg(format!("{SERVER_V4}:{OUTSIDE}"))
        .args(SHORT)
        .args(["--count", &count.to_string()]);
    let (status, output) = run(&mut client, "", LIMIT).unwrap();
    assert!(status.success(), "{output}\n{}", middle.complaints());
    let logins = agent.wait_for("login", count, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    assert_eq!(logins.len(), count, "{record:#?}");
    for login in &logins {
        assert_eq!(login["connection"]["vantage"], "server", "{login:#}");
        assert_eq!(login["process"]["pid"], server.pid(), "{login:#}");
        assert_eq!(login["process"]["name"], "scenario-server", "{login:#}");
    }
}

/// As fast as the machine can.
#[test]
fn thousands_of_short_connections_are_each_their_own_processs() {
    const CLIENTS: [&str; 4] = ["north", "east", "south", "west"];
    const COUNT: u16 = 3000;
    root_or_skip!("thousands of short connections are each their own process's");
    let _alone = alone();
    let host = Namespace::new("l").unwrap();
    let listen = format!("127.0.0.1:{PORT}");
    let _server = Peer::scenario(Some(&host), &["--listen", &listen]).unwrap();
    let agent = watch(&host);
    let named = Named::new();
    let first_port = |index: usize| 10_000 + u16::try_from(index).unwrap() * COUNT;
    let mut clients: Vec<(&str, Child)> = Vec::new();
    for (index, name) in CLIENTS.into_iter().enumerate() {
        let mut command = named.client(&host, name, first_port(index), COUNT);
        clients.push((name, command.stdin(Stdio::null()).spawn().unwrap()));
    }
    for (name, client) in &mut clients {
        assert!(client.wait().unwrap().success(), "{name}");
    }
    let all = CLIENTS.len() * usize::from(COUNT);
    let [logins, losses] = told(agent, all);
    let (mut without, mut wrong) = (0, Vec::new());
    for login in &logins {
        let index = (port(login) - 10_000) / u64::from(COUNT);
        let (name, client) = &clients[usize::try_from(index).unwrap()];
        let process = &login["process"];
        // Where what was known of the client's socket was lost, the server's is left.
        let is_left = !losses.is_empty() && process["name"] == "scenario-server";
        if process.is_null() || is_left {
            without += 1;
        } else if process["pid"] != client.id() || process["name"] != *name {
            wrong.push(login);
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {:#}", wrong.len(), wrong[0]);
    // What is missing was lost, and is said to be.
    let missing = without + (all - logins.len());
    assert!(
        missing == 0 || !losses.is_empty(),
        "{without} of {} without a process",
        logins.len()
    );
}

#[test]
fn a_port_that_is_used_again_at_once_is_of_the_process_that_uses_it() {
    const ROUNDS: usize = 20;
    const PORTS: u16 = 10;
    root_or_skip!("a port that is used again at once is of the process that uses it");
    let _alone = alone();
    let host = Namespace::new("l").unwrap();
    let listen = format!("127.0.0.1:{PORT}");
    let _server = Peer::scenario(Some(&host), &["--listen", &listen]).unwrap();
    let agent = watch(&host);
    let named = Named::new();
    let mut pids = Vec::new();
    for round in 0..ROUNDS {
        let name = ["odd", "even"][round % 2];
        let mut command = named.client(&host, name, 10_000, PORTS);
        let mut client = command.stdin(Stdio::null()).spawn().unwrap();
        pids.push((name, client.id()));
        assert!(client.wait().unwrap().success(), "{name}");
    }
    let [logins, losses] = told(agent, ROUNDS * usize::from(PORTS));
    assert!(losses.is_empty(), "{losses:#?}");
    let mut turns: HashMap<u64, usize> = HashMap::new();
    for login in &logins {
        let turn = turns.entry(port(login)).or_default();
        let (name, pid) = pids[*turn];
        *turn += 1;
        assert_eq!(login["process"]["name"], name, "{login:#}");
        assert_eq!(login["process"]["pid"], pid, "{login:#}");
    }
    assert_eq!(logins.len(), ROUNDS * usize::from(PORTS));
}
