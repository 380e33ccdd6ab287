//! A flight recorder: of late all that the kernel has told of packets is kept, and the packets of the logins that went
//! wrong are handed over as a capture, with what was said of them.
//!
//! It has what the events have, and so withholds what they do: headers, and those bytes of logins that are told. It
//! does no I/O and reads no clock.
//!
//! | module | |
//! |---|---|
//! | `ring` | what was told of late |
//! | `packets` | that as packets |

pub(crate) mod packets;
pub(crate) mod ring;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use serde_json::json;
use tracer_ebpf::{
    event::{Direction, Event},
    flow::FlowKey,
};

use self::{
    packets::packets,
    ring::{Name, Ring},
};
use crate::{
    capture::{
        link::LinkType,
        tracker::words,
        writer::{Place, Writer, Written},
    },
    record::{
        Body, ConnectionFacts, ConnectionId, Kubernetes, LineFormat, Naming, Nanos, Process,
        Record, RunId, Vantage,
    },
};

/// What is said of the whole capture.
const COMMENT: &str = "what tds-tracer's kernel programs told of these packets: TCP headers without options, and of \
    payloads those bytes that are told; all others are zeros. Packets of which nothing was told, such as bare \
    acknowledgements, are not here";
/// Connections that one bundle is of, at most.
const MOST_WANTED: usize = 2_000;
/// Logins of which is remembered what is said of their packets where all are asked for.
const MOST_RECENT: usize = 20_000;
/// Lines that are kept for one.
const MOST_LINES: usize = 10_000;
/// A bundle is made so long after the first login went wrong: what follows it is in there too. Nanoseconds.
const GATHERS: u64 = 3_000_000_000;
/// A connection begins so much sooner or later by the wall clock, at most.
const TOLERANCE: u64 = 1_000_000;

/// Why a bundle is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Slow,
    Failed,
    Undecided,
    Incident,
    Asked,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Failed => "failed",
            Self::Undecided => "undecided",
            Self::Incident => "incident",
            Self::Asked => "asked",
        }
    }
}

/// What is handed over: files by their names.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Of the folder.
    pub(crate) name: String,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

/// A connection of which the packets are wanted, or what is known of it.
#[derive(Clone, Debug)]
struct Known {
    id: ConnectionId,
    comment: String,
    interface: Option<String>,
    vantage: Vantage,
    /// From the events' clock to the wall's, when it was said.
    wall_offset: i64,
}

impl Known {
    fn new(facts: &ConnectionFacts, wall_offset: i64) -> Self {
        Self {
            wall_offset,
            id: facts.connection.id,
            comment: comment(facts),
            interface: facts.connection.interface.as_ref().map(ToString::to_string),
            vantage: facts.connection.vantage,
        }
    }
}

