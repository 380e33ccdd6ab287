//! What runs inside the emulator: the checks, one line each on standard output.
//!
//! `ok NAME` or `FAIL NAME: why`. Whatever else is of use goes to standard error, the console.

mod hooks;
mod stranger;

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use serde_json::Value;

use crate::{
    process::{command, output},
    vm::tds,
};

const AGENT: &str = "/bin/tds-tracer";
const PORT: u16 = 1433;
/// The source of packets that leaves traces of its own, such as filters.
const INTERFACES: &str = "interfaces";
/// Emulation is slow, the verifier most of all; nothing waits for this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(90);
/// Lines of the agent's log that a failure shows.
const LOG_LINES: usize = 40;

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
    /// The server side of the checks
    Serve { address: SocketAddr },
    /// The client side of the checks
    Login { address: SocketAddr },
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match args.role {
        Role::Checks => checks(),
        Role::Serve { address } => tds::serve(address),
        Role::Login { address } => tds::login(address),
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
    check("agent at sockets", || {
        let agent = Agent::start("sockets", "sockets")?;
        check("login over loopback, at sockets", || {
            login_is_seen(&agent, &Server::on_loopback()?)
        });
        check("login over veth, at sockets", || {
            login_is_seen(&agent, &Server::behind(&veth)?)
        });
        check("nothing lost at sockets", || nothing_lost(&agent));
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
        let late = Link::new("late", 2)?;
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

/// The agent, writing JSON lines to a file.
struct Agent {
    child: Child,
    events: String,
    log: String,
}

impl Agent {
    /// Starts it and waits for its own word that it watches.
    fn start(name: &str, source: &str) -> Result<Self> {
        let (events, log) = (format!("/tmp/{name}.jsonl"), format!("/tmp/{name}.log"));
        // The verifier's words are in the agent's log at this level.
        let child = Command::new(AGENT)
            .args(["run", "--log-level", "debug", "--source", source])
            .stdin(Stdio::null())
            .stdout(File::create(&events)?)
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start the agent")?;
        let mut agent = Self { child, events, log };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = agent.child.try_wait()? {
                bail!("the agent ended with {status}: {}", agent.last_words()?);
            }
            if agent.find(|event| event["event"] == "agent")?.is_some() {
                // Its line is written when it begins; interfaces follow.
                thread::sleep(Duration::from_secs(1));
                return Ok(agent);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the agent did not say that it watches")
    }

    /// The log's last line; the lines before it go to the console.
    fn last_words(&self) -> Result<String> {
        let log = fs::read_to_string(&self.log)?;
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("{line}");
        }
        Ok((*lines.last().unwrap_or(&"without a word")).to_owned())
    }

    /// The events for which `wanted` holds, as of now.
    fn all(&self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.events)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let event = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
        let mut events: Vec<Value> = whole.lines().map(event).collect::<Result<_>>()?;
        events.retain(wanted);
        Ok(events)
    }

    /// The first of them.
    fn find(&self, wanted: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
        Ok(self.all(wanted)?.into_iter().next())
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(event) = self.find(&wanted)? {
                return Ok(event);
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{}", fs::read_to_string(&self.events)?);
        bail!("no {what} event")
    }

    fn stop(mut self) -> Result<()> {
        output(&mut command(
            "kill",
            ["-TERM", &self.child.id().to_string()],
        ))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the agent ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.kill()?;
        bail!("the agent did not end on SIGTERM")
    }

    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// A namespace behind a veth pair.
struct Link {
    namespace: String,
    server: Ipv4Addr,
}

impl Link {
    fn new(name: &str, subnet: u8) -> Result<Self> {
        let (near, far) = (format!("{name}0"), format!("{name}1"));
        let client = format!("198.51.100.{}/30", 4 * subnet + 1);
        let server = Ipv4Addr::new(198, 51, 100, 4 * subnet + 2);
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {near} type veth peer name {far} netns {name}"
        ))?;
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

    fn behind(link: &Link) -> Result<Self> {
        let mut inside = command("nsenter", [format!("--net=/run/netns/{}", link.namespace)]);
        inside.args(["/bin/xtask", "vm-guest", "serve"]);
        Self::start(inside, SocketAddr::from((link.server, PORT)))
    }

    fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let child = command
            .arg(address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        // Nothing may connect just to try: that would be a connection for the agent to report.
        thread::sleep(Duration::from_secs(1));
        Ok(Self { child, address })
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
    let to = server.address.to_string();
    let mut client = command("/bin/xtask", ["vm-guest", "login", &to]).spawn()?;
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
