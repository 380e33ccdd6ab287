//! The requests of a connection, counted where its packets pass: one record says what a thousand would.
//!
//! Within a connection there is never a second request at a time; what is at hand is kept as it stands, so
//! that whoever reads the sums can end it.

use crate::{
    event::Direction,
    framing::{packet_type, status},
    layout::{Field, Fields, record},
};

/// Buckets per doubling: a time is known within 1/16.
const STEPS: u32 = 8;
/// The bucket of half a microsecond, which is the tally's first: all below are in it.
const FIRST: u16 = 56;
/// The tally's buckets: up to half an hour, and all beyond in the last. A mask bounds their numbers.
pub const BUCKETS: usize = 256;
const _: () = assert!(BUCKETS.is_power_of_two());

/// Bits of [`Sums::state`].
pub mod state {
    /// A request is at hand.
    pub const OPEN: u8 = 0x01;
    /// Its last packet has not passed.
    pub const ASKING: u8 = 0x02;
    /// Its response has begun.
    pub const ANSWERED: u8 = 0x04;
    /// An attention took it back.
    pub const CANCELLED: u8 = 0x08;
}

record! {
    /// How many requests there were, and the one at hand.
    Sums {
        /// SQL batches.
        batch: u64,
        /// Remote procedure calls.
        rpc: u64,
        /// Bulk loads.
        bulk: u64,
        /// Transaction manager requests.
        transaction: u64,
        /// Attentions.
        attention: u64,
        /// Those whose kind is not known: inside TLS.
        other: u64,
        /// The longest time that the server took to the first byte of its response, nanoseconds.
        max: u64,
        /// When this was told last, nanoseconds as in [`crate::event::Event::time`].
        told: u64,
        /// When the request at hand began, in the same way.
        start: u64,
        /// When it had passed whole, as far as that is known.
        sent: u64,
        /// When its response began, if it has.
        first_byte: u64,
        /// When an attention took it back, if one did.
        cancelled: u64,
        /// Its packet type; 0 inside TLS.
        asks: u8,
        /// See [`state`].
        state: u8,
        /// Fills up.
        reserved: [u8; 6],
    }
}

/// The requests of a connection since they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// How many.
    pub sums: Sums,
    /// How long the server took to the first byte of its response: how many requests are in each
    /// bucket.
    pub times: [u32; BUCKETS],
}

const _: () = assert!(size_of::<Tally>() == Tally::SIZE);

impl Default for Tally {
    fn default() -> Self {
        Self {
            sums: Sums::default(),
            times: [0; BUCKETS],
        }
    }
}

/// The header of a packet or record, as requests are told apart by it.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// When it passed, nanoseconds.
    pub at: u64,
    /// Its packet type; 0 inside TLS.
    pub kind: u8,
    /// Its status; 0 inside TLS.
    pub status: u8,
    /// It is its message's first.
    pub first: bool,
    /// Its packet ends with the segment at hand, or within it.
    pub complete: bool,
}

impl Word {
    /// Whether it is the last of its message. Records do not say.
    const fn ends_message(&self) -> bool {
        self.kind != 0 && self.status & status::EOM != 0
    }
}

impl Tally {
    /// Bytes of the record.
    pub const SIZE: usize = Sums::SIZE + 4 * BUCKETS;

