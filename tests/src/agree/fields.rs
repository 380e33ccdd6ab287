//! Two lines, field by field: what may differ, and by how much.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Difference;

/// How far two stamps of one packet may be apart, nanoseconds: the agent's hook gives one, at a socket
/// somewhat before the packet passes an interface, and tcpdump's the other.
const APART: u64 = 150_000;

/// Packets of a reset that no socket has.
const RESETS: u64 = 2;

/// What replay cannot know, or has of its own.
const UNKNOWN_TO_REPLAY: [&str; 8] = [
    "run_id",
    "line",
    // Whose socket it is only the kernel knows.
    "process",
    // Its own estimate, too.
    "tcp.smoothed_rtt_ns",
    // What belongs to one attempt goes by the process live, by addresses in replay.
    "attempt",
    "login.loser",
    // Which login makes it five within a minute hangs on the agents' clocks.
    "login.incident",
    // A pcap file names none.
    "connection.interface",
];

/// Parts of a phase.
const PARTS: [&str; 3] = ["client_ns", "server_ns", "network_ns"];

/// The leaves of an event by their dotted paths.
pub(super) type Leaves = BTreeMap<String, Value>;

/// In what replay may know less of a connection than the agent does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a reason of its own")]
pub(super) struct Latitude {
    /// The agent finds both sockets in its own kernel; replay has checksums and hops to go by. Where
    /// it does not know that a side is here, it takes the way there for network.
    pub(super) vantage: bool,
    /// A client's socket that closes has given up on its SYN; a capture just ends, perhaps before an
    /// answer.
    pub(super) end: bool,
    /// Of a connection joined late the handshake tells no round trip; the kernel's estimate may.
    pub(super) late: bool,
    /// What a client speaks that speaks no TDS only replay can tell.
    pub(super) stranger: bool,
    /// What answers for a socket that is gone, and what comes for it, is of no socket.
    pub(super) reset: bool,
    /// A cause rests on what the host knows; a capture has no host.
    pub(super) host: bool,
}

impl Latitude {
    /// What two lines of the connection show.
    pub(super) fn of(live: &Leaves, replayed: &Leaves) -> Self {
        let is = |leaves: &Leaves, path: &str, value: &str| {
            leaves.get(path).is_some_and(|leaf| leaf == value)
        };
        let unanswered = |leaves| is(leaves, "login.outcome", "unreachable");
        let vantages =
            [live, replayed].map(|leaves| leaves.get("connection.vantage").unwrap_or(&Value::Null));
        Self {
            vantage: knows_less(vantages),
            end: unanswered(live)
                && unanswered(replayed)
                && is(replayed, "connection.partial_reasons.0", "agent_stop"),
            late: is(replayed, "connection.partial_reasons.0", "joined_late"),
            stranger: is(live, "login.stranger", "other")
                && !is(replayed, "login.stranger", "other"),
            reset: is(live, "close.class", "benign_reset") || is(live, "close.how", "rst"),
            host: live.iter().any(is_of_the_host),
        }
    }

    /// What either allows.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            vantage: self.vantage || other.vantage,
            end: self.end || other.end,
            late: self.late || other.late,
            stranger: self.stranger || other.stranger,
            reset: self.reset || other.reset,
            host: self.host || other.host,
        }
    }

    /// Whether these values of a field are as good as equal.
    fn covers(self, path: &str, [live, replayed]: [&Value; 2]) -> bool {
        let name = path.rsplit('.').next().unwrap_or_default();
        let [one, other] = [live, replayed].map(Value::as_u64);
        let at_most = |less: Option<u64>, more: Option<u64>| less <= more.map(|more| more + APART);
        match path {
            "connection.vantage" => knows_less([live, replayed]),
            "connection.partial" | "connection.partial_reasons.0" => self.end,
            // Of both ways, where neither side is known to be here.
            "tcp.rtt_ns" if other.is_none() => self.late,
            "tcp.rtt_ns" => self.vantage && at_most(one, other),
            "tcp.packets.client" | "tcp.packets.server" => {
                self.reset && one <= other && other <= one.map(|one| one + RESETS)
            }
            // The kernel withholds bytes that no framing vouches for, whatever they are.
            "login.stranger" => live == "other",
            // Causes follow from whose the time was, from the end, and from what is spoken.
            _ if path.starts_with("diagnosis.") => {
                self.vantage || self.end || self.stranger || self.host
            }
            _ if PARTS.contains(&name) && other.is_none() => self.end,
            _ if name == "network_ns" => self.vantage && at_most(one, other),
            _ if PARTS.contains(&name) => self.vantage && at_most(other, one),
            _ => UNKNOWN_TO_REPLAY.iter().any(|one| path.starts_with(one)),
        }
    }
}

