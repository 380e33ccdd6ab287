//! The bytes of one direction back in order, whatever order their segments were seen in, and what of
//! them was not seen.
//!
//! Memory is bounded: behind a hole only so much is kept, and then the hole is given up.

use std::ops::Range;

use tracer_ebpf::{
    event::{Event, Kind},
    observe::login::MAX_RUNS,
    seq::{Seq, Span},
};
use zeroize::Zeroizing;

use super::unit::MAX_MESSAGE;

/// Segments kept that came before the ones they follow.
const MAX_AHEAD: usize = 32;
/// Bytes kept of them.
const MAX_AHEAD_BYTES: usize = 128 * 1024;
/// How long a hole may stay open before its bytes count as never seen, nanoseconds.
const HOLE_PATIENCE: u64 = 1_000_000_000;
/// Memory that a stream keeps of whose bytes all were read.
const IDLE: usize = 256;

/// Bytes of one segment.
#[derive(Debug)]
struct Piece {
    span: Span,
    time: u64,
    bytes: Zeroizing<Vec<u8>>,
    /// What of it was told, ascending.
    told: Vec<Span>,
}

impl Piece {
    fn take(&mut self, from: Seq, bytes: &[u8]) {
        let at = usize::try_from(from.since(self.span.from));
        let Some(room) = at.ok().and_then(|at| self.bytes.get_mut(at..)) else {
            return;
        };
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.told.push(Span {
            from,
            to: from.add(len as u32),
        });
    }
}

/// The bytes of one direction that are not read yet.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// Position of the first byte kept; `None` before the first.
    base: Option<Seq>,
    /// Contiguous bytes from there on.
    bytes: Zeroizing<Vec<u8>>,
    /// When the bytes up to a position had passed, ascending.
    arrivals: Vec<(Seq, u64)>,
    /// The segment being told in several records.
    telling: Option<Piece>,
    /// Segments behind a hole, ascending.
    ahead: Vec<Piece>,
    /// What was withheld or lost of the bytes kept, ascending.
    unseen: Vec<Span>,
    /// The furthest position that the sender's own packets say there are bytes up to.
    reached: Option<Seq>,
    /// The furthest position that the receiver has acknowledged.
    acknowledged: Option<Seq>,
    /// Bytes that were read, or are passed over, and did not come yet.
    skipping: u32,
    /// Its beginning is known.
    opened: bool,
    /// Some bytes were never seen.
    gap: bool,
}

impl Reassembly {
    /// The position of the first byte to come: after the SYN.
    pub(super) fn open(&mut self, position: Seq) {
        if !self.opened {
            self.base = Some(position);
            self.opened = true;
        }
    }

    /// Whether its beginning is known: what came before the first bytes seen was nothing.
    pub(super) fn is_opened(&self) -> bool {
        self.opened
    }

    /// A packet of the sender goes on from `position`: there are bytes before it.
    pub(super) fn reaches(&mut self, position: Seq) {
        let reached = self.reached.map_or(position, |before| before.max(position));
        self.reached = Some(reached);
    }

    /// The receiver says that it has all bytes up to `position`.
    pub(super) fn is_acknowledged(&mut self, position: Seq) {
        let before = self.acknowledged.unwrap_or(position);
        self.acknowledged = Some(before.max(position));
    }

    /// Whether some bytes were never seen.
    pub(super) fn has_gap(&self) -> bool {
        self.gap
    }

    /// Some bytes were not seen.
    pub(super) fn misses(&mut self) {
        self.gap = true;
    }

    /// Whether bytes are missing that the receiver has got: they passed unseen. Bytes that the
    /// receiver still waits for were lost on their way, and their sender owes them.
    pub(super) fn is_incomplete(&self) -> bool {
        if self.gap {
            return true;
        }
        let Some(end) = self.end() else {
            return self.reached.is_some() || self.acknowledged.is_some();
        };
        self.was_missed(end)
    }

    /// Bytes that the receiver still waits for, though later ones have come: they were lost on their way.
    pub(super) fn awaited(&self) -> Option<u32> {
        let (end, next) = (self.end()?, self.ahead.first()?);
        let awaited = next.span.from.since(end).max(0).cast_unsigned();
        (awaited > 0 && !self.was_missed(end)).then_some(awaited)
    }

    /// Whether the byte at `position`, which has not been seen, has passed.
    fn was_missed(&self, position: Seq) -> bool {
        match (self.acknowledged, self.reached) {
            // A FIN takes a position too.
            (Some(acknowledged), _) => acknowledged.since(position) > 1,
            (None, Some(reached)) => self.has_hole() || reached.since(position) > 1,
            (None, None) => self.has_hole(),
        }
    }

