//! What runs inside the emulator: the checks, one line each on standard output.
//!
//! `ok NAME` or `FAIL NAME: why`. Whatever else is of use goes to standard error, the console.

mod agent;
mod hooks;
mod installed;
mod macvlan;
mod stranger;
mod vrf;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use serde_json::Value;

use self::agent::Agent;
use crate::{
    process::{command, output},
    vm::tds,
};

const AGENT: &str = "/bin/tds-tracer";
const PORT: u16 = 1433;
/// The source of packets that leaves traces of its own, such as filters.
const INTERFACES: &[&str] = &["interfaces"];
/// Both sources, beside each other.
const TRANSIT: &[&str] = &["sockets", "--side-traffic", "off", "--transit"];
/// The sockets of a control group: of a server's and not of its client's.
const SERVED: &[&str] = &["sockets", "--side-traffic", "off", "--cgroup", SERVERS];
const SERVERS: &str = "/sys/fs/cgroup/servers";
/// The state of a listener, as `/proc/net/tcp` says it: `TCP_LISTEN`.
const LISTEN: &str = "0A";
/// Emulation is slow, the verifier most of all; nothing waits for this long unless it fails.
const PATIENCE: Duration = Duration::from_mins(12);

/// Options of the guest.
#[derive(Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// All checks, as the guest's first program
    Checks,
    /// Those of the package, where systemd is the first program
    Installed,
    /// As many connections as that, open at once and undecided, for ever
    Crowd { connections: u32 },
    /// The server side of the checks
    Serve(tds::End),
    /// The client side of the checks
    Login(tds::End),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.role {
        Role::Checks => checks(),
        Role::Installed => installed::checks(),
        Role::Crowd { connections } => tds::crowd(*connections),
        Role::Serve(end) => tds::serve(end),
        Role::Login(end) => tds::login(end),
    }
}

fn checks() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("kernel {}", release.trim());
    check("modules", modules);
    let stranger = stranger::Stranger::comes()?;
    let before = Traces::take()?;
    check("doctor", doctor);
    let veth = Link::new("early", 1)?;
    let domains = vrf::link()?;
    check("agent at sockets", || {
        let agent = Agent::start("sockets", &["sockets"])?;
        check("login over loopback, at sockets", || {
            login_is_seen(&agent, &Server::on_loopback()?)
        });
        check("login over veth, at sockets", || {
            login_is_seen(&agent, &Server::behind(&veth)?)
        });
        check("login after the clock was set back an hour", || {
            set_clock(-3600)?;
            let login = served(&agent, &Server::on(Ipv4Addr::new(127, 0, 0, 2))?);
            set_clock(3600)?;
            is_of(&login?, Duration::from_hours(1))
        });
        check("login across routing domains, at sockets", || {
            vrf::login(&agent, &domains)
        });
        check("login over macvlan, at sockets", || macvlan::login(&agent));
        check("nothing lost at sockets", || nothing_lost(&agent));
        agent.stop()
    });
    check("agent at the server's sockets", || {
        fs::create_dir(SERVERS)?;
        let agent = Agent::start("served", SERVED)?;
        check("login by IPv6, the server's waits too", || {
            let login = served(&agent, &Server::apart()?)?;
            let waits = &login["phases"]["handshake"]["server_ns"];
            ensure!(waits.as_u64() > Some(0), "no waits: {login}");
            Ok(())
        });
        agent.stop()
    });
    check("agent at sockets and interfaces", || {
        let agent = Agent::start("beside", TRANSIT)?;
        check("login over veth, told once", || {
            let server = Server::behind(&veth)?;
            login_is_seen(&agent, &server)?;
            let told = agent.all(|event| event["event"] == "login")?;
            ensure!(told.len() == 1, "told {} times", told.len());
            Ok(())
        });
        check("nothing lost beside sockets", || nothing_lost(&agent));
        agent.stop()
    });
    check("agent at interfaces", || {
        let agent = Agent::start("events", INTERFACES)?;
        // Either could take this one's filters for left ones; the logins below tell.
        check("doctor and a second agent beside it", || {
            doctor()?;
            Agent::start("second", INTERFACES)?.stop()
        });
        check("login over loopback", || {
            login_is_seen(&agent, &Server::on_loopback()?)
        });
        check("login over veth", || {
            login_is_seen(&agent, &Server::behind(&veth)?)
        });
        check("login across routing domains", || {
            vrf::login(&agent, &domains)
        });
        let late = Link::new("late", 2)?;
        if !hooks::has_tcx(&release)? {
            check("filters that somebody removed are put back", || {
                hooks::are_put_back(&agent, "late0")
            });
        }
        check("login over a hot-plugged interface", || {
            login_is_seen(&agent, &Server::behind(&late)?)
        });
        check("nothing lost", || nothing_lost(&agent));
        check("hook", || hooks::are_as_expected(&agent, &release));
        agent.stop()
    });
    check("clean detach", || before.are_all());
    check("clean refusal", || {
        let mut refused = command(AGENT, ["run", "--iface", "early0", "--iface", "nosuch0"]);
        ensure!(
            refused.status()?.code() == Some(2),
            "an unknown interface is taken"
        );
        before.are_all()
    });
    check("clean start after SIGKILL", || {
        Agent::start("killed", INTERFACES)?.kill()?;
        Agent::start("again", INTERFACES)?.stop()?;
        before.are_all()
    });
    check("a stranger's qdisc and filters", || stranger.is_untouched());
    Ok(())
}

