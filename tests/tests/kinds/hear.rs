//! What the agent says of packets, processes and sockets: capture and engine in this process.

use std::collections::BTreeSet;

use harness::{replay::field, sweep::engine::TICK};
use serde_json::Value;
use tracer::{
    capture::{
        link::ETHERTYPE_IPV4,
        tracker::{Sighted, Tracker},
    },
    record::{Event, Process, Record},
    session::{Config, Engine, Input, Listener, SocketOwner},
    sink::Filter,
};
use tracer_ebpf::{
    event::{SocketEnd, role},
    flow::{FlowKey, Point},
};

use crate::script::{Script, Step};

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) lines: Vec<Value>,
    records: Vec<Record>,
}

impl Heard {
    /// The lines of one kind.
    pub(crate) fn of(&self, event: &str) -> Vec<&Value> {
        let of = |line: &&Value| line["event"] == event;
        self.lines.iter().filter(of).collect()
    }

    /// The only `login` and the only `close`: one connection is one of each.
    pub(crate) fn only(&self) -> Result<(&Value, &Value), String> {
        let (logins, closes) = (self.of("login"), self.of("close"));
        match (&logins[..], &closes[..]) {
            ([login], [close]) => Ok((login, close)),
            _ => Err(format!("{} logins, {} closes", logins.len(), closes.len())),
        }
    }

    /// How many logins a filter lets through.
    pub(crate) fn logins_that_pass(&self, filter: &Filter) -> usize {
        let passing = self.records.iter().filter(|record| filter.passes(record));
        passing
            .filter(|record| record.body.event() == Event::Login)
            .count()
    }

    /// How often something was lost for this reason.
    pub(crate) fn lost(&self, reason: &str) -> u64 {
        let losses = self.of("loss");
        let of_reason = losses
            .iter()
            .filter(|line| line["loss"]["reason"] == reason);
        of_reason.map(|line| number(line, "loss.count")).sum()
    }
}

#[derive(Default)]
struct Ear {
    records: Vec<Record>,
    decided: Vec<(FlowKey, u64)>,
}

impl Listener for Ear {
    fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    fn decided(&mut self, key: FlowKey, born: u64) {
        self.decided.push((key, born));
    }
}

/// Several connections at once, in the order of time.
pub(crate) fn together<'a>(scripts: impl IntoIterator<Item = &'a Script>) -> Vec<Step> {
    let all = scripts.into_iter().flat_map(|script| &script.steps);
    let mut steps: Vec<_> = all.cloned().collect();
    steps.sort_by_key(Step::time_ns);
    steps
}

/// What is said of all this.
pub(crate) fn hear(steps: &[Step], port: u16, config: Config) -> Heard {
    let mut tracker = Tracker::new(BTreeSet::from([port]), true);
    let mut engine = Engine::new(config);
    let mut ear = Ear::default();
    let mut last_ns = 0;
    for step in steps {
        let time_ns = step.time_ns();
        last_ns = last_ns.max(time_ns);
        engine.pass_time(time_ns, &mut ear);
        let (network, point) = match step {
            Step::Packet(packet) => ((packet.ethertype, &packet.bytes[..]), packet.point),
            Step::Passes(_) => ((ETHERTYPE_IPV4, &TICK[..]), Point::new(1, false)),
            Step::Owner(time, key, pid) => {
                let owner = SocketOwner {
                    key: *key,
                    role: role::CLIENT,
                    time: *time,
                    process: Process {
                        pid: *pid,
                        ..Process::default()
                    },
                };
                engine.on_event(Input::Owner(owner), &mut ear);
                continue;
            }
            Step::SocketEnd(time, key) => {
                let end = SocketEnd {
                    time: *time,
                    key: *key,
                    role: role::CLIENT,
                    ..SocketEnd::default()
                };
                engine.on_event(Input::SocketEnd(end), &mut ear);
                continue;
            }
        };
        let sighted = Sighted {
            network,
            wire_len: network.1.len() as u32,
            time_ns,
            untimed: false,
            point,
        };
        tracker.packet(&sighted, &mut engine, &mut ear);
        for (key, born) in ear.decided.drain(..) {
            tracker.decided(&key, born);
        }
    }
    engine.finish(last_ns, &mut ear);
    let lines = ear.records.iter().map(|record| {
        let mut line = Vec::new();
        record.to_line("host", &mut line).expect("a line");
        serde_json::from_slice(&line).expect("JSON")
    });
    Heard {
        lines: lines.collect(),
        records: ear.records,
    }
}

/// A number of a line; 0 where there is none.
pub(crate) fn number(line: &Value, path: &str) -> u64 {
    field(line, path).and_then(Value::as_u64).unwrap_or(0)
}