    /// Whether the sender's own packets tell of bytes before them that were not seen. A FIN that has
    /// passed takes a position too.
    pub(super) fn lacks_bytes(&self, has_finished: bool) -> bool {
        self.end()
            .zip(self.reached)
            .is_some_and(|(end, reached)| reached.since(end) > i32::from(has_finished))
    }

    /// Whether the receiver has not acknowledged all that was seen to be sent.
    pub(super) fn is_unacknowledged(&self, by_receiver: Seq) -> bool {
        let seen = self.ahead.last().map(|piece| piece.span.to).or(self.end());
        seen.is_some_and(|end| end.after(by_receiver))
    }

    /// Keeps nothing of what came, or was waited for.
    pub(super) fn clear(&mut self) {
        self.bytes = Zeroizing::default();
        self.arrivals = Vec::new();
        self.ahead = Vec::new();
        self.unseen = Vec::new();
        self.telling = None;
    }

    /// What passed before `position` is not missed any more.
    pub(super) fn begin_at(&mut self, position: Seq) {
        self.gap |= self.opened;
        self.base = Some(position);
    }

    /// Takes one record of the segment at `whole`.
    pub(super) fn take(&mut self, event: &Event, whole: Span, run: &[u8]) {
        let continues = self
            .telling
            .as_ref()
            .is_some_and(|piece| piece.span == whole)
            && event.kind == Kind::More as u8;
        if !continues {
            self.flush();
            let mut told = event.told(run);
            let first = told
                .next()
                .filter(|(_, bytes)| bytes.len() == event.payload_len as usize);
            if let Some((span, bytes)) = first
                && span == whole
                && self.goes_on_at(whole.from)
            {
                self.append(whole, event.time, bytes, &[whole]);
                self.catch_up();
                return;
            }
            self.telling = Some(Piece {
                span: whole,
                time: event.time,
                bytes: Zeroizing::new(vec![0; event.payload_len as usize]),
                told: Vec::with_capacity(usize::from(event.parts).clamp(1, MAX_RUNS)),
            });
        }
        if let Some(piece) = &mut self.telling {
            for (span, bytes) in event.told(run) {
                piece.take(span.from, bytes);
            }
            self.gap |= run.len() < event.run_len as usize;
        }
        // A record of several parts has all of its segment.
        if event.parts != 0 || event.run_seq.add(event.run_len).at_or_after(whole.to) {
            self.flush();
        }
    }

    /// Takes in the segment that was being told.
    fn flush(&mut self) {
        if let Some(mut piece) = self.telling.take() {
            let start = piece.span.from;
            piece.told.sort_by_key(|told| told.from.since(start));
            self.insert(piece);
        }
    }

    fn end(&self) -> Option<Seq> {
        let kept = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.base.map(|base| base.add(kept))
    }

    /// Whether the next byte to come is this one: so it is with nearly every segment.
    fn goes_on_at(&mut self, position: Seq) -> bool {
        self.base.get_or_insert(position);
        self.end() == Some(position)
    }

    fn insert(&mut self, piece: Piece) {
        let base = *self.base.get_or_insert(piece.span.from);
        let end = self.end().unwrap_or(base);
        if !piece.span.to.after(end) {
            return;
        }
        if piece.span.from.after(end) {
            self.keep_ahead(piece);
            return;
        }
        self.append(piece.span, piece.time, &piece.bytes, &piece.told);
        self.catch_up();
    }

    /// Appends what is new of a segment, of which `told` was told.
    fn append(&mut self, span: Span, time: u64, bytes: &[u8], told: &[Span]) {
        let end = self.end().unwrap_or(span.from);
        let known = usize::try_from(end.since(span.from)).unwrap_or(0);
        let fresh = bytes.get(known..).unwrap_or_default();
        self.bytes.extend_from_slice(fresh);
        let mut from = end;
        for told in told {
            self.miss(from, told.from);
            from = from.max(told.to);
        }
        self.miss(from, span.to);
        let time = self.arrivals.last().map_or(time, |last| last.1.max(time));
        self.arrivals.push((span.to, time));
    }

    fn miss(&mut self, from: Seq, to: Seq) {
        if to.after(from) {
            self.unseen.push(Span { from, to });
        }
    }

    /// Appends the segments that were waiting for what has come.
    fn catch_up(&mut self) {
        while let Some(end) = self.end() {
            let Some(next) = self.ahead.first() else {
                return;
            };
            if next.span.from.after(end) {
                return;
            }
            let piece = self.ahead.remove(0);
            if piece.span.to.after(end) {
                self.append(piece.span, piece.time, &piece.bytes, &piece.told);
            }
        }
    }

