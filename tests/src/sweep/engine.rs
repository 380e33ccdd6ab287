//! What the agent says of packets: capture and engine in this process, as `replay` joins them.

use std::collections::BTreeSet;

use serde_json::Value;
use tracer::{
    capture::{
        link::ETHERTYPE_IPV4,
        tracker::{Sighted, Tracker},
    },
    record::Record,
    session::{Config, Engine, Listener},
};
use tracer_ebpf::flow::{FlowKey, Point};

use super::packet::Packet;

/// A UDP packet between two strangers: it shows that time has passed.
pub const TICK: [u8; 28] = [
    0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0xF6, 0xCC, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 9, 0, 8,
    0, 0,
];

/// Packets of one connection, and until when the capture goes on after them.
#[derive(Clone, Debug)]
pub struct Input {
    /// In the order of the capture.
    pub packets: Vec<Packet>,
    /// A packet of somebody else's passes at this time.
    pub until_ns: Option<u64>,
}

/// The lines about a connection.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// `login` lines.
    pub logins: Vec<Value>,
    /// `close` lines.
    pub closes: Vec<Value>,
}

#[derive(Default)]
struct Heard {
    records: Vec<Record>,
    decided: Vec<(FlowKey, u64)>,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn decided(&mut self, key: FlowKey, born: u64) {
        self.decided.push((key, born));
    }
}

/// What is said of a connection to this port of a server.
pub fn lines(input: &Input, port: u16) -> Lines {
    let mut tracker = Tracker::new(BTreeSet::from([port]), true);
    let mut engine = Engine::new(Config::default());
    let mut heard = Heard::default();
    let mut last_ns = 0;
    let tick = input
        .until_ns
        .map(|at| (at, ETHERTYPE_IPV4, &TICK[..], Point::new(1, false)));
    let packets = input.packets.iter();
    let packets = packets.map(|packet| {
        (
            packet.time_ns,
            packet.ethertype,
            &packet.bytes[..],
            packet.point,
        )
    });
    for (time_ns, ethertype, bytes, point) in packets.chain(tick) {
        last_ns = last_ns.max(time_ns);
        engine.pass_time(time_ns, &mut heard);
        let sighted = Sighted {
            network: (ethertype, bytes),
            wire_len: bytes.len() as u32,
            time_ns,
            untimed: false,
            point,
        };
        tracker.packet(&sighted, &mut engine, &mut heard);
        for (key, born) in heard.decided.drain(..) {
            tracker.decided(&key, born);
        }
    }
    engine.finish(last_ns, &mut heard);
    let mut lines = Lines::default();
    for record in &heard.records {
        let mut line = Vec::new();
        // Writing to memory does not fail.
        record.to_line("host", &mut line).expect("a line");
        let line: Value = serde_json::from_slice(&line).expect("JSON");
        match line["event"].as_str() {
            Some("login") => lines.logins.push(line),
            Some("close") => lines.closes.push(line),
            _ => {}
        }
    }
    lines
}
