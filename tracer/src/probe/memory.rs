//! Memory that only loading needs.

/// Gives back to the kernel what is free: to read the object, and the kernel's own types, takes twenty
/// megabytes that nothing asks for again, and the allocator keeps them.
pub(super) fn give_back() {
    // SAFETY: it takes no pointer, and may be called by any thread at any time. Where another allocator
    // is in use it finds nothing of its own.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
