//! What of a direction's stream was passed over, and may still come.

use crate::seq::{Seq, Span};

/// Holes remembered at once: a window of five segments has no more, in whatever order they come.
pub const MAX_HOLES: usize = 4;
/// All of them are open.
const ALL: u8 = (1 << MAX_HOLES) - 1;

/// The holes of one direction, in no order.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Holes {
    spans: [Span; MAX_HOLES],
    /// One bit for each that is open.
    open: u8,
    /// One bit for each behind which a message has begun: what is secret in it is not known any more.
    blind: u8,
    /// Fills up.
    reserved: [u8; 2],
}

/// What a segment brings of the holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// So many bytes of them.
    pub bytes: u32,
    /// So many bytes before the first of those.
    pub before: u32,
    /// Whether what is secret in it is not known.
    pub blind: bool,
}

// Results go through one number, since a function that the kernel calls returns no more; and such a
// function is verified by itself, which spares the programs all the ways through it.
const BLIND: u64 = 1 << 63;

impl Holes {
    /// Whether nothing is missing.
    #[inline(always)]
    pub const fn are_none(&self) -> bool {
        self.open == 0
    }

    /// Whether some of `span` is missing.
    #[inline(never)]
    pub fn overlap(&self, span: Span) -> bool {
        let open = |index: usize| self.open >> index & 1 != 0;
        (0..MAX_HOLES).any(|index| open(index) && span.overlaps(self.spans[index]))
    }

    /// Leaves a hole behind all others. Where there are too many already, the last of them reaches on
    /// to its end: what passed between the two then counts as missing too.
    #[inline(never)]
    pub fn leave(&mut self, from: Seq, to: Seq) {
        if self.open != ALL {
            self.add(Span { from, to }, 0);
            return;
        }
        let mut last = 0;
        for index in 1..MAX_HOLES {
            if self.spans[index].to.after(self.spans[last & 3].to) {
                last = index;
            }
        }
        self.spans[last & 3].to = to;
    }

    /// Takes what a segment with these positions brings out of the holes.
    #[inline(always)]
    pub fn fill(&mut self, carried: Span) -> Filled {
        let filled = self.take(carried.from, carried.to);
        Filled {
            bytes: filled as u32,
            before: (filled >> 32) as u32 & 0x7FFF_FFFF,
            blind: filled & BLIND != 0,
        }
    }

    #[inline(never)]
    fn take(&mut self, carried_from: Seq, carried_to: Seq) -> u64 {
        let (mut bytes, mut first, mut blind) = (0, carried_to, 0);
        let (mut split, mut split_blind) = (Span::default(), 0);
        for index in 0..MAX_HOLES {
            let hole = self.spans[index];
            let taken = Span {
                from: hole.from.max(carried_from),
                to: hole.to.min(carried_to),
            };
            if self.open >> index & 1 == 0 || taken.is_empty() {
                continue;
            }
            bytes += taken.len();
            first = first.min(taken.from);
            let is_blind = self.blind >> index & 1;
            blind |= is_blind;
            let (before, behind) = (taken.from.after(hole.from), hole.to.after(taken.to));
            if before && behind {
                // Without a place for the part before, it stays whole: told twice is not lost.
                if self.open != ALL {
                    self.spans[index].from = taken.to;
                    split = Span {
                        from: hole.from,
                        to: taken.from,
                    };
                    split_blind = is_blind;
                }
            } else if before {
                self.spans[index].to = taken.from;
            } else if behind {
                self.spans[index].from = taken.to;
            } else {
                self.open &= !(1 << index);
            }
        }
        if !split.is_empty() {
            self.add(split, split_blind);
        }
        let before = first.since(carried_from).max(0).cast_unsigned();
        u64::from(bytes) | u64::from(before) << 32 | if blind != 0 { BLIND } else { 0 }
    }

    /// A message begins at this position: what is secret in the holes before it is not known.
    #[inline(never)]
    pub fn pass_header(&mut self, position: Seq) {
        for index in 0..MAX_HOLES {
            if self.open >> index & 1 != 0 && self.spans[index].from.before(position) {
                self.blind |= 1 << index;
            }
        }
    }

    #[inline(always)]
    fn add(&mut self, hole: Span, blind: u8) {
        for index in 0..MAX_HOLES {
            if self.open >> index & 1 == 0 {
                self.spans[index] = hole;
                self.open |= 1 << index;
                self.blind = self.blind & !(1 << index) | blind << index;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u32, to: u32) -> Span {
        let at = |position: u32| Seq((u32::MAX - 40).wrapping_add(position));
        Span {
            from: at(from),
            to: at(to),
        }
    }

    fn with(holes: &[(u32, u32)]) -> Holes {
        let mut all = Holes::default();
        for (from, to) in holes {
            let hole = span(*from, *to);
            all.leave(hole.from, hole.to);
        }
        all
    }

    fn missing(holes: &Holes) -> Vec<u32> {
        (0..100)
            .filter(|at| holes.overlap(span(*at, at + 1)))
            .collect()
    }

    #[test]
    fn a_segment_takes_out_what_it_brings_and_leaves_the_rest() {
        for (from, to, bytes, before) in [
            (0, 5, 0, 5),
            (10, 20, 10, 0),
            (5, 15, 5, 5),
            (12, 15, 3, 0),
            (15, 45, 15, 0),
            (22, 28, 0, 6),
            (0, 60, 20, 10),
        ] {
            let mut holes = with(&[(10, 20), (30, 40)]);
            let left: Vec<_> = missing(&holes)
                .into_iter()
                .filter(|at| *at < from || *at >= to)
                .collect();
            let filled = holes.fill(span(from, to));
            assert_eq!(
                (filled.bytes, filled.before),
                (bytes, before),
                "{from}..{to}"
            );
            assert_eq!(missing(&holes), left, "{from}..{to}");
        }
    }

    #[test]
    fn of_more_holes_than_are_remembered_nothing_is_lost() {
        let mut holes = with(&[(0, 5), (10, 15), (20, 25), (30, 35), (40, 45)]);
        assert_eq!(missing(&holes).len(), 15 + 15);
        holes.fill(span(32, 33));
        assert!(
            holes.overlap(span(32, 33)),
            "there is no place for two parts"
        );
        for (from, to) in [(0, 5), (10, 15), (20, 25), (30, 45)] {
            holes.fill(span(from, to));
        }
        assert!(holes.are_none());
    }

    #[test]
    fn only_the_holes_before_a_message_are_blind() {
        let mut holes = with(&[(0, 5), (20, 25)]);
        holes.pass_header(span(10, 10).from);
        assert!(holes.fill(span(1, 2)).blind);
        assert!(holes.fill(span(0, 1)).blind && holes.fill(span(2, 5)).blind);
        assert!(!holes.fill(span(20, 25)).blind);
        holes.leave(span(50, 0).from, span(0, 60).to);
        assert!(!holes.fill(span(50, 60)).blind, "a new hole is not");
    }
}
