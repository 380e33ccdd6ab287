//! What the agent takes on one processor: records as the kernel writes them, read, told to the engine and written
//! as lines, without a kernel. Figures are of processor time, the writing thread's included.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::bench::median;
use harness::pcap::{self, Packet};
use harness::records::Records;
use harness::sweep::packet::{ACK, FIN};
use mimalloc::MiMalloc;
use rustix::time::{ClockId, clock_gettime};
use tracer::probe;
use tracer::record::{Login, Naming, Process, Record, RunId};
use tracer::session::{Config, Decided, Engine, Input, Listener, SocketOwner};
use tracer::sink::{Destination, Filter, Format, Output, Overflow, Settings};
use tracer_ebpf::event::{Event, Kind, role};

/// As the agent has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Recorded logins with their first request and their end: in clear, and inside TLS.
const LOGINS: [&str; 2] = ["odbc18-lab-clear", "odbc18-lab-tls12"];
const TRIALS: usize = 5;
/// Logins in a trial, of which so many are open at a time.
const COUNT: u64 = 20_000;
const OPEN: u64 = 64;
/// Between two of them that are told one after the other, nanoseconds.
const APART: u64 = 16_000;
/// Records of requests in a trial.
const SHORT: u64 = 2_000_000;

/// Whose connections they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Each another host's.
    Hosts,
    /// All of one process.
    Process,
}

/// A slice of a timeout, nanoseconds.
const SLICE: u64 = 400_000_000;
/// The server's port, as it is on the wire.
const SERVER: [u8; 2] = 1433_u16.to_be_bytes();
/// The first port that a connection comes from.
const FIRST_PORT: u16 = 10_000;

/// One of the records, of another connection, which begins then.
fn another(records: &Records, of: Of, (number, begins): (u64, u64), step: usize, to: &mut Ring) {
    let first = records.0[0].0.time;
    let (event, run) = &records.0[step];
    let later = |time: u64| if time == 0 { 0 } else { time - first + begins };
    let mut event = *event;
    event.time = later(event.time);
    event.born = later(event.born);
    for sent in [&mut event.client, &mut event.server] {
        sent.last_data = later(sent.last_data);
        sent.acked_at = later(sent.acked_at);
    }
    let key = &mut event.key;
    let (client, port) = if event.client_is_a == 1 {
        (&mut key.a, &mut key.a_port)
    } else {
        (&mut key.b, &mut key.b_port)
    };
    // From the same port it would be the same connection under another address.
    *port = FIRST_PORT + number as u16;
    if of == Of::Hosts {
        client[3] = client[3].wrapping_add(number as u32);
    }
    to.push(&event, run);
}

/// Records one after the other, and how long each is.
#[derive(Default)]
struct Ring {
    bytes: Vec<u8>,
    lengths: Vec<usize>,
}

impl Ring {
    fn push(&mut self, event: &Event, run: &[u8]) {
        let from = self.bytes.len();
        written(event, &mut self.bytes);
        self.bytes.extend_from_slice(run);
        self.lengths.push(self.bytes.len() - from);
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.lengths.iter().map(move |length| {
            from += length;
            &self.bytes[from - length..from]
        })
    }
}

/// Appends an event as it lies in the ring.
fn written(event: &Event, to: &mut Vec<u8>) {
    let Event { key, header, .. } = event;
    to.extend([event.kind, event.direction, event.marks, event.tcp_flags]);
    to.extend([event.ttl, event.framing]);
    to.extend(event.window.to_ne_bytes());
    to.extend(
        [event.time, event.born]
            .into_iter()
            .flat_map(u64::to_ne_bytes),
    );
    to.extend(event.number.to_ne_bytes());
    to.extend(event.ifindex.to_ne_bytes());
    to.extend(
        [key.a, key.b]
            .concat()
            .into_iter()
            .flat_map(u32::to_ne_bytes),
    );
    to.extend(
        [key.a_port, key.b_port]
            .into_iter()
            .flat_map(u16::to_ne_bytes),
    );
    to.extend([event.client_is_a, event.beside]);
    to.extend(event.parts.to_ne_bytes());
    let words = [event.seq.0, event.ack.0, event.payload_len, event.run_seq.0];
    to.extend(words.into_iter().flat_map(u32::to_ne_bytes));
    to.extend(
        [event.run_len, event.packet_len]
            .into_iter()
            .flat_map(u32::to_ne_bytes),
    );
    to.extend(header);
    for sent in [&event.client, &event.server] {
        let times = [sent.bytes, sent.last_data, sent.acked_at];
        to.extend(times.into_iter().flat_map(u64::to_ne_bytes));
        let counts = [
            sent.packets,
            sent.retransmits,
            sent.zero_windows,
            sent.keep_alives,
            sent.isn.0,
        ];
        to.extend(counts.into_iter().flat_map(u32::to_ne_bytes));
        to.extend(
            [sent.repeats, sent.shut]
                .into_iter()
                .flat_map(u16::to_ne_bytes),
        );
    }
}

