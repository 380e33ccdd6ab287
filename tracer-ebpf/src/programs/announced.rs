//! The ports that SQL Browser announces: they are watched before the client that has asked can connect there.

use core::mem::offset_of;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::bpf_skb_load_bytes,
    macros::{cgroup_skb, map},
    maps::Array,
    programs::SkBuffContext,
};
use tracer_ebpf::datagram::MAX_ANSWER;

use super::{
    candidate, maps,
    scratch::{self, Record, Scratch},
    verdict::PASS,
};

/// The least that comes before what is said: the headers of IPv4 and UDP.
const HEADERS: u32 = 20 + 8;
/// Comes before a port (MC-SQLR section 2.2.5).
const TCP: u32 = u32::from_be_bytes(*b"tcp;");
/// Instances of one answer whose ports are watched.
const MAX_PLACES: u32 = 16;
/// A port's digits.
const MAX_DIGITS: u32 = 5;
/// Ports that may be announced in a run.
const MAX_ANNOUNCED: u64 = 1024;

/// Ports that are watched since they were announced.
#[map]
static ANNOUNCED: Array<u64> = Array::with_max_entries(1, 0);

/// An answer of SQL Browser is on its way.
#[cgroup_skb]
pub fn tds_announced(ctx: SkBuffContext) -> i32 {
    if let Some(scratch) = scratch::take(ctx.skb.skb) {
        read(ctx.skb.skb, scratch);
        scratch::give_back(ctx.skb.skb);
    }
    PASS
}

#[inline(always)]
fn read(skb: *mut __sk_buff, scratch: *mut Scratch) -> Option<()> {
    // SAFETY: the scratch memory is this packet's, and `run` longer than an answer.
    unsafe {
        let run = (&raw mut (*scratch).record.run).cast::<u8>();
        let len = core::hint::black_box((*skb).len.min(MAX_ANSWER));
        let len = (len.wrapping_sub(1) & (MAX_ANSWER - 1)) + 1;
        if bpf_skb_load_bytes(skb.cast(), 0, run.cast(), len) < 0 {
            return None;
        }
        // In memory, of which the verifier remembers nothing: it would follow each of them anew.
        let count = &raw mut (*scratch).record.filled;
        let room = (&raw mut (*scratch).record)
            .byte_add(offset_of!(Record, run) + 2 * MAX_ANSWER as usize);
        let places = room.cast::<u32>();
        count.write_volatile(0);
        let mut last = 0_u32;
        for at in HEADERS..MAX_ANSWER {
            if at >= len {
                break;
            }
            last =
                core::hint::black_box(last << 8 | u32::from(run.add(at as usize).read_volatile()));
            if last == TCP {
                let found = count.read_volatile();
                count.write_volatile(found.wrapping_add(1));
                places
                    .add((found & (MAX_PLACES - 1)) as usize)
                    .write_volatile(at + 1);
            }
        }
        for index in 0..MAX_PLACES {
            if index >= count.read_volatile() {
                break;
            }
            let at = places.add(index as usize).read_volatile();
            if let Some(port) = port(run, at, len) {
                announce(port);
            }
        }
    }
    Some(())
}

/// The number that ends in a semicolon, if it is a port.
///
/// # Safety
/// `run` has room for an answer, and as much again.
#[inline(always)]
unsafe fn port(run: *const u8, at: u32, len: u32) -> Option<u16> {
    let mut port = 0_u32;
    for digit in 0..=MAX_DIGITS {
        if at + digit >= len {
            return None;
        }
        // SAFETY: by the caller.
        let byte = unsafe {
            run.add(((at & (MAX_ANSWER - 1)) + digit) as usize)
                .read_volatile()
        };
        if byte == b';' {
            return u16::try_from(port).ok().filter(|port| *port != 0);
        }
        let value = u32::from(byte).wrapping_sub(u32::from(b'0'));
        if value > 9 {
            return None;
        }
        port = core::hint::black_box(port * 10 + value);
    }
    None
}

#[inline(always)]
fn announce(port: u16) {
    if maps::is_watched(port) || !candidate::are_asked_for() {
        return;
    }
    let Some(count) = ANNOUNCED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: an array's memory is never unmapped.
    if unsafe { count.read_volatile() } < MAX_ANNOUNCED {
        maps::add(count, 1);
        maps::watch(port);
    }
}
