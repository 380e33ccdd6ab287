//! What is remembered of a connection, per direction, and how a segment changes it.

use crate::{
    event::{Counters, Direction},
    holes::Holes,
    packet::Segment,
    seq::Seq,
    wanted::Wanted,
};

pub use crate::key::FlowKey;

/// Where a packet was seen: an interface, 0 where its number says nothing to the agent, whether on its
/// way in or out, and whether beside sockets. A value of 0 is no point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Point(pub u32);

/// Tells a point from none.
const SEEN: u32 = 2;
/// Tells a point at an interface beside sockets.
const BESIDE: u32 = 4;

impl Point {
    /// The point of one hook.
    #[inline(always)]
    #[must_use]
    pub const fn new(ifindex: u32, ingress: bool) -> Self {
        Self(ifindex << 3 | SEEN | ingress as u32)
    }

    /// The same, of an interface that is watched beside sockets.
    #[inline(always)]
    #[must_use]
    pub const fn beside_sockets(self) -> Self {
        Self(self.0 | BESIDE)
    }

    /// Whether it is beside sockets: see [`crate::event::beside`].
    #[inline(always)]
    pub const fn beside(self) -> u8 {
        ((self.0 & BESIDE) / BESIDE) as u8 * (1 + (self.0 & 1) as u8)
    }

    /// The interface.
    #[inline(always)]
    pub const fn ifindex(self) -> u32 {
        self.0 >> 3
    }
}

/// One direction of a connection. Only packets of this direction write to it, so two processors
/// that carry the two directions do not race; but for what an answer says of it: `fin_acked`,
/// `refused`, and that nothing waits to be answered any more.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Half {
    /// What it has carried.
    pub sent: Counters,
    /// The position expected next.
    pub next_seq: Seq,
    /// The position of the next message header.
    pub next_header: Seq,
    /// The highest acknowledgement it has sent.
    pub acked: Seq,
    /// What of it was passed over.
    pub holes: Holes,
    /// Bytes that came with its SYN and were not acknowledged by the answer: they are sent again (RFC
    /// 7413 section 4.2).
    pub refused: u32,
    /// Events told so far.
    pub events: u32,
    /// Login bytes told so far.
    pub copied: u32,
    /// Where its packets are counted; elsewhere they are copies.
    pub point: Point,
    /// What of the packet at hand is told.
    pub wanted: Wanted,
    /// The first bytes of a header, or of a field, that straddles two segments.
    pub carry: [u8; 8],
    /// How many of them there are.
    pub carried: u8,
    /// 1: the SYN was seen, or what acknowledges it.
    pub syn: u8,
    /// 1: the FIN was seen.
    pub fin: u8,
    /// 1: the peer has acknowledged the FIN.
    pub fin_acked: u8,
    /// 1: `next_seq` means something.
    pub synced: u8,
    /// 1: `next_header` means something.
    pub framed: u8,
    /// 1: a TDS message has begun and not ended.
    pub message_open: u8,
    /// 1: the last packet of a message has begun and not ended.
    pub end_open: u8,
    /// 1: TLS records were seen straight on TCP.
    pub handshaking: u8,
    /// 1: TLS records were seen in TDS packets.
    pub wrapped: u8,
    /// 1: TLS application data was seen.
    pub sealed: u8,
    /// 1: where its headers are was guessed: its beginning was not seen, or bytes are missing.
    pub guessed: u8,
    /// 1: the login budget is spent.
    pub over_budget: u8,
    /// Packet type of the message at hand.
    pub message: u8,
    /// TLS records told since the login was decided.
    pub records: u8,
    /// The receive window it has offered last, unscaled; 0 before any but a SYN's, which is not to be
    /// scaled.
    pub window: u16,
}

/// A SYN inside a connection that lives: a stranger's, or that of a connection whose predecessor has
/// ended unseen. What the other side answers will say.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Rival {
    /// When it passed, nanoseconds.
    pub time: u64,
    /// Its sequence number.
    pub isn: Seq,
    /// Its receive window.
    pub window: u16,
    /// Its time to live.
    pub ttl: u8,
    /// See [`claim`].
    pub claim: u8,
}

