//! When to wake the agent.
//!
//! To wake it costs microseconds of an interrupt, many times what the record does, and holds the
//! packet up where it is on its way out. So sockets' hooks do it before there is a packet, packets only
//! on their way in, and a processor a hundred times a second at most. The agent looks by itself
//! while records come, and ten times a second otherwise.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};

/// How long the agent goes on looking by itself once it was woken; twice as long, to be sure.
const AWAKE: u64 = 10_000_000;

/// A processor's means to wake it.
#[repr(C)]
pub(super) struct Alarm {
    /// When it last did.
    woken: u64,
    /// 1: the packet at hand is on its way in.
    ingress: u64,
}

impl Alarm {
    /// Whether the packet at hand may be held up.
    #[inline(always)]
    pub(super) fn set(&mut self, ingress: bool) {
        self.ingress = u64::from(ingress);
    }

    /// The ring's flags for a packet's record.
    #[inline(always)]
    pub(super) fn packet(&mut self, now: u64) -> u64 {
        if self.ingress == 0 {
            return BPF_RB_NO_WAKEUP.into();
        }
        self.socket(now)
    }

    /// The ring's flags for a socket's record.
    #[inline(always)]
    pub(super) fn socket(&mut self, now: u64) -> u64 {
        if now.wrapping_sub(self.woken) < AWAKE {
            return BPF_RB_NO_WAKEUP.into();
        }
        self.woken = now;
        BPF_RB_FORCE_WAKEUP.into()
    }
}
