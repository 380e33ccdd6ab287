//! Numbers that look drawn by chance and are the same in every run.

/// One that follows from `seed` and `index` alone (`SplitMix64`'s finaliser, after Steele, Lea and Flood 2014).
pub(super) const fn number(seed: u64, index: u64) -> u64 {
    let mut value = seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Draws one number after the other.
pub(super) struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    /// Those of `seed`'s thing number `index`.
    pub(super) const fn new(seed: u64, index: u64) -> Self {
        Self {
            seed: number(seed, index),
            drawn: 0,
        }
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.drawn += 1;
        number(self.seed, self.drawn)
    }

    /// One below `bound`.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A time about `usual` that is never below half of it and has a long tail: one in eight is twice
    /// as long, one in sixty-four four times.
    pub(super) const fn about(&mut self, usual: u64) -> u64 {
        let number = self.next();
        let spread = usual / 2 + number % (usual + 1);
        match number >> 58 {
            0 => spread * 4,
            1..=7 => spread * 2,
            _ => spread,
        }
    }
}
