//! TCP of one connection: its handshake, its ends, its counters, and where it was seen from.

mod ends;
mod handshake;
mod identity;
mod vantage;
mod when;

use tracer_ebpf::{
    event::{Counters, Event, SocketEnd, beside, mark, role},
    flow::FlowKey,
    short::ShortHeader,
};

pub(crate) use self::identity::address;
pub(in crate::session) use self::{
    ends::{Ends, Reset, unanswered_probes},
    handshake::{ACK_PATIENCE, Handshake, LEAST_SYN_PATIENCE},
    identity::{End, Identity},
    vantage::Evidence,
    when::When,
};
use super::input::Side;
use crate::record::ConnectionId;

/// Where a packet is so much earlier than one before it, nanoseconds, the clock was set: how long anything took is
/// not known. Packets of both hosts' captures, or of several processors, are closer.
const STEP: u64 = 100_000_000;

/// What TCP shows of one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::session) struct Wire {
    pub(in crate::session) key: FlowKey,
    /// When the first packet passed.
    pub(in crate::session) started: u64,
    /// When the last one did.
    pub(in crate::session) last_seen: u64,
    /// The first packets were not seen.
    pub(in crate::session) joined_late: bool,
    /// When some of its packets passed is not known.
    pub(in crate::session) untimed: bool,
    /// Its packets are seen at interfaces, beside sockets that tell others.
    pub(in crate::session) is_beside: bool,
    /// What the client and the server have sent.
    pub(in crate::session) sent: [Counters; 2],
    rare: Option<Box<Rare>>,
    socket: Option<Box<Socket>>,
    pub(in crate::session) handshake: Handshake,
    pub(in crate::session) ends: Ends,
    pub(in crate::session) evidence: Evidence,
    client_is_a: bool,
    /// Time to live of each side's data.
    ttl: [Option<u8>; 2],
    /// Of each side's SYN.
    syn_ttl: [Option<u8>; 2],
    /// The numbers of each side's last events.
    numbers: [u32; 2],
    /// One of the ends is a socket of this host.
    pub(in crate::session) local_socket: bool,
}

/// What few connections have.
#[derive(Debug, Default)]
struct Rare {
    renamed: Option<Renamed>,
    /// Other addresses that it has on this host, in the order in which its SYN passed.
    others: Vec<Identity>,
    /// Those of all that other hosts see.
    outermost: Option<Identity>,
    /// Those that its socket has, where no packet shows them.
    of_socket: Option<Identity>,
}

/// A connection that the kernel had forgotten.
#[derive(Debug)]
struct Renamed {
    /// Its name for it since then.
    born: u64,
    /// What was sent before.
    forgotten: [Counters; 2],
    /// What was sent since then.
    since: [Counters; 2],
}

/// The kernel's own figures, which it gives when a socket closes.
#[derive(Debug)]
struct Socket {
    /// When the last one closed that has.
    ended: u64,
    /// Which ones have.
    roles: u32,
    /// Segments that each side sent again, as its own kernel counts them.
    resent: [u32; 2],
    /// Round trip by the estimate of a kernel, nanoseconds: with delayed acknowledgements, and a
    /// SYN's wait for the neighbour's address.
    smoothed_rtt: Option<u64>,
}

impl Wire {
    /// A connection whose first event this is.
    pub(in crate::session) fn new(event: &Event) -> Self {
        Self {
            key: event.key,
            started: event.born,
            last_seen: event.time,
            joined_late: event.marks & mark::JOINED_LATE != 0,
            untimed: false,
            is_beside: event.is_beside(),
            sent: [event.client, event.server],
            rare: None,
            socket: None,
            handshake: Handshake::default(),
            ends: Ends::default(),
            evidence: Evidence::default(),
            client_is_a: event.client_is_a != 0,
            ttl: [None; 2],
            syn_ttl: [None; 2],
            numbers: [0; 2],
            local_socket: false,
        }
    }

    /// Whether the connection was seen to begin: by its SYN, or by the answer to it.
    pub(in crate::session) fn was_seen_to_begin(&self) -> bool {
        !self.joined_late || self.handshake.was_accepted()
    }

    /// Takes in what every event says; how many events before it are missing.
    pub(in crate::session) fn take(&mut self, event: &Event, side: Side) -> u32 {
        let stepped_back = event.time.saturating_add(STEP) < self.last_seen;
        self.untimed |= event.marks & mark::UNTIMED != 0 || stepped_back;
        self.count(&[event.client, event.server]);
        self.last_seen = self.last_seen.max(event.time);
        if event.beside == beside::IN {
            self.evidence.comes_in(side);
        }
        self.ends.passes(self.last_seen);
        self.number(event.number, side)
    }

