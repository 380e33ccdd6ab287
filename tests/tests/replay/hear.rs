//! What the agent says of packets, processes and sockets: capture and engine in this process.

use harness::{
    replay::{Replayed, field, line},
    sweep::engine::TICK,
};
use serde_json::Value;
use tracer::{
    capture::link::ETHERTYPE_IPV4,
    record::{Event, Process, Record},
    session::{Config, Input, SocketOwner},
    sink::Filter,
};
use tracer_ebpf::{
    event::{SocketEnd, role},
    flow::Point,
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

/// Several connections at once, in the order of time.
pub(crate) fn together<'a>(scripts: impl IntoIterator<Item = &'a Script>) -> Vec<Step> {
    let all = scripts.into_iter().flat_map(|script| &script.steps);
    let mut steps: Vec<_> = all.cloned().collect();
    steps.sort_by_key(Step::time_ns);
    steps
}

/// What is said of all this.
pub(crate) fn hear(steps: &[Step], port: u16, config: Config) -> Heard {
    let mut replayed = Replayed::new([port], config);
    for step in steps {
        let time_ns = step.time_ns();
        match step {
            Step::Packet(packet) => {
                let network = (packet.ethertype, &packet.bytes[..]);
                replayed.packet(time_ns, packet.point, network);
            }
            Step::Passes(_) => {
                replayed.packet(time_ns, Point::new(1, false), (ETHERTYPE_IPV4, &TICK));
            }
            Step::Owner(time, key, pid) => {
                let owner = SocketOwner {
                    key: *key,
                    role: role::CLIENT,
                    time: *time,
                    isns: None,
                    process: Process {
                        pid: *pid,
                        ..Process::default()
                    },
                };
                replayed.input(time_ns, Input::Owner(owner));
            }
            Step::SocketEnd(time, key) => {
                let end = SocketEnd {
                    time: *time,
                    key: *key,
                    role: role::CLIENT,
                    ..SocketEnd::default()
                };
                replayed.input(time_ns, Input::SocketEnd(end));
            }
        }
    }
    let records = replayed.finish();
    Heard {
        lines: records.iter().map(line).collect(),
        records,
    }
}

/// A number of a line; 0 where there is none.
pub(crate) fn number(line: &Value, path: &str) -> u64 {
    field(line, path).and_then(Value::as_u64).unwrap_or(0)
}
