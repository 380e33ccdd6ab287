//! The records in the ring buffer: fixed layouts, native byte order, no padding.

use crate::{
    key::FlowKey,
    layout::{Field, Fields, record},
    seq::{Seq, Span},
};

impl Field for FlowKey {
    const SIZE: usize = 36;
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            a: fields.next()?,
            b: fields.next()?,
            a_port: fields.next()?,
            b_port: fields.next()?,
        })
    }
    fn write(&self, to: &mut dyn FnMut(&[u8])) {
        self.a.write(to);
        self.b.write(to);
        self.a_port.write(to);
        self.b_port.write(to);
    }
}

/// What a record says. The first byte of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A SYN, first or again.
    Syn = 1,
    /// A SYN-ACK, first or again.
    SynAck = 2,
    /// An acknowledgement that matters: it completes the handshake, or follows a FIN.
    Ack = 3,
    /// A segment of an undecided login, with those of its bytes that may be told.
    Segment = 4,
    /// More bytes of the segment before, which had several visible runs. The last run of a segment
    /// ends where the segment does.
    More = 5,
    /// A message header of a decided connection.
    Header = 6,
    /// The end of a message whose last packet did not end in its header's segment.
    End = 7,
    /// A FIN.
    Fin = 8,
    /// A RST.
    Rst = 9,
    /// The requests so far, which are counted and not told: a [`crate::tally::Tally`] follows.
    Tally = 10,
    /// Whose socket a connection is: an [`Owner`].
    Owner = 16,
    /// What the kernel's TCP knew when the socket closed: a [`SocketEnd`].
    SocketEnd = 17,
    /// A connection's packets have other addresses than its socket, or are seen at interfaces too: a
    /// [`Translated`].
    Translated = 18,
    /// What is asked or answered beside a login: a [`crate::datagram::Datagram`].
    Datagram = 19,
    /// A connection on a port that is not watched has proved to be SQL Server's: an [`Opening`].
    Opening = 20,
    /// A process by the name of SQL Server's has bound a socket: a [`Bound`].
    Bound = 21,
    /// A SYN or SYN-ACK in a [`crate::short::ShortSyn`].
    ShortSyn = 22,
    /// A header or an end in a [`crate::short::ShortHeader`].
    ShortHeader = 23,
}

impl Kind {
    /// From a record's first byte.
    pub const fn of(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Syn,
            2 => Self::SynAck,
            3 => Self::Ack,
            4 => Self::Segment,
            5 => Self::More,
            6 => Self::Header,
            7 => Self::End,
            8 => Self::Fin,
            9 => Self::Rst,
            10 => Self::Tally,
            16 => Self::Owner,
            17 => Self::SocketEnd,
            18 => Self::Translated,
            19 => Self::Datagram,
            20 => Self::Opening,
            21 => Self::Bound,
            22 => Self::ShortSyn,
            23 => Self::ShortHeader,
            _ => return None,
        })
    }
}

/// Bits of [`Event::marks`].
pub mod mark {
    /// The connection was joined after its SYN.
    pub const JOINED_LATE: u8 = 0x01;
    /// Bytes of this direction before these were never seen.
    pub const GAP: u8 = 0x02;
    /// The payload was seen before (a retransmission).
    pub const RETRANSMIT: u8 = 0x04;
    /// The payload fills a hole that was left before (reordering).
    pub const FILLS_GAP: u8 = 0x08;
    /// Framing was lost and taken up again at this header.
    pub const RESYNC: u8 = 0x10;
    /// The message ends within this segment.
    pub const COMPLETE: u8 = 0x20;
    /// The first packet of its message.
    pub const FIRST: u8 = 0x40;
    /// When it was is not known: a capture may not say. The kernel always does.
    pub const UNTIMED: u8 = 0x80;
}

/// Where packets are seen at interfaces beside sockets, [`Event::beside`].
pub mod beside {
    /// At a socket, or where there is no other source.
    pub const NO: u8 = 0;
    /// At an interface, on its way out.
    pub const OUT: u8 = 1;
    /// At an interface, on its way in.
    pub const IN: u8 = 2;
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the client to the server.
    ToServer = 0,
    /// From the server to the client.
    ToClient = 1,
}