/// All addresses that a connection has on this host.
fn keys(facts: &ConnectionFacts) -> impl Iterator<Item = FlowKey> {
    let own = (
        (facts.client.address, facts.client.port),
        (facts.server.address, facts.server.port),
    );
    let others = facts.nat.iter().map(|other| {
        let (client, server) = (&other.client, &other.server);
        ((client.address, client.port), (server.address, server.port))
    });
    [own]
        .into_iter()
        .chain(others)
        .map(|(client, server)| FlowKey::of(words(client.0), client.1, words(server.0), server.1).0)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Recorder {
    ring: Ring,
    slow: Option<Nanos>,
    format: LineFormat,
    /// Connections by their addresses, with when they began by the wall clock.
    wanted: HashMap<FlowKey, Vec<(u64, Known)>>,
    ids: HashSet<ConnectionId>,
    /// Logins of late, whatever came of them.
    recent: VecDeque<(FlowKey, u64, Known)>,
    why: BTreeSet<Why>,
    lines: Vec<u8>,
    lines_count: u64,
    untold: u64,
    /// On the events' clock.
    now: u64,
    /// From there to the wall clock, nanoseconds.
    wall_offset: i64,
    /// When the first of them was wanted.
    since: Option<u64>,
    bundles: u64,
}

impl Recorder {
    /// Keeps so many bytes; a login is slow that takes longer than `slow`.
    pub(crate) fn new(most: usize, slow: Option<Nanos>, host: &str, run: RunId) -> Self {
        Self {
            ring: Ring::new(most),
            slow,
            format: LineFormat {
                run,
                slow,
                ..LineFormat::new(host, Naming::Native)
            },
            wanted: HashMap::new(),
            ids: HashSet::new(),
            recent: VecDeque::new(),
            why: BTreeSet::new(),
            lines: Vec::new(),
            lines_count: 0,
            untold: 0,
            now: 0,
            wall_offset: 0,
            since: None,
            bundles: 0,
        }
    }

    /// The kernel has told something.
    pub(crate) fn note(&mut self, event: &Event, run: &[u8]) {
        self.pass(event.time);
        self.ring.note(event, run);
    }

    /// Time has come so far, on the events' clock.
    pub(crate) fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// From now on a login is slow that takes longer than this.
    pub(crate) fn set_slow(&mut self, slow: Option<Nanos>) {
        self.slow = slow;
        self.format.slow = slow;
    }

    /// What is said from now on has its times on a wall clock that is so far from the events', nanoseconds.
    pub(crate) fn set_wall_offset(&mut self, offset: i64) {
        self.wall_offset = offset;
    }

    /// The engine has said something.
    pub(crate) fn said(&mut self, record: &Record) {
        let now = self.now;
        let slow = self.slow.map_or(1_000_000_000, |slow| slow.0);
        match &record.body {
            Body::Login(login) => {
                let facts = &login.facts;
                self.remember(facts);
                let took = facts.login.duration_ns.unwrap_or_default().0;
                if facts.login.failed() {
                    self.want(facts, Why::Failed, now);
                } else if took > slow {
                    self.want(facts, Why::Slow, now);
                } else {
                    return;
                }
            }
            Body::Pending(pending) => self.want(&pending.facts, Why::Undecided, now),
            Body::Close(close) if self.ids.contains(&close.facts.connection.id) => {}
            Body::Incident(_) => {
                self.why.insert(Why::Incident);
                self.since.get_or_insert(now);
            }
            Body::Loss(_) | Body::Agent(_) | Body::Lookup(_) | Body::Attempt(_) => {}
            _ => return,
        }
        if self.lines_count as usize >= MOST_LINES {
            self.untold += 1;
        } else if self
            .format
            .append(record, self.lines_count + 1, &mut self.lines)
            .is_ok()
        {
            self.lines_count += 1;
        }
    }

    /// Somebody asks for all that is kept.
    pub(crate) fn freeze(&mut self) {
        self.why.insert(Why::Asked);
        self.since.get_or_insert(self.now);
    }

    /// What is said of a connection's packets where all are asked for.
    fn remember(&mut self, facts: &ConnectionFacts) {
        let known = Known::new(facts, self.wall_offset);
        for key in keys(facts) {
            self.recent
                .push_back((key, facts.connection.start.0, known.clone()));
        }
        while self.recent.len() > MOST_RECENT {
            self.recent.pop_front();
        }
    }

    fn want(&mut self, facts: &ConnectionFacts, why: Why, now: u64) {
        if self.ids.len() >= MOST_WANTED {
            self.untold += 1;
            return;
        }
        self.why.insert(why);
        self.since.get_or_insert(now);
        let id = facts.connection.id;
        self.ids.insert(id);
        let known = Known::new(facts, self.wall_offset);
        for key in keys(facts) {
            let of_key = self.wanted.entry(key).or_default();
            of_key.retain(|(_, other)| other.id != id);
            of_key.push((facts.connection.start.0, known.clone()));
        }
    }

    /// What is to be handed over by now; `config` is how the agent was told to work. `finally`: no more will come.
    pub(crate) fn due(
        &mut self,
        config: &BTreeMap<String, Vec<String>>,
        finally: bool,
    ) -> Option<Bundle> {
        let since = self.since?;
        let at_once = finally || self.why.contains(&Why::Asked);
        if !at_once && self.now.saturating_sub(since) < GATHERS {
            return None;
        }
        let bundle = self.bundle(config);
        self.wanted.clear();
        self.ids.clear();
        self.why.clear();
        self.lines.clear();
        self.lines_count = 0;
        self.untold = 0;
        self.since = None;
        Some(bundle)
    }

    fn bundle(&mut self, config: &BTreeMap<String, Vec<String>>) -> Bundle {
        self.bundles += 1;
        let everything = self.why.contains(&Why::Asked);
        let mut wanted = self.wanted.clone();
        if everything {
            for (key, start, known) in &self.recent {
                let of_key = wanted.entry(*key).or_default();
                of_key.push((*start, known.clone()));
            }
        }
        let known = |name: &Name| {
            let of_key = wanted.get(&name.0)?;
            let found = of_key.iter().find(|(start, known)| {
                let began = name.1.saturating_add_signed(known.wall_offset);
                start.abs_diff(began) <= TOLERANCE
            });
            found.map(|(_, known)| known)
        };
        // A wall clock that was set or slewed since moves no packet of what was said before.
        let wall_offset = self.wall_offset;
        let wall = |of: Option<&Known>, time: u64| {
            time.saturating_add_signed(of.map_or(wall_offset, |known| known.wall_offset))
        };
        let noted = self.ring.all();
        let noted = noted.filter(|noted| everything || known(&noted.name()).is_some());
        let is_local = |name: &Name, direction| {
            let vantage = known(name).map_or(Vantage::Unknown, |known| known.vantage);
            matches!(
                (vantage, direction),
                (Vantage::Both, _)
                    | (Vantage::Client, Direction::ToServer)
                    | (Vantage::Server, Direction::ToClient)
            )
        };
        let packets = packets(noted, is_local);
        let cut: HashSet<_> = packets
            .iter()
            .map(|packet| packet.name)
            .filter(|name| self.ring.is_cut(name.1))
            .collect();
        let capture = capture(&packets, &known, &cut, wall).unwrap_or_default();
        let (entries, bytes) = self.ring.size();
        let counters = json!({
            "packets": packets.len(),
            "connections": packets.iter().map(|packet| packet.name).collect::<HashSet<_>>().len(),
            "connections_cut": cut.len(),
            "lines": self.lines_count,
            "left_out": self.untold,
            "kept_entries": entries,
            "kept_bytes": bytes,
        });
        let time =
            jiff::Timestamp::from_nanosecond(wall(None, self.now).into()).unwrap_or_default();
        let why = self.why.iter().map(|why| why.as_str());
        let name = format!(
            "{}-{}-{}",
            time.strftime("%Y%m%dT%H%M%SZ"),
            self.bundles,
            why.collect::<Vec<_>>().join("-")
        );
        let config: BTreeMap<_, _> = config.iter().collect();
        Bundle {
            name,
            files: vec![
                ("packets.pcapng", capture),
                ("events.jsonl", self.lines.clone()),
                ("counters.json", pretty(&counters)),
                ("options.json", pretty(&json!(config))),
            ],
        }
    }
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn capture<'a>(
    packets: &[packets::Packet],
    known: &impl Fn(&Name) -> Option<&'a Known>,
    cut: &HashSet<Name>,
    wall: impl Fn(Option<&Known>, u64) -> u64,
) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new(), COMMENT)?;
    for packet in packets {
        let of = known(&packet.name);
        let place = Place {
            link: LinkType::Raw,
            name: of.and_then(|known| known.interface.clone()),
            number: packet.ifindex,
        };
        let cut = if cut.contains(&packet.name) {
            "; its first packets are not kept any more"
        } else {
            ""
        };
        let comment = of.map(|known| format!("{}{cut}", known.comment));
        let written = Written {
            time_ns: wall(of, packet.time),
            data: &packet.bytes,
            orig_len: packet.bytes.len() as u32,
            comment: comment.as_deref().unwrap_or_default(),
        };
        writer.packet(&place, &written)?;
    }
    writer.finish()
}

