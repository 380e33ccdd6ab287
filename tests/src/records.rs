//! The records that the kernel's programs would have written of a captured connection.

use std::path::Path;

use anyhow::{Result, ensure};
use tracer::record::Record;
use tracer::session::{Config, Decided, Engine, Input, Listener};
use tracer_ebpf::bytes::Snapped;
use tracer_ebpf::config;
use tracer_ebpf::event::{Event, SocketEnd, role};
use tracer_ebpf::flow::{Flow, Point};
use tracer_ebpf::loss::LossReason;
use tracer_ebpf::observe::{self, Runs, Sighting, Sink, Told};
use tracer_ebpf::packet::{Link, walk};

use crate::pcap::{self, Packet};

/// One record: what happened, and the bytes of the stream that it brings.
pub type One = (Event, Vec<u8>);

/// The records of one connection.
#[derive(Default)]
pub struct Records(pub Vec<One>);

impl Sink<Snapped<'_>> for Records {
    fn tell(&mut self, event: &Event, packet: &Snapped<'_>, at: u32) {
        let run = packet.kept.get(at as usize..).unwrap_or_default();
        let run = run[..run.len().min(event.run_len as usize)].to_vec();
        self.0.push((*event, run));
    }

    fn relate_parts(&mut self, told: &Told<'_>, packet: &Snapped<'_>, runs: &Runs) {
        let event = told.event();
        let payload = packet.kept.get(told.offset(event.seq) as usize..);
        let mut run = Vec::new();
        runs.each_byte(event.seq, payload.unwrap_or_default(), |bytes| {
            run.extend_from_slice(bytes);
        });
        self.0.push((event, run));
    }

    fn lose(&mut self, _: LossReason) {}
}

impl Records {
    /// Of a capture of one connection in `fixtures/captures`.
    pub fn of(name: &str) -> Result<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = tests.join("fixtures/captures").join(name);
        let records = Self::of_packets(&pcap::packets(&file.with_extension("pcap"))?);
        ensure!(records.0.len() > 5, "{name}: {} records", records.0.len());
        Ok(records)
    }

    /// Of one connection's packets.
    pub fn of_packets(packets: &[Packet]) -> Self {
        let mut records = Self::default();
        let mut agent = Agent::default();
        let (mut flow, mut told) = (None, 0);
        for packet in packets {
            let bytes = Snapped {
                kept: &packet.bytes,
                wire_len: packet.bytes.len() as u32,
            };
            let Ok(segment) = walk(&bytes, Link::Network(packet.ethertype)) else {
                continue;
            };
            let flow = flow.get_or_insert_with(|| Flow::new(&segment, true, packet.time_ns));
            let seen = Sighting {
                now: packet.time_ns,
                point: Point::default(),
            };
            let decided = agent.decided;
            let config = config::Config::default();
            let sink = &mut records;
            observe::packet(flow, &segment, &bytes, seen, &config, || decided, sink);
            for (event, run) in &records.0[told..] {
                agent.take(event, run);
            }
            told = records.0.len();
        }
        records
    }

    /// What the kernel says once both sockets, which are on this host, have closed.
    pub fn socket_ends(&self) -> [SocketEnd; 2] {
        let last = self.0.last().map(|(event, _)| *event).unwrap_or_default();
        [role::CLIENT, role::SERVER].map(|side| SocketEnd {
            time: last.time,
            key: last.key,
            role: side | role::LAST,
            srtt_us: 100,
            ..SocketEnd::default()
        })
    }
}

/// Who tells the kernel when a login is decided.
struct Agent {
    engine: Engine,
    decided: u8,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            engine: Engine::new(Config::default()),
            decided: 0,
        }
    }
}

impl Agent {
    fn take(&mut self, event: &Event, run: &[u8]) {
        let mut heard = Heard(None);
        let input = Input::Event(event, run);
        self.engine.on_event(input, &mut heard);
        if let Some(decided) = heard.0 {
            self.decided = decided.as_flow();
        }
    }
}

struct Heard(Option<Decided>);

impl Listener for Heard {
    fn record(&mut self, _: Record) {}

    fn decided(&mut self, decided: Decided) {
        self.0 = Some(decided);
    }
}