/// Runs a check and prints how it ended. A check that contains others fails for itself only.
fn check(name: &str, check: impl FnOnce() -> Result<()>) {
    match check() {
        Ok(()) => println!("ok {name}"),
        Err(error) => println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " / ")),
    }
}

fn modules() -> Result<()> {
    for name in ["veth", "sch_ingress", "cls_bpf"] {
        ensure!(
            Path::new("/sys/module").join(name).is_dir(),
            "{name} is not loaded"
        );
    }
    Ok(())
}

fn doctor() -> Result<()> {
    let told = output(&mut command(AGENT, ["doctor"]))?;
    eprintln!("{told}");
    Ok(())
}

/// A namespace behind two devices that reach each other.
struct Link {
    namespace: String,
    server: Ipv4Addr,
}

impl Link {
    fn new(name: &str, subnet: u8) -> Result<Self> {
        Self::made(name, subnet, |near, far| {
            ip(&format!(
                "link add {near} type veth peer name {far} netns {name}"
            ))
        })
    }

    /// `make` makes the device of this end and that in the namespace.
    fn made(name: &str, subnet: u8, make: impl FnOnce(&str, &str) -> Result<()>) -> Result<Self> {
        let (near, far) = (format!("{name}0"), format!("{name}1"));
        let client = format!("198.51.100.{}/30", 4 * subnet + 1);
        let server = Ipv4Addr::new(198, 51, 100, 4 * subnet + 2);
        ip(&format!("netns add {name}"))?;
        make(&near, &far)?;
        ip(&format!("address add {client} dev {near}"))?;
        ip(&format!("link set {near} up"))?;
        ip(&format!("-n {name} address add {server}/30 dev {far}"))?;
        ip(&format!("-n {name} link set {far} up"))?;
        // The agent hears of an interface by netlink; a login may not be faster than that.
        thread::sleep(Duration::from_secs(1));
        Ok(Self {
            namespace: name.to_owned(),
            server,
        })
    }
}

fn ip(args: &str) -> Result<()> {
    output(&mut command("ip", args.split(' '))).map(drop)
}

