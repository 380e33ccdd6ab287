//! What differs between the hooks that see packets: the memory they work on, where a connection's state
//! lives, and how they go on.

use aya_ebpf::bindings::__sk_buff;
use tracer_ebpf::{flow::Flow, packet::Segment};

use super::{scratch::Scratch, stage::Stage, tallies::Kept};

/// A hook at work on a packet.
pub(super) trait Hook {
    /// Whether a SYN on its way out may be of a flood: a socket's own is not.
    const FLOODS_OUT: bool;

    /// The packet.
    fn skb(&self) -> *mut __sk_buff;

    /// The memory that this packet is worked on in.
    fn scratch(&self) -> Option<*mut Scratch>;

    /// The connection at hand; `None` where it is gone.
    fn flow(&self, scratch: &Scratch) -> Option<*mut Flow>;

    /// The tally of the connection at hand, or a `new` one; null where there is none.
    fn tally(&self, scratch: &Scratch, new: bool) -> *mut Kept;

    /// Nothing of the connection at hand is to come.
    fn forget(&self, scratch: &Scratch);

    /// Whether another hook tells what would be told of a segment of a connection.
    #[inline(always)]
    fn is_told_elsewhere(&self, _flow: &Flow, _segment: &Segment, _now: u64) -> bool {
        false
    }

    /// Goes on with a part. Returns only where that is not there.
    fn go(&self, stage: Stage);
}