/// Which connection, of which process in which pod and container, and how its login went.
fn comment(facts: &ConnectionFacts) -> String {
    let process = facts.process.as_ref();
    let name = process.and_then(|process| process.name.as_ref());
    let pod = process.and_then(|process| process.k8s.as_deref());
    let container = process.and_then(container);
    let outcome = facts.login.outcome;
    let took = facts.login.duration_ns;
    let said: String = [
        process.map(|process| format!(", process {}", process.pid)),
        name.map(|name| format!(" {name}")),
        pod.map(|pod| format!(", pod {}", self::pod(pod))),
        container.map(|container| format!(", container {container}")),
        outcome.map(|outcome| format!(", {}", outcome.as_str())),
        took.map(|took| format!(" after {:.3} s", took.0 as f64 / 1e9)),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("connection {}{said}", facts.connection.id)
}

/// A pod by its namespace and name, where these are known, else by its UID.
fn pod(pod: &Kubernetes) -> String {
    let named = pod.namespace.as_ref().zip(pod.pod.as_ref());
    named.map_or_else(
        || pod.pod_uid.to_string(),
        |(namespace, name)| format!("{namespace}/{name}"),
    )
}

/// A container by its name in its pod, else as its runtime lists it, and by its id.
fn container(process: &Process) -> Option<String> {
    let in_pod = process.k8s.as_ref().and_then(|pod| pod.container.as_ref());
    let listed = || process.container.as_ref()?.name.as_ref();
    let name = in_pod.or_else(listed).map(ToString::to_string);
    let id = process.container_id.as_ref().map(ToString::to_string);
    let said: Vec<_> = name.into_iter().chain(id).collect();
    (!said.is_empty()).then(|| said.join(" "))
}
