//! How the agent's half in the kernel does: what waits in the ring, and what its programs take.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aya::Ebpf;

/// What the kernel says of the agent's half there.
#[derive(Clone, Debug, Default)]
pub struct InKernel {
    /// Bytes in the ring that were not read yet; `None` where the kernel does not show that.
    pub ring: Option<u64>,
    /// Bytes that the ring has.
    pub ring_size: u64,
    /// The programs that ran while the kernel counted it (`kernel.bpf_stats_enabled`).
    pub programs: Vec<ProgramRun>,
}

/// How often a program ran, and how long, since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRun {
    /// Its name.
    pub name: String,
    /// So often.
    pub runs: u64,
    /// So long in all.
    pub time: Duration,
}

/// The programs that ran, and how long.
pub(super) fn programs(ebpf: &Ebpf) -> Vec<ProgramRun> {
    let run = ebpf.programs().filter_map(|(name, program)| {
        let info = program.info().ok()?;
        Some(ProgramRun {
            name: name.to_owned(),
            runs: info.run_count(),
            time: info.run_time(),
        })
    });
    run.filter(|run| run.runs > 0).collect()
}

/// Where both halves are in the ring: its first two pages, mapped to be read.
pub(super) struct Positions {
    pages: NonNull<AtomicU64>,
    page: usize,
}

// SAFETY: the pages are this value's own until it is dropped, and whoever reads them does so atomically.
unsafe impl Send for Positions {}

impl Positions {
    /// Of a ring.
    pub(super) fn of(ring: BorrowedFd<'_>) -> io::Result<Self> {
        let page = rustix::param::page_size();
        // SAFETY: the kernel chooses the place, and gives two pages of the ring or an error.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                2 * page,
                libc::PROT_READ,
                libc::MAP_SHARED,
                ring.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(pages) {
            Some(pages) if pages.as_ptr() != libc::MAP_FAILED => Ok(Self {
                pages: pages.cast(),
                page,
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes that were written and not read yet.
    pub(super) fn between(&self) -> u64 {
        // SAFETY: each page begins with the position of one half (kernel, `struct bpf_ringbuf`), is aligned, and
        // stays mapped as long as this value lives.
        let [read, written] = unsafe {
            let read = self.pages.as_ref();
            let written = self.pages.byte_add(self.page);
            [read, written.as_ref()]
        }
        .map(|position| position.load(Ordering::Acquire));
        written.saturating_sub(read)
    }
}

impl Drop for Positions {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and nobody holds a reference into it.
        let unmapped = unsafe { libc::munmap(self.pages.as_ptr().cast(), 2 * self.page) };
        debug_assert_eq!(unmapped, 0);
    }
}
