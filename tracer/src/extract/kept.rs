//! What one direction of a connection has told of late: the only bytes of its stream that are written.

use std::collections::VecDeque;

use tracer_ebpf::seq::{Seq, Span};

use super::names::Names;

/// Parts remembered, for packets that are sent again.
const MOST_PARTS: usize = 256;
/// Bytes of them.
const MOST_BYTES: usize = 64 * 1024;

/// Parts of the stream, the youngest last.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    parts: VecDeque<(Seq, Vec<u8>)>,
    bytes: usize,
    names: Names,
}

impl Kept {
    /// Remembers a part of the stream, as far as a packet's payload that begins at `start` has it.
    pub(crate) fn add(&mut self, told: Span, start: Seq, payload: &[u8]) {
        let from = told.from.max(start);
        let at = from.since(start).cast_unsigned() as usize;
        let len = Span { from, to: told.to }.len() as usize;
        let Some(bytes) = payload.get(at..) else {
            return;
        };
        let bytes = &bytes[..bytes.len().min(len)];
        self.names.learn(from, bytes);
        for (from, bytes) in self.names.without(from, bytes) {
            self.bytes += bytes.len();
            self.parts.push_back((from, bytes.to_vec()));
        }
        while self.parts.len() > MOST_PARTS || self.bytes > MOST_BYTES {
            let Some((_, first)) = self.parts.pop_front() else {
                break;
            };
            self.bytes -= first.len();
        }
    }

    /// Writes into a payload that begins at `start` what is remembered of it, over zeros. How many bytes that is.
    pub(crate) fn show(&self, start: Seq, payload: &mut [u8]) -> usize {
        payload.fill(0);
        let mut shown = vec![false; payload.len()];
        for (from, bytes) in &self.parts {
            let at = from.since(start);
            let skipped = at.min(0).unsigned_abs() as usize;
            let at = at.max(0).cast_unsigned() as usize;
            let bytes = bytes.get(skipped..).unwrap_or_default();
            let Some(room) = payload.get_mut(at..) else {
                continue;
            };
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            shown[at..at + len].fill(true);
        }
        shown.into_iter().filter(|shown| *shown).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u32, to: u32) -> Span {
        Span {
            from: Seq(from),
            to: Seq(to),
        }
    }

    #[test]
    fn what_was_not_told_is_zero_also_where_it_is_sent_again() {
        let mut kept = Kept::default();
        kept.add(span(98, 103), Seq(100), b"headSECRET");
        kept.add(span(109, 120), Seq(100), b"headSECRET");
        let mut payload = *b"headSECRET";
        assert_eq!(kept.show(Seq(100), &mut payload), 4);
        assert_eq!(&payload, b"hea\0\0\0\0\0\0T");
        let mut again = *b"xxSECRETSECR";
        assert_eq!(kept.show(Seq(102), &mut again), 2);
        assert_eq!(&again, b"a\0\0\0\0\0\0T\0\0\0\0");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_sequence_numbers_wrap() {
        let mut kept = Kept::default();
        for number in 0..10_000_u32 {
            let at = u32::MAX.wrapping_add(number * 1000);
            kept.add(span(at, at.wrapping_add(900)), Seq(at), &[7; 1000]);
        }
        assert!(kept.bytes <= MOST_BYTES && kept.parts.len() <= MOST_PARTS);
        let mut kept = Kept::default();
        kept.add(span(u32::MAX, 2), Seq(u32::MAX), b"abcdef");
        let mut payload = *b"......";
        kept.show(Seq(u32::MAX - 1), &mut payload);
        assert_eq!(&payload, b"\0abc\0\0");
    }
}
