//! Maps whose values live on sockets: sized by the sockets themselves, and freed with them.

use core::ptr;

use aya_ebpf::{
    bindings::{bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_sock},
    cty::c_void,
    helpers::{bpf_sk_storage_delete, bpf_sk_storage_get},
};

/// `BPF_F_NO_PREALLOC`, which this type of map demands. An accepted socket has nothing of its listener's.
pub(super) const OWN: usize = 1;
/// The same with `BPF_F_CLONE`: accepted sockets have what the listening one has.
pub(super) const INHERITED: usize = 1 | 1 << 9;

const CREATE: u64 = 1;

/// Such a map, in the layout of a BTF map definition.
#[repr(C)]
pub(super) struct SocketStorage<T, const FLAGS: usize> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; FLAGS],
}

// SAFETY: the pointers only carry types; nothing follows them.
unsafe impl<T, const FLAGS: usize> Sync for SocketStorage<T, FLAGS> {}

impl<T, const FLAGS: usize> SocketStorage<T, FLAGS> {
    pub(super) const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }

    /// The map itself, for the kernel's helpers.
    #[inline(always)]
    pub(super) const fn map(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// What is kept on a socket; null where nothing is.
    ///
    /// # Safety
    /// The socket is the context's own.
    #[inline(always)]
    pub(super) unsafe fn of(&self, socket: *mut bpf_sock) -> *mut T {
        // SAFETY: by the caller.
        unsafe { bpf_sk_storage_get(self.map(), socket.cast(), ptr::null_mut(), 0).cast() }
    }

    /// What is kept on a socket, or zeros that are from now on; null where it has no room.
    ///
    /// # Safety
    /// The socket is the context's own.
    #[inline(always)]
    pub(super) unsafe fn of_or_new(&self, socket: *mut bpf_sock) -> *mut T {
        // SAFETY: by the caller.
        unsafe { bpf_sk_storage_get(self.map(), socket.cast(), ptr::null_mut(), CREATE).cast() }
    }

    /// Keeps this on a socket, or zeros where it is null, in place of what the socket has; null where it has
    /// no room.
    ///
    /// # Safety
    /// The socket is the context's own, and `value` is null or a map's value.
    #[inline(always)]
    pub(super) unsafe fn keep(&self, socket: *mut bpf_sock, value: *mut T) -> *mut T {
        // SAFETY: by the caller.
        unsafe {
            self.forget(socket);
            bpf_sk_storage_get(self.map(), socket.cast(), value.cast(), CREATE).cast()
        }
    }

    /// Keeps nothing on a socket any more.
    ///
    /// # Safety
    /// The socket is the context's own.
    #[inline(always)]
    pub(super) unsafe fn forget(&self, socket: *mut bpf_sock) {
        // SAFETY: by the caller. Where there is none, there is nothing to delete.
        unsafe { bpf_sk_storage_delete(self.map(), socket.cast()) };
    }
}