/// Whether it is a cause, or the evidence of one, that only the host knows.
fn is_of_the_host((path, value): (&String, &Value)) -> bool {
    const CAUSES: [&str; 3] = ["client_starved", "syn_dropped_here", "conntrack_full"];
    const EVIDENCE: [&str; 4] = ["accept_queue", "listener_drops", "path_mtu", "reset_reason"];
    let name = path.rsplit('.').next().unwrap_or_default();
    let is_cause = value.as_str().is_some_and(|value| CAUSES.contains(&value));
    path.starts_with("diagnosis.") && (is_cause || EVIDENCE.contains(&name))
}

/// Whether a vantage tells less than another, and nothing else.
fn knows_less([live, replayed]: [&Value; 2]) -> bool {
    let one_of_both = live == "both" && (replayed == "client" || replayed == "server");
    live != replayed && (replayed == "unknown" || one_of_both)
}

pub(super) fn leaves(event: &Value) -> Leaves {
    let mut leaves = Leaves::new();
    collect(String::new(), event, &mut leaves);
    leaves
}

fn collect(path: String, value: &Value, into: &mut Leaves) {
    let below = |name: &str| {
        let dot = if path.is_empty() { "" } else { "." };
        format!("{path}{dot}{name}")
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                collect(below(name), value, into);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(below(&index.to_string()), value, into);
            }
        }
        _ => {
            into.insert(path, value.clone());
        }
    }
}

pub(super) fn differences(live: &Leaves, replayed: &Leaves, latitude: Latitude) -> Vec<Difference> {
    let both = [live, replayed];
    let only_replayed = replayed.keys().filter(|path| !live.contains_key(*path));
    let mut rows: Vec<_> = both.into_iter().flat_map(wrong_sums).collect();
    for path in live.keys().chain(only_replayed) {
        let values = both.map(|leaves| leaves.get(path).unwrap_or(&Value::Null));
        let apart = apart(path, values);
        let agree = apart.is_some_and(|apart| apart <= APART) || values[0] == values[1];
        let agree = agree || path == "login.slowest_phase" && are_as_slow(values, replayed);
        if !agree && !latitude.covers(path, values) {
            rows.push(Difference {
                row: format!("{path}: {} live, {} in replay", values[0], values[1]),
                is_time: apart.is_some() || path == "close.by",
            });
        }
    }
    rows
}

/// Whether which of two phases was the slowest is a matter of how far their stamps may be apart.
fn are_as_slow(phases: [&Value; 2], leaves: &Leaves) -> bool {
    let durations = phases.map(|phase| {
        let path = format!("phases.{}.duration_ns", phase.as_str()?);
        leaves.get(&path).and_then(Value::as_u64)
    });
    matches!(durations, [Some(one), Some(other)] if one.abs_diff(other) <= 2 * APART)
}

/// Phases whose parts are not what they lasted, in a line by itself.
fn wrong_sums(leaves: &Leaves) -> Vec<Difference> {
    let number = |path: String| leaves.get(&path).and_then(Value::as_u64);
    let phases = leaves
        .keys()
        .filter_map(|path| path.strip_suffix(".client_ns"));
    let wrong = phases.filter(|phase| {
        let parts = PARTS.map(|part| number(format!("{phase}.{part}")));
        let sum = parts.into_iter().sum::<Option<u64>>();
        sum.is_none() || sum != number(format!("{phase}.duration_ns"))
    });
    wrong
        .map(|phase| Difference {
            row: format!("the parts of {phase} are not its duration"),
            is_time: false,
        })
        .collect()
}

/// How far two times are apart, nanoseconds; `None` of what is no time.
fn apart(path: &str, values: [&Value; 2]) -> Option<u64> {
    if let [Some(one), Some(other)] = values.map(Value::as_u64)
        && path.contains("_ns")
    {
        // Quantiles are told in eighths of an octave: the same time may be told of two of them.
        let step = match path.rsplit_once('.') {
            Some((_, "p50" | "p99")) => one.max(other) / 8,
            // Five phases' shares together.
            Some(("login", part)) if PARTS.contains(&part) => 4 * APART,
            _ => 0,
        };
        return Some(one.abs_diff(other).saturating_sub(step));
    }
    let [one, other] = values.map(clock);
    Some(one?.abs_diff(other?))
}

/// Nanoseconds since some midnight, of a time; no test runs for a day.
fn clock(time: &Value) -> Option<u64> {
    let (_, clock) = time.as_str()?.strip_suffix('Z')?.split_once('T')?;
    let (seconds, fraction) = clock.split_once('.')?;
    let seconds = seconds
        .split(':')
        .try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    Some(seconds * 1_000_000_000 + fraction.parse::<u64>().ok()?)
}
