//! One connection, from its first packet to its last.

mod decide;
mod ends;
mod finish;
mod handshake;
mod traffic;

use tracer_ebpf::{
    event::{Counters, Event, Kind, mark, role},
    flow::FlowKey,
    framing::Framing,
    packet::tcp_flag,
};

pub(super) use self::handshake::LEAST_PATIENCE;
use self::{ends::Left, handshake::Handshake};
use super::{
    Checksum,
    ending::Ends,
    engine::{Config, SocketOwner},
    login::{Context, Login},
    naming,
    output::Output,
    stream::{Found, Stream},
    timeline::Side,
    usage::{Boundary, Mars, Requests},
    vantage::Evidence,
};
use crate::record::{
    Connection as Facts, ConnectionFacts, Encryption, Endpoint, Login as LoginFacts, PartialReason,
    PhaseName, Phases, Process, Server, Tcp,
};

/// A connection that was seen.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Connection {
    pub(super) key: FlowKey,
    /// The kernel's name for this use of the key.
    pub(super) born: u64,
    pub(super) facts: Box<ConnectionFacts>,
    /// What the client and the server have sent.
    pub(super) sent: [Counters; 2],
    /// What of that the kernel has forgotten.
    forgotten: [Counters; 2],
    /// Segments repeated by each side, as its own kernel counts them.
    resent: [u32; 2],
    /// Round trip by the estimate of a kernel, nanoseconds: with delayed acknowledgements, and a SYN's
    /// wait for the neighbour's address.
    smoothed_rtt: Option<u64>,
    /// When the first packet passed.
    pub(super) started: u64,
    /// When the last one did.
    pub(super) last_seen: u64,
    pub(super) joined_late: bool,
    /// When some of its packets passed is not known.
    pub(super) untimed: bool,
    /// It is among those whose time is looked at.
    pub(super) is_listed: bool,
    pub(super) ends: Ends,
    /// The phase the connection ended in.
    pub(super) ended_in: Option<PhaseName>,
    /// When the last data passed before the connection began to end.
    pub(super) idle_since: u64,
    /// Time to live of each side's data.
    pub(super) ttl: [Option<u8>; 2],
    /// Of each side's SYN.
    pub(super) syn_ttl: [Option<u8>; 2],
    pub(super) client_said_bye: bool,
    /// Not told: one stranger too many.
    pub(super) muted: bool,
    pub(super) mars: Mars,
    /// Requests without answer when the connection ended.
    pub(super) left_in_flight: u32,
    /// The login, until it is decided.
    login: Option<Box<Login>>,
    /// Streams that go on for a while after the decision: what is sealed is told record by record.
    tail: Option<Box<[Stream; 2]>>,
    requests: Requests,
    evidence: Evidence,
    numbers: [u32; 2],
    handshake: Handshake,
    named: bool,
    client_socket: bool,
    /// One of the ends is a socket of this host.
    local_socket: bool,
    /// When it closed, and gave the kernel's own figures.
    socket_ended: Option<u64>,
    /// When the login's deciding packet passed.
    decided_at: Option<u64>,
    /// When the client gave up on a login; the first answer after that is late.
    gave_up: Option<u64>,
    /// The client has left a sealed login whose outcome hinges on the server's end.
    left: Option<Left>,
}

impl Connection {
    /// A connection whose first event this is.
    pub(super) fn new(event: &Event, config: &Config) -> Self {
        let (client, server) = naming::ends(&event.key, event.client_is_a != 0);
        let joined_late = event.marks & mark::JOINED_LATE != 0;
        let mut connection = Facts {
            community_id: Some(naming::community_id(client, server)),
            start: config.wall(event.born),
            ..Facts::default()
        };
        connection.interface = config.interface(event.ifindex);
        if joined_late {
            connection.mark_partial(PartialReason::JoinedLate);
        }
        let facts = ConnectionFacts {
            connection,
            client: Endpoint {
                address: client.address,
                port: client.port,
            },
            server: Server {
                address: server.address,
                port: server.port,
                instance: None,
            },
            process: None,
            tcp: Tcp::default(),
            tds: None,
            tls: None,
            auth: None,
            login: LoginFacts::default(),
            phases: Phases::default(),
            mars: None,
            requests: None,
            diagnosis: Vec::new(),
        };
        Self {
            key: event.key,
            born: event.born,
            facts: Box::new(facts),
            sent: [event.client, event.server],
            forgotten: [Counters::default(); 2],
            resent: [0; 2],
            smoothed_rtt: None,
            started: event.born,
            last_seen: event.time,
            joined_late,
            untimed: false,
            is_listed: false,
            ends: Ends::default(),
            ended_in: None,
            idle_since: 0,
            ttl: [None; 2],
            syn_ttl: [None; 2],
            client_said_bye: false,
            muted: false,
            mars: Mars::default(),
            left_in_flight: 0,
            login: Some(Box::new(Login::new(event.born, !joined_late))),
            tail: None,
            requests: Requests::default(),
            evidence: Evidence::default(),
            numbers: [0; 2],
            handshake: Handshake::default(),
            named: false,
            client_socket: false,
            local_socket: false,
            socket_ended: None,
            decided_at: None,
            gave_up: None,
            left: None,
        }
    }

