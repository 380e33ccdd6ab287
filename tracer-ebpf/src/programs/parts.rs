//! What follows where a packet of a socket has something to tell: each part twice, of connections in the table
//! and of those on their socket.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, bpf_sock},
    helpers::bpf_sk_fullsock,
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use tracer_ebpf::{flow::Flow, loss::LossReason};

use super::{
    endpoint,
    hook::Hook,
    maps::{self, SOCKET_STAGES},
    scratch::{self, Scratch},
    stage::Stage,
    table::{self, Which},
    tallies::{self, Kept},
    tell,
    verdict::PASS,
};

/// The connection's state is in the table.
pub(super) const IN_TABLE: u32 = 0;
/// The connection's state is on the socket.
pub(super) const OWNED: u32 = 1;

/// The hook at work, on a connection whose state is [`IN_TABLE`] or [`OWNED`]. Each has parts of its own: the
/// verifier would walk one part twice.
pub(super) struct Traffic<'a, const PLACE: u32>(pub(super) &'a SkBuffContext);

impl<const PLACE: u32> Traffic<'_, PLACE> {
    /// The packet's socket.
    #[inline(always)]
    fn socket(&self) -> Option<*mut bpf_sock> {
        // SAFETY: reads the context, whose own the socket is.
        let socket = unsafe {
            let socket = (*self.skb()).__bindgen_anon_2.sk;
            if socket.is_null() {
                return None;
            }
            bpf_sk_fullsock(socket)
        };
        (!socket.is_null()).then_some(socket)
    }
}

impl<const PLACE: u32> Hook for Traffic<'_, PLACE> {
    const FLOODS_OUT: bool = false;

    #[inline(always)]
    fn skb(&self) -> *mut __sk_buff {
        self.0.as_ptr().cast()
    }

    #[inline(always)]
    fn scratch(&self) -> Option<*mut Scratch> {
        scratch::of(self.skb())
    }

    #[inline(always)]
    fn flow(&self, scratch: &Scratch) -> Option<*mut Flow> {
        if PLACE == IN_TABLE {
            return maps::flow(&scratch.segment.key);
        }
        let socket = self.socket()?;
        // SAFETY: the socket is the context's own; what it keeps lives as long as it does.
        unsafe {
            let endpoint = endpoint::of(socket);
            (!endpoint.is_null()).then(|| &raw mut (*endpoint).flow)
        }
    }

    #[inline(always)]
    fn tally(&self, scratch: &Scratch, new: bool) -> *mut Kept {
        if PLACE == IN_TABLE {
            return tallies::of_key(&scratch.segment.key, new);
        }
        match self.socket() {
            // SAFETY: the socket is the context's own.
            Some(socket) => unsafe { tallies::of_socket(socket, new) },
            None => core::ptr::null_mut(),
        }
    }

    #[inline(always)]
    fn forget(&self, scratch: &Scratch) {
        if PLACE == IN_TABLE {
            table::forget(Which::Own, &scratch.segment.key);
        }
    }

    #[inline(always)]
    fn go(&self, stage: Stage) {
        let place = stage as u32 + PLACE * Stage::COUNT;
        // SAFETY: returns only where the other program is not there.
        unsafe { SOCKET_STAGES.tail_call(self.0, place) };
        maps::lose(LossReason::Gone);
    }
}

/// Declares a part for connections in the table, and for those on their socket.
macro_rules! parts {
    ($($(#[$doc:meta])* $part:ident: $in_table:ident, $owned:ident;)*) => {$(
        $(#[$doc])*
        #[cgroup_skb]
        pub fn $in_table(ctx: SkBuffContext) -> i32 {
            tell::$part(&Traffic::<IN_TABLE>(&ctx));
            scratch::give_back(ctx.skb.skb);
            PASS
        }

        $(#[$doc])*
        #[cgroup_skb]
        pub fn $owned(ctx: SkBuffContext) -> i32 {
            tell::$part(&Traffic::<OWNED>(&ctx));
            scratch::give_back(ctx.skb.skb);
            PASS
        }
    )*};
}

parts! {
    /// The handshake, and repetitions.
    opening: tds_socket_opening, tds_owned_opening;
    /// A login's segment.
    login: tds_socket_login, tds_owned_login;
    /// What a login's segment still has to tell.
    runs: tds_socket_runs, tds_owned_runs;
    /// A decided connection's message boundaries.
    command: tds_socket_command, tds_owned_command;
    /// The connection's end.
    ending: tds_socket_ending, tds_owned_ending;
}