/// The server of one check; ends with it.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn on_loopback() -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Self::start(command("/bin/xtask", ["vm-guest", "serve"]), address)
    }

    /// One at another address of loopback.
    fn on(address: Ipv4Addr) -> Result<Self> {
        let serve = command("/bin/xtask", ["vm-guest", "serve"]);
        Self::start(serve, SocketAddr::from((address, PORT)))
    }

    fn behind(link: &Link) -> Result<Self> {
        let mut inside = command("nsenter", [format!("--net=/run/netns/{}", link.namespace)]);
        inside.args(["/bin/xtask", "vm-guest", "serve"]);
        Self::start(inside, SocketAddr::from((link.server, PORT)))
    }

    /// One by IPv6, in a control group of its own.
    fn apart() -> Result<Self> {
        let line = format!("echo $$ > {SERVERS}/cgroup.procs; exec /bin/xtask vm-guest serve $0");
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, PORT));
        Self::start(command("sh", ["-c", &line]), address)
    }

    fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let child = command
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        let mut server = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while !server.listens() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}");
            }
            ensure!(Instant::now() < deadline, "the server does not listen");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(server)
    }

    /// Whether somebody listens on its port in its namespace. Nothing may connect just to try: that would be a
    /// connection for the agent to report.
    fn listens(&self) -> bool {
        let port = format!(":{:04X}", self.address.port());
        let listener = |line: &str| {
            let mut columns = line.split_whitespace().skip(1);
            let local = columns.next().is_some_and(|local| local.ends_with(&port));
            local && columns.nth(1) == Some(LISTEN)
        };
        ["tcp", "tcp6"].iter().any(|table| {
            let sockets = fs::read_to_string(format!("/proc/{}/net/{table}", self.child.id()));
            sockets.is_ok_and(|sockets| sockets.lines().any(listener))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One login by a process of its own, and what the agent must say about it.
fn login_is_seen(agent: &Agent, server: &Server) -> Result<()> {
    served(agent, server).map(drop)
}

/// The same, and what it has said.
fn served(agent: &Agent, server: &Server) -> Result<Value> {
    served_to(agent, &[], server)
}

/// The same, of a client with options.
fn served_to(agent: &Agent, options: &[&str], server: &Server) -> Result<Value> {
    let mut client = command("/bin/xtask", ["vm-guest", "login"]);
    client.args(options).arg(server.address.to_string());
    let mut client = client.spawn()?;
    let pid = client.id();
    ensure!(client.wait()?.success(), "the login itself failed");

    let address = server.address.ip().to_string();
    let is_ours = |event: &Value, kind: &str| {
        event["event"] == kind && event["server"]["address"] == address.as_str()
    };
    let login = agent.wait_for("login", |event| is_ours(event, "login"))?;
    eprintln!("{login}");
    ensure!(
        login["login"]["outcome"] == "success",
        "outcome: {}",
        login["login"]
    );
    ensure!(
        login["tds"]["encryption"] == "none",
        "encryption: {}",
        login["tds"]
    );
    ensure!(
        login["connection"]["partial"] != true,
        "partial: {}",
        login["connection"]
    );
    attributed(&login["process"], pid, server.child.id())?;
    adds_up(&login)?;

    let close = agent.wait_for("close", |event| is_ours(event, "close"))?;
    ensure!(
        close["connection"]["id"] == login["connection"]["id"],
        "another id in close"
    );
    ensure!(
        close["close"]["by"] == "client",
        "closed by: {}",
        close["close"]
    );
    Ok(login)
}

/// Sets the wall clock by so many seconds.
fn set_clock(by: i64) -> Result<()> {
    let now = output(&mut command("date", ["+%s"]))?;
    let then = now.trim().parse::<i64>()? + by;
    output(&mut command("date", ["-s", &format!("@{then}")]))?;
    // The agent looks at that clock once a second.
    thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// Whether an event is as old as that, by the clock as it is now.
fn is_of(event: &Value, age: Duration) -> Result<()> {
    let told = event["timestamp"].as_str().context("no time")?;
    let seconds = |time: &str| -> Result<i64> {
        let words = ["-u", "-D", "%Y-%m-%dT%H:%M:%S", "-d", time, "+%s"];
        Ok(output(&mut command("date", words))?.trim().parse()?)
    };
    let told = seconds(told.split('.').next().unwrap_or(told))?;
    let now: i64 = output(&mut command("date", ["+%s"]))?.trim().parse()?;
    let off = (now - told - age.as_secs().cast_signed()).abs();
    ensure!(off < 300, "{off} s off: {event}");
    Ok(())
}

/// The client's process, or on loopback, where both sides are local, the server's.
fn attributed(process: &Value, client: u32, server: u32) -> Result<()> {
    let pid = process["pid"]
        .as_u64()
        .with_context(|| format!("no process: {process}"))?;
    ensure!(
        pid == u64::from(client) || pid == u64::from(server),
        "process {process}, while the client was {client} and the server {server}"
    );
    ensure!(process["name"] == "xtask", "process name: {process}");
    Ok(())
}

fn adds_up(login: &Value) -> Result<()> {
    let whole = login["login"]["duration_ns"]
        .as_u64()
        .context("no duration")?;
    let phases = login["phases"].as_object().context("no phases")?;
    let sum: u64 = ["handshake", "prelogin", "tls", "login", "auth"]
        .into_iter()
        .filter_map(|name| phases.get(name)?["duration_ns"].as_u64())
        .sum();
    ensure!(sum == whole, "phases add up to {sum} ns of {whole} ns");
    Ok(())
}

fn nothing_lost(agent: &Agent) -> Result<()> {
    match agent.find(|event| event["event"] == "loss")? {
        Some(loss) => bail!("{loss}"),
        None => Ok(()),
    }
}

/// What an agent leaves in the kernel: programs and queueing disciplines.
#[derive(Debug)]
struct Traces {
    programs: usize,
    clsact: usize,
}

impl Traces {
    fn take() -> Result<Self> {
        let programs = output(&mut command("bpftool", ["--json", "prog", "show"]))?;
        let programs: Value = serde_json::from_str(programs.trim()).context("bpftool's answer")?;
        let qdiscs = output(&mut command("tc", ["qdisc", "show"]))?;
        Ok(Self {
            programs: programs.as_array().map_or(0, Vec::len),
            clsact: qdiscs.matches("clsact").count(),
        })
    }

    /// Whether the kernel is as it was. Programs are freed a grace period after their last user.
    fn are_all(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let now = Self::take()?;
            // Fewer is no trace: what was there before may have been on its way out.
            if now.programs <= self.programs && now.clsact <= self.clsact {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "before {self:?}, now {now:?}");
            thread::sleep(Duration::from_millis(200));
        }
    }
}
