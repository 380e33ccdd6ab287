//! What the engine is told, and who hears what it finds: types only.

use std::net::IpAddr;

use foldhash::HashMap;
use tracer_ebpf::{
    event::{Counters, Direction, Event, SocketEnd, Translated},
    flow::{FlowKey, decided},
    seq::Seq,
    short::ShortHeader,
    tally::Tally,
};

use super::host::{HostFacts, ProcessFacts, Question, Untried};
use crate::record::{Login, LossReason, Process, Record, Text, Timestamp, identity::Policy};

/// One side of a connection, named by the way its packets go.
pub(in crate::session) type Side = Direction;

/// The engine's options. Durations are nanoseconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections kept at once; those that have been idle for long give way, counted.
    pub max_connections: usize,
    /// What may be said of users, domains and workstations.
    pub identity: Policy,
    /// What to add to an event's time to get nanoseconds since 1970.
    pub wall_offset: i64,
    /// Names of interfaces by index.
    pub interfaces: HashMap<u32, String>,
    /// How long a login may be undecided before a `pending` record says so.
    pub pending_after: u64,
    /// From here on a phase or a login is slow, and is told why.
    pub slow: u64,
    /// Silence after which a connection in use counts as gone, its end not having been seen.
    pub idle_patience: u64,
    /// Tell `phase` records.
    pub phases: bool,
    /// Tell `request` records.
    pub requests: bool,
    /// Tell `attempt` records: joined by process where it is known, else by addresses and times.
    pub attempts: bool,
    /// What makes an incident; `None` where nobody wants to hear of them.
    pub incidents: Option<IncidentLimits>,
}

/// Of [`Config`] what may change while connections are open.
#[derive(Clone, Debug)]
pub struct Adjustable {
    /// What may be said of users, domains and workstations; as before where it is not said.
    pub identity: Option<Policy>,
    /// See [`Config::pending_after`].
    pub pending_after: u64,
    /// See [`Config::slow`].
    pub slow: u64,
    /// See [`Config::phases`].
    pub phases: bool,
    /// See [`Config::requests`].
    pub requests: bool,
    /// See [`Config::incidents`].
    pub incidents: Option<IncidentLimits>,
}

/// What makes an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentLimits {
    /// So many logins that go wrong for the same cause.
    pub logins: u32,
    /// Within this time, nanoseconds.
    pub window: u64,
}

impl Default for IncidentLimits {
    fn default() -> Self {
        Self {
            logins: 5,
            window: 60_000_000_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            identity: Policy::Hide,
            wall_offset: 0,
            interfaces: HashMap::default(),
            pending_after: 30_000_000_000,
            slow: Self::SLOW,
            idle_patience: 604_800_000_000_000,
            phases: false,
            requests: false,
            attempts: true,
            incidents: Some(IncidentLimits::default()),
        }
    }
}

impl Config {
    /// What is slow unless somebody says otherwise, nanoseconds.
    pub const SLOW: u64 = 1_000_000_000;

    /// The wall clock's time at an event's time.
    pub(in crate::session) fn wall(&self, at: u64) -> Timestamp {
        Timestamp::from_nanoseconds(i128::from(at) + i128::from(self.wall_offset))
    }

    /// The name of an interface, where it is known.
    pub(in crate::session) fn interface(&self, index: u32) -> Option<Text> {
        self.interfaces
            .get(&index)
            .map(|name| Text::from(name.as_str()))
    }
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// That were seen so far.
    pub seen: u64,
    /// That are open now.
    pub open: u64,
    /// Of these, those whose login is not decided.
    pub undecided: u64,
    /// Of these, those whose start was not seen.
    pub joined_late: u64,
}

impl Standing {
    /// A connection is met.
    pub(in crate::session) fn opens(&mut self, joined_late: bool) {
        self.seen += 1;
        self.open += 1;
        self.undecided += 1;
        self.joined_late += u64::from(joined_late);
    }

    /// A connection that was met is one that was met before, under other addresses.
    pub(in crate::session) fn joins(&mut self) {
        self.seen -= 1;
        self.settles();
        self.closes(false);
    }

    /// A login is decided, or was over before anybody watched.
    pub(in crate::session) fn settles(&mut self) {
        self.undecided = self.undecided.saturating_sub(1);
    }

    /// A connection is told to its end.
    pub(in crate::session) fn closes(&mut self, joined_late: bool) {
        self.open = self.open.saturating_sub(1);
        let late = u64::from(joined_late);
        self.joined_late = self.joined_late.saturating_sub(late);
    }
}

/// Whose socket a connection is.
#[derive(Clone, Debug)]
pub struct SocketOwner {
    /// The connection.
    pub key: FlowKey,
    /// See [`tracer_ebpf::event::role`].
    pub role: u32,
    /// When it was known, nanoseconds as in events.
    pub time: u64,
    /// The initial sequence numbers of client and server, once both are known.
    pub isns: Option<[Seq; 2]>,
    /// The process.
    pub process: Process,
}

/// What a captured packet's checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Of the packet as it is.
    Right,
    /// Left to the network card: a packet that had not left its host when it was captured, or one that
    /// never left it.
    Unfinished,
    /// Of another packet: this one was damaged or rewritten. That says nothing of where.
    Wrong,
}