    /// Takes one event and the bytes it brought.
    pub(super) fn take(&mut self, event: &Event, run: &[u8], out: &mut Output<'_>) {
        let side = if event.direction == Side::ToServer as u8 {
            Side::ToServer
        } else {
            Side::ToClient
        };
        self.number(event, side, out);
        self.claim(event, side);
        if event.marks & mark::UNTIMED != 0 {
            self.untimed = true;
            self.facts.connection.mark_partial(PartialReason::Untimed);
        }
        self.sent = [
            total(&self.forgotten[0], &event.client),
            total(&self.forgotten[1], &event.server),
        ];
        self.last_seen = self.last_seen.max(event.time);
        if self.ends.began().is_some() {
            self.ends.last = Some(self.last_seen);
        }
        match Kind::of(event.kind) {
            Some(Kind::Syn) => self.syn(event),
            Some(Kind::SynAck) => self.syn_ack(event),
            Some(Kind::Ack) => self.ack(event),
            Some(Kind::Segment | Kind::More) => self.segment(side, event, run, out),
            Some(Kind::Header) => self.header(side, event, run, out),
            Some(Kind::End) => self.message_end(side, event, out),
            Some(Kind::Fin) => self.fin(side, event, out),
            Some(Kind::Rst) => self.rst(side, event, out),
            Some(Kind::Owner | Kind::SocketEnd) | None => {}
        }
    }

    /// Notes how far either side's stream goes by what a packet's header says.
    fn claim(&mut self, event: &Event, side: Side) {
        let Some(login) = &mut self.login else { return };
        if event.tcp_flags & (tcp_flag::SYN | tcp_flag::RST) == 0 {
            login.streams[side as usize].claim(event.seq);
            if event.tcp_flags & tcp_flag::ACK != 0 {
                login.streams[side.reversed() as usize].claim(event.ack);
            }
        }
    }

    /// Checks the numbering: a gap is events that were lost on the way.
    fn number(&mut self, event: &Event, side: Side, out: &mut Output<'_>) {
        let last = &mut self.numbers[side as usize];
        let missing = event
            .number
            .wrapping_sub(*last)
            .wrapping_sub(1)
            .cast_signed();
        if missing >= 0 {
            *last = event.number;
        }
        if missing > 0 {
            out.events_missing(missing.cast_unsigned());
            self.facts
                .connection
                .mark_partial(PartialReason::EventsLost);
        }
    }

    fn segment(&mut self, side: Side, event: &Event, run: &[u8], out: &mut Output<'_>) {
        self.hops(side, event.ttl);
        self.late_reply(side, event.time);
        if let Some(login) = &mut self.login {
            if event.kind == Kind::Segment as u8 && event.marks & mark::RETRANSMIT == 0 {
                // A connection joined late has no handshake to wait for; of another the end was missed.
                // What comes with a SYN (TCP Fast Open) waits for none.
                let in_syn = event.tcp_flags & tcp_flag::SYN != 0;
                if !login.phases.has(PhaseName::Handshake) && !in_syn {
                    let complete = self.joined_late;
                    login
                        .phases
                        .end(PhaseName::Handshake, event.time, complete, &self.sent);
                    self.handshake.end_missed = !complete;
                }
                login.timeline.moved(event.time, side);
            }
            login.streams[side as usize].take(event, run);
            self.read(side, out);
        } else if let Some(tail) = &mut self.tail {
            tail[side as usize].take(event, run);
            self.read_tail(side, out);
        }
    }

