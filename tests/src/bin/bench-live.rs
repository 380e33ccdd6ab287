//! Live measurements: short connections as fast as the machine can, the agent's memory with many
//! open ones, and what it says when its ring overflows. Needs root.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use harness::{net::Namespace, pcap, peer::program};
use serde_json::Value;

const PORT: u16 = 1433;
/// One process may have 20,000 descriptors here and there: connections are shared among several.
const PER_PROCESS: usize = 12_500;
const THREADS: usize = 8;
/// PRELOGIN of a client: VERSION and ENCRYPTION (MS-TDS §2.2.6.5).
const PRELOGIN: [u8; 26] = [
    0x12, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 2,
];
/// The same as a server's answer.
const ANSWER: [u8; 26] = [
    0x04, 1, 0, 26, 0, 0, 1, 0, 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 16, 0, 0x10, 0, 0, 0, 2,
];
/// A recorded login without encryption, and in it what client and server say in turn up to the answer
/// to the first request.
const POOLED: (&str, [[usize; 2]; 3]) = ("captures/odbc18-lab-clear", [[3, 5], [7, 8], [9, 10]]);

/// What the client says, and the server's answer.
type Exchange = [Vec<u8>; 2];

/// What is said on a connection: a PRELOGIN, or as much as a pooled connection has said.
fn conversation(pooled: bool) -> Result<Vec<Exchange>> {
    if !pooled {
        return Ok(vec![[PRELOGIN.to_vec(), ANSWER.to_vec()]]);
    }
    let (name, places) = POOLED;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packets = pcap::packets(&tests.join("fixtures").join(name).with_extension("pcap"))?;
    Ok(places
        .map(|pair| pair.map(|place| packets[place].payload().to_vec()))
        .into())
}

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Answers PRELOGIN, and closes after the client or holds the connection
    #[command(hide = true)]
    Serve {
        address: Ipv4Addr,
        #[arg(long)]
        hold: bool,
        #[arg(long)]
        pooled: bool,
    },
    /// Opens connections with a PRELOGIN exchange each
    #[command(hide = true)]
    Connect {
        address: Ipv4Addr,
        count: usize,
        #[arg(long)]
        hold: bool,
        #[arg(long)]
        pooled: bool,
    },
}

fn main() -> Result<()> {
    match Args::parse().role {
        Some(Role::Serve {
            address,
            hold,
            pooled,
        }) => serve(address, hold, &conversation(pooled)?),
        Some(Role::Connect {
            address,
            count,
            hold,
            pooled,
        }) => connect(address, count, hold, &conversation(pooled)?),
        None => measure(),
    }
}

fn serve(address: Ipv4Addr, hold: bool, conversation: &[Exchange]) -> Result<()> {
    let listener = TcpListener::bind((address, PORT))?;
    println!("listening");
    let serve = |listener: &TcpListener| -> Result<()> {
        let mut streams = Vec::new();
        loop {
            let (mut stream, _) = listener.accept()?;
            let mut bytes = [0; 1024];
            for [question, answer] in conversation {
                stream.read_exact(&mut bytes[..question.len()])?;
                stream.write_all(answer)?;
            }
            if hold {
                streams.push(stream);
            } else {
                while stream.read(&mut bytes)? > 0 {}
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // A client that is killed resets its connections; the next is served.
                while serve(&listener).is_err() {}
            });
        }
    });
    Ok(())
}

fn connect(address: Ipv4Addr, count: usize, hold: bool, conversation: &[Exchange]) -> Result<()> {
    let left = AtomicUsize::new(count);
    let connect = || -> Result<Vec<TcpStream>> {
        let mut streams = Vec::new();
        while left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            let mut stream = TcpStream::connect(SocketAddr::from((address, PORT)))?;
            for [question, answer] in conversation {
                stream.write_all(question)?;
                stream.read_exact(&mut vec![0; answer.len()])?;
            }
            if hold {
                streams.push(stream);
            } else {
                stream.shutdown(Shutdown::Write)?;
                while stream.read(&mut [0; 64])? > 0 {}
            }
        }
        Ok(streams)
    };
    let started = Instant::now();
    let streams = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(connect)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_panic| anyhow::anyhow!("a thread panicked"))?
            })
            .collect::<Result<Vec<_>>>()
    })?;
    println!("connected {count} in {} us", started.elapsed().as_micros());
    // Held until standard input ends.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(streams);
    Ok(())
}

fn measure() -> Result<()> {
    let short = short_connections(20_000, &[], None)?;
    println!("short connections: {short}");
    ensure!(
        short.lines == (20_000, 20_000),
        "not one login and one close each"
    );
    ensure!(short.attempts == 20_000, "not one attempt each");
    let flood = short_connections(
        20_000,
        &["--ring-bytes", "65536"],
        Some(Duration::from_secs(2)),
    )?;
    println!("64 KiB ring, agent stopped for 2 s: {flood}");
    ensure!(flood.wrong == 0, "something wrong was reported");
    ensure!(
        flood.lines == (20_000, 20_000) || flood.lost > 0,
        "something missing was not counted"
    );
    println!("agent's memory: {}", memory(50_000, &["--hold"])?);
    println!(
        "with pooled connections: {}",
        memory(100_000, &["--hold", "--pooled"])?
    );
    Ok(())
}

/// What an agent said of many connections.
struct Said {
    connections: usize,
    /// Connections with exactly one `login`, and with exactly one `close`.
    lines: (usize, usize),
    /// Attempts.
    attempts: usize,
    outcomes: BTreeMap<String, usize>,
    partial: usize,
    /// Logins that name the process that connected.
    named: usize,
    /// Lines that say something that did not happen.
    wrong: usize,
    lost: u64,
    losses: BTreeMap<String, u64>,
    microseconds: u64,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.connections as u64 * 1_000_000 / self.microseconds.max(1);
        write!(
            f,
            "{} connections at {rate}/s; {} with one login, {} with one close, {} attempts; {:?}; {} partial; {} with their process; {} wrong; lost {:?}",
            self.connections,
            self.lines.0,
            self.lines.1,
            self.attempts,
            self.outcomes,
            self.partial,
            self.named,
            self.wrong,
            self.losses
        )
    }
}

