//! A packet's bytes, where the kernel has them.

use core::mem::MaybeUninit;

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_skb_load_bytes};
use tracer_ebpf::bytes::Bytes;

/// Where headers may start: farther on than any chain of headers that is walked, and little enough
/// for the verifier to follow.
const MAX_OFFSET: u32 = 0x1FFF;

/// The linear part of a packet, read in place.
pub(super) struct Linear {
    data: usize,
    data_end: usize,
    len: u32,
}

impl Linear {
    #[inline(always)]
    pub(super) fn of(skb: *mut __sk_buff) -> Self {
        // SAFETY: reads the context.
        unsafe {
            Self {
                data: (*skb).data as usize,
                data_end: (*skb).data_end as usize,
                len: (*skb).len,
            }
        }
    }

    /// Whether the packet goes on behind it.
    #[inline(always)]
    pub(super) fn is_partial(&self) -> bool {
        (self.len as usize) > self.data_end - self.data
    }
}

impl Bytes for Linear {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        if at > MAX_OFFSET {
            return None;
        }
        let start = self.data + at as usize;
        if start + N > self.data_end {
            return None;
        }
        // SAFETY: just checked against the end of the packet; the verifier insists on it.
        Some(unsafe { read(start) })
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.len
    }
}

/// Reads bytes in the widest units they divide into: the compiler would take them one by one.
///
/// # Safety
/// `N` bytes at `start` are the packet's. They need not be aligned: where the machine minds that,
/// the verifier refuses the program.
#[inline(always)]
unsafe fn read<const N: usize>(start: usize) -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: by the caller.
    unsafe {
        if N.is_multiple_of(4) {
            for word in 0..N / 4 {
                let value = *((start + 4 * word) as *const u32);
                bytes[4 * word..][..4].copy_from_slice(&value.to_ne_bytes());
            }
        } else if N == 2 {
            bytes[..2].copy_from_slice(&(*(start as *const u16)).to_ne_bytes());
        } else {
            bytes = (start as *const [u8; N]).read_unaligned();
        }
    }
    bytes
}

/// A whole packet, read through the kernel.
pub(super) struct Skb {
    /// The context.
    pub(super) skb: *mut __sk_buff,
}

impl Skb {
    #[inline(always)]
    pub(super) const fn of(skb: *mut __sk_buff) -> Self {
        Self { skb }
    }
}

impl Bytes for Skb {
    #[inline(always)]
    fn load<const N: usize>(&self, at: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the helper checks the offset and writes all `N` bytes, or fails.
        unsafe {
            if bpf_skb_load_bytes(self.skb.cast(), at, bytes.as_mut_ptr().cast(), N as u32) < 0 {
                return None;
            }
            Some(bytes.assume_init())
        }
    }

    /// In one call: a loop over bytes would cost the verifier dear.
    #[inline(always)]
    fn load_some(&self, at: u32, len: u32) -> ([u8; 8], u32) {
        let mut bytes = [0; 8];
        if len == 0 {
            return (bytes, 0);
        }
        // The verifier must see the mask that the compiler, knowing better, would leave out.
        let len = (core::hint::black_box(len.min(8) - 1) & 7) + 1;
        // SAFETY: the helper checks the offset and writes `len` bytes, of which there is room for
        // 8, or fails.
        let failed =
            unsafe { bpf_skb_load_bytes(self.skb.cast(), at, bytes.as_mut_ptr().cast(), len) } < 0;
        if failed {
            return ([0; 8], 0);
        }
        (bytes, len)
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: reads the context.
        unsafe { (*self.skb).len }
    }
}