    /// What both sides have sent since the kernel knows the connection.
    pub(in crate::session) fn count(&mut self, sent: &[Counters; 2]) {
        let rare = self.rare.as_deref_mut();
        self.sent = match rare.and_then(|rare| rare.renamed.as_mut()) {
            Some(Renamed {
                forgotten: [client, server],
                since,
                ..
            }) => {
                *since = *sent;
                [total(client, &sent[0]), total(server, &sent[1])]
            }
            None => *sent,
        };
    }

    /// The event that a short record tells of this connection; `None` where it is of another one.
    pub(in crate::session) fn header(&self, header: &ShortHeader) -> Option<Event> {
        if self.born() as u32 != header.born {
            return None;
        }
        let renamed = self.rare.as_ref().and_then(|rare| rare.renamed.as_ref());
        let [client, server] = renamed.map_or(self.sent, |renamed| renamed.since);
        let before = Event {
            born: self.born(),
            key: self.key,
            client_is_a: u8::from(self.client_is_a),
            client,
            server,
            ..Event::default()
        };
        let side = usize::from(header.direction & 1);
        Some(header.event(&before, self.numbers[side]))
    }

    /// Checks the numbering: a gap is events that were lost on the way.
    fn number(&mut self, number: u32, side: Side) -> u32 {
        let last = &mut self.numbers[side as usize];
        let missing = number.wrapping_sub(*last).wrapping_sub(1).cast_signed();
        if missing >= 0 {
            *last = number;
        }
        missing.max(0).cast_unsigned()
    }

    /// A packet with payload: how far it has come. Whether it is the side's first.
    pub(in crate::session) fn payload_ttl(&mut self, side: Side, ttl: u8) -> bool {
        let first = self.ttl[side as usize].is_none();
        if first {
            self.ttl[side as usize] = Some(ttl);
            self.evidence.ttl(side, ttl);
        }
        first
    }

    /// A SYN: how far it has come; 0 of one that was not seen itself.
    pub(in crate::session) fn syn_ttl(&mut self, side: Side, ttl: u8) {
        self.syn_ttl[side as usize] = (ttl != 0).then_some(ttl);
    }

    /// Whether a RST took another path than its side's data: then a middlebox sent it.
    pub(in crate::session) fn is_foreign_reset(&self) -> Option<bool> {
        /// More hops apart than this, two packets did not come the same way.
        const SAME_PATH: u8 = 1;
        let reset = self.ends.reset()?;
        let place = reset.side as usize;
        let usual = self.ttl[place].or(self.syn_ttl[place])?;
        Some(usual.abs_diff(reset.ttl) > SAME_PATH)
    }

    /// Whether a RST is of somebody who knows of no such connection, though its side has just answered on it and has
    /// not ended it: a host that has one acknowledges what it resets (RFC 9293 section 3.10.7.1 is of who has none).
    pub(in crate::session) fn is_bare_reset(&self) -> bool {
        let answered = |side: Side| self.sent[side as usize].bytes > 0;
        let reset = self.ends.reset();
        reset.is_some_and(|reset| {
            reset.bare && answered(reset.side) && !self.ends.has_finished(reset.side)
        })
    }

    /// The kernel had forgotten the connection, and names and counts it anew.
    pub(in crate::session) fn renamed(&mut self, born: u64) {
        self.numbers = [0; 2];
        let forgotten = self.sent;
        self.rare.get_or_insert_default().renamed = Some(Renamed {
            born,
            forgotten,
            since: Default::default(),
        });
    }

    /// The kernel's name for this use of the key.
    pub(in crate::session) fn born(&self) -> u64 {
        let rare = self.rare.as_ref();
        let renamed = rare.and_then(|rare| rare.renamed.as_ref());
        renamed.map_or(self.started, |renamed| renamed.born)
    }

    /// A socket of this host is one of the ends.
    pub(in crate::session) fn socket(&mut self, role: u32) {
        self.evidence.socket(role);
        self.local_socket = true;
    }

    /// The kernel's own figures at the end of a local socket.
    pub(in crate::session) fn socket_end(&mut self, end: &SocketEnd) {
        self.evidence.socket(end.role);
        let socket = self.socket.get_or_insert_with(|| {
            Box::new(Socket {
                ended: end.time,
                roles: 0,
                resent: [0; 2],
                smoothed_rtt: None,
            })
        });
        socket.ended = socket.ended.max(end.time);
        socket.roles |= end.role;
        let side = usize::from(end.role & role::CLIENT == 0);
        socket.resent[side] = socket.resent[side].max(end.retransmits);
        if end.srtt_us > 0 {
            socket.smoothed_rtt = Some(u64::from(end.srtt_us) * 1000);
        }
    }

    /// When its socket on this host closed, and gave the kernel's own figures.
    pub(in crate::session) fn socket_ended(&self) -> Option<u64> {
        self.socket.as_ref().map(|socket| socket.ended)
    }