    /// Reads the record from the start of `bytes`; `None` where they are too few.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self {
            sums: fields.next()?,
            times: <[u32; BUCKETS]>::read(fields.0)?,
        })
    }

    /// Hands the record's bytes over, piece by piece.
    pub fn write(&self, to: &mut dyn FnMut(&[u8])) {
        self.sums.write(to);
        self.times.write(to);
    }

    /// Whether a request is at hand.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        self.is(state::OPEN)
    }

    /// Whether the request at hand is so: see [`state`].
    #[inline(always)]
    pub const fn is(&self, state: u8) -> bool {
        self.sums.state & state != 0
    }

    /// The client says something.
    #[inline(never)]
    pub fn asked(&mut self, word: &Word) {
        let is_attention = word.kind == packet_type::ATTENTION;
        if self.goes_on(word) && !is_attention {
            if self.is_open() && (word.kind == 0 || word.ends_message()) {
                self.sums.sent = word.at;
                self.sums.state &= !state::ASKING;
            }
            return;
        }
        if is_attention && self.is_open() {
            self.sums.attention += 1;
            if !self.is(state::CANCELLED) {
                self.sums.cancelled = word.at;
                self.sums.state |= state::CANCELLED;
            }
            return;
        }
        self.finish();
        *match word.kind {
            packet_type::SQL_BATCH => &mut self.sums.batch,
            packet_type::RPC => &mut self.sums.rpc,
            packet_type::BULK_LOAD => &mut self.sums.bulk,
            packet_type::TRANSACTION_MANAGER => &mut self.sums.transaction,
            packet_type::ATTENTION => &mut self.sums.attention,
            _ => &mut self.sums.other,
        } += 1;
        self.sums.asks = word.kind;
        self.sums.start = word.at;
        self.sums.sent = word.at;
        let asking = word.kind != 0 && !word.ends_message();
        self.sums.state = state::OPEN | if asking { state::ASKING } else { 0 };
    }

    /// Whether the client goes on with what it asks. Records say neither where a message begins nor where
    /// it ends: inside TLS it is one request until the server speaks.
    #[inline(always)]
    const fn goes_on(&self, word: &Word) -> bool {
        let same = self.is_open() && self.sums.asks == word.kind;
        if word.kind == 0 {
            return same && !self.is(state::ANSWERED);
        }
        !word.first || same && self.is(state::ASKING)
    }

    /// The server says something; the client's last payload passed at `client_last`.
    #[inline(never)]
    pub fn answered(&mut self, word: &Word, client_last: u64) {
        if !self.is_open() {
            return;
        }
        if !self.is(state::ANSWERED) {
            // Not every record of a long request is looked at.
            if self.sums.asks == 0 && client_last > self.sums.sent {
                self.sums.sent = client_last;
            }
            self.sums.first_byte = word.at;
            self.sums.state |= state::ANSWERED;
        }
        if word.ends_message() && word.complete {
            self.finish();
        }
    }

    /// The message whose last packet had not passed whole has ended now.
    #[inline(always)]
    pub fn ended(&mut self, direction: Direction, at: u64) {
        match direction {
            Direction::ToClient => self.finish(),
            Direction::ToServer => self.sums.sent = at,
        }
    }

    #[inline(always)]
    fn finish(&mut self) {
        if self.is(state::ANSWERED) {
            self.add(self.sums.first_byte.saturating_sub(self.sums.sent));
        }
        self.sums.state = 0;
    }

    #[inline(always)]
    fn add(&mut self, nanos: u64) {
        if nanos > self.sums.max {
            self.sums.max = nanos;
        }
        let place = bucket(nanos).saturating_sub(FIRST) as usize;
        let place = place.min(BUCKETS - 1);
        // The kernel's verifier must see the mask that the compiler, knowing better, would leave out.
        #[cfg(target_arch = "bpf")]
        let place = core::hint::black_box(place);
        let count = &mut self.times[place & (BUCKETS - 1)];
        *count = count.saturating_add(1);
    }

    /// The buckets in use, as [`bucket`] numbers them, each with how many requests are in it.
    pub fn in_use(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        let all = self.times.iter().zip(FIRST..);
        all.filter_map(|(count, bucket)| (*count > 0).then_some((bucket, *count)))
    }
}

/// A record's content that is shorter holds no TDS packet: it is an alert.
const SHORTEST_MESSAGE: u32 = 25;
/// The other length of a sealed alert of TLS 1.3, where it is filled up.
const FILLED_ALERT: u32 = 35;

/// Whether a sealed record with so many bytes after its header may hold a message, or the start of one.
#[inline(always)]
pub const fn may_hold_message(len: u32) -> bool {
    len >= SHORTEST_MESSAGE && len != FILLED_ALERT
}

/// The bucket of a duration, nanoseconds: they widen with the value.
#[inline(always)]
pub const fn bucket(nanos: u64) -> u16 {
    if nanos < STEPS as u64 {
        return nanos as u16;
    }
    let doubling = nanos.ilog2();
    let step = (nanos >> (doubling - STEPS.ilog2())) as u32 - STEPS;
    ((doubling - STEPS.ilog2() + 1) * STEPS + step) as u16
}

