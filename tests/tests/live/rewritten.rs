//! Hosts that rewrite addresses: each connection is told once, by the addresses that its socket has.

use std::time::Duration;

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::nat::{CONTAINERS, GATEWAYS, OUTSIDE, PUBLISHED, Rewriting, SERVICE};
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;
use serde_json::{Value, json};

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
const COUNT: usize = 20;

/// Connections from one host of these to another.
struct Way<'a> {
    client: &'a Namespace,
    server: &'a Namespace,
    /// The addresses that the client's socket has.
    told: [&'a str; 2],
    /// Those that packets show beside.
    also: Option<[&'a str; 2]>,
}

impl Way<'_> {
    /// Makes connections, each of which is told once, by both its sockets.
    fn is_told_once(&self, watching: &Namespace, source: &[&str]) {
        let listen = format!("0.0.0.0:{PORT}");
        let _server = Peer::scenario(Some(self.server), &["--listen", &listen]).unwrap();
        let mut agent =
            Agent::start(watching, &[source, &["--port", &PORT.to_string()]].concat()).unwrap();
        let mut client = self.client.command(program("raw-client").unwrap());
        client
            .arg(format!("{}:{PORT}", self.told[1]))
            .args([
                "--send", "prelogin", "--read", "--end", "fin", "--wait", "0",
            ])
            .args(["--count", &COUNT.to_string()]);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
        agent.wait_for("close", COUNT, LIMIT).unwrap();
        let record = agent.stop().unwrap();
        for event in ["login", "close"] {
            let told = of(&record.events, event);
            assert_eq!(told.len(), COUNT, "{event}: {:#?}", record.events);
            for line in &told {
                self.assert_told(line);
            }
        }
        assert_eq!(of(&record.events, "loss"), Vec::<Value>::new());
    }

    fn assert_told(&self, line: &Value) {
        let addresses = |line: &Value| {
            ["client", "server"].map(|end| line[end]["address"].as_str().unwrap().to_owned())
        };
        assert_eq!(addresses(line), self.told, "{line:#}");
        let also: Vec<_> = line["nat"].as_array().into_iter().flatten().collect();
        assert_eq!(also.len(), usize::from(self.also.is_some()), "{line:#}");
        for (found, expected) in also.into_iter().zip(self.also) {
            assert_eq!(addresses(found), expected, "{line:#}");
        }
        assert_eq!(line["connection"]["vantage"], "both", "{line:#}");
        assert_eq!(line["connection"]["partial"], json!(false), "{line:#}");
        assert_eq!(line["process"]["name"], "raw-client", "{line:#}");
    }
}

#[test]
fn a_connection_through_a_host_that_rewrites_addresses_is_told_once() {
    root_or_skip!("a connection through a host that rewrites addresses is told once");
    let _alone = alone();
    let hosts = Rewriting::new().unwrap();
    let [first, second] = &hosts.containers;
    let [to_first, to_second] = CONTAINERS;
    let ways = [
        // A port that is published.
        (
            &hosts.outside,
            first,
            [OUTSIDE, PUBLISHED],
            Some([OUTSIDE, to_first]),
        ),
        // A client that is masqueraded.
        (
            first,
            &hosts.outside,
            [to_first, OUTSIDE],
            Some([PUBLISHED, OUTSIDE]),
        ),
        // A service's address, from a container and from the host itself.
        (
            first,
            second,
            [to_first, SERVICE],
            Some([to_first, to_second]),
        ),
        (
            &hosts.host,
            second,
            [GATEWAYS[1], SERVICE],
            Some([GATEWAYS[1], to_second]),
        ),
        // An address of the host's own that is rewritten on the way out.
        (
            &hosts.host,
            &hosts.outside,
            [GATEWAYS[0], OUTSIDE],
            Some([PUBLISHED, OUTSIDE]),
        ),
        // From container to container, and from the host to one.
        (first, second, [to_first, to_second], None),
        (&hosts.host, first, [GATEWAYS[0], to_first], None),
    ];
    for (client, server, told, also) in ways {
        let way = Way {
            client,
            server,
            told,
            also,
        };
        for source in [&[][..], &AT_INTERFACES] {
            way.is_told_once(&hosts.host, source);
        }
        if way.also.is_some() {
            way.is_told_once(&hosts.host, &["--transit"]);
        }
    }
}

#[test]
fn a_port_that_is_redirected_within_a_host_is_told_once_by_the_port_that_was_asked_for() {
    root_or_skip!("a port that is redirected within a host is told once");
    let _alone = alone();
    let host = Namespace::new("h").unwrap();
    let rules = "table ip redirected {
        chain out {
            type nat hook output priority -100;
            ip daddr 127.0.0.1 tcp dport 1999 redirect to :1433
        }
    }";
    let (status, output) = run(host.command("nft").args(["-f", "-"]), rules, LIMIT).unwrap();
    assert!(status.success(), "{output}");
    let listen = format!("127.0.0.1:{PORT}");
    let _server = Peer::scenario(Some(&host), &["--listen", &listen]).unwrap();
    let ports = ["--port", &PORT.to_string(), "--port", "1999"];
    let mut agent = Agent::start(&host, &ports).unwrap();
    let mut client = host.command(program("raw-client").unwrap());
    client.args(["127.0.0.1:1999", "--send", "prelogin", "--read"]);
    client.args(["--wait", "0", "--count", &COUNT.to_string()]);
    let (status, output) = run(&mut client, "", LIMIT).unwrap();
    assert!(status.success(), "{output}");
    agent.wait_for("close", COUNT, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    for event in ["login", "close"] {
        let told = of(&record.events, event);
        assert_eq!(told.len(), COUNT, "{event}: {:#?}", record.events);
        for line in &told {
            assert_eq!(line["server"]["port"], 1999, "{line:#}");
            assert_eq!(line["nat"][0]["server"]["port"], PORT, "{line:#}");
            assert_eq!(line["nat"].as_array().unwrap().len(), 1, "{line:#}");
            assert_eq!(line["connection"]["vantage"], "both", "{line:#}");
            assert_eq!(line["connection"]["partial"], json!(false), "{line:#}");
        }
    }
}
