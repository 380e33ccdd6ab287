//! One direction's bytes back in order, cut into TDS packets, TLS records and SMP packets.
//!
//! Memory is bounded: of a stream whose framing is lost, or that is given up, nothing is kept.

mod reassembly;
mod unit;

use tracer_ebpf::{
    event::{Event, mark},
    framing::{self, Boundary, HEADER_PREFIX, Header},
    seq::{Seq, Span},
};
use zeroize::Zeroizing;

pub(in crate::session) use self::unit::{Found, Unit};
use self::{
    reassembly::Reassembly,
    unit::{MAX_MESSAGE, header_len},
};

/// The largest segment taken in: BIG TCP's.
const MAX_SEGMENT: u32 = 512 * 1024;

/// One direction of an undecided login.
#[derive(Debug, Default)]
pub(in crate::session) struct Stream {
    reassembly: Reassembly,
    /// Bytes that came after framing was lost.
    unread: u64,
    /// Framing is lost, or the bytes are of somebody else's protocol.
    lost: bool,
    /// The rest of it is not waited for.
    forsaken: bool,
    /// A packet or record was read.
    begun: bool,
}

impl Stream {
    /// The position of the first byte to come: after the SYN.
    pub(in crate::session) fn open(&mut self, position: Seq) {
        self.reassembly.open(position);
    }

    /// Whether its beginning is known: what came before the first bytes seen was nothing.
    pub(in crate::session) fn is_opened(&self) -> bool {
        self.reassembly.is_opened()
    }

    /// A packet of the sender goes on from `position`: there are bytes before it.
    pub(in crate::session) fn reaches(&mut self, position: Seq) {
        self.reassembly.reaches(position);
    }

    /// The receiver says that it has all bytes up to `position`.
    pub(in crate::session) fn is_acknowledged(&mut self, position: Seq) {
        self.reassembly.is_acknowledged(position);
    }

    /// Whether bytes are missing that the receiver has got: they passed unseen. Bytes that the
    /// receiver still waits for were lost on their way, and their sender owes them.
    pub(in crate::session) fn is_incomplete(&self) -> bool {
        if self.forsaken || self.lost {
            return self.reassembly.has_gap();
        }
        self.reassembly.is_incomplete()
    }

    /// Bytes that the receiver still waits for, though later ones have come.
    pub(in crate::session) fn awaited(&self) -> Option<u32> {
        self.reassembly.awaited()
    }

    /// Whether the sender's own packets tell of bytes before them that were not seen. A FIN that has
    /// passed takes a position too.
    pub(in crate::session) fn lacks_bytes(&self, has_finished: bool) -> bool {
        !self.lost && self.reassembly.lacks_bytes(has_finished)
    }

    /// Whether the receiver has not acknowledged all that was seen to be sent.
    pub(in crate::session) fn is_unacknowledged(&self, by_receiver: Seq) -> bool {
        self.reassembly.is_unacknowledged(by_receiver)
    }

    /// What follows is of no interest: that it is not told is no loss.
    pub(in crate::session) fn forsake(&mut self) {
        self.forsaken = true;
        self.lose();
    }

    /// Takes one record of a segment.
    pub(in crate::session) fn take(&mut self, event: &Event, run: &[u8]) {
        let whole = Span {
            from: event.seq,
            to: event.seq.add(event.payload_len),
        };
        let again = event.marks & mark::RETRANSMIT != 0 && event.run_len == 0;
        if again || event.payload_len == 0 || event.payload_len > MAX_SEGMENT {
            return;
        }
        if self.lost && !self.forsaken && event.marks & mark::RESYNC != 0 {
            // What passed before is of no known message.
            self.lost = false;
            self.reassembly.begin_at(event.seq);
        }
        if self.lost || self.forsaken {
            self.unread = self.unread.saturating_add(u64::from(event.payload_len));
            return;
        }
        self.reassembly.take(event, whole, run);
    }