    fn keep_ahead(&mut self, piece: Piece) {
        let place = self
            .ahead
            .partition_point(|other| other.span.from.before(piece.span.from));
        self.ahead.insert(place, piece);
        let kept: usize = self.ahead.iter().map(|piece| piece.bytes.len()).sum();
        if self.ahead.len() > MAX_AHEAD || kept > MAX_AHEAD_BYTES {
            self.skip_hole();
        }
    }

    /// Gives up a hole that is older than is worth waiting for, unless the receiver waits too.
    pub(super) fn age(&mut self, now: u64) {
        if self.hole_is_given_up_at().is_some_and(|at| now >= at) {
            self.skip_missed_hole();
        }
    }

    /// When the first hole is given up.
    pub(super) fn hole_is_given_up_at(&self) -> Option<u64> {
        let piece = self.ahead.first()?;
        let end = self.end()?;
        self.was_missed(end)
            .then(|| piece.time.saturating_add(HOLE_PATIENCE))
    }

    /// Goes on behind the first hole, where its bytes have passed unseen. Whether it did.
    pub(super) fn skip_missed_hole(&mut self) -> bool {
        self.flush();
        let missed = self.end().is_some_and(|end| self.was_missed(end));
        let skips = missed && self.has_hole();
        if skips {
            self.skip_hole();
        }
        skips
    }

    /// Goes on behind the first hole, whose bytes read as zeros: a header that lies before or
    /// behind them still counts.
    fn skip_hole(&mut self) {
        self.flush();
        let (Some(end), Some(next)) = (self.end(), self.ahead.first()) else {
            return;
        };
        self.gap = true;
        let next_from = next.span.from;
        let missing = next_from.since(end).max(0).cast_unsigned();
        let time = next.time;
        if missing <= MAX_MESSAGE {
            let len = self.bytes.len() + missing as usize;
            self.bytes.resize(len, 0);
            self.miss(end, next_from);
        } else {
            self.bytes.clear();
            self.base = Some(next_from);
            self.skipping = 0;
        }
        self.arrivals.push((next_from, time));
        self.catch_up();
    }

    /// Whether a hole waits to be filled.
    fn has_hole(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Position of the first byte that is not read yet.
    pub(super) fn base(&self) -> Option<Seq> {
        self.base
    }

    /// The bytes that are not read yet, up to the first hole.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether what comes next is passed over.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipping > 0
    }

    /// Segments that the bytes up to `end` came in.
    pub(super) fn segments_up_to(&self, end: Seq) -> u32 {
        let inside = |(to, _): &&(Seq, u64)| to.before(end);
        self.arrivals.iter().filter(inside).count() as u32 + 1
    }

    /// Where segments end, and others begin, counted from the first byte.
    pub(super) fn seams(&self) -> Vec<usize> {
        let Some(base) = self.base else {
            return Vec::new();
        };
        let ends = self.arrivals.iter().map(|(to, _)| to.since(base));
        ends.filter_map(|end| usize::try_from(end).ok()).collect()
    }

    /// What of these positions was not seen, counted from the first of them.
    pub(super) fn unseen_in(&self, from: Seq, to: Seq) -> Vec<Range<usize>> {
        let within = |span: &Span| {
            let (first, end) = (span.from.max(from), span.to.min(to));
            let offset = |at: Seq| usize::try_from(at.since(from)).ok();
            Some(offset(first)?..offset(end)?).filter(|range| !range.is_empty())
        };
        self.unseen.iter().filter_map(within).collect()
    }

    /// Drops bytes that were read, also such as come later.
    pub(super) fn pass_over(&mut self, len: u32) {
        self.skipping += len;
        self.pass_over_what_came();
    }

    /// Drops what has come of the bytes that were read.
    pub(super) fn pass_over_what_came(&mut self) {
        let Some(base) = self.base else { return };
        let len = self.skipping.min(self.bytes.len() as u32);
        if len == 0 {
            return;
        }
        self.bytes[..len as usize].fill(0);
        self.bytes.drain(..len as usize);
        self.skipping -= len;
        let base = base.add(len);
        self.base = Some(base);
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE {
            self.bytes = Zeroizing::default();
        }
        self.arrivals.retain(|(to, _)| to.after(base));
        self.unseen.retain(|span| span.to.after(base));
    }

    /// When the byte before `position` passed.
    pub(super) fn arrived(&self, position: Seq) -> u64 {
        let arrival = self
            .arrivals
            .iter()
            .find(|(to, _)| to.at_or_after(position));
        arrival
            .or(self.arrivals.last())
            .map_or(0, |arrival| arrival.1)
    }
}

#[cfg(test)]
mod tests;
