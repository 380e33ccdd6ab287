//! How the agent's half in the kernel does: what waits in the ring, and what its programs take.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd},
        unix::fs::FileExt as _,
    },
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

/// What the kernel says of each program that is loaded, in a file of this process's own: asked by bpf(2) it says so only to
/// those who may load programs, which the agent at work may not.
#[derive(Default)]
pub(super) struct Runs(Vec<(String, File)>);

impl Runs {
    /// Of those that are loaded by now.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let programs = ebpf.programs().filter_map(|(name, program)| {
            let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
            let said = File::open(format!("/proc/self/fdinfo/{descriptor}")).ok()?;
            Some((name.to_owned(), said))
        });
        Self(programs.collect())
    }

    /// The programs that ran, and how long.
    pub(super) fn so_far(&self) -> Vec<ProgramRun> {
        let runs = self.0.iter().filter_map(|(name, said)| {
            let mut text = [0; 1024];
            let length = said.read_at(&mut text, 0).ok()?;
            let (runs, time) = counted(str::from_utf8(&text[..length]).ok()?)?;
            Some(ProgramRun {
                name: name.clone(),
                runs,
                time,
            })
        });
        runs.filter(|run| run.runs > 0).collect()
    }
}

/// How often a program ran, and how long (kernel, `bpf_prog_show_fdinfo`).
fn counted(said: &str) -> Option<(u64, Duration)> {
    let of = |name: &str| -> Option<u64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let time = Duration::from_nanos(of("run_time_ns:")?);
    Some((of("run_cnt:")?, time))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_of_a_program_are_read_and_others_are_none() {
        let said = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nprog_type:\t8\nprog_jited:\t1\n\
                    run_time_ns:\t51200\nrun_cnt:\t64\nrecursion_misses:\t0\n";
        assert_eq!(counted(said), Some((64, Duration::from_nanos(51_200))));
        // As Linux said before 5.1, and of what is no program.
        assert_eq!(counted("pos:\t0\nprog_type:\t8\n"), None);
    }
}