/// The middle of a bucket, nanoseconds.
pub const fn middle(bucket: u16) -> u64 {
    let (bucket, steps) = (bucket as u64, STEPS as u64);
    if bucket < steps {
        return bucket;
    }
    let shift = bucket / steps - 1;
    let low = (steps + bucket % steps) << shift;
    low + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Word = Word {
        at: 0,
        kind: packet_type::RPC,
        status: status::EOM,
        first: true,
        complete: true,
    };

    fn reply(at: u64) -> Word {
        Word {
            at,
            kind: packet_type::TABULAR_RESULT,
            ..WHOLE
        }
    }

    #[test]
    fn a_record_reads_back_what_its_layout_holds() {
        let mut bytes = [0; Tally::SIZE];
        bytes[8..16].copy_from_slice(&7_u64.to_ne_bytes());
        bytes[Tally::SIZE - 4..].copy_from_slice(&9_u32.to_ne_bytes());
        let tally = Tally::read(&bytes).unwrap();
        let mut written = Vec::new();
        tally.write(&mut |piece| written.extend_from_slice(piece));
        assert_eq!(written, bytes);
        assert_eq!((tally.sums.rpc, tally.times[BUCKETS - 1]), (7, 9));
        assert_eq!(Tally::read(&bytes[..Tally::SIZE - 1]), None);
    }

    #[test]
    fn a_response_adds_the_time_to_its_first_byte() {
        let mut tally = Tally::default();
        for turn in 1..=3 {
            let at = turn * 1_000_000;
            tally.asked(&Word { at, ..WHOLE });
            assert!(tally.is_open());
            let begins = Word {
                status: 0,
                ..reply(at + 50_000)
            };
            tally.answered(&begins, 0);
            tally.answered(&reply(at + 90_000), 0);
            assert!(!tally.is_open());
        }
        assert_eq!((tally.sums.rpc, tally.sums.max), (3, 50_000));
        assert_eq!(tally.in_use().collect::<Vec<_>>(), [(bucket(50_000), 3)]);
    }

    #[test]
    fn inside_tls_the_client_asks_until_the_server_speaks() {
        let mut tally = Tally::default();
        let sealed = Word {
            kind: 0,
            status: 0,
            ..WHOLE
        };
        for at in [1000, 2000, 3000] {
            tally.asked(&Word { at, ..sealed });
        }
        tally.answered(&Word { at: 9000, ..sealed }, 4000);
        assert!(tally.is_open(), "more of it may come");
        tally.asked(&Word {
            at: 20_000,
            ..sealed
        });
        assert_eq!((tally.sums.other, tally.sums.max), (2, 5000));
    }

    #[test]
    fn an_attention_takes_back_what_is_at_hand() {
        let mut tally = Tally::default();
        tally.asked(&WHOLE);
        let attention = Word {
            at: 5,
            kind: packet_type::ATTENTION,
            ..WHOLE
        };
        tally.asked(&attention);
        let sums = &tally.sums;
        assert_eq!((sums.rpc, sums.attention, sums.cancelled), (1, 1, 5));
        tally.answered(&reply(9), 0);
        assert!(!tally.is_open());
    }

    #[test]
    fn no_time_is_out_of_place() {
        let mut tally = Tally::default();
        for nanos in [0, 512, 1024, 1 << 45, u64::MAX] {
            tally.add(nanos);
        }
        assert_eq!(tally.times.iter().sum::<u32>(), 5);
        assert_eq!((tally.times[0], tally.times[8]), (2, 1));
        assert_eq!((tally.times[BUCKETS - 1], tally.sums.max), (2, u64::MAX));
    }

    #[test]
    fn every_bucket_is_within_a_sixteenth() {
        for value in [1, 7, 8, 1000, 123_456_789, 14_000_000_000, u64::MAX / 2] {
            let estimate = middle(bucket(value));
            let off = estimate.abs_diff(value);
            assert!(off <= value / 16 + 1, "{value} {estimate}");
        }
    }
}
