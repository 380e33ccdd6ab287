//! Where faults happen: the clients' host, the servers' host, and a router between them that drops,
//! cuts and loses what it is told to. The agent runs on the clients' host, once at its sockets and once at
//! its interface.
//!
//! Each run has a server's address and a client's of its own, so that those at the same time are
//! no neighbours of each other.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::agent::Agent;
use crate::capture::{Capture, Captured};
use crate::lab::router;
use crate::net::{INTERFACE, Namespace, cable};
use crate::peer::{Peer, workspace};
use crate::process::{Running, run, until};

/// SQL Server's port.
pub(crate) const PORT: u16 = 1433;
/// Runs that have addresses.
pub(crate) const MOST: u16 = 4000;

const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 87, 1, 1);
/// The router, towards clients and towards servers.
const ROUTER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 87, 1, 254), Ipv4Addr::new(10, 87, 2, 254)];
const SERVERS: Ipv4Addr = Ipv4Addr::new(10, 87, 2, 1);
/// Addresses of the runs' clients, and of their servers.
const OF_CLIENTS: &str = "10.89.0.0/16";
const OF_SERVERS: [&str; 2] = ["10.88.0.0/16", "10.90.0.0/16"];
/// Where a machine gets its tokens; the servers' host gives them.
pub(crate) const IMDS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Hops that a server's packets may still take when they leave it: Windows begins with 128, Linux with 64,
/// and there are other routers before this one.
const HOPS: [u8; 6] = [128, 125, 128, 64, 59, 118];
const LIMIT: Duration = Duration::from_secs(30);

/// The hosts, the agent and the capture.
pub(crate) struct Site {
    clients: Namespace,
    router: Namespace,
    servers: Namespace,
    files: Files,
    tokens: Mutex<Option<Peer>>,
}

/// Who watches the clients' host, and who the servers'.
pub(crate) struct Watch {
    agents: [Agent; 3],
    capture: Capture,
}

/// All that was seen.
pub(crate) struct Seen {
    /// Lines of the agent that sees the clients' sockets.
    pub(crate) at_sockets: Vec<Value>,
    /// Lines of the agent that sees the interface of the clients' host.
    pub(crate) at_interfaces: Vec<Value>,
    /// Lines of the agent that sees the servers' sockets.
    pub(crate) at_servers: Vec<Value>,
    /// The packets at the interface of the clients' host.
    pub(crate) captured: Captured,
}

/// A run's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    /// That of a run.
    pub(crate) fn new(number: u16) -> Self {
        assert!(number < MOST, "more runs than addresses");
        Self(number)
    }

    fn of(self, network: u8) -> Ipv4Addr {
        let [high, low] = (self.0 + 1).to_be_bytes();
        Ipv4Addr::new(10, network, high, low)
    }

    /// The server.
    pub(crate) fn server(self) -> Ipv4Addr {
        self.of(88)
    }

    /// Another server.
    pub(crate) fn other_server(self) -> Ipv4Addr {
        self.of(90)
    }

    /// The client.
    pub(crate) fn client(self) -> Ipv4Addr {
        self.of(89)
    }

    /// The name by which clients know the server.
    pub(crate) fn name(self) -> String {
        format!("sql{}.lab.test", self.0)
    }

    /// A name that has both servers' addresses, in this order of the second one and the first one.
    pub(crate) fn both_names(self) -> String {
        format!("both{}.lab.test", self.0)
    }

    /// A name of the server that its certificate does not have.
    pub(crate) fn alias(self) -> String {
        format!("alias{}.lab.test", self.0)
    }
}

impl Site {
    /// Makes all of it, for so many runs.
    pub(crate) fn new(runs: u16) -> Result<Self> {
        // What a thread makes is in one control group. The agent sees the clients' only.
        let others =
            std::thread::spawn(|| anyhow::Ok((Namespace::new("r")?, Namespace::new("s")?)));
        let clients = Namespace::new("c")?;
        let others = others
            .join()
            .map_err(|_panic| anyhow::anyhow!("no hosts"))?;
        let (router, servers) = others?;
        let [to_clients, to_servers] = ROUTER;
        join([
            (&clients, INTERFACE, CLIENTS),
            (&router, "clients0", to_clients),
        ])?;
        join([
            (&servers, INTERFACE, SERVERS),
            (&router, "servers0", to_servers),
        ])?;
        inside(&router, "sh", &["-c", FORWARD], "")?;
        inside(&clients, "sh", &["-c", LET_GO], "")?;
        let nowhere = format!(
            "link add {0} type veth peer name {0}end\nlink set {0}end up\nlink set {0} arp off up\nroute add default dev {0} table {NOWHERE}\n\
             rule add fwmark {1} lookup {NOWHERE}\n",
            router::NOWHERE,
            router::MARK
        );
        batch(&router, &nowhere)?;
        let rules = router::rules(CLIENTS, SERVERS);
        inside(&router, "nft", &["-f", "-"], &rules)?;
        inside(&clients, "nft", &["-f", "-"], router::OWN_FIREWALL)?;
        let site = Self {
            clients,
            router,
            servers,
            files: Files::new((0..runs).map(Place::new))?,
            tokens: Mutex::default(),
        };
        site.know_the_way(runs)?;
        Ok(site)
    }

