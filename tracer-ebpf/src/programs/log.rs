//! The programs' own log. Where the agent's log is not at `debug`, the level is a constant that makes
//! the verifier leave all of this out.

use aya_log_ebpf::debug;
use tracer_ebpf::{loss::LossReason, packet::Segment};

/// A connection that is new to the table.
#[inline(never)]
pub(super) fn remembered(segment: &Segment) {
    debug!(
        (),
        "new flow of ports {} and {}, TCP flags {:x}, seq {}",
        segment.key.a_port,
        segment.key.b_port,
        segment.flags,
        segment.seq.0
    );
}

/// Something that was not told, as it happens; the agent's `loss` lines count them.
#[inline(never)]
pub(super) fn lost(reason: LossReason) {
    debug!((), "not told: {}", reason.name());
}