/// Where lines go.
struct Lines {
    output: Output,
    logins: u64,
}

impl Listener for Lines {
    fn login(&mut self, login: &Login) -> bool {
        self.logins += 1;
        self.output.filter().wants_login(login)
    }

    fn record(&mut self, record: Record) {
        self.output.send(record);
    }

    fn decided(&mut self, _: Decided) {}
}

/// An agent without a kernel; its lines are made and thrown away.
struct Agent {
    engine: Engine,
    lines: Lines,
    /// Whose the connections are.
    process: Process,
}

impl Agent {
    fn new(options: &str, of: Of) -> Result<Self> {
        let mut filter = Filter::default();
        if !options.is_empty() {
            filter.events = options.parse()?;
        }
        let settings = Settings {
            name: String::new(),
            destination: Destination::File("/dev/null".into(), None),
            format: Format::Json(Naming::Native),
            run: "0123456789abcdef".parse::<RunId>()?,
            filter,
            overflow: Overflow::Wait,
        };
        let output = settings.open("host")?.gathering(64);
        Ok(Self {
            engine: Engine::new(Config::default()),
            lines: Lines { output, logins: 0 },
            process: Process {
                pid: u32::from(of == Of::Process),
                ..Process::default()
            },
        })
    }

    /// As the live agent does with what lies in its ring.
    fn take(&mut self, ring: &Ring) -> Result<()> {
        for (number, bytes) in ring.each().enumerate() {
            let record = probe::Record::read(bytes).context("no record")?;
            let probe::Record::Event(event, run) = record else {
                continue;
            };
            if event.kind == Kind::Syn as u8 {
                let owner = SocketOwner {
                    key: event.key,
                    role: role::CLIENT,
                    time: event.time,
                    isns: None,
                    process: self.process.clone(),
                };
                self.engine.on_event(Input::Owner(owner), &mut self.lines);
            }
            self.engine
                .on_event(Input::Event(&event, run), &mut self.lines);
            if number % 4096 == 0 {
                self.lines.output.flush();
            }
        }
        Ok(())
    }

    fn finish(mut self, now: u64) -> Result<u64> {
        self.engine.finish(now, &mut self.lines);
        let Lines { output, logins } = self.lines;
        output.finish(Duration::from_mins(1))?;
        Ok(logins)
    }
}

/// Measures all of it, or only what has the first argument in its name.
fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let figures = |what: &str, aim: &str, one: &dyn Fn() -> Result<f64>| {
        if what.contains(&wanted) {
            let trials = (0..TRIALS).map(|_| one()).collect::<Result<Vec<_>>>()?;
            println!("{what}: {:.2}{aim}; {trials:.2?}", median(&trials));
        }
        anyhow::Ok(())
    };
    for (how, events) in [("each two lines written", ""), ("counted only", "loss")] {
        for name in LOGINS {
            let records = Records::of(name)?;
            let what = format!("whole logins, {name}, {how}");
            let one = || logins(&records, events, Of::Hosts);
            figures(&what, " a second (aim 60000)", &one)?;
        }
    }
    for (how, records) in failing()? {
        for (of, whose) in [(Of::Hosts, "a host each"), (Of::Process, "one process")] {
            let what = format!("{how}, {whose}");
            figures(&what, " a second", &|| logins(&records, "", of))?;
        }
    }
    figures(
        "records of a header alone",
        " million a second (aim 1)",
        &short,
    )
}

