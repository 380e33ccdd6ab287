//! What is seen at sockets, and of what interfaces show less: the ends that are on this host, whatever
//! their namespace.

use std::process::Command;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::group::Group;
use harness::net::{Namespace, Network, SERVER_V4, SERVER_V6};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use serde_json::{Value, json};

use crate::here::Here;
use crate::run::PORT;

const LIMIT: Duration = Duration::from_mins(1);
/// Namespaces that come and go.
const COUNT: usize = 10;

/// A connection by a client with these arguments to a server with these: its `login` and `close`.
fn told(here: Here, address: &str, server: &[&str], client: &[&str]) -> (Value, Value) {
    let network = Network::new().unwrap();
    let elsewhere = Group::new().unwrap();
    // An agent that sees the test's own control group, where the server is, or the client's, or both.
    let port = PORT.to_string();
    let (seen, apart) = (network.client.group(), elsewhere.directory());
    let group = match here {
        Here::Client => apart.to_str().unwrap(),
        Here::Server | Here::Both => &seen,
    };
    let mut agent = Agent::start(&network.client, &["--port", &port, "--cgroup", group]).unwrap();
    let listen = format!("{address}:{PORT}");
    let _peer = Peer::scenario(
        Some(&network.server),
        &[&["--listen", &listen], server].concat(),
    )
    .unwrap();
    let enter = match here {
        Here::Both => "true".to_owned(),
        Here::Client | Here::Server => elsewhere.enter(),
    };
    let line = format!("{enter} && exec \"$0\" \"$@\"");
    let mut command: Command = network.client.command("sh");
    command
        .args(["-c", &line])
        .arg(program("raw-client").unwrap())
        .arg(&listen)
        .args(client);
    run(&mut command, "", LIMIT).unwrap();
    let closes = agent.wait_for("close", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let logins = of(&record.events, "login");
    assert_eq!((logins.len(), closes.len()), (1, 1), "{record:#?}");
    for line in logins.iter().chain(&closes) {
        let connection = &line["connection"];
        assert_eq!(connection["vantage"], here.vantage(), "{line:#}");
        assert_eq!(connection["partial"], false, "{line:#}");
        assert_eq!(line["process"]["name"], here.process(), "{line:#}");
    }
    assert_eq!(of(&record.events, "loss"), Vec::<Value>::new());
    (logins[0].clone(), closes[0].clone())
}

/// What a `close` must say of an end: by whom, and how.
fn assert_close(close: &Value, by: &str, how: &str) {
    let found = &close["close"];
    assert_eq!([&found["by"], &found["how"]], [by, how], "{close:#}");
}

#[test]
fn a_connection_is_told_once_whichever_of_its_ends_are_here() {
    root_or_skip!("a connection is told once, whichever of its ends are here");
    for here in Here::ALL {
        for address in [SERVER_V4, &format!("[{SERVER_V6}]")] {
            let client = [
                "--send", "prelogin", "--read", "--wait", "0", "--end", "fin",
            ];
            let (login, close) = told(here, address, &["--encrypt", "off"], &client);
            assert_eq!(login["login"]["outcome"], "aborted", "{login:#}");
            for phase in ["handshake", "prelogin"] {
                assert_eq!(login["phases"][phase]["complete"], true, "{login:#}");
            }
            assert_close(&close, "client", "fin");
        }
    }
}

#[test]
fn a_reset_is_its_senders_whichever_of_the_ends_are_here() {
    root_or_skip!("a reset is its sender's, whichever of the ends are here");
    for here in Here::ALL {
        let client = [
            "--send", "prelogin", "--read", "--wait", "0", "--end", "rst",
        ];
        let (_, close) = told(here, SERVER_V4, &["--encrypt", "off"], &client);
        assert_close(&close, "client", "rst");

        let server = ["--encrypt", "off", "--reset-at", "prelogin"];
        let (login, close) = told(here, SERVER_V4, &server, &["--send", "prelogin", "--read"]);
        assert_eq!(login["login"]["outcome"], "reset", "{login:#}");
        assert_close(&close, "server", "rst");
    }
}

#[test]
fn a_listener_for_both_families_and_one_that_sends_syn_cookies_are_told_alike() {
    root_or_skip!("a listener for both families and one that sends SYN cookies are told alike");
    let elsewhere = Group::new().unwrap();
    for here in [Here::Server, Here::Both] {
        let host = Namespace::new("l").unwrap();
        let cookies = "echo 2 > /proc/sys/net/ipv4/tcp_syncookies";
        let (status, _) = run(host.command("sh").args(["-c", cookies]), "", LIMIT).unwrap();
        assert!(status.success());
        let port = PORT.to_string();
        let mut agent = Agent::start(&host, &["--port", &port]).unwrap();
        let listen = format!("[::]:{PORT}");
        let _peer = Peer::scenario(Some(&host), &["--listen", &listen]).unwrap();
        let enter = match here {
            Here::Server => elsewhere.enter(),
            Here::Client | Here::Both => "true".to_owned(),
        };
        for (count, address) in [(1, "127.0.0.1"), (2, "[::1]")] {
            let line = format!("{enter} && exec \"$0\" \"$@\"");
            let mut client = host.command("sh");
            client
                .args(["-c", &line])
                .arg(program("raw-client").unwrap())
                .arg(format!("{address}:{PORT}"))
                .args([
                    "--send", "prelogin", "--read", "--wait", "0", "--end", "fin",
                ]);
            let (status, output) = run(&mut client, "", LIMIT).unwrap();
            assert!(status.success(), "{output}");
            let closes = agent.wait_for("close", count, LIMIT).unwrap();
            let close = closes.last().unwrap();
            assert_eq!(closes.len(), count, "{closes:#?}");
            assert_eq!(close["connection"]["vantage"], here.vantage(), "{close:#}");
            // No socket has sent such a SYN-ACK; the client's is given it all the same.
            let partial = json!(here == Here::Server);
            assert_eq!(close["connection"]["partial"], partial, "{close:#}");
            assert_eq!(close["phases"]["prelogin"]["complete"], true, "{close:#}");
            let server = format!("{address}:{PORT}");
            assert_eq!(
                address.trim_matches(['[', ']']),
                close["server"]["address"],
                "{server}"
            );
        }
        agent.stop().unwrap();
    }
}

#[test]
fn a_connection_by_mptcp_is_told_as_any_other_is() {
    root_or_skip!("a connection by MPTCP is told as any other is");
    for here in Here::ALL {
        let client = [
            "--mptcp", "--send", "prelogin", "--read", "--wait", "0", "--end", "fin",
        ];
        let (login, close) = told(here, SERVER_V4, &["--encrypt", "off"], &client);
        assert_eq!(login["login"]["outcome"], "aborted", "{login:#}");
        assert_close(&close, "client", "fin");
    }
}

#[test]
fn namespaces_that_live_for_a_moment_are_seen() {
    root_or_skip!("namespaces that live for a moment are seen");
    let host = Namespace::new("h").unwrap();
    let mut agent = Agent::start(&host, &["--port", &PORT.to_string()]).unwrap();
    for _ in 0..COUNT {
        let container = Namespace::new("p").unwrap();
        let listen = format!("127.0.0.1:{PORT}");
        let _peer = Peer::scenario(Some(&container), &["--listen", &listen]).unwrap();
        let mut client = container.command(program("raw-client").unwrap());
        client
            .arg(&listen)
            .args(["--send", "prelogin", "--read", "--wait", "0"]);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
    }
    agent.wait_for("close", COUNT, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    for event in ["login", "close"] {
        let lines = of(&record.events, event);
        assert_eq!(lines.len(), COUNT, "{record:#?}");
        for line in lines {
            assert_eq!(line["connection"]["vantage"], "both", "{line:#}");
            assert_eq!(line["process"]["name"], "raw-client", "{line:#}");
            // Its number means another interface to the agent, or none.
            assert_eq!(line["connection"]["interface"], Value::Null, "{line:#}");
        }
    }
}

#[test]
fn of_servers_that_are_older_than_the_agent_the_one_that_has_accepted_is_told() {
    root_or_skip!("of servers that are older than the agent the one that has accepted is told");
    let listen = format!("127.0.0.1:{PORT}");
    // As two containers of one host: each with a server on the same address and port.
    let hosts = ["p", "q"].map(|role| Namespace::new(role).unwrap());
    let groups = [Group::new().unwrap(), Group::new().unwrap()];
    let servers: Vec<_> = hosts
        .iter()
        .zip(&groups)
        .map(|(host, group)| {
            let line = format!("{} && exec \"$0\" --listen {listen}", group.enter());
            let mut server = host.command("sh");
            server
                .args(["-c", &line])
                .arg(program("scenario-server").unwrap());
            let mut server = Running::start(&mut server).unwrap();
            assert!(server.wait_lines(LIMIT, |lines| !lines.is_empty()));
            server
        })
        .collect();
    for ((host, group), server) in hosts.iter().zip(&groups).zip(&servers) {
        let directory = group.directory();
        let port = PORT.to_string();
        let arguments = ["--port", &port, "--cgroup", directory.to_str().unwrap()];
        let mut agent = Agent::start(host, &arguments).unwrap();
        let mut client = host.command(program("raw-client").unwrap());
        client.args([&listen, "--send", "prelogin", "--read"]);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
        let logins = agent.wait_for("login", 1, LIMIT).unwrap();
        let record = agent.stop().unwrap();
        let login = logins.first().unwrap_or_else(|| panic!("{record:#?}"));
        assert_eq!(login["connection"]["vantage"], "server", "{login:#}");
        let process = &login["process"];
        assert_eq!(process["pid"], server.pid(), "{login:#}");
        assert_eq!(process["container_id"], *group.container(), "{login:#}");
    }
}
