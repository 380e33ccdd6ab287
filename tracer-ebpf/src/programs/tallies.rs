//! Where the requests of a connection are counted: on its socket, or beside the table that it is in.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, bpf_sock},
    macros::{btf_map, map},
    maps::{Array, HashMap},
};
use tracer_ebpf::{event::Event, flow::FlowKey, tally::Tally};

use super::storage::{OWN, SocketStorage};

/// A tally, with room for the event that it is told with: so it goes into the ring from where it lies.
#[repr(C)]
pub(super) struct Kept {
    pub(super) event: Event,
    pub(super) tally: Tally,
}

#[btf_map]
static TALLIES: SocketStorage<Kept, OWN> = SocketStorage::new();

/// Those of connections in the table, as large as that is. A connection that gives way there leaves its own
/// until another has its key; without a place, requests are told as ever.
#[map]
static TABLE_TALLIES: HashMap<FlowKey, Kept> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// One that has counted nothing.
#[map]
static NO_TALLY: Array<Kept> = Array::with_max_entries(1, 0);

/// A socket's tally, or a new one; null where there is none.
///
/// # Safety
/// The socket is the context's own.
#[inline(always)]
pub(super) unsafe fn of_socket(socket: *mut bpf_sock, new: bool) -> *mut Kept {
    // SAFETY: by the caller.
    unsafe {
        if new {
            TALLIES.keep(socket, core::ptr::null_mut())
        } else {
            TALLIES.of(socket)
        }
    }
}

/// The tally of a connection in the table, or a new one; null where there is none.
#[inline(always)]
pub(super) fn of_key(key: &FlowKey, new: bool) -> *mut Kept {
    if new {
        let Some(nothing) = NO_TALLY.get(0) else {
            return core::ptr::null_mut();
        };
        // Where there is no room, the lookup finds nothing.
        let _ = TABLE_TALLIES.insert(key, nothing, 0);
    }
    TABLE_TALLIES.get_ptr_mut(key).unwrap_or_default()
}

/// Forgets the tally of a connection in the table.
#[inline(always)]
pub(super) fn forget(key: &FlowKey) {
    // Where it is gone already there is nothing to do.
    let _ = TABLE_TALLIES.remove(key);
}
