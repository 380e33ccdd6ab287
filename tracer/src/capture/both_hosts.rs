//! Captures of both hosts, merged: what one of them says, once.
//!
//! The other host's capture is made from a real one: it has packets that were under way, another clock,
//! other times to live and checksums, and perhaps segments that a network card has cut or joined.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tracer_ebpf::{
    flow::Point,
    packet::{Link, Segment, walk},
};

use super::{link::network_layer, reader::CaptureReader, sighted::Sighted, tracker::Tracker};
use crate::{
    ports::Ports,
    record::{Body, Record},
    session::{Config, Decided, Engine, Listener},
};

const MS: i64 = 1_000_000;
/// How long a packet is under way: between these hosts an answer comes within microseconds.
const UNDER_WAY: i64 = 1000;
/// What the card cuts to: IPv6's least packets, with timestamps.
const PIECE: usize = 1208;

#[derive(Clone)]
struct Seen {
    time: u64,
    ethertype: u16,
    bytes: Vec<u8>,
}

impl Seen {
    fn segment(&self) -> Option<Segment> {
        walk(&self.bytes[..], Link::Network(self.ethertype)).ok()
    }

    fn is_v4(&self) -> bool {
        self.ethertype == 0x0800
    }

    fn id(&self) -> u16 {
        if self.is_v4() {
            u16::from_be_bytes([self.bytes[4], self.bytes[5]])
        } else {
            0
        }
    }

    /// The same headers with other payload, so many positions on and packets later.
    fn with(&self, payload: &[u8], further: usize, packets: u16, flags: u8) -> Self {
        let segment = self.segment().unwrap();
        let tcp_at = if self.is_v4() { 20 } else { 40 };
        let mut bytes = self.bytes[..segment.payload_at as usize].to_vec();
        bytes.extend(payload);
        let len = bytes.len() as u16;
        if self.is_v4() {
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            if self.id() != 0 {
                let id = self.id().wrapping_add(packets);
                bytes[4..6].copy_from_slice(&id.to_be_bytes());
            }
        } else {
            bytes[4..6].copy_from_slice(&(len - 40).to_be_bytes());
        }
        let seq = segment.seq.add(further as u32).0;
        bytes[tcp_at + 4..tcp_at + 8].copy_from_slice(&seq.to_be_bytes());
        bytes[tcp_at + 13] = flags;
        Self {
            bytes,
            ..self.clone()
        }
    }
}

fn captures() -> Vec<(String, Vec<Seen>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/captures");
    let mut captures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // One that has copies already is another matter.
        if path.extension().is_some_and(|kind| kind == "pcap") && !name.contains("any") {
            captures.push((name, read(&path)));
        }
    }
    assert!(captures.len() > 10);
    captures
}

fn read(path: &PathBuf) -> Vec<Seen> {
    let mut reader = CaptureReader::new(fs::File::open(path).unwrap()).unwrap();
    let mut seen = Vec::new();
    while let Some(packet) = reader.next().unwrap() {
        if let Ok(layer) = network_layer(packet.link, packet.data) {
            seen.push(Seen {
                time: packet.time_ns,
                ethertype: layer.ethertype,
                bytes: packet.data[layer.offset..].to_vec(),
            });
        }
    }
    seen
}

/// What the host at the other end has captured, by its clock.
fn other_host(packets: &[Seen], clock: i64) -> Vec<Seen> {
    let mut other = packets.to_vec();
    for seen in &mut other {
        let Some(segment) = seen.segment() else {
            continue;
        };
        let to_server = segment.destination_port() < segment.source_port();
        let way = if to_server { UNDER_WAY } else { -UNDER_WAY };
        seen.time = seen.time.wrapping_add_signed(clock + way);
        let (ttl, tcp_at) = if seen.is_v4() { (8, 20) } else { (7, 40) };
        seen.bytes[ttl] -= 1;
        seen.bytes[tcp_at + 16] ^= 0x55;
    }
    other
}

/// The same with what lies next to each other joined, as far as a network card does.
fn joined(packets: &[Seen]) -> Vec<Seen> {
    let mut out: Vec<Seen> = Vec::new();
    let mut count = 1;
    for seen in packets {
        let (Some(next), Some(last)) = (seen.segment(), out.last().and_then(Seen::segment)) else {
            out.push(seen.clone());
            continue;
        };
        let before = out.last_mut().unwrap();
        let headers = |seen: &Seen, segment: &Segment| {
            let options = segment.payload_at as usize;
            let tcp_at = if seen.is_v4() { 20 } else { 40 };
            seen.bytes[tcp_at + 20..options].to_vec()
        };
        let ids = before.id() == 0 && seen.id() == 0
            || before.id() != 0 && seen.id() == before.id().wrapping_add(count);
        let full = last.payload_len as usize == PIECE * usize::from(count);
        if full
            && ids
            && (last.key, last.from_a, last.ack) == (next.key, next.from_a, next.ack)
            && last.end() == next.seq
            && next.payload_len as usize <= PIECE
            && next.payload_len > 0
            && headers(before, &last) == headers(seen, &next)
        {
            let payload = [
                &before.bytes[last.payload_at as usize..],
                &seen.bytes[next.payload_at as usize..],
            ]
            .concat();
            *before = before.with(&payload, 0, 0, last.flags | next.flags);
            count += 1;
        } else {
            out.push(seen.clone());
            count = 1;
        }
    }
    out
}