fn short_connections(count: usize, options: &[&str], stopped: Option<Duration>) -> Result<Said> {
    let host = Namespace::new("live")?;
    let agent = Watching::start(&host, options)?;
    let _server = peer(&host, &["serve", "127.0.0.1"])?;
    if stopped.is_some() {
        agent.signal("STOP")?;
    }
    let pause = stopped.map(|time| {
        let pid = agent.child.id();
        thread::spawn(move || {
            thread::sleep(time);
            signal(pid, "CONT")
        })
    });
    let count_text = count.to_string();
    let mut client = peer(&host, &["connect", "127.0.0.1", &count_text])?;
    let line = client.line()?;
    let microseconds = line
        .split(' ')
        .nth(3)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if let Some(pause) = pause {
        pause
            .join()
            .map_err(|_panic| anyhow::anyhow!("the pause panicked"))??;
    }
    thread::sleep(Duration::from_secs(3));
    let mut said = said(&agent.stop()?, client.child.id())?;
    said.connections = count;
    said.microseconds = microseconds;
    Ok(said)
}

/// What is in the lines of an agent, of connections that this process made.
fn said(lines: &Path, client: u32) -> Result<Said> {
    let mut said = Said {
        connections: 0,
        lines: (0, 0),
        attempts: 0,
        outcomes: BTreeMap::new(),
        partial: 0,
        named: 0,
        wrong: 0,
        lost: 0,
        losses: BTreeMap::new(),
        microseconds: 0,
    };
    let mut seen: HashMap<String, (usize, usize)> = HashMap::new();
    for line in BufReader::new(fs::File::open(lines)?).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        let id = event["connection"]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        match event["event"].as_str() {
            Some("login") => {
                seen.entry(id).or_default().0 += 1;
                let outcome = event["login"]["outcome"].as_str().unwrap_or_default();
                *said.outcomes.entry(outcome.to_owned()).or_default() += 1;
                let partial = event["connection"]["partial"] == true;
                said.partial += usize::from(partial);
                // Every connection ends with the client's FIN after PRELOGIN's answer.
                said.wrong +=
                    usize::from(outcome != "aborted" && !(partial && outcome == "unknown"));
                let process = event["process"]["pid"].as_u64();
                said.named += usize::from(process == Some(client.into()));
                said.wrong += usize::from(process.is_some_and(|pid| pid != u64::from(client)));
            }
            Some("attempt") => said.attempts += 1,
            Some("close") => seen.entry(id).or_default().1 += 1,
            Some("loss") => {
                let reason = event["loss"]["reason"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let count = event["loss"]["count"].as_u64().unwrap_or(0);
                *said.losses.entry(reason).or_default() += count;
                said.lost += count;
            }
            _ => {}
        }
    }
    said.lines.0 = seen.values().filter(|(logins, _)| *logins == 1).count();
    said.lines.1 = seen.values().filter(|(_, closes)| *closes == 1).count();
    Ok(said)
}

/// Resident memory of the agent, before and with so many open connections.
fn memory(count: usize, options: &[&str]) -> Result<String> {
    let host = Namespace::new("many")?;
    let agent = Watching::start(&host, &["--max-flows", "131072"])?;
    let before = agent.resident()?;
    let mut peers = Vec::new();
    for index in 0..count.div_ceil(PER_PROCESS) {
        let address = format!("127.0.0.{}", index + 1);
        peers.push(peer(&host, &[&["serve", &address][..], options].concat())?);
        let many = PER_PROCESS.to_string();
        let arguments = [&["connect", &address, &many][..], options].concat();
        let mut client = peer(&host, &arguments)?;
        client.line()?;
        peers.push(client);
    }
    thread::sleep(Duration::from_secs(2));
    let with = agent.resident()?;
    drop(peers);
    agent.stop()?;
    Ok(format!(
        "{before} KiB without a connection, {with} KiB with {count} open"
    ))
}

/// A process of this program in another role.
struct Peer {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

fn peer(host: &Namespace, arguments: &[&str]) -> Result<Peer> {
    let mut child = host
        .command(env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let mut peer = Peer { child, output };
    if arguments[0] == "serve" {
        peer.line()?;
    }
    Ok(peer)
}

impl Peer {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            bail!("a peer ended");
        }
        Ok(line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An agent that writes to a file.
struct Watching {
    child: Child,
    lines: PathBuf,
}

impl Watching {
    fn start(host: &Namespace, options: &[&str]) -> Result<Self> {
        let lines = env::temp_dir().join(format!("bench-live-{}.jsonl", std::process::id()));
        if lines.exists() {
            fs::remove_file(&lines)?;
        }
        let child = host
            .command(program("tds-tracer")?)
            .args(["run", "--log-level", "warn", "--output"])
            .arg(&lines)
            .args(options)
            .spawn()?;
        let limit = Instant::now() + Duration::from_secs(30);
        while !fs::read_to_string(&lines)
            .unwrap_or_default()
            .contains("\"start\"")
        {
            ensure!(Instant::now() < limit, "the agent does not start");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(Self { child, lines })
    }

    fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    fn stop(mut self) -> Result<PathBuf> {
        self.signal("TERM")?;
        self.child.wait()?;
        Ok(self.lines)
    }
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()?;
    ensure!(status.success(), "kill -{name} {pid} failed");
    Ok(())
}