impl Direction {
    /// The other one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

record! {
    /// What one direction has carried so far. Every event carries both directions', so that a
    /// lost record loses no count.
    Counters {
        /// TCP payload bytes, retransmissions not counted.
        bytes: u64,
        /// When its last payload passed, nanoseconds as in [`Event::time`]; 0 before the first.
        last_data: u64,
        /// When it last acknowledged new data of its peer, in the same way.
        acked_at: u64,
        /// Segments, empty ones and retransmissions included.
        packets: u32,
        /// Segments whose payload had passed before.
        retransmits: u32,
        /// Segments that closed the sender's receive window.
        zero_windows: u32,
        /// Keep-alive probes that nobody has answered yet: at most one byte, just before the next
        /// expected position.
        keep_alives: u32,
        /// Initial sequence number; the first one seen where the SYN was not.
        isn: Seq,
        /// Segments whose payload had passed before, since its peer last answered.
        repeats: u16,
        /// 1: its receive window is closed.
        shut: u16,
    }
}

record! {
    /// One thing that happened to a connection; `run_len` bytes of the stream follow the record.
    Event {
        /// See [`Kind`].
        kind: u8,
        /// See [`Direction`].
        direction: u8,
        /// See [`mark`].
        marks: u8,
        /// TCP flags of the segment.
        tcp_flags: u8,
        /// Time to live or hop limit of the segment.
        ttl: u8,
        /// [`crate::framing::Framing`] of a [`Kind::Header`]; else 0.
        framing: u8,
        /// Receive window as sent, unscaled.
        window: u16,
        /// When the packet passed: nanoseconds of `CLOCK_BOOTTIME`, or of the capture's clock.
        time: u64,
        /// When the connection's first packet passed: with the key it names the connection.
        born: u64,
        /// Counts the events of this direction from 1, so that a lost one is seen.
        number: u32,
        /// The interface the packet was seen on.
        ifindex: u32,
        /// The connection's addresses and ports.
        key: FlowKey,
        /// 1: the client is side `a` of the key. 0: side `b`.
        client_is_a: u8,
        /// Whether it was seen beside sockets: see [`beside`].
        beside: u8,
        /// Parts of the stream that the bytes which follow are of, each with its [`Span`], all of these
        /// first. 0: they are of one part, and come alone.
        parts: u16,
        /// Sequence number of the segment; of its payload, where that came with a SYN and this is not
        /// the SYN's own event.
        seq: Seq,
        /// Acknowledgement number of the segment.
        ack: Seq,
        /// Payload bytes of the segment.
        payload_len: u32,
        /// Position of the bytes that follow; of the header for [`Kind::Header`], whose bytes begin
        /// with the segment where the header began before it; of the position after the message
        /// for [`Kind::End`].
        run_seq: Seq,
        /// Bytes that follow.
        run_len: u32,
        /// Length of the message's packet by its header, for [`Kind::Header`]; else 0.
        packet_len: u32,
        /// The header's first bytes, for [`Kind::Header`]; unknown ones are 0.
        header: [u8; 8],
        /// What the client has sent.
        client: Counters,
        /// What the server has sent.
        server: Counters,
    }
}

impl Event {
    /// Bytes that the span of a part takes.
    pub const SPAN: usize = size_of::<Span>();

    /// Whether it was seen at an interface beside sockets.
    pub const fn is_beside(&self) -> bool {
        self.beside != beside::NO
    }

