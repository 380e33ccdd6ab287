//! How many SYNs may be told.

use aya_ebpf::{Global, macros::map, maps::PerCpuArray};

use super::ring;

/// Up to when the SYNs that were told on a processor have used its time up, nanoseconds.
#[map]
static SYNS_PAID: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// What telling a SYN uses up of that time, nanoseconds: half a millisecond allows 1,900 a second.
#[unsafe(no_mangle)]
static SYN_COST: Global<u64> = Global::new(1 << 19);
/// How much of it may be saved: that of 512 SYNs.
const SYN_SAVINGS: u64 = 512 << 19;

/// Whether one more SYN may be told now: so many at a time and in a second on each processor, and none
/// where the agent is far behind.
#[inline(always)]
pub(super) fn may_tell_syn(now: u64) -> bool {
    let Some(paid) = SYNS_PAID.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: an array's memory is never unmapped. Whoever interrupts may get one for nothing.
    let paid = unsafe { &mut *paid };
    let from = (*paid).max(now.saturating_sub(SYN_SAVINGS));
    if from > now || !ring::has_room() {
        return false;
    }
    *paid = from.wrapping_add(SYN_COST.load());
    true
}
