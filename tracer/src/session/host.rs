//! What this host says of the time that a login took: types only.
//!
//! The engine asks whoever listens to it, since it reads nothing itself: live that is the agent, in replay
//! nobody knows. What was not looked at is `None`; a figure of 0 was looked at. Durations and moments are
//! nanoseconds, moments as in events.

use std::net::IpAddr;

use crate::record::{Process, Side, Text};

/// A login of which is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The client, and its port.
    pub client: (IpAddr, u16),
    /// The server, and its port.
    pub server: (IpAddr, u16),
    /// The client's process, where it is on this host.
    pub process: Option<&'a Process>,
    /// When the login began.
    pub from: u64,
    /// What time it is.
    pub to: u64,
    /// The longest time for which the client owed a message: from when to when.
    pub owed: Option<(u64, u64)>,
}

/// What this host says of a login's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Of the client's process, while the client owed.
    pub process: ProcessFacts,
    /// Of the client's socket.
    pub socket: SocketFacts,
    /// Of the socket that the server listens on.
    pub listener: Option<ListenerFacts>,
    /// Of the network namespace that the client is in.
    pub client_net: NetFacts,
    /// Of the one that the server is in.
    pub server_net: NetFacts,
    /// Of all that runs on this host.
    pub busy: Option<BusyFacts>,
    /// Packets of it that this host's kernel threw away, by whose they were: none where it does not say.
    pub dropped: Vec<DropFacts>,
    /// Why this host's kernel has reset it, by for whom: none where it has not, or does not say.
    pub resets: Vec<ResetFacts>,
}

/// A reset that this host's kernel has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetFacts {
    /// Whose socket, or port, it was sent for.
    pub by: Side,
    /// Why: the kernel's own name (`enum sk_rst_reason`), without what all of them begin with.
    pub reason: Text,
}

/// Packets of one side that this host's kernel threw away while the login went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropFacts {
    /// Whose they were.
    pub of: Side,
    /// How many there were.
    pub count: u32,
    /// Why the last one was: the kernel's own name (`enum skb_drop_reason`), without what all of them begin with.
    pub reason: Text,
}

/// Whether a process could run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// How long it was looked at; the figures below are of this time.
    pub span: u64,
    /// How long its control group was kept from the processors by a limit of its own.
    pub throttled: Option<u64>,
    /// In how many periods of that limit; a time that is not over is counted here only.
    pub throttled_periods: Option<u64>,
    /// How many there were.
    pub periods: Option<u64>,
    /// How long the one of its threads that waited the longest was ready and had no processor.
    pub queued: Option<u64>,
    /// How long some task of its control group was (`cpu.pressure`).
    pub cpu_pressure: Option<u64>,
    /// How long some task of it waited for memory (`memory.pressure`).
    pub memory_pressure: Option<u64>,
    /// How long it was seen stopped: by a signal, or by who debugs it.
    pub stopped: Option<u64>,
}

/// Whether a host had processors for all that wanted to run, while a login went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusyFacts {
    /// How long it was looked at.
    pub span: u64,
    /// How much of this some task was ready and had no processor (`/proc/pressure/cpu`).
    pub waited: u64,
}

impl BusyFacts {
    /// Whether some task waited for nearly all of the time.
    pub fn is_short(&self) -> bool {
        self.span > 0 && self.waited >= self.span / 4 * 3
    }
}

/// What a socket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFacts {
    /// Bytes that had come and that its process had not read, the most that was seen while the client owed.
    pub unread: Option<u32>,
    /// For how long at least there were such.
    pub unread_for: Option<u64>,
    /// The largest packet that the kernel sends on this path, bytes.
    pub path_mtu: Option<u32>,
}

/// How full a listening socket is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerFacts {
    /// Connections that waited to be accepted, the most that was seen.
    pub waiting: u32,
    /// How many may wait.
    pub room: u32,
    /// For how long at least there were such, nanoseconds; `None` where there were none.
    pub waiting_for: Option<u64>,
    /// SYNs, and ends of handshakes, that this socket dropped meanwhile.
    pub dropped: u32,
}

impl ListenerFacts {
    /// Whether nobody could be let in any more: the kernel lets one more wait than it says.
    pub fn is_full(&self) -> bool {
        self.waiting > self.room
    }
}

/// What a network namespace counts; how often since the login began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetFacts {
    /// Connections for which some listening socket had no room: `ListenOverflows`.
    pub listen_overflows: Option<u64>,
    /// SYNs dropped at some listening socket, for whatever reason: `ListenDrops`.
    pub listen_drops: Option<u64>,
    /// SYNs dropped since too many handshakes were under way: `TCPReqQFullDrop`.
    pub handshakes_full: Option<u64>,
    /// SYNs answered by a cookie: `SyncookiesSent`.
    pub cookies: Option<u64>,
    /// Packets dropped since their answer would go another way: `IPReversePathFilter`.
    pub reverse_path: Option<u64>,
    /// Connections ended for want of memory: `TCPAbortOnMemory`.
    pub out_of_memory: Option<u64>,
    /// TCP sockets in use: `inuse` of `sockstat`.
    pub in_use: Option<u64>,
    /// Connections that are over and keep their port for a minute: `tw` of `sockstat`.
    pub time_wait: Option<u64>,
    /// Ports that a client may be given: `ip_local_port_range`.
    pub ports: Option<u32>,
    /// The table of followed connections.
    pub conntrack: Option<Conntrack>,
}

/// The table of followed connections, where the host follows any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections in it.
    pub entries: u64,
    /// How many may be.
    pub most: u64,
    /// Packets dropped since it was full.
    pub dropped: u64,
    /// Packets dropped since another connection had taken the same ports.
    pub insert_failed: u64,
}

/// Something that a watched process did in vain, without a packet; or nothing at all.
#[derive(Clone, Debug)]
pub struct Untried {
    /// The process.
    pub process: Process,
    /// Where it wanted to connect.
    pub server: Option<(IpAddr, u16)>,
    /// What was in the way.
    pub hindrance: Hindrance,
    /// How often.
    pub count: u64,
    /// Names that it asked for meanwhile.
    pub asked: u32,
    /// When it began.
    pub from: u64,
    /// When it had failed last, or what time it is.
    pub to: u64,
    /// What its network namespace counts.
    pub net: NetFacts,
}

/// Why no packet was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hindrance {
    /// Nobody asked for it.
    NothingTried,
    /// The kernel refused to connect, for this reason (`errno(3)`).
    Connect(u32),
    /// It gave no socket.
    Socket(u32),
}
