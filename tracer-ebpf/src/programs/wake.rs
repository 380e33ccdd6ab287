//! When to wake the agent.
//!
//! To wake it costs microseconds of an interrupt, many times what the record does, and holds the
//! packet up where it is on its way out. So it is woken only where it has said that it sleeps, by sockets'
//! hooks before there is a packet, and by packets on their way in. While records come it looks by itself.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};

use super::maps;

/// The ring's flags for a packet's record.
#[inline(always)]
pub(super) fn packet(ingress: bool) -> u64 {
    if ingress {
        return socket();
    }
    BPF_RB_NO_WAKEUP.into()
}

/// The ring's flags for a socket's record.
#[inline(always)]
pub(super) fn socket() -> u64 {
    if maps::wakes() {
        return BPF_RB_FORCE_WAKEUP.into();
    }
    BPF_RB_NO_WAKEUP.into()
}