    /// Gives up a hole that is older than is worth waiting for, unless the receiver waits too.
    pub(in crate::session) fn age(&mut self, now: u64) {
        self.reassembly.age(now);
    }

    /// When the first hole is given up.
    pub(in crate::session) fn hole_is_given_up_at(&self) -> Option<u64> {
        self.reassembly.hole_is_given_up_at()
    }

    /// Goes on behind the first hole, where its bytes have passed unseen. Whether it did.
    pub(in crate::session) fn skip_missed_hole(&mut self) -> bool {
        self.reassembly.skip_missed_hole()
    }

    /// Bytes that came after framing was lost.
    pub(in crate::session) fn unread(&self) -> u64 {
        self.unread
    }

    /// The next whole packet or record, whose body may have this memory.
    pub(in crate::session) fn next(&mut self, memory: &mut Zeroizing<Vec<u8>>) -> Option<Found> {
        loop {
            self.reassembly.pass_over_what_came();
            if self.lost || self.reassembly.is_skipping() {
                return None;
            }
            let bytes = self.reassembly.bytes();
            let known = bytes.len().min(HEADER_PREFIX as usize);
            let mut prefix = [0; 8];
            prefix[..known].copy_from_slice(&bytes[..known]);
            match framing::read(&prefix, known as u32) {
                Boundary::Header(header) => {
                    return self.unit(header, prefix, memory).map(Found::Unit);
                }
                Boundary::Incomplete { .. } => return None,
                Boundary::Unknown if self.reassembly.has_gap() && self.resynchronise() => {}
                Boundary::Unknown => {
                    self.lose();
                    // A zero is no byte of a header: it was withheld. At the start that is all there is
                    // to know of a stranger; later it is a part that is missed.
                    let told = prefix[0] != 0 || !self.begun;
                    if !told {
                        self.reassembly.misses();
                    }
                    return told.then_some(Found::Unknown(prefix));
                }
            }
        }
    }

    /// Framing is lost: nothing more can be read, so nothing is kept.
    fn lose(&mut self) {
        self.lost = true;
        self.reassembly.clear();
    }

    fn unit(
        &mut self,
        header: Header,
        prefix: [u8; 8],
        memory: &mut Zeroizing<Vec<u8>>,
    ) -> Option<Unit> {
        let len = header.len;
        let too_long = len > MAX_MESSAGE;
        let bytes = self.reassembly.bytes();
        if !too_long && bytes.len() < len as usize {
            return None;
        }
        let base = self.reassembly.base()?;
        let start = (header_len(header.framing) as usize).min(bytes.len());
        let end = (len as usize).min(bytes.len());
        let whole = base.add(end as u32);
        let segments = self.reassembly.segments_up_to(whole);
        let from = self.reassembly.arrived(base.add(1));
        let to = self.reassembly.arrived(whole);
        let mut body = std::mem::take(memory);
        if !too_long {
            body.extend_from_slice(&bytes[start..end]);
        }
        let unseen = self.reassembly.unseen_in(base.add(start as u32), whole);
        self.begun = true;
        self.reassembly.pass_over(len);
        Some(Unit {
            header,
            prefix,
            body,
            unseen,
            from,
            to,
            segments,
        })
    }

    /// After a hole: looks for a segment that starts with a plausible header.
    fn resynchronise(&mut self) -> bool {
        let bytes = self.reassembly.bytes();
        let starts_here = |at: &usize| {
            let prefix = bytes.get(*at..).and_then(|rest| rest.first_chunk());
            prefix.is_some_and(|prefix| {
                let header = framing::plausible(prefix, false);
                header.or(framing::plausible(prefix, true)).is_some()
            })
        };
        let mut seams = self.reassembly.seams().into_iter().filter(|at| *at > 0);
        let Some(at) = seams.find(starts_here) else {
            return false;
        };
        self.reassembly.pass_over(at as u32);
        true
    }
}