/// What a [`Rival`] is.
pub mod claim {
    /// There is none.
    pub const NONE: u8 = 0;
    /// Side `a` of the key has sent it.
    pub const OF_A: u8 = 1;
    /// Side `b` has.
    pub const OF_B: u8 = 2;
    /// It was answered: it has opened this connection, and is still to be told.
    pub const PROVEN: u8 = 3;
    /// It has opened this connection, and is held back until the client goes on: there are too many.
    pub const HELD: u8 = 4;
}

/// A SYN-ACK that is held back with the SYN that it answers, or that passes no hook.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Answer {
    /// When it passed, nanoseconds; 0 where there is none.
    pub time: u64,
    /// Its receive window.
    pub window: u16,
    /// Its time to live.
    pub ttl: u8,
    /// 1: it is not seen, only that the kernel's TCP sends it then. What it has in its headers is not known.
    pub unseen: u8,
    /// Fills up.
    pub reserved: [u8; 4],
}

impl Answer {
    /// The kernel's TCP sends one, which may yet be seen.
    #[inline(always)]
    pub const fn sent(&mut self, now: u64) {
        if self.time == 0 {
            self.time = now;
            self.window = 0;
            self.ttl = 0;
            self.unseen = 1;
        }
    }

    /// One that was sent is seen too.
    #[inline(always)]
    pub(crate) const fn is_seen(&mut self) {
        if self.unseen != 0 {
            self.time = 0;
            self.unseen = 0;
        }
    }
}

impl Rival {
    /// Whether this side of the key has sent it.
    #[inline(always)]
    const fn is_of(&self, a: bool) -> bool {
        self.claim == if a { claim::OF_A } else { claim::OF_B }
    }
}

/// A connection. Of one that is zero nothing is known.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Flow {
    /// When its first packet passed, nanoseconds.
    pub born: u64,
    /// What the client sends, and what the server does: by [`Direction`].
    pub halves: [Half; 2],
    /// Another SYN that was seen in it; or its own, while that is to be told.
    pub rival: Rival,
    /// The SYN-ACK, while it is to be told.
    pub answer: Answer,
    /// 1: the client is side `a` of the key.
    pub client_is_a: u8,
    /// 1: it was joined after its SYN.
    pub joined_late: u8,
    /// 1: the handshake's last ACK was seen.
    pub established: u8,
    /// Whether the login is decided: see [`decided`].
    pub decided: u8,
    /// 1: a RST was seen.
    pub reset: u8,
    /// The direction of the last sealed record, plus 1.
    pub last_speaker: u8,
    /// 1: its server's port is not watched, only its client's happens to be. It is remembered so that
    /// what it carries does not pass for a connection joined late.
    pub foreign: u8,
    /// Whether requests are counted: see [`usage`].
    pub usage: u8,
}

/// Whether a login is decided.
pub mod decided {
    /// It is not.
    pub const NO: u8 = 0;
    /// It is: no bytes are told any more, only boundaries.
    pub const YES: u8 = 1;
    /// It is, and there are no sessions inside TLS: what is sealed are requests and responses.
    pub const WITHOUT_SESSIONS: u8 = 2;
}

/// How far a connection's use has come. The first request and its response are told, for the phase after
/// the login; those that follow are counted.
pub mod usage {
    /// There was no request.
    pub const NONE: u8 = 0;
    /// The first was told.
    pub const ASKED: u8 = 1;
    /// Its response was, too.
    pub const ANSWERED: u8 = 2;
    /// Requests are counted.
    pub const COUNTED: u8 = 3;
}

impl Flow {
    /// The connection a segment opens, or is first seen of. `to_server` is what the ports say; a
    /// SYN knows better.
    #[inline(always)]
    #[must_use]
    pub fn new(segment: &Segment, to_server: bool, now: u64) -> Self {
        let mut flow = Self::default();
        flow.open(segment, to_server, now);
        flow
    }

