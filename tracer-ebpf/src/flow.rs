//! What is remembered of a connection, per direction, and how a segment changes it.

use crate::{
    event::{Counters, Direction},
    holes::Holes,
    packet::Segment,
    secrets::Withheld,
    seq::Seq,
};

pub use crate::key::FlowKey;

/// Where a packet was seen: an interface, and whether on its way in or out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Point(pub u32);

impl Point {
    /// The point of one hook.
    #[inline(always)]
    #[must_use]
    pub const fn new(ifindex: u32, ingress: bool) -> Self {
        Self(ifindex << 1 | ingress as u32)
    }

    /// The interface.
    #[inline(always)]
    pub const fn ifindex(self) -> u32 {
        self.0 >> 1
    }
}

/// One direction of a connection. Only packets of this direction write to it, so two processors
/// that carry the two directions do not race.
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
    /// Events told so far.
    pub events: u32,
    /// Login bytes told so far.
    pub copied: u32,
    /// Where its packets are counted; elsewhere they are copies.
    pub point: Point,
    /// What of the message at hand may not be told.
    pub withheld: Withheld,
    /// The first bytes of a header that straddles two segments.
    pub carry: [u8; 8],
    /// How many of them there are.
    pub carried: u8,
    /// 1: the SYN was seen.
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
    /// 1: TLS handshake records were seen straight on TCP or in TDS.
    pub handshaking: u8,
    /// 1: TLS application data was seen.
    pub sealed: u8,
    /// 1: what is secret in the message at hand must be found in the next segment.
    pub undetermined: u8,
    /// 1: the login budget is spent.
    pub over_budget: u8,
    /// Packet type of the message at hand.
    pub message: u8,
    /// TLS records told since the login was decided.
    pub records: u8,
    /// Fills up.
    pub reserved: [u8; 2],
}

/// A connection.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Flow {
    /// When its first packet passed, nanoseconds.
    pub born: u64,
    /// What the client sends, and what the server does: by [`Direction`].
    pub halves: [Half; 2],
    /// 1: the client is side `a` of the key.
    pub client_is_a: u8,
    /// 1: it was joined after its SYN.
    pub joined_late: u8,
    /// 1: the handshake's last ACK was seen.
    pub established: u8,
    /// 1: the login is decided: no bytes are told any more, only boundaries.
    pub decided: u8,
    /// 1: a RST was seen.
    pub reset: u8,
    /// The direction of the last sealed record, plus 1.
    pub last_speaker: u8,
    /// 1: its server's port is not watched, only its client's happens to be. It is remembered so that
    /// what it carries does not pass for a connection joined late.
    pub foreign: u8,
    /// Fills up.
    pub reserved: u8,
}

impl Flow {
    /// The connection a segment opens, or is first seen of. `to_server` is what the ports say; a
    /// SYN knows better.
    #[inline(always)]
    #[must_use]
    pub fn new(segment: &Segment, to_server: bool, now: u64) -> Self {
        use crate::packet::tcp_flag::{ACK, SYN};
        let opens = segment.has(SYN);
        let from_client = if opens { !segment.has(ACK) } else { to_server };
        Self {
            born: now,
            halves: [Half::default(); 2],
            client_is_a: u8::from(segment.from_a == from_client),
            joined_late: u8::from(!opens || segment.has(ACK)),
            established: 0,
            decided: 0,
            reset: 0,
            last_speaker: 0,
            foreign: 0,
            reserved: 0,
        }
    }

    /// Which way a segment goes.
    #[inline(always)]
    pub const fn direction(&self, segment: &Segment) -> Direction {
        if segment.from_a == (self.client_is_a != 0) {
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

    /// Whether a SYN opens a new connection on the same addresses and ports: it neither repeats the
    /// one that opened this, nor is the one that was answered before it was seen.
    #[inline(always)]
    pub const fn is_reopened_by(&self, segment: &Segment) -> bool {
        use crate::packet::tcp_flag::{ACK, SYN};
        if !segment.has(SYN) || segment.has(ACK) {
            return false;
        }
        // The client may have become the server's side of the key, so look at the sender's half.
        let (half, peer) = if segment.from_a == (self.client_is_a != 0) {
            (self.client(), self.server())
        } else {
            (self.server(), self.client())
        };
        if half.syn != 0 {
            return half.sent.isn.0 != segment.seq.0;
        }
        peer.syn == 0 || peer.acked.0 != segment.seq.add(1).0
    }
}

/// A direction's index. The kernel's verifier must see the mask that the compiler, knowing better,
/// would leave out; and an index, in place of a choice, spares it walking twice from here on.
#[inline(always)]
fn index(direction: Direction) -> usize {
    let index = direction as usize;
    #[cfg(target_arch = "bpf")]
    let index = core::hint::black_box(index);
    index & 1
}
