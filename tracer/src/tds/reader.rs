//! Bounds-checked reading: every access answers `None` instead of running past the end.

/// A position in a message that only moves forward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A reader of `bytes` that starts `at` bytes in.
    pub(super) fn starting_at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = slice(self.bytes, self.at, len)?;
        self.at += len;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u16_be(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// `B_VARCHAR` (MS-TDS 2.2.5.1.1): a length in characters in one byte, then UTF-16.
    pub(super) fn b_varchar(&mut self) -> Option<String> {
        let chars = self.u8()?;
        self.take(2 * usize::from(chars)).map(utf16)
    }

    /// `US_VARCHAR` (MS-TDS 2.2.5.1.1): a length in characters in two bytes, then UTF-16.
    pub(super) fn us_varchar(&mut self) -> Option<String> {
        let chars = self.u16()?;
        self.take(2 * usize::from(chars)).map(utf16)
    }
}

/// `len` bytes from `at`, or `None` when they are not all there.
pub(super) fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// UTF-16LE text; what is not UTF-16 becomes U+FFFD, and an odd last byte is dropped.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    if pairs.iter().all(|[low, high]| low.is_ascii() && *high == 0) {
        return pairs.iter().map(|[low, _]| char::from(*low)).collect();
    }
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    // Nearly always as long, and never grown from nothing.
    let mut text = String::with_capacity(bytes.len() / 2);
    text.extend(char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_end_gives_nothing_and_does_not_move() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), None);
        assert_eq!(reader.u16(), Some(0x0201));
        assert_eq!(reader.u16_be(), None);
        assert_eq!(reader.u8(), Some(3));
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn an_offset_near_the_end_of_memory_does_not_overflow() {
        assert_eq!(slice(&[0; 4], usize::MAX, 2), None);
        assert_eq!(Reader::starting_at(&[0; 4], usize::MAX).remaining(), 0);
    }

    #[test]
    fn a_lone_surrogate_becomes_a_replacement_character() {
        assert_eq!(utf16(&[0x41, 0, 0x00, 0xD8, 0x42, 0, 0x43]), "A\u{FFFD}B");
    }
}
