//! Records on their way to the agent.

use core::{
    ffi::c_long,
    mem::offset_of,
    ptr::{from_ref, read_volatile},
};

use aya_ebpf::{
    bindings::{__sk_buff, BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE},
    helpers::{bpf_ringbuf_output, bpf_ringbuf_query, bpf_skb_load_bytes},
};
use tracer_ebpf::{
    event::{Event, Kind},
    loss::LossReason,
    observe::{
        Runs, Sink, Told,
        login::{MAX_RUN, MAX_RUNS},
    },
    short::{self, ShortHeader, ShortSyn},
    tally::Tally,
};

use super::{
    maps::{self, EVENTS},
    scratch::Record,
    skb::Skb,
    tallies::Kept,
    wake,
};

/// The ring buffer, and the memory that records are laid out in.
pub(super) struct Ring {
    pub(super) record: *mut Record,
    /// Where the connection's requests are counted; null where they are not.
    pub(super) tally: *mut Kept,
    /// There was no room for a lone event, which is still to be counted.
    pub(super) is_full: bool,
}

impl Sink<Skb> for Ring {
    #[inline(always)]
    fn tell(&mut self, event: &Event, packet: &Skb, at: u32) {
        // SAFETY: the record is this processor's scratch memory.
        unsafe { (*self.record).event = *event };
        if send_with_run(packet.skb, self.record, at) < 0 {
            maps::lose(LossReason::RingFull);
        }
    }

    #[inline(always)]
    fn relate(&mut self, told: &Told<'_>, packet: &Skb, at: u32) {
        if relate(told, packet.skb, self.record, at) < 0 {
            maps::lose(LossReason::RingFull);
        }
    }

    #[inline(always)]
    fn relate_lone(&mut self, told: &Told<'_>, _packet: &Skb) {
        // SAFETY: the record is this processor's scratch memory, and long enough for a short one too.
        let size = unsafe {
            if told.is_short_syn() {
                told.lay_out_syn(&mut *self.record.cast::<ShortSyn>());
                short::SIZE
            } else {
                told.lay_out(&mut (*self.record).event);
                Event::SIZE
            }
        };
        self.is_full = output(self.record, size as u64) < 0;
    }

    #[inline(always)]
    fn relate_parts(&mut self, told: &Told<'_>, packet: &Skb, runs: &Runs) {
        if relate_parts(told, packet.skb, self.record, runs) < 0 {
            maps::lose(LossReason::RingFull);
        }
    }

    #[inline(always)]
    fn tally(&mut self) -> Option<&mut Tally> {
        // SAFETY: a map's value, which outlives the program's run; its connection has no other meanwhile.
        unsafe { self.tally.as_mut() }.map(|kept| &mut kept.tally)
    }

    #[inline(always)]
    fn relate_tally(&mut self, told: &Told<'_>) {
        if self.tally.is_null() || relate_tally(told, self.tally, self.record) < 0 {
            maps::lose(LossReason::RingFull);
        }
    }

    #[inline(always)]
    fn lose(&mut self, reason: LossReason) {
        maps::lose(reason);
    }
}

/// Kept apart as [`relate`] is.
#[inline(never)]
fn relate_tally(told: &Told<'_>, tally: *mut Kept, record: *const Record) -> c_long {
    // SAFETY: the tally was just looked up, and has no padding; the record is this processor's.
    unsafe {
        told.lay_out(&mut (*tally).event);
        bpf_ringbuf_output(
            from_ref(&EVENTS).cast_mut().cast(),
            tally.cast(),
            size_of::<Kept>() as u64,
            wake::packet((*record).ingress != 0),
        )
    }
}

/// Kept apart, so that the verifier walks it once for each place that tells.
#[inline(never)]
fn relate(told: &Told<'_>, skb: *mut __sk_buff, record: *mut Record, at: u32) -> c_long {
    // SAFETY: the record is this processor's scratch memory, and long enough for a short one too.
    unsafe {
        match layout(told) {
            HEADER if !has_room() => return -1,
            HEADER => told.lay_out_header(&mut *record.cast::<ShortHeader>()),
            SYN => told.lay_out_syn(&mut *record.cast::<ShortSyn>()),
            _ => {
                told.lay_out(&mut (*record).event);
                return send_with_run(skb, record, at);
            }
        }
    }
    output(record, short::SIZE as u64)
}

/// Told by a [`ShortHeader`].
const HEADER: u32 = 1;
/// Told by a [`ShortSyn`].
const SYN: u32 = 2;

/// By what it is told. Kept apart, or the verifier would walk all that follows once for each of its conditions.
#[inline(never)]
fn layout(told: &Told<'_>) -> u32 {
    if told.is_short_header() {
        HEADER
    } else if told.is_short_syn() {
        SYN
    } else {
        0
    }
}

/// So that a mask bounds a run's length, which the verifier follows.
const _: () = assert!(MAX_RUN.is_power_of_two());

