//! What the kernel programs cost: each case by `BPF_PROG_TEST_RUN` on the object as it ships, in
//! nanoseconds over a program that only returns, measured in the same rounds. Needs root.

use std::time::Duration;

use anyhow::Result;
use tracer::probe::{Options, Record, trial::Trial};
use tracer_ebpf::flow::FlowKey;

const ROUNDS: usize = 9;
const REPEAT: u32 = 200_000;
/// Rounds of a case whose packet goes on in the stream with each run.
const MOVING_ROUNDS: u32 = 25;
const PROGRAM: &str = "tds_ether_in";
const CLIENT: u16 = 40_000;

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A packet of a connection: 10.0.0.1 to 10.0.0.2.
#[derive(Clone, Copy)]
struct Packet<'a> {
    ports: (u16, u16),
    protocol: u8,
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &'a [u8],
}

impl Packet<'_> {
    fn bytes(&self) -> Vec<u8> {
        let from_client = self.ports.0 > self.ports.1;
        let mut bytes = vec![0; 12];
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend(((40 + self.payload.len()) as u16).to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 64, self.protocol, 0, 0]);
        let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        bytes.extend(if from_client { [a, b] } else { [b, a] }.concat());
        bytes.extend(self.ports.0.to_be_bytes());
        bytes.extend(self.ports.1.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        bytes.extend([0x50, self.flags, 0x20, 0, 0, 0, 0, 0]);
        bytes.extend(self.payload);
        bytes
    }
}

fn client(flags: u8, seq: u32, payload: &[u8]) -> Packet<'_> {
    Packet {
        ports: (CLIENT, 1433),
        protocol: 6,
        seq,
        ack: 5001,
        flags,
        payload,
    }
}

fn server(flags: u8, seq: u32, payload: &[u8]) -> Packet<'_> {
    Packet {
        ports: (1433, CLIENT),
        ack: 1001,
        ..client(flags, seq, payload)
    }
}

fn main() -> Result<()> {
    let mut trial = Trial::start(&Options::default())?;
    let unwatched = Packet {
        ports: (CLIENT, 443),
        ..client(ACK, 1, &[0; 1000])
    };
    let udp = Packet {
        protocol: 17,
        ..unwatched
    };
    steady(&mut trial, "unwatched TCP", &unwatched.bytes())?;
    steady(&mut trial, "unwatched UDP", &udp.bytes())?;

    open(&mut trial, 1000)?;
    let segment = vec![0x41; 1400];
    steady(
        &mut trial,
        "established, repeated data",
        &server(ACK, 5001, &segment).bytes(),
    )?;
    going_on(&mut trial)?;
    let ring_bytes = Options::default().ring_bytes;
    logging_in("TLS hello of 1,400 bytes copied", ring_bytes, &hello())?;
    logging_in("LOGIN7 with a password", ring_bytes, &login7())?;
    // A processor's own cache holds it, so this is without the memory's part.
    logging_in("the same into a ring of 1 MiB", 1 << 20, &login7())?;
    logging_in("sealed record", ring_bytes, &sealed())?;
    println!();
    for (name, count) in trial.verified() {
        println!("{name}: {count} instructions verified");
    }
    Ok(())
}

/// The segments of a decided connection that goes on.
fn going_on(trial: &mut Trial) -> Result<()> {
    let header = |status, len: usize| {
        let [high, low] = (len as u16).to_be_bytes();
        let mut segment = vec![0x41; 1400];
        segment[..8].copy_from_slice(&[4, status, high, low, 0, 0, 1, 0]);
        segment
    };
    // A TDS packet has 32,767 bytes at most: segments of 8 bytes find no boundary for long.
    moving(
        trial,
        "data segment without a header",
        3000,
        |trial, isn| {
            open(trial, isn)?;
            let first = header(0, 32_767);
            trial.run(PROGRAM, &server(ACK, 5001, &first).bytes(), 1)?;
            Ok(server(ACK, 5001 + 1392, &[0x41; 8]).bytes())
        },
    )?;
    moving(
        trial,
        "data segment with a header that is not told",
        100_000,
        |trial, isn| {
            open(trial, isn)?;
            let segment = header(0, 1400);
            trial.run(PROGRAM, &server(ACK, 5001, &segment).bytes(), 1)?;
            Ok(server(ACK, 5001, &segment).bytes())
        },
    )?;
    moving(
        trial,
        "data segment with a boundary that is told",
        20_000,
        |trial, isn| {
            open(trial, isn)?;
            let segment = header(1, 1400);
            trial.run(PROGRAM, &server(ACK, 5001, &segment).bytes(), 1)?;
            Ok(server(ACK, 5001, &segment).bytes())
        },
    )
}