    /// The same, of one of which nothing is known: the kernel has no room for another beside that.
    #[inline(always)]
    pub const fn open(&mut self, segment: &Segment, to_server: bool, now: u64) {
        use crate::packet::tcp_flag::{ACK, SYN};
        let opens = segment.has(SYN);
        let from_client = if opens { !segment.has(ACK) } else { to_server };
        self.born = now;
        self.client_is_a = (segment.from_a == from_client) as u8;
        self.joined_late = (!opens || segment.has(ACK)) as u8;
    }

    /// The same for the answer to a SYN that was seen before it, in the connection that this one follows.
    #[inline(always)]
    pub fn follow(&mut self, rival: &Rival) {
        self.born = rival.time;
        self.joined_late = 0;
        self.rival = *rival;
        self.rival.claim = claim::PROVEN;
        let client = self.half(Direction::ToServer);
        client.syn = 1;
        client.synced = 1;
        client.framed = 1;
        client.sent.isn = rival.isn;
        client.sent.packets = 1;
        client.next_seq = rival.isn.add(1);
        client.next_header = client.next_seq;
    }

    /// Which way a segment goes.
    #[inline(always)]
    pub const fn direction(&self, segment: &Segment) -> Direction {
        self.direction_from(segment.from_a)
    }

    /// Which way a segment of side `a` of the key goes, or one of side `b`.
    #[inline(always)]
    pub const fn direction_from(&self, a: bool) -> Direction {
        if a == (self.client_is_a != 0) {
            Direction::ToServer
        } else {
            Direction::ToClient
        }
    }