    /// Has each host know where the addresses of all runs are.
    fn know_the_way(&self, runs: u16) -> Result<()> {
        let places = (0..runs).map(Place::new);
        let [to_clients, to_servers] = ROUTER;
        let mut of_clients = format!("route add local {OF_CLIENTS} dev lo\n");
        let mut of_servers = format!("route add 10.87.1.0/24 via {to_servers}\n");
        let mut of_router = format!("route add {OF_CLIENTS} via {CLIENTS}\n");
        for network in OF_SERVERS {
            writeln!(of_servers, "route add local {network} dev lo")?;
            writeln!(of_router, "route add {network} via {SERVERS}")?;
        }
        for place in places {
            let client = place.client();
            for server in [place.server(), place.other_server()] {
                writeln!(
                    of_clients,
                    "route add {server} via {to_clients} src {client}"
                )?;
            }
            let hops = HOPS[usize::from(place.0) % HOPS.len()];
            writeln!(
                of_servers,
                "route add {client} via {to_servers} hoplimit {hops}"
            )?;
        }
        writeln!(of_clients, "route add {IMDS} via {to_clients}")?;
        writeln!(of_router, "route add {IMDS} via {SERVERS}")?;
        writeln!(of_servers, "address add {IMDS}/32 dev lo")?;
        batch(&self.clients, &of_clients)?;
        batch(&self.router, &of_router)?;
        batch(&self.servers, &of_servers)
    }

    /// Begins to watch.
    pub(crate) fn watch(&self) -> Result<Watch> {
        let port = PORT.to_string();
        let group = self.clients.group();
        let sources = [&["sockets", "--cgroup", &group][..], &["interfaces"]];
        let [one, other] = sources.map(|source| {
            Agent::start(
                &self.clients,
                &[&["--port", &port, "--source"], source].concat(),
            )
        });
        let theirs = self.servers.group();
        let there = ["--port", &port, "--source", "sockets", "--cgroup", &theirs];
        let agents = [one?, other?, Agent::start(&self.servers, &there)?];
        let capture = Capture::start(&self.clients, INTERFACE, PORT)?;
        Ok(Watch { agents, capture })
    }

    /// The host of the servers.
    pub(crate) fn servers(&self) -> &Namespace {
        &self.servers
    }

    /// The host of the clients.
    pub(crate) fn clients(&self) -> &Namespace {
        &self.clients
    }

    /// A program on the clients' host, which knows the servers' names, or asks name servers for them by what this
    /// file says (`resolv.conf(5)`).
    pub(crate) fn client(&self, program: &Path, resolver: Option<&Path>) -> Command {
        let mut command = self.clients.command("unshare");
        let bind = "mount --bind \"$1\" /etc/hosts; mount --bind \"$2\" /etc/nsswitch.conf; \
                    mount --bind \"$3\" /etc/resolv.conf; shift 3; exec \"$@\"";
        command.args(["-m", "--", "sh", "-e", "-c", bind, "sh"]);
        let [hosts, switch, asked]: [&Path; 3] = match resolver {
            None => [
                &self.files.hosts,
                &self.files.switch,
                Path::new("/etc/resolv.conf"),
            ],
            Some(asked) => [&*self.files.nobody, &self.files.asking, asked],
        };
        command.args([hosts, switch, asked]).arg(program);
        command
    }

    /// Has the router do something to an address, by the name of its set.
    pub(crate) fn treat(&self, set: &str, address: Ipv4Addr) -> Result<()> {
        let line = format!("add element ip lab {set} {{ {address} }}");
        inside(&self.router, "nft", &[&line], "")
    }

    /// Who gives a machine its tokens: one for all runs, which says in its question how late it is to be.
    pub(crate) fn tokens(&self, listen: &str) -> Result<()> {
        let mut tokens = self
            .tokens
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if tokens.is_none() {
            *tokens = Some(Peer::slow(&self.servers, &["--listen", listen])?);
        }
        Ok(())
    }

    /// Has the clients' own host drop what comes from an address.
    pub(crate) fn shut_out(&self, address: Ipv4Addr) -> Result<()> {
        let line = format!("add element ip own shut_out {{ {address} }}");
        inside(&self.clients, "nft", &[&line], "")
    }

    /// Has clients send a run's server small segments only.
    pub(crate) fn cut_small(&self, place: Place, bytes: u16) -> Result<()> {
        let (server, client) = (place.server(), place.client());
        let way = format!(
            "route replace {server} via {} src {client} mtu lock {bytes}",
            ROUTER[0]
        );
        batch(&self.clients, &format!("{way}\n"))
    }

    /// Waits until the clients' host has no connection to a server any more.
    pub(crate) fn is_left(&self, server: Ipv4Addr) -> Result<()> {
        let look = ["-Htn", "state", "connected", "dst", &server.to_string()];
        let is_left = || {
            let seen = run(self.clients.command("ss").args(look), "", LIMIT);
            seen.is_ok_and(|(_, output)| output.trim().is_empty())
        };
        until(LIMIT, is_left)
    }