/// Logins that come to nothing.
fn failing() -> Result<[(&'static str, Records); 4]> {
    let [packets, refusal] = ["odbc18-lab-clear", "odbc18-none-refused"].map(captured);
    let (packets, refusal) = (packets?, refusal?);
    Ok([
        ("left after PRELOGIN", left(&packets[..7], 10_000)),
        ("left without an answer", left(&packets[..5], SLICE)),
        ("failed", Records::of("odbc18-lab-loginfailed")?),
        ("refused", Records::of_packets(&refusal[..2])),
    ])
}

fn captured(name: &str) -> Result<Vec<Packet>> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures");
    pcap::packets(&captures.join(name).with_extension("pcap"))
}

/// The client leaves so long after these, and the server follows.
fn left(packets: &[Packet], later: u64) -> Records {
    let last = |client: bool| {
        let mut of_side = packets.iter().rev();
        of_side.find(|packet| (Packet::clone(packet).destination_port() == SERVER) == client)
    };
    let (Some(client), Some(server)) = (last(true), last(false)) else {
        return Records::default();
    };
    let said = |packet: &Packet| (packet.payload().len() as u32).cast_signed();
    let fin = client.with(FIN | ACK, &[], later, said(client));
    let mut its = server
        .with(FIN | ACK, &[], 0, said(server))
        .acknowledging(1);
    its.time_ns = fin.time_ns + 50_000;
    let ack = fin.with(ACK, &[], 100_000, 1).acknowledging(1);
    Records::of_packets(&[packets, &[fin, its, ack]].concat())
}

/// Logins a second.
fn logins(records: &Records, events: &str, of: Of) -> Result<f64> {
    let mut ring = Ring::default();
    for first in (0..COUNT).step_by(OPEN as usize) {
        for step in 0..records.0.len() {
            for number in first..COUNT.min(first + OPEN) {
                let begins = 1 + first * APART + number % OPEN;
                another(records, of, (number, begins), step, &mut ring);
            }
        }
    }
    let read = ring.each().next().and_then(probe::Record::read);
    let same = matches!(read, Some(probe::Record::Event(event, _)) if event.kind == records.0[0].0.kind && event.number == 1);
    ensure!(same, "records are laid out in another way");
    let mut agent = Agent::new(events, of)?;
    let begun = processor();
    agent.take(&ring)?;
    let told = agent.finish(u64::MAX / 2)?;
    let spent = processor().saturating_sub(begun);
    ensure!(told == COUNT, "{told} of {COUNT} logins");
    Ok(COUNT as f64 / spent.as_secs_f64())
}

/// Millions of records a second, of requests and their answers on one connection.
fn short() -> Result<f64> {
    let records = Records::of(LOGINS[0])?;
    let headers: Vec<_> = (0..records.0.len())
        .filter(|step| records.0[*step].0.kind == Kind::Header as u8)
        .collect();
    ensure!(headers.len() > 1, "no request");
    let mut agent = Agent::new("", Of::Hosts)?;
    let mut opened = Ring::default();
    for step in 0..headers[0] {
        another(&records, Of::Hosts, (0, 1), step, &mut opened);
    }
    agent.take(&opened)?;
    let mut ring = Ring::default();
    let numbers = headers.iter().map(|step| records.0[*step].0.number).max();
    for turn in 0..SHORT / headers.len() as u64 {
        for step in &headers {
            let (event, _) = &records.0[*step];
            let mut event = *event;
            event.number += turn as u32 * numbers.unwrap_or(1);
            event.run_len = 0;
            event.time = event.time - records.0[0].0.time + 1 + turn * 1000;
            event.born = 1;
            ring.push(&event, &[]);
        }
    }
    let begun = processor();
    agent.take(&ring)?;
    let spent = processor().saturating_sub(begun);
    let count = ring.lengths.len() as f64;
    agent.finish(u64::MAX / 2)?;
    Ok(count / spent.as_secs_f64() / 1e6)
}

/// Of this process, all its threads.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
