//! What the agent gives up once it is at work: all that it does not need for that.
//!
//! Each step is the thread's that takes it and of those that it starts, and holds for good. One that this kernel does
//! not offer, or that is not allowed, is left out with a reason; the others hold all the same.

mod calls;
mod capabilities;
mod files;
pub mod user;

use std::{path::PathBuf, sync::Once};

pub use capabilities::without;

use rustix::{
    param::page_size,
    process::{DumpableBehavior, set_dumpable_behavior},
    thread::set_no_new_privs,
};

/// What a thread goes on needing of the kernel programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Programs {
    /// Nothing.
    #[default]
    None,
    /// Their maps, which this kernel lets everybody read and write who has them open.
    Maps,
    /// Their maps, for which this kernel wants `CAP_BPF`, as older ones do.
    GuardedMaps,
    /// Their maps, and attaching them to interfaces that come.
    Interfaces,
}

/// What a thread goes on needing.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is needed or not, whatever the others are"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The kernel programs.
    pub programs: Programs,
    /// What `/proc` shows of other users' processes to few: executables, descriptors, namespaces.
    pub processes: bool,
    /// Files anywhere, to be read.
    pub reads: bool,
    /// Entering other network namespaces.
    pub namespaces: bool,
    /// Taking connections that others open to it.
    pub answers: bool,
    /// Folders in which files are written.
    pub writes: Vec<PathBuf>,
    /// TCP ports that are connected to, wherever.
    pub connects: Vec<u16>,
    /// Asking for the addresses of names: what that needs to read, and name servers.
    pub resolves: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub what: &'static str,
    /// What holds from now on, or why it does not.
    pub held: Result<String, String>,
}

/// Until it is over no thread may take a step: see [`confine`].
static ASKED: Once = Once::new();

/// Takes every step for this thread, and for those that it starts from now on.
pub fn confine(needs: &Needs) -> Vec<Step> {
    let step = |what, held| Step { what, held };
    // Libraries ask for it, and all that comes with it, once: before Linux 6.4 in a file of this process's own, which is
    // root's once the process is not dumpable. That holds for all its threads, and one that asks at that moment fails.
    ASKED.call_once(|| {
        page_size();
    });
    // In this order: what a later step takes away, an earlier one needs.
    vec![
        step(
            "no_new_privs",
            set_no_new_privs(true)
                .map(|()| "no program that it starts gets more".to_owned())
                .map_err(|error| error.to_string()),
        ),
        step(
            "dumpable",
            set_dumpable_behavior(DumpableBehavior::NotDumpable)
                .map(|()| {
                    "no core dump, and no other process of its user reads its memory".to_owned()
                })
                .map_err(|error| error.to_string()),
        ),
        step("bounding_set", capabilities::empty_bounding_set()),
        step("capabilities", capabilities::keep(needs)),
        step("landlock", files::restrict(needs)),
        step("seccomp", calls::restrict(needs)),
    ]
}
