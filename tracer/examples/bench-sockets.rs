//! What the programs at sockets cost on real packets over loopback: nanoseconds over a program that only
//! returns, which sees the same packets. Needs root.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
};

use anyhow::{Context, Result};
use tracer::{
    host::Hierarchy,
    probe::{
        Options, Record,
        trial::sockets::{AtSockets, Spent},
    },
};
use tracer_ebpf::{config::requests, datagram::level};

const ROUNDS: usize = 15;
/// Exchanges of one round.
const PINGS: usize = 1000;
/// Bytes of the longest TDS packet.
const LONGEST: u16 = 32_767;
/// Connections of one round.
const CONNECTIONS: usize = 100;

/// An address of this host that nobody else listens at.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 53, 77);
/// Questions of one round: no more are told at once.
const QUESTIONS: u16 = 200;
/// What is asked for after the id: the address of a name (RFC 1035 section 4.1).
const QUESTION: &[u8] = b"\x01\0\0\x01\0\0\0\0\0\0\x03sql\x04test\0\0\x01\0\x01";

/// A control group that this process is in, gone with it.
struct Group(PathBuf);

impl Group {
    fn enter() -> Result<Self> {
        let whole = Hierarchy::choose(None)?.context("no cgroup v2 hierarchy")?;
        let path = whole
            .point()
            .join(format!("tds-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        fs::write(path.join("cgroup.procs"), "0")?;
        Ok(Self(path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let outer = self.0.parent().map(|root| root.join("cgroup.procs"));
        if let Some(outer) = outer {
            drop(fs::write(outer, "0"));
        }
        drop(fs::remove_dir(&self.0));
    }
}

/// Both ends of a connection.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn open(listener: &TcpListener) -> Result<Self> {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok(Self { client, server })
    }

    fn ask(&mut self, question: &[u8]) -> Result<()> {
        self.client.write_all(question)?;
        Ok(self.server.read_exact(&mut vec![0; question.len()])?)
    }

    fn answer(&mut self, answer: &[u8]) -> Result<()> {
        self.server.write_all(answer)?;
        Ok(self.client.read_exact(&mut vec![0; answer.len()])?)
    }
}

/// A TDS packet of this length, as far as `len` bytes of it.
fn packet(kind: u8, status: u8, whole: u16, len: usize) -> Vec<u8> {
    let [high, low] = whole.to_be_bytes();
    let mut bytes = vec![0x41; len];
    bytes[..8].copy_from_slice(&[kind, status, high, low, 0, 0, 1, 0]);
    bytes
}

fn main() -> Result<()> {
    // Sockets are in the group that they are made in: of connections to this one only the client's is seen.
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let group = Group::enter()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let unwatched = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let options = Options {
        ports: vec![
            listener.local_addr()?.port(),
            elsewhere.local_addr()?.port(),
        ],
        groups: Hierarchy::choose(Some(&group.0))?,
        ..Options::default()
    };

    let message = packet(1, 1, 100, 100);
    let mut trial = AtSockets::start(&options, true)?;
    let bare = pings(&mut trial, &listener, false, &message, &message)?;
    drop(trial);
    println!("{:<44} {bare:8.1} ns", "a record, and nothing else");
    let row = |name: &str, ns: f64| println!("{name:<44} {ns:8.1} ns {:6.2}", ns / bare);

    let learning = Options {
        auto: true,
        ..options.clone()
    };
    let mut trial = AtSockets::start(&learning, false)?;
    let ns = pings(&mut trial, &unwatched, false, &message, &message)?;
    row("unwatched, where ports are learned", ns);
    row(
        "an unwatched connection, the same",
        connections(&mut trial, &unwatched, Some(&message))?,
    );
    drop(trial);

    let mut trial = AtSockets::start(&options, false)?;
    let ns = pings(&mut trial, &unwatched, false, &message, &message)?;
    row("unwatched", ns);
    row(
        "an unwatched connection, all programs",
        connections(&mut trial, &unwatched, Some(&message))?,
    );
    drop(trial);
    let beside = Options {
        datagrams: level::FULL,
        ..options.clone()
    };
    let mut trial = AtSockets::start(&beside, false)?;
    let ns = pings(&mut trial, &unwatched, false, &message, &message)?;
    row("unwatched, where datagrams are told too", ns);
    drop(trial);
    let https = TcpListener::bind((HERE, 443))?;
    for (name, options) in [("not looked at", &options), ("looked at", &beside)] {
        let mut trial = AtSockets::start(options, false)?;
        let ns = datagrams(&mut trial)?;
        row(&format!("a datagram to or from port 53, {name}"), ns);
        let ns = connections(&mut trial, &https, Some(&message))?;
        row(&format!("a connection to port 443, {name}"), ns);
    }
    let mut trial = AtSockets::start(&options, false)?;
    let inside = [0x41; 16];
    let quiet = pings(&mut trial, &listener, true, &inside, &inside)?;
    row("watched, decided, no header due", quiet);
    let answer = packet(4, 1, 100, 100);
    let ns = pings(&mut trial, &listener, true, &message, &answer)?;
    row("a header counted, on top of that", ns - quiet);
    let apart = pings(&mut trial, &elsewhere, true, &inside, &inside)?;
    row("the same, of one end: no header due", apart);
    let ns = pings(&mut trial, &elsewhere, true, &message, &answer)?;
    row("a header counted, on top of that", ns - apart);
    drop(trial);
    let telling = Options {
        requests: requests::TOLD,
        ..options.clone()
    };
    let mut trial = AtSockets::start(&telling, false)?;
    let ns = pings(&mut trial, &listener, true, &message, &answer)?;
    row("a header told, on top of that", ns - quiet);
    let ns = pings(&mut trial, &elsewhere, true, &message, &answer)?;
    row("the same, of one end", ns - apart);
    drop(trial);
    let mut trial = AtSockets::start(&options, false)?;
    let mut login = packet(0x10, 1, 1400, 1400);
    login[8..12].copy_from_slice(&1392_u32.to_le_bytes());
    row(
        "login segment of 1,400 bytes",
        logins(&mut trial, &listener, &login)?,
    );
    row(
        "a whole connection, all programs",
        connections(&mut trial, &listener, None)?,
    );
    row(
        "a whole login, all programs",
        connections(&mut trial, &listener, Some(&login))?,
    );
    by_program(&mut trial, &listener, &login)
}

/// What each program has in a whole login.
fn by_program(trial: &mut AtSockets, listener: &TcpListener, login: &[u8]) -> Result<()> {
    let before = trial.by_program();
    let empty = trial.empty();
    connections(trial, listener, Some(login))?;
    let each = trial.empty().since(empty).each();
    let logins = (ROUNDS * CONNECTIONS) as f64;
    for (name, spent) in trial.by_program() {
        let earlier = before.iter().find(|(other, _)| *other == name);
        let spent = spent.since(earlier.map_or(Spent::default(), |(_, spent)| *spent));
        if spent.runs > 0 {
            let runs = spent.runs as f64 / logins;
            let over = spent.each() - each;
            println!(
                "  {name:<42} {:8.1} ns, {runs:.1} runs of {over:.1}",
                over * runs
            );
        }
    }
    Ok(())
}

/// One packet of a ping-pong, both ends and directions alike; the connection's login `decided`, and
/// within a long message.
fn pings(
    trial: &mut AtSockets,
    listener: &TcpListener,
    decided: bool,
    question: &[u8],
    answer: &[u8],
) -> Result<f64> {
    let mut pair = Pair::open(listener)?;
    if decided {
        decide(trial)?;
    }
    let within = decided && question.len() < 100;
    median(|| {
        if within {
            pair.ask(&packet(1, 0, LONGEST, 8))?;
            pair.answer(&packet(4, 0, LONGEST, 8))?;
        }
        trial.drain(|_| {});
        let before = (trial.traffic(), trial.empty());
        for _ in 0..PINGS {
            pair.ask(question)?;
            pair.answer(answer)?;
        }
        let (traffic, empty) = (trial.traffic(), trial.empty());
        let spent = traffic.since(before.0).each() - empty.since(before.1).each();
        if within {
            let rest = vec![0x41; usize::from(LONGEST) - 8 - PINGS * question.len()];
            pair.ask(&rest)?;
            pair.answer(&rest)?;
        }
        Ok(spent)
    })
}

/// A datagram of a question for a name and of its answer, both ends alike.
fn datagrams(trial: &mut AtSockets) -> Result<f64> {
    let server = UdpSocket::bind((HERE, 53))?;
    let client = UdpSocket::bind((HERE, 0))?;
    client.connect(server.local_addr()?)?;
    median(|| {
        trial.drain(|_| {});
        let before = (trial.traffic(), trial.empty());
        for id in 0..QUESTIONS {
            let mut message = [&id.to_be_bytes()[..], QUESTION].concat();
            client.send(&message)?;
            let (_, from) = server.recv_from(&mut [0; 512])?;
            // It is an answer: there is no such name.
            message[2..4].copy_from_slice(&[0x81, 0x83]);
            server.send_to(&message, from)?;
            client.recv(&mut [0; 512])?;
        }
        let (traffic, empty) = (trial.traffic(), trial.empty());
        Ok(traffic.since(before.0).each() - empty.since(before.1).each())
    })
}

/// The login of the connection that was opened last is decided.
fn decide(trial: &mut AtSockets) -> Result<()> {
    let mut opened = None;
    trial.drain(|record| {
        if let Record::Event(event, _) = record {
            opened = Some((event.key, event.born));
        }
    });
    let (key, born) = opened.context("a connection that is told")?;
    Ok(trial.decide(key, born)?)
}

/// The segment that brings a login, its acknowledgement included.
fn logins(trial: &mut AtSockets, listener: &TcpListener, login: &[u8]) -> Result<f64> {
    median(|| {
        let mut all = (Spent::default(), Spent::default());
        for _ in 0..CONNECTIONS {
            let mut pair = Pair::open(listener)?;
            trial.drain(|_| {});
            let before = (trial.traffic(), trial.empty());
            pair.ask(login)?;
            let (traffic, empty) = (
                trial.traffic().since(before.0),
                trial.empty().since(before.1),
            );
            all.0.runs += traffic.runs;
            all.0.time += traffic.time;
            all.1.runs += empty.runs;
            all.1.time += empty.time;
        }
        let (traffic, empty) = all;
        let over = traffic.time.as_nanos() as f64 - empty.each() * traffic.runs as f64;
        Ok(over / CONNECTIONS as f64)
    })
}

/// All that the programs do for a connection, with a login or without.
fn connections(trial: &mut AtSockets, listener: &TcpListener, login: Option<&[u8]>) -> Result<f64> {
    let prelogin = packet(0x12, 1, 26, 26);
    let reply = packet(4, 1, 400, 400);
    median(|| {
        trial.drain(|_| {});
        let before = (trial.all(), trial.empty());
        for _ in 0..CONNECTIONS {
            let mut pair = Pair::open(listener)?;
            if let Some(login) = login {
                pair.ask(&prelogin)?;
                pair.answer(&reply)?;
                pair.ask(login)?;
                pair.answer(&reply)?;
            }
        }
        let (all, empty) = (trial.all().since(before.0), trial.empty().since(before.1));
        let over = all.time.as_nanos() as f64 - empty.each() * all.runs as f64;
        Ok(over / CONNECTIONS as f64)
    })
}

fn median(mut round: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut rounds = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>>>()?;
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}