    /// The parts of the stream that a record with these bytes tells, each with as many of its bytes as
    /// there are.
    pub fn told<'a>(&self, run: &'a [u8]) -> impl Iterator<Item = (Span, &'a [u8])> + use<'a> {
        let alone = (self.parts == 0).then(|| {
            let to = self.run_seq.add(self.run_len);
            let from = self.run_seq;
            (Span { from, to }, run)
        });
        let table = Self::SPAN * usize::from(self.parts);
        let (spans, mut bytes) = run.split_at_checked(table).unwrap_or_default();
        let parts = spans.chunks_exact(Self::SPAN).filter_map(move |span| {
            let mut fields = Fields(span);
            let (from, to) = (fields.next()?, fields.next()?);
            let span = Span { from, to };
            let part;
            (part, bytes) = bytes.split_at(bytes.len().min(span.len() as usize));
            Some((span, part))
        });
        alone.into_iter().chain(parts)
    }
}

/// Bits of [`Owner::role`].
pub mod role {
    /// The local socket connected.
    pub const CLIENT: u32 = 1;
    /// The local socket was accepted.
    pub const SERVER: u32 = 2;
    /// Of a [`super::SocketEnd`]: packets are seen at sockets only, so that none follows but the RST that
    /// the socket may close with.
    pub const LAST: u32 = 4;
}

record! {
    /// Whose socket a connection is.
    Owner {
        /// [`Kind::Owner`].
        kind: u8,
        /// Fills up to the next field.
        reserved: [u8; 7],
        /// When it was known, nanoseconds of `CLOCK_BOOTTIME`.
        time: u64,
        /// When the process was seen to hold the socket, likewise: as it connected, or bound the
        /// socket that listens.
        held: u64,
        /// The cgroup's id (its directory's inode).
        cgroup: u64,
        /// The connection; side and role say which end this is.
        key: FlowKey,
        /// See [`role`].
        role: u32,
        /// The process (thread group) id as the host sees it; 0 where only the cgroup is known.
        pid: u32,
        /// The user id.
        uid: u32,
        /// The client's initial sequence number, which stays the same where addresses are rewritten on
        /// the way; 0 where it is not known yet.
        client_isn: Seq,
        /// The server's.
        server_isn: Seq,
        /// The thread's name, zero-padded.
        name: [u8; 16],
    }
}

record! {
    /// What the kernel's TCP knew when the socket closed.
    SocketEnd {
        /// [`Kind::SocketEnd`].
        kind: u8,
        /// Fills up to the next field.
        reserved: [u8; 7],
        /// When it closed, nanoseconds of `CLOCK_BOOTTIME`.
        time: u64,
        /// The connection.
        key: FlowKey,
        /// See [`role`].
        role: u32,
        /// Smoothed round-trip time, microseconds; 0 where the kernel had none.
        srtt_us: u32,
        /// Segments the local side retransmitted.
        retransmits: u32,
    }
}

record! {
    /// A connection's packets have other addresses than its socket: its host rewrites them. Or they have
    /// the same, and what was told of them at interfaces is the socket's to tell.
    Translated {
        /// [`Kind::Translated`].
        kind: u8,
        /// Fills up to the next field.
        reserved: [u8; 7],
        /// When that was seen, nanoseconds of `CLOCK_BOOTTIME`.
        time: u64,
        /// The connection.
        key: FlowKey,
        /// The packets' addresses.
        other: FlowKey,
        /// 1: the client is side `a` of the packets' addresses.
        client_is_a: u32,
        /// Fills up.
        end: u32,
    }
}

record! {
    /// A segment of the handshake, when it passed first.
    Passed {
        /// When, nanoseconds of `CLOCK_BOOTTIME`; 0 where it was not seen.
        time: u64,
        /// Its sequence number.
        seq: Seq,
        /// Its receive window, unscaled.
        window: u16,
        /// Its time to live or hop limit.
        ttl: u8,
        /// How often it passed.
        times: u8,
    }
}

record! {
    /// How a connection opened that has proved to be SQL Server's by its first bytes: nothing was told of it
    /// before that.
    Opening {
        /// [`Kind::Opening`].
        kind: u8,
        /// Fills up to the next field.
        reserved: [u8; 7],
        /// When it has proved it, nanoseconds of `CLOCK_BOOTTIME`; 0 until then.
        time: u64,
        /// The connection.
        key: FlowKey,
        /// 1: the client is side `a` of the key. 0: side `b`.
        client_is_a: u32,
        /// The interface that its packets are seen on; 0 where its number says nothing to the agent.
        ifindex: u32,
        /// The server's first byte, as the client's [`Self::ack`] has it.
        answered: Seq,
        /// The client's SYN.
        syn: Passed,
        /// The answer to it.
        syn_ack: Passed,
        /// What completes the handshake.
        ack: Passed,
        /// How long after the SYN it was repeated, microseconds; 0 where it was not. Of more than these only
        /// [`Passed::times`] tells.
        again: [u32; 4],
    }
}

record! {
    /// A process by the name of SQL Server's has bound a TCP socket, on which it may listen.
    Bound {
        /// [`Kind::Bound`].
        kind: u8,
        /// Fills up to the next field.
        reserved: [u8; 1],
        /// The port.
        port: u16,
        /// The process (thread group) id as the host sees it.
        pid: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_what_its_layout_holds() {
        let mut bytes = [0; SocketEnd::SIZE];
        bytes[0] = Kind::SocketEnd as u8;
        bytes[8..16].copy_from_slice(&77_u64.to_ne_bytes());
        bytes[48..50].copy_from_slice(&1433_u16.to_ne_bytes());
        bytes[56..60].copy_from_slice(&1250_u32.to_ne_bytes());
        let end = SocketEnd::read(&bytes).unwrap();
        assert_eq!((end.time, end.key.a_port, end.srtt_us), (77, 1433, 1250));
        assert_eq!(SocketEnd::read(&bytes[..SocketEnd::SIZE - 1]), None);
    }

    #[test]
    fn every_kind_reads_back_from_its_byte() {
        let known = (0..=u8::MAX).filter_map(Kind::of);
        assert!(known.clone().all(|kind| Kind::of(kind as u8) == Some(kind)));
        assert_eq!(known.count(), 18);
    }
}