    /// Has the router leave that.
    pub(crate) fn leave(&self, set: &str, address: Ipv4Addr) -> Result<()> {
        let line = format!("delete element ip lab {set} {{ {address} }}");
        inside(&self.router, "nft", &[&line], "")
    }

    /// Changes what goes to a run's server as `tests/drivers/relay.py` calls it, such as `none=300`, which holds it back
    /// for so many milliseconds, as long as what is given lives.
    pub(crate) fn pass(&self, place: Place, change: &str) -> Result<Running> {
        let name = format!("late{}", place.0);
        let device = format!("tun:{name}");
        let mut command = self.router.command("python3");
        command.arg(workspace().join("tests/drivers/relay.py"));
        let mut relay = Running::start(command.args([&*device, &*device, change]))?;
        if !relay.wait_lines(LIMIT, |lines| lines.iter().any(|line| line == "ready")) {
            bail!("nothing is held back: {}", relay.errors());
        }
        let (server, table) = (place.server(), 1000 + u32::from(place.0));
        let way = format!(
            "link set {name} up\nroute add default dev {name} table {table}\n\
             rule add iif clients0 to {server} lookup {table}\n"
        );
        batch(&self.router, &way)?;
        Ok(relay)
    }
}

impl Watch {
    /// Stops watching, once both accounts have what `done` waits for, or `limit` is over.
    pub(crate) fn stop(mut self, limit: Duration, done: impl Fn(&[Value]) -> bool) -> Result<Seen> {
        for agent in &mut self.agents[..2] {
            agent.wait(limit, &done)?;
        }
        let captured = self.capture.stop()?;
        let [at_sockets, at_interfaces, at_servers] = self.agents.map(Agent::stop);
        Ok(Seen {
            at_sockets: at_sockets?.events,
            at_interfaces: at_interfaces?.events,
            at_servers: at_servers?.events,
            captured,
        })
    }
}

/// The table of routes that lead nowhere.
const NOWHERE: u32 = 900;
const FORWARD: &str = "echo 1 > /proc/sys/net/ipv4/ip_forward; \
                       echo 1 > /proc/sys/net/netfilter/nf_conntrack_acct";

/// What a process has left behind its kernel sends again no more than that, instead of for two minutes.
const LET_GO: &str = "echo 3 > /proc/sys/net/ipv4/tcp_orphan_retries";

/// A cable between two hosts.
fn join(ends: [(&Namespace, &str, Ipv4Addr); 2]) -> Result<()> {
    let [one, other] = ends;
    cable((one.0.name(), one.1), (other.0.name(), other.1))?;
    for (host, device, address) in ends {
        host.ip(&["addr", "add", &format!("{address}/24"), "dev", device])?;
        // What is on the way sees packets as a wire has them, one segment each.
        host.ip(&["link", "set", device, "gso_max_segs", "1"])?;
        host.ip(&["link", "set", device, "up"])?;
    }
    Ok(())
}

/// Several lines of `ip`.
fn batch(host: &Namespace, lines: &str) -> Result<()> {
    inside(host, "ip", &["-batch", "-"], lines)
}

fn inside(host: &Namespace, program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let (status, output) = run(host.command(program).args(arguments), input, LIMIT)?;
    if !status.success() {
        bail!("{program} {}: {output}", arguments.join(" "));
    }
    Ok(())
}

/// Which names there are, and that nobody else is asked; and the same for those that ask a name server.
struct Files {
    hosts: PathBuf,
    switch: PathBuf,
    nobody: PathBuf,
    asking: PathBuf,
}

impl Files {
    fn new(places: impl Iterator<Item = Place>) -> Result<Self> {
        let path = |name: &str| {
            let name = format!("tds-tracer-lab-{}.{name}", std::process::id());
            std::env::temp_dir().join(name)
        };
        let files = Self {
            hosts: path("hosts"),
            switch: path("nsswitch"),
            nobody: path("nobody"),
            asking: path("asking"),
        };
        let lines = places.map(|place| {
            let (server, other) = (place.server(), place.other_server());
            let [name, both, alias] = [place.name(), place.both_names(), place.alias()];
            format!("{server} {name}\n{server} {alias}\n{other} {both}\n{server} {both}\n")
        });
        let text: String = ["127.0.0.1 localhost\n".to_owned()]
            .into_iter()
            .chain(lines)
            .collect();
        std::fs::write(&files.hosts, text).with_context(|| files.hosts.display().to_string())?;
        std::fs::write(&files.switch, "hosts: files\n")?;
        std::fs::write(&files.nobody, "127.0.0.1 localhost\n")?;
        std::fs::write(&files.asking, "hosts: files dns\n")?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // In a temporary directory, where what is left behind does no harm.
        for path in [&self.hosts, &self.switch, &self.nobody, &self.asking] {
            std::fs::remove_file(path).ok();
        }
    }
}