    /// What one side sends.
    #[inline(always)]
    pub fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[index(direction)]
    }

    /// What the client sends.
    #[inline(always)]
    pub const fn client(&self) -> &Half {
        &self.halves[0]
    }

    /// What the server sends.
    #[inline(always)]
    pub const fn server(&self) -> &Half {
        &self.halves[1]
    }

    /// Whether nothing was seen of it but how it ended.
    #[inline(always)]
    pub const fn has_only_ended(&self) -> bool {
        let (client, server) = (self.client(), self.server());
        client.syn | server.syn == 0 && client.sent.bytes | server.sent.bytes == 0
    }

    /// Whether both sides have ended and each knows that the other has.
    #[inline(always)]
    pub const fn is_closed(&self) -> bool {
        self.client().fin_acked != 0 && self.server().fin_acked != 0
    }

    /// Whether it is known to go on: both sides speak, and neither has ended.
    #[inline(always)]
    const fn is_live(&self) -> bool {
        let (client, server) = (self.client(), self.server());
        (self.established | self.joined_late) != 0
            && (self.reset | client.fin | server.fin) == 0
            && client.sent.packets != 0
            && server.sent.packets != 0
    }

    /// Whether a segment opens a new connection on the same addresses and ports: a SYN that is not this
    /// one's. While this one lives it takes the answer to that SYN: a SYN-ACK, or a RST.
    #[inline(always)]
    pub const fn is_reopened_by(&self, segment: &Segment) -> bool {
        use crate::packet::tcp_flag::{RST, SYN};
        segment.flags & (SYN | RST) != 0 && self.is_begun_by(segment)
    }

    #[inline(never)]
    const fn is_begun_by(&self, segment: &Segment) -> bool {
        use crate::packet::tcp_flag::{ACK, SYN};
        if segment.has(ACK) {
            let answered = self.rival.isn.add(1).0;
            return self.rival.is_of(!segment.from_a) && segment.ack.0 == answered;
        }
        segment.has(SYN) && !self.is_live() && self.is_another(segment)
    }

    /// Whether a SYN or SYN-ACK neither repeats the one that this connection began with, nor is the one
    /// that was answered before it was seen.
    #[inline(always)]
    const fn is_another(&self, segment: &Segment) -> bool {
        // The client may have become the server's side of the key, so look at the sender's half.
        let (half, peer) = (self.sender(segment), self.receiver(segment));
        if half.syn != 0 {
            return half.sent.isn.0 != segment.seq.0;
        }
        peer.syn == 0 || peer.acked.0 != segment.seq.add(1).0
    }

    /// Remembers another SYN, which is not believed yet; whether one gives way to it that nobody has
    /// answered.
    #[inline(never)]
    pub fn suspect(&mut self, segment: &Segment, now: u64) -> bool {
        if self.rival.is_of(segment.from_a) && self.rival.isn == segment.seq {
            return false;
        }
        let gives_way = self.rival.claim != claim::NONE;
        self.rival = Rival {
            time: now,
            isn: segment.seq,
            window: segment.window,
            ttl: segment.ttl,
            claim: if segment.from_a {
                claim::OF_A
            } else {
                claim::OF_B
            },
        };
        gives_way
    }

    /// Forgets another SYN that its receiver does not answer, since it goes on with this connection;
    /// whether there was one.
    #[inline(always)]
    pub fn refute(&mut self, segment: &Segment) -> bool {
        let refuted = self.rival.is_of(!segment.from_a);
        if refuted {
            self.rival.claim = claim::NONE;
        }
        refuted
    }

    /// Whether a SYN, SYN-ACK or RST has no place in this connection. Apart, as is what else is rare, so
    /// that the verifier walks on from here once.
    #[inline(never)]
    pub const fn is_strange(&self, segment: &Segment) -> bool {
        use crate::packet::tcp_flag::{ACK, RST, SYN};
        if segment.has(SYN) {
            let begun = !segment.has(ACK) || self.sender(segment).syn != 0;
            return begun && self.is_live() && self.is_another(segment);
        }
        segment.has(RST) && !self.is_reset_by(segment)
    }

    /// Whether a RST is this connection's: it stands where its sender goes on, or where the other side
    /// takes data (RFC 9293 section 3.10.7.4); one that answers a SYN acknowledges it (3.10.7.3).
    #[inline(always)]
    const fn is_reset_by(&self, segment: &Segment) -> bool {
        use crate::packet::tcp_flag::ACK;
        let (half, peer) = (self.sender(segment), self.receiver(segment));
        if peer.sent.acked_at != 0 {
            let beyond = segment.seq.since(peer.acked);
            let room = ((peer.window as u32) << MAX_SCALE) | 0xFFFF;
            if beyond >= 0 && beyond.cast_unsigned() <= room {
                return true;
            }
        }
        if half.synced != 0 {
            let unheard = peer.sent.packets == 0 || self.joined_late != 0;
            // A socket that is gone answers what crossed its FIN from before that.
            let next = segment.seq.add((half.fin != 0) as u32).0;
            return segment.seq.0 == half.next_seq.0
                || next == half.next_seq.0
                || (peer.sent.acked_at == 0 && unheard);
        }
        let answers = segment.has(ACK)
            && segment.ack.after(peer.sent.isn)
            && !segment.ack.after(peer.next_seq);
        peer.syn == 0 || answers
    }

    /// The direction of a segment, and the other one.
    #[inline(always)]
    const fn sender(&self, segment: &Segment) -> &Half {
        if segment.from_a == (self.client_is_a != 0) {
            self.client()
        } else {
            self.server()
        }
    }

    /// See [`Self::sender`].
    #[inline(always)]
    const fn receiver(&self, segment: &Segment) -> &Half {
        if segment.from_a == (self.client_is_a != 0) {
            self.server()
        } else {
            self.client()
        }
    }
}

/// By how much a window may be scaled (RFC 7323 section 2.3): what was agreed is not read.
const MAX_SCALE: u32 = 14;

/// A direction's index. The kernel's verifier must see the mask that the compiler, knowing better,
/// would leave out; and an index, in place of a choice, spares it walking twice from here on.
#[inline(always)]
fn index(direction: Direction) -> usize {
    let index = direction as usize;
    #[cfg(target_arch = "bpf")]
    let index = core::hint::black_box(index);
    index & 1
}
