//! Resets that this host's own kernel sends: told with its reason, where it says one (Linux 6.10).

use std::time::Duration;

use harness::agent::{Agent, of};
use harness::net::{Network, SERVER_V4, SERVER_V6};
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;
use serde_json::Value;

use crate::run::PORT;

const LIMIT: Duration = Duration::from_mins(1);

/// What is told of a login that ends by a reset of the server's, and whether the kernel says why it resets: by
/// both families.
fn told(faults: Option<&[&str]>) -> [(Value, bool); 2] {
    let servers = [SERVER_V4.to_owned(), format!("[{SERVER_V6}]")];
    servers.map(|server| told_at(&format!("{server}:{PORT}"), faults))
}

fn told_at(to: &str, faults: Option<&[&str]>) -> (Value, bool) {
    let network = Network::new().unwrap();
    let own = ["--listen", to];
    let _server = faults
        .map(|faults| Peer::scenario(Some(&network.server), &[&own[..], faults].concat()).unwrap());
    let mut agent = Agent::start(&network.client, &["--port", &PORT.to_string()]).unwrap();
    let mut client = network.client.command(program("raw-client").unwrap());
    client.args([to, "--send", "prelogin", "--read"]);
    // That it is cut off is what this is about.
    run(&mut client, "", LIMIT).unwrap();
    agent.wait_for("login", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let starts = of(&record.events, "agent");
    let hooks = starts
        .iter()
        .find_map(|line| line["agent"]["hooks"].as_array());
    let says_why = hooks.unwrap().iter().any(|hook| hook == "tcp_send_reset");
    let login = of(&record.events, "login").remove(0);
    (login, says_why)
}

#[test]
fn of_a_port_that_nobody_has_the_servers_kernel_says_so() {
    root_or_skip!("of a port that nobody has the server's kernel says so");
    for (login, says_why) in told(None) {
        let cause = &login["diagnosis"][0];
        assert_eq!(cause["cause"], "port_closed", "{login:#}");
        let reason = &cause["evidence"]["reset_reason"];
        let expected = says_why.then_some("NO_SOCKET");
        assert_eq!(reason.as_str(), expected, "{login:#}");
    }
}

#[test]
fn of_a_server_that_lets_go_its_kernel_says_why() {
    root_or_skip!("of a server that lets go its kernel says why");
    for (login, says_why) in told(Some(&["--reset-at", "prelogin"])) {
        assert_eq!(login["login"]["outcome"], "reset", "{login:#}");
        let reason = &login["diagnosis"][0]["evidence"]["reset_reason"];
        assert_eq!(reason.is_string(), says_why, "{login:#}");
    }
}