/// What passed between a client and SQL Browser, on UDP 1434, or a name server, on UDP 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// When it passed, nanoseconds as in events.
    pub time: u64,
    /// Who asks, and the port it asks from.
    pub asker: (IpAddr, u16),
    /// Who is asked, or answers: not always from the address that was asked.
    pub browser: IpAddr,
    /// What was said.
    pub said: Said<'a>,
    /// The process that asks, where its socket is on this host and known.
    pub process: Option<&'a Process>,
}

/// What a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A question.
    Question(&'a [u8]),
    /// An answer.
    Answer {
        /// What is at hand of it.
        kept: &'a [u8],
        /// Bytes there were on the wire.
        len: usize,
    },
    /// ICMP, about a question: that it did not arrive.
    Unreachable,
}

/// A packet between a client and a service that a login may wait for: a Kerberos server, a directory, a host of
/// tokens or of revocation lists, a name server that is asked by TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside<'a> {
    /// When it passed, nanoseconds as in events.
    pub time: u64,
    /// Who asks, and the port it asks from.
    pub client: (IpAddr, u16),
    /// Who is asked.
    pub service: (IpAddr, u16),
    /// How.
    pub transport: Transport,
    /// What the packet is.
    pub sign: Sign<'a>,
    /// Of TCP: when the connection's first SYN passed, where that was not told at its time.
    pub opened: Option<u64>,
    /// Of TCP: when it was accepted, likewise.
    pub accepted: Option<u64>,
    /// The process that asks, where its socket is on this host and known.
    pub process: Option<&'a Process>,
}

/// What carries a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a packet is to a question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign<'a> {
    /// The client's SYN.
    Opens,
    /// The answer to it.
    Accepts,
    /// The client says something.
    Asks(Piece<'a>),
    /// The service does.
    Answers(Piece<'a>),
    /// A RST of the service, or ICMP's word that a datagram did not arrive.
    Refuses,
    /// The client's RST, or a FIN.
    Ends,
}

/// A segment's payload, or a datagram's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Of TCP: the sequence number of its first byte.
    pub seq: Seq,
    /// What is at hand of it.
    pub kept: &'a [u8],
    /// Bytes there were on the wire.
    pub len: usize,
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// Something happened to a connection; the bytes are those that follow the record.
    Event(&'a Event, &'a [u8]),
    /// The same of a connection that is known, in short.
    Header(&'a ShortHeader),
    /// A connection's socket is on this host.
    Owner(SocketOwner),
    /// A socket closed.
    SocketEnd(SocketEnd),
    /// A connection's packets have other addresses than its socket.
    Translated(Translated),
    /// The checksum of a captured packet.
    Checksum {
        /// The connection.
        key: FlowKey,
        /// Which way the packet went.
        direction: Direction,
        /// What it is.
        checksum: Checksum,
    },
    /// The snap length cut a login that is not sealed: what of it would be secret is not known, so
    /// nothing of that part was told.
    CutLogin(FlowKey),
    /// The snap length cut a message header off: where this direction's next message begins is not
    /// known.
    Cut(FlowKey, Direction),
    /// SQL Browser is asked, or answers.
    Browser(Datagram<'a>),
    /// A name server is asked, or answers.
    Dns(Datagram<'a>),
    /// Another service is asked, or answers.
    Beside(Beside<'a>),
    /// A watched process did something in vain without a packet, or nothing.
    Untried(Box<Untried>),
    /// What a connection has carried when nobody watches any more; born as in events.
    Counted(FlowKey, u64, Box<Carried>),
    /// Something was not seen, so many times since the last word of it.
    Loss(LossReason, u64),
}

/// What a connection has carried.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// By the client, and by the server.
    pub sent: [Counters; 2],
    /// Its requests, where they are counted.
    pub tally: Option<Tally>,
}

/// A connection whose login is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its addresses.
    pub key: FlowKey,
    /// When it was born, as in events.
    pub born: u64,
    /// There are no sessions (MARS) inside its TLS, so that requests and responses alternate.
    pub without_sessions: bool,
}

impl Decided {
    /// As the programs are told ([`tracer_ebpf::flow::decided`]).
    pub fn as_flow(self) -> u8 {
        if self.without_sessions {
            decided::WITHOUT_SESSIONS
        } else {
            decided::YES
        }
    }
}

/// Who hears what the engine finds.
pub trait Listener {
    /// What came of a login, before its record is made; whether anybody wants that.
    fn login(&mut self, _login: &Login) -> bool {
        true
    }

    /// What this host says of a login that was slow or went wrong; nothing where nobody knows it.
    fn host(&mut self, _question: &Question<'_>) -> HostFacts {
        HostFacts::default()
    }

    /// Whether a process could run from one moment to another; nothing where nobody knows it.
    fn process(&mut self, _pid: u32, _within: (u64, u64)) -> ProcessFacts {
        ProcessFacts::default()
    }

    /// A record.
    fn record(&mut self, record: Record);

    /// SQL Browser has announced that SQL Server listens there.
    fn announced(&mut self, _server: (IpAddr, u16)) {}

    /// A login's reply has sent its client there.
    fn redirected(&mut self, _client: IpAddr, (address, port): (Option<IpAddr>, u16)) {
        if let Some(address) = address {
            self.announced((address, port));
        }
    }

    /// A server has answered a login there.
    fn served(&mut self, _server: (IpAddr, u16)) {}

    /// A login is decided: the kernel need not copy its connection's bytes any more.
    fn decided(&mut self, decided: Decided);
}