/// The same with what is longer than a packet may be cut.
fn cut(packets: &[Seen]) -> Vec<Seen> {
    let mut out = Vec::new();
    for seen in packets {
        match seen.segment() {
            Some(segment) if segment.payload_len as usize > PIECE => {
                let payload = &seen.bytes[segment.payload_at as usize..];
                let pieces = payload.chunks(PIECE);
                let last = pieces.len() - 1;
                for (index, piece) in pieces.enumerate() {
                    let flags = if index == last { segment.flags } else { 0x10 };
                    out.push(seen.with(piece, index * PIECE, index as u16, flags));
                }
            }
            _ => out.push(seen.clone()),
        }
    }
    out
}

fn merged(one: &[Seen], other: &[Seen]) -> Vec<(u32, Seen)> {
    let one = one.iter().map(|seen| (1, seen.clone()));
    let other = other.iter().map(|seen| (2, seen.clone()));
    let mut all: Vec<_> = one.chain(other).collect();
    all.sort_by_key(|(_, seen)| seen.time);
    all
}

#[derive(Default)]
struct Heard(Vec<Value>);

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        if let Body::Close(close) = &record.body {
            let close = serde_json::to_value(close).unwrap();
            let tcp = &close["tcp"];
            let said = json!([
                close["client"],
                close["login"]["outcome"],
                close["tds"]["spid"],
                close["requests"]["count"],
                close["connection"]["partial_reasons"],
                tcp["bytes"],
                tcp["syn_retransmits"],
                tcp["retransmits"],
            ]);
            self.0.push(said);
        }
    }

    fn decided(&mut self, _: Decided) {}
}

/// What is said of each connection. The points are those of one file, or of two.
fn said(packets: &[(u32, Seen)], of_two_files: bool) -> Vec<String> {
    let mut tracker = Tracker::new(Ports::default(), true);
    let mut engine = Engine::new(Config::default());
    let mut heard = Heard::default();
    let mut last = 0;
    for (host, seen) in packets {
        last = last.max(seen.time);
        engine.pass_time(seen.time, &mut heard);
        let sighted = Sighted {
            network: (seen.ethertype, &seen.bytes),
            wire_len: seen.bytes.len() as u32,
            time_ns: seen.time,
            untimed: false,
            point: Point::new(if of_two_files { *host } else { 1 }, false),
        };
        tracker.packet(&sighted, &mut engine, &mut heard);
    }
    engine.finish(last, &mut heard);
    let mut said: Vec<_> = heard.0.iter().map(Value::to_string).collect();
    said.sort();
    said
}

const CLOCKS: [i64; 9] = [
    -50 * MS,
    -3 * MS,
    -MS,
    -MS / 10,
    0,
    MS / 10,
    MS,
    3 * MS,
    50 * MS,
];

#[test]
fn two_hosts_say_of_their_connections_what_one_does_whatever_their_clocks() {
    for (name, packets) in captures() {
        let alone = said(&merged(&packets, &[]), false);
        for clock in CLOCKS {
            let both = merged(&packets, &other_host(&packets, clock));
            for of_two_files in [false, true] {
                assert_eq!(said(&both, of_two_files), alone, "{name}, {clock} ns");
            }
        }
    }
}

#[test]
fn a_card_that_cuts_or_joins_on_one_of_two_hosts_changes_nothing() {
    let mut changed = 0;
    for (name, packets) in captures() {
        let alone = said(&merged(&packets, &[]), false);
        let shapes = [cut(&packets), joined(&cut(&packets)), joined(&packets)];
        for shape in shapes {
            changed += usize::from(shape.len() != packets.len());
            for clock in CLOCKS {
                let both = merged(&packets, &other_host(&shape, clock));
                assert_eq!(said(&both, false), alone, "{name}, {clock} ns");
                let turned = merged(&shape, &other_host(&packets, clock));
                assert_eq!(said(&turned, false), alone, "{name}, {clock} ns, turned");
            }
        }
    }
    assert!(changed > 3, "{changed} captures have long segments");
}