    /// Lets the login read what has become whole.
    fn read(&mut self, side: Side, out: &mut Output<'_>) {
        let Some(login) = &mut self.login else { return };
        let mut context = Context {
            facts: &mut self.facts,
            sent: &self.sent,
            identity: &out.shared.config.identity,
            certificates: &mut out.shared.certificates,
            memory: &mut out.shared.memory,
        };
        if let Some(verdict) = login.read(side, &mut context) {
            self.decide(verdict, out);
            self.read_tail(side, out);
        }
    }

    /// Reads boundaries out of streams that were told whole though the login is decided.
    fn read_tail(&mut self, side: Side, out: &mut Output<'_>) {
        while let Some(Found::Unit(unit)) = self
            .tail
            .as_mut()
            .and_then(|tail| tail[side as usize].next(&mut out.shared.memory))
        {
            let boundary = Boundary {
                side,
                packet: (unit.header.framing == Framing::Tds).then_some(unit.header.kind),
                status: unit.header.status,
                first: true,
                at: unit.from,
                complete: Some(unit.to),
                server_last: self.sent[1].last_data,
            };
            let len = unit.body_len();
            if unit.header.framing == Framing::Tls
                && (self.sealed_alert(side, unit.header.kind, len)
                    || self.sealed_control(side, len))
            {
                continue;
            }
            self.boundary(&boundary, unit.header.framing, unit.header.kind, out);
        }
    }

    fn hops(&mut self, side: Side, ttl: u8) {
        if self.ttl[side as usize].is_none() {
            self.ttl[side as usize] = Some(ttl);
            self.evidence.ttl(side, ttl);
        }
    }

    /// Whether a socket may be one of the ends. A client's is known before its first packet: one
    /// that is known later uses the port again.
    pub(super) fn may_have(&self, owner: &SocketOwner) -> bool {
        owner.role & role::CLIENT == 0 || owner.time <= self.started
    }

    /// A socket of this host is one of the ends.
    pub(super) fn owner(&mut self, owner: &SocketOwner) {
        self.evidence.socket(owner.role);
        self.local_socket = true;
        let client = owner.role & role::CLIENT != 0;
        if self.facts.process.is_none() || (client && !self.client_socket) {
            self.facts.process =
                Some(owner.process.clone()).filter(|process| *process != Process::default());
            self.client_socket = client;
        }
    }

    /// A packet's checksum was looked at.
    pub(super) fn checksum(&mut self, side: Side, checksum: Checksum) {
        self.evidence.checksum(side, checksum);
    }

    /// Not all message headers were captured.
    pub(super) fn cut(&mut self) {
        self.facts.connection.mark_partial(PartialReason::Gap);
    }

    /// Not all of the login was captured.
    pub(super) fn cut_login(&mut self) {
        if self.login.is_some() {
            self.facts.connection.mark_partial(PartialReason::Gap);
        }
    }

    /// Whether the flow's login is still open.
    pub(super) fn is_undecided(&self) -> bool {
        self.login.is_some()
    }

    /// The kernel had forgotten the connection, and names and counts it anew.
    pub(super) fn moved_to(&mut self, born: u64, out: &mut Output<'_>) {
        self.born = born;
        self.numbers = [0; 2];
        self.forgotten = self.sent;
        // What follows an end is of a connection that was let go.
        if self.ends.began().is_some() {
            return;
        }
        out.forgotten();
        self.facts
            .connection
            .mark_partial(PartialReason::EventsLost);
    }
}

/// What was counted before the kernel forgot a connection, and since.
fn total(before: &Counters, since: &Counters) -> Counters {
    Counters {
        bytes: before.bytes.saturating_add(since.bytes),
        packets: before.packets.saturating_add(since.packets),
        retransmits: before.retransmits.saturating_add(since.retransmits),
        zero_windows: before.zero_windows.saturating_add(since.zero_windows),
        last_data: before.last_data.max(since.last_data),
        ..*since
    }
}

/// Whether TLS hides the outcome.
pub(super) fn is_dark(facts: &ConnectionFacts) -> bool {
    let encryption = facts.tds.as_ref().and_then(|tds| tds.encryption);
    matches!(encryption, Some(Encryption::Full | Encryption::Strict))
}