    /// When all its sockets on this host had closed, where no packet is seen but theirs.
    pub(in crate::session) fn last_socket_ended(&self) -> Option<u64> {
        let socket = self.socket.as_ref()?;
        let open = self.evidence.roles() & !socket.roles;
        (socket.roles & role::LAST != 0 && open == 0).then_some(socket.ended)
    }

    /// Whether both ends were sockets of this host, and have closed.
    pub(in crate::session) fn both_sockets_ended(&self) -> bool {
        const BOTH: u32 = role::CLIENT | role::SERVER;
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| socket.roles & BOTH == BOTH)
    }

    /// Round trip by the estimate of a kernel.
    pub(in crate::session) fn smoothed_rtt(&self) -> Option<u64> {
        self.socket.as_ref()?.smoothed_rtt
    }

    /// Who the ends are.
    pub(in crate::session) fn identity(&self) -> Identity {
        let rare = self.rare.as_ref();
        let of_socket = rare.and_then(|rare| rare.of_socket);
        of_socket.unwrap_or_else(|| Identity::of(&self.key, self.client_is_a))
    }

    /// Its client's socket has addresses that no packet shows: the host rewrites them at once.
    pub(in crate::session) fn is_known_as(&mut self, key: &FlowKey) {
        let shown = self.identity();
        let own = self.named_alike(key);
        let rare = self.rare.get_or_insert_default();
        rare.others.push(shown);
        rare.outermost.get_or_insert(shown);
        rare.of_socket = Some(own);
    }

    /// Its server's socket, which is on this host, has these addresses.
    pub(in crate::session) fn ends_at(&mut self, key: &FlowKey) {
        self.has_also(self.named_alike(key));
    }

    /// It has these addresses too; that is known too late for its name.
    pub(in crate::session) fn has_also(&mut self, other: Identity) {
        let known = other == self.identity() || self.others().contains(&other);
        if !known {
            self.rare.get_or_insert_default().others.push(other);
        }
    }

    /// Other addresses of it on this host.
    pub(in crate::session) fn others(&self) -> &[Identity] {
        self.rare.as_ref().map_or(&[], |rare| &rare.others)
    }

    /// The ends under other addresses: nearly always one of the ports stays.
    fn named_alike(&self, key: &FlowKey) -> Identity {
        let shown = self.identity();
        let client_is_a = key.b_port == shown.server.port || key.a_port == shown.client.port;
        Identity::of(key, client_is_a)
    }

    /// It passes on under other addresses.
    pub(in crate::session) fn passes_as(&mut self, other: Identity) {
        let rare = self.rare.get_or_insert_default();
        if !rare.others.contains(&other) {
            rare.others.push(other);
            rare.outermost = Some(other);
        }
    }

    /// Its SYN has passed before, under these addresses.
    pub(in crate::session) fn passed_as(&mut self, before: &Self) {
        let rare = self.rare.get_or_insert_default();
        rare.others = before.others().to_vec();
        if before.key != self.key {
            rare.others.push(before.identity());
        }
        rare.outermost = rare.others.first().copied();
        self.evidence.came_in(&before.evidence);
    }

    /// The connection's name, the same from either host; once given it does not change.
    pub(in crate::session) fn id(&self) -> ConnectionId {
        let isns = [Side::ToServer, Side::ToClient].map(|side| self.handshake.isn(side));
        let outermost = self.rare.as_ref().and_then(|rare| rare.outermost);
        let identity = outermost.unwrap_or_else(|| self.identity());
        if self.joined_late && isns == [None, None] {
            return identity.connection_id(isns);
        }
        let [client, server] = isns;
        let client = client.or(Some(self.sent[0].isn));
        identity.connection_id([client, server])
    }

    /// Segments that a side sent again.
    pub(in crate::session) fn retransmits(&self, side: Side) -> u32 {
        let place = side as usize;
        let resent = self
            .socket
            .as_ref()
            .map_or(0, |socket| socket.resent[place]);
        self.sent[place].retransmits.max(resent)
    }

    /// Segments that the client has sent again since it has heard anything: those that were told, or what its kernel had
    /// counted beyond all that was told when its socket closed.
    pub(in crate::session) fn copies_in_vain(&self) -> u32 {
        let client = &self.sent[Side::ToServer as usize];
        let counted = self.retransmits(Side::ToServer);
        let untold = counted.saturating_sub(client.retransmits);
        u32::from(client.repeats).max(untold)
    }

    /// One round trip: that of the handshake, else the kernel's estimate.
    pub(in crate::session) fn round_trip(&self) -> Option<u64> {
        self.evidence.round_trip().or(self.smoothed_rtt())
    }

    /// Whether both sides have closed in order and the socket has said its last word.
    pub(in crate::session) fn is_closed(&self) -> bool {
        self.ends.are_orderly() && (self.socket.is_some() || !self.local_socket)
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
