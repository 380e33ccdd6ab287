//! Large values, copied and cleared word by word: the compiler would read all of one before it writes any, and
//! has not the stack for that, or goes from byte to byte.

/// Copies what a map keeps.
///
/// # Safety
/// Both are `T`s in maps, and a `T` is made of whole words without padding.
#[inline(always)]
pub(super) unsafe fn copy<T>(to: *mut T, from: *const T) {
    const {
        assert!(
            size_of::<T>().is_multiple_of(size_of::<u64>()) && align_of::<T>() == align_of::<u64>()
        );
    };
    for at in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: by the caller; the place is within both. Volatile, so that it stays what it is.
        unsafe {
            let word = from.cast::<u64>().add(at).read_volatile();
            to.cast::<u64>().add(at).write_volatile(word);
        }
    }
}

/// Clears what a map keeps.
///
/// # Safety
/// It is a `T` in a map, made of whole words, for which zeros are a value.
#[inline(always)]
pub(super) unsafe fn clear<T>(to: *mut T) {
    const {
        assert!(
            size_of::<T>().is_multiple_of(size_of::<u64>()) && align_of::<T>() == align_of::<u64>()
        );
    };
    for at in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: by the caller; the place is within it.
        unsafe { to.cast::<u64>().add(at).write_volatile(0) };
    }
}

/// An address in a context.
///
/// # Safety
/// `at` lies in the context.
#[inline(always)]
pub(super) unsafe fn of_context(at: *const [u32; 4]) -> [u32; 4] {
    let at = at.cast::<u32>();
    // SAFETY: by the caller; one word at a time, as the kernel gives them.
    unsafe {
        [
            at.read_volatile(),
            at.add(1).read_volatile(),
            at.add(2).read_volatile(),
            at.add(3).read_volatile(),
        ]
    }
}
