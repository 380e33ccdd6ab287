//! Reading a packet's bytes, whoever holds them.

/// A packet, read by offset. The kernel half implements it over an `skb`, replay over a slice.
///
/// Offsets count from where the packet starts for the reader: the link layer's header where the
/// device has one, else the network layer's.
pub trait Bytes {
    /// The `N` bytes at `at`, or `None` where the packet (as captured) ends before them.
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]>;

    /// Up to 8 bytes at `at`, and how many there are; those that are not are 0.
    #[inline(always)]
    fn load_some(&self, at: u32, len: u32) -> ([u8; 8], u32) {
        let mut bytes = [0; 8];
        for index in 0..len.min(8) {
            let Some([byte]) = self.load(at.wrapping_add(index)) else {
                return (bytes, index);
            };
            bytes[index as usize] = byte;
        }
        (bytes, len.min(8))
    }

    /// How many bytes the packet has from its start, also where they cannot be read.
    fn len(&self) -> u32;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Bytes for [u8] {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        self.get(at as usize..)?.first_chunk().copied()
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        u32::try_from(<[u8]>::len(self)).unwrap_or(u32::MAX)
    }
}

/// A captured packet of which only the first bytes were kept (a snap length): lengths come from
/// what was on the wire, bytes from what was kept.
#[derive(Clone, Copy, Debug)]
pub struct Snapped<'a> {
    /// The bytes that were kept.
    pub kept: &'a [u8],
    /// How many there were on the wire.
    pub wire_len: u32,
}

impl Bytes for Snapped<'_> {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        self.kept.load(at)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.wire_len
    }
}