/// Sends the record with its bytes of the packet.
#[inline(always)]
fn send_with_run(skb: *mut __sk_buff, record: *mut Record, at: u32) -> c_long {
    // SAFETY: just written.
    let kind = unsafe { read_volatile(&raw const (*record).event.kind) };
    if is_of_requests(kind) && !has_room() {
        return -1;
    }
    // SAFETY: just written. Volatile, so that the compiler knows no more of it than the verifier.
    let len = unsafe { read_volatile(&raw const (*record).event.run_len) };
    let mut size = Event::SIZE as u64;
    if len != 0 {
        let len = (len.wrapping_sub(1) & (MAX_RUN - 1)) + 1;
        // SAFETY: `run` has room for `MAX_RUN` bytes.
        let failed =
            unsafe { bpf_skb_load_bytes(skb.cast(), at, (&raw mut (*record).run).cast(), len) } < 0;
        if failed {
            maps::lose(LossReason::HeaderUnreadable);
            // SAFETY: as above.
            unsafe { (*record).event.run_len = 0 };
        } else {
            size += u64::from(len);
        }
    }
    output(record, size)
}

/// Kept apart as [`relate`] is.
#[inline(never)]
fn relate_parts(told: &Told<'_>, skb: *mut __sk_buff, record: *mut Record, runs: &Runs) -> c_long {
    // SAFETY: the record is this processor's scratch memory.
    told.lay_out(unsafe { &mut (*record).event });
    let count = runs.count();
    // SAFETY: as above. It is kept in memory, of which the verifier remembers nothing: it would follow each sum
    // of lengths anew.
    let filled = unsafe {
        let filled = &raw mut (*record).filled;
        filled.write_volatile(count * Event::SPAN as u32);
        filled
    };
    for index in 0..MAX_RUNS {
        if index as u32 >= count {
            break;
        }
        let run = runs.run(index);
        // SAFETY: `run` has room for the places of all runs, and begins where a `u32` may.
        unsafe {
            let place = record.byte_add(offset_of!(Record, run) + Event::SPAN * index);
            let place = place.cast::<u32>();
            place.write(run.from.0);
            place.add(1).write(run.to.0);
        }
        let len = core::hint::black_box(run.len());
        if len == 0 {
            continue;
        }
        let bounded = (len.wrapping_sub(1) & (MAX_RUN - 1)) + 1;
        let at = told.offset(run.from);
        // SAFETY: `run` has room for `MAX_RUN` bytes from any place before `MAX_RUN`.
        let failed = unsafe {
            let to = filled.read_volatile();
            filled.write_volatile(to.wrapping_add(len));
            let room = (&raw mut (*record).run).cast::<u8>();
            let room = room.add((to & (MAX_RUN - 1)) as usize);
            bpf_skb_load_bytes(skb.cast(), at, room.cast(), bounded)
        } < 0;
        if failed {
            maps::lose(LossReason::HeaderUnreadable);
            // SAFETY: as above.
            unsafe {
                (*record).event.parts = 0;
                (*record).event.run_len = 0;
            }
            return output(record, Event::SIZE as u64);
        }
    }
    // SAFETY: as above.
    let to = unsafe { filled.read_volatile() } & (MAX_RUN - 1);
    output(record, Event::SIZE as u64 + u64::from(to))
}

/// Hands the first `size` bytes of a record over, which are initialised.
#[inline(always)]
fn output(record: *mut Record, size: u64) -> c_long {
    // SAFETY: `size` bytes of the record are initialised; the record is this processor's.
    unsafe {
        bpf_ringbuf_output(
            from_ref(&EVENTS).cast_mut().cast(),
            record.cast(),
            size,
            wake::packet((*record).ingress != 0),
        )
    }
}

/// Whether a record is of a connection whose login is decided.
#[inline(always)]
const fn is_of_requests(kind: u8) -> bool {
    kind == Kind::Header as u8 || kind == Kind::End as u8
}

/// Whether there is room for what may be left out: the last quarter is the logins'.
#[inline(always)]
pub(super) fn has_room() -> bool {
    let ring = from_ref(&EVENTS).cast_mut().cast();
    // SAFETY: the map is a ring buffer.
    let (used, size) = unsafe {
        (
            bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into()),
            bpf_ringbuf_query(ring, BPF_RB_RING_SIZE.into()),
        )
    };
    used < size / 4 * 3
}

/// Sends a record that has no bytes behind it; whether there was room.
#[inline(always)]
pub(super) fn send<T>(record: &T, flags: u64) -> bool {
    // SAFETY: the records have no padding, so all bytes are initialised.
    let sent = unsafe {
        bpf_ringbuf_output(
            from_ref(&EVENTS).cast_mut().cast(),
            from_ref(record).cast_mut().cast(),
            size_of::<T>() as u64,
            flags,
        )
    };
    sent == 0
}

/// The same, and counts it where there was none.
#[inline(always)]
pub(super) fn send_or_lose<T>(record: &T, flags: u64) {
    if !send(record, flags) {
        maps::lose(LossReason::RingFull);
    }
}
