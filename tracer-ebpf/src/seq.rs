//! TCP sequence numbers, which wrap (RFC 793 §3.3).

/// A TCP sequence number: a position in one direction's stream, modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// The position `len` bytes further back.
    #[inline(always)]
    #[must_use]
    pub const fn back(self, len: u32) -> Self {
        Self(self.0.wrapping_sub(len))
    }

    /// The position `len` bytes further on.
    #[inline(always)]
    #[must_use]
    pub const fn add(self, len: u32) -> Self {
        Self(self.0.wrapping_add(len))
    }

    /// How far `self` is after `earlier`; negative where it is before it.
    #[inline(always)]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` is at or after `other`.
    #[inline(always)]
    pub const fn at_or_after(self, other: Self) -> bool {
        self.since(other) >= 0
    }

    /// Whether `self` is after `other`.
    #[inline(always)]
    pub const fn after(self, other: Self) -> bool {
        self.since(other) > 0
    }

    /// Whether `self` is before `other`.
    #[inline(always)]
    pub const fn before(self, other: Self) -> bool {
        self.since(other) < 0
    }

    /// The later of two positions.
    #[inline(always)]
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.after(other) { self } else { other }
    }

    /// The earlier of two positions.
    #[inline(always)]
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }
}

/// Positions `from` (included) to `to` (excluded) of one direction's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Span {
    /// First position.
    pub from: Seq,
    /// One past the last position.
    pub to: Seq,
}

impl Span {
    /// Whether it holds no position.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        !self.to.after(self.from)
    }

    /// How many positions it holds.
    #[inline(always)]
    pub const fn len(self) -> u32 {
        if self.is_empty() {
            0
        } else {
            self.to.since(self.from).cast_unsigned()
        }
    }

    /// Whether it shares a position with `other`.
    #[inline(always)]
    pub const fn overlaps(self, other: Self) -> bool {
        // An empty one would seem to lie within a span around it.
        !other.is_empty() && self.from.before(other.to) && other.from.before(self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        let before = Seq(u32::MAX - 3);
        let after = before.add(10);
        assert_eq!(after, Seq(6));
        assert!(after.after(before) && before.before(after));
        assert_eq!(after.since(before), 10);
        assert_eq!(
            Span {
                from: before,
                to: after
            }
            .len(),
            10
        );
    }

    #[test]
    fn no_span_overlaps_an_empty_one() {
        let around_zero = Span {
            from: Seq(u32::MAX - 5),
            to: Seq(5),
        };
        assert!(!around_zero.overlaps(Span::default()));
        assert!(around_zero.overlaps(Span {
            from: Seq(4),
            to: Seq(9)
        }));
    }

    #[test]
    fn a_span_that_ends_before_it_starts_is_empty() {
        let span = Span {
            from: Seq(10),
            to: Seq(4),
        };
        assert!(span.is_empty());
        assert_eq!(span.len(), 0);
    }
}
