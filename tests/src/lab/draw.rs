//! Chance that can be had again: numbers from a seed.

use std::ops::RangeInclusive;

/// A row of numbers that look drawn by chance, the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The row of a seed, and of whatever else tells rows apart.
    pub(crate) fn new(seed: u64, name: &str, number: u64) -> Self {
        let mut draw = Self(seed);
        for part in name.bytes().map(u64::from).chain([number]) {
            draw.0 = draw.next() ^ part;
        }
        draw
    }

    /// `SplitMix64` (Steele, Lea and Flood: Fast splittable pseudorandom number generators).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of these numbers.
    pub(crate) fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (least, most) = range.into_inner();
        least + self.next() % (most - least + 1)
    }

    /// One of these.
    ///
    /// # Panics
    /// Where there is none.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.number(0..=of.len() as u64 - 1) as usize]
    }

    /// Whether it is, so many times of a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.number(0..=99) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_does_not() {
        let row = |seed, name, number| {
            let mut draw = Draw::new(seed, name, number);
            [(); 8].map(|()| draw.number(10..=1_000_000))
        };
        assert_eq!(row(1, "a", 1), row(1, "a", 1));
        let others = [row(2, "a", 1), row(1, "b", 1), row(1, "a", 2)];
        assert!(others.iter().all(|other| *other != row(1, "a", 1)));
        assert!(row(1, "a", 1).iter().all(|number| *number >= 10));
    }
}
