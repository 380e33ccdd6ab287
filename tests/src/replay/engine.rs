//! The agent in this process: capture and engine joined as `replay` joins them, without its output.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::Value;
use tracer::{
    capture::tracker::{Sighted, Tracker},
    ports::Ports,
    record::Record,
    session::{Config, Decided, Engine, Input, Listener},
};
use tracer_ebpf::flow::Point;

/// Capture and engine, and what they have said.
pub struct Replayed {
    tracker: Tracker,
    /// The engine.
    pub engine: Engine,
    heard: Heard,
    last_ns: u64,
}

#[derive(Default)]
struct Heard {
    records: Vec<Record>,
    decided: Vec<Decided>,
    announced: Vec<(IpAddr, u16)>,
    /// Clients that a server has sent on to a port somewhere.
    sent_on: Vec<(IpAddr, u16)>,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.announced.push(server);
    }

    fn redirected(&mut self, client: IpAddr, to: (Option<IpAddr>, u16)) {
        match to {
            (Some(address), port) => self.announced((address, port)),
            (None, port) => self.sent_on.push((client, port)),
        }
    }

    fn decided(&mut self, decided: Decided) {
        self.decided.push(decided);
    }
}

impl Replayed {
    /// Servers are at these ports; where none is named, wherever TDS is spoken.
    pub fn new(ports: impl Into<BTreeSet<u16>>, config: Config) -> Self {
        Self {
            tracker: Tracker::new(Ports::from(ports.into()), config.requests),
            engine: Engine::new(config),
            heard: Heard::default(),
            last_ns: 0,
        }
    }

    /// A packet, from its network header on.
    pub fn packet(&mut self, time_ns: u64, point: Point, network: (u16, &[u8])) {
        self.passes(time_ns);
        let sighted = Sighted {
            network,
            wire_len: network.1.len() as u32,
            time_ns,
            untimed: false,
            point,
        };
        self.tracker
            .packet(&sighted, &mut self.engine, &mut self.heard);
        for decided in self.heard.decided.drain(..) {
            self.tracker.decided(decided);
        }
        for server in self.heard.announced.drain(..) {
            self.tracker.announced(server);
        }
        for (client, port) in self.heard.sent_on.drain(..) {
            self.tracker.sent_on(client, port, time_ns);
        }
    }

    /// What a kernel tells beside packets.
    pub fn input(&mut self, time_ns: u64, input: Input) {
        self.passes(time_ns);
        self.engine.on_event(input, &mut self.heard);
    }

    /// It is so late.
    pub fn passes(&mut self, time_ns: u64) {
        self.last_ns = self.last_ns.max(time_ns);
        self.engine.pass_time(time_ns, &mut self.heard);
    }

    /// Forgets what was said so far.
    pub fn forget_records(&mut self) {
        self.heard.records.clear();
    }

    /// The engine without the capture, which a kernel would keep.
    pub fn into_engine(self) -> Engine {
        self.engine
    }

    /// All that was said, when the capture has ended.
    pub fn finish(mut self) -> Vec<Record> {
        self.tracker.finish(&mut self.engine, &mut self.heard);
        self.engine.finish(self.last_ns, &mut self.heard);
        self.heard.records
    }
}

/// A record as the line that is written.
pub fn line(record: &Record) -> Value {
    let mut line = Vec::new();
    // Writing to memory does not fail.
    record.to_line("host", &mut line).expect("a line");
    serde_json::from_slice(&line).expect("JSON")
}