fn hello() -> Vec<u8> {
    let mut segment = vec![0x41; 1400];
    segment[..5].copy_from_slice(&[0x16, 3, 1, 5, 115]);
    segment
}

fn sealed() -> Vec<u8> {
    let mut segment = vec![0x41; 300];
    segment[..5].copy_from_slice(&[0x17, 3, 3, 1, 39]);
    segment
}

/// Names of eight characters and a password, as a driver writes them.
fn login7() -> Vec<u8> {
    let mut body = vec![0; 94];
    body[7] = 0x74;
    for field in [36, 40, 44, 48, 52, 60, 64, 68] {
        let at = (body.len() as u16).to_le_bytes();
        body[field..field + 4].copy_from_slice(&[at[0], at[1], 8, 0]);
        body.extend(*b"n\0a\0m\0e\0o\0f\0i\0t\0");
    }
    let whole = (body.len() as u32).to_le_bytes();
    body[..4].copy_from_slice(&whole);
    let [high, low] = (body.len() as u16 + 8).to_be_bytes();
    [&[0x10, 1, high, low, 0, 0, 1, 0], &body[..]].concat()
}

/// A segment of a login that comes again and again, with a budget that does not end.
fn logging_in(name: &str, ring_bytes: u32, segment: &[u8]) -> Result<()> {
    let mut trial = Trial::start(&Options {
        login_bytes: u32::MAX,
        ring_bytes,
        ..Options::default()
    })?;
    moving(&mut trial, name, 400, |trial, isn| {
        // One that lives would not give way.
        trial.run(PROGRAM, &server(RST, 5001, &[]).bytes(), 1)?;
        trial.run(PROGRAM, &client(SYN, isn, &[]).bytes(), 1)?;
        let before = isn.wrapping_sub(segment.len() as u32 - 1);
        Ok(client(ACK, before, segment).bytes())
    })
}

/// Opens the connection anew, with an initial sequence number that is new, and has its login
/// decided.
fn open(trial: &mut Trial, isn: u32) -> Result<()> {
    // One that lives would not give way.
    trial.run(PROGRAM, &server(RST, 5001, &[]).bytes(), 1)?;
    trial.run(PROGRAM, &client(SYN, isn, &[]).bytes(), 1)?;
    trial.run(PROGRAM, &server(SYN | ACK, 5000, &[]).bytes(), 1)?;
    trial.run(PROGRAM, &client(ACK, isn + 1, &[]).bytes(), 1)?;
    let mut flow: Option<(FlowKey, u64)> = None;
    trial.drain(|record| {
        if let Record::Event(event, _) = record {
            flow = Some((event.key, event.born));
        }
    });
    if let Some((key, born)) = flow {
        trial.decide(key, born)?;
    }
    Ok(())
}

/// A case whose packet may come again and again.
fn steady(trial: &mut Trial, name: &str, packet: &[u8]) -> Result<()> {
    let mut over = Vec::new();
    for _ in 0..ROUNDS {
        let empty = trial.run("tds_empty", packet, REPEAT)?.duration;
        let full = trial.run(PROGRAM, packet, REPEAT)?.duration;
        over.push(nanoseconds(full) - nanoseconds(empty));
    }
    report(name, over);
    Ok(())
}

/// A case whose packet goes on in the stream with each run; `start` prepares the connection, with
/// that initial number, and gives the packet before the first. The empty program is run in the same
/// way.
fn moving(
    trial: &mut Trial,
    name: &str,
    repeat: u32,
    mut start: impl FnMut(&mut Trial, u32) -> Result<Vec<u8>>,
) -> Result<()> {
    let mut over = Vec::new();
    for round in 0..MOVING_ROUNDS {
        let packet = start(trial, round.wrapping_mul(0x0100_7919) + 77)?;
        let empty = trial.run_on("tds_empty", &packet, repeat)?.duration;
        let full = trial.run_on(PROGRAM, &packet, repeat)?.duration;
        over.push(nanoseconds(full) - nanoseconds(empty));
        trial.drain(|_| {});
    }
    report(name, over);
    Ok(())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn report(name: &str, mut over: Vec<i64>) {
    over.sort_unstable();
    let at = |quarter: usize| over[(over.len() - 1) * quarter / 4];
    println!(
        "{name}: median {} ns, quartiles {} to {} ns",
        at(2),
        at(1),
        at(3)
    );
}
