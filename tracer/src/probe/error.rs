//! Why the probe does not start, each with the mend.

use std::io;

/// Why the probe does not start. The text is one line that names the mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process may not load the programs: the capabilities that it lacks.
    #[error(
        "the kernel does not take the programs without {0}: run as root, or grant CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    NoPrivilege(String),
    /// The process may not load anything, though it has the capabilities.
    #[error(
        "the kernel takes nothing from this process, whatever its capabilities: run outside of a user namespace, and before Linux 5.11 without a limit of locked memory (`ulimit -l unlimited`)"
    )]
    NotTrusted,
    /// The kernel has no ring buffers.
    #[error("this kernel has no BPF ring buffer: Linux 5.8 or later is needed")]
    NoRingBuffer,
    /// The binary was built without the programs.
    #[error(
        "this binary was built without the kernel programs (AYA_BUILD_SKIP): build it again without that"
    )]
    NoPrograms,
    /// The kernel refuses a program.
    #[error(
        "the kernel refuses the program {name}: {reason}; `tds-tracer doctor` says what it lacks"
    )]
    Refused {
        /// The program.
        name: String,
        /// The kernel's words.
        reason: String,
    },
    /// The kernel refuses a map, or it is not in the object.
    #[error("the kernel refuses a map: {0}; a smaller --max-flows or --ring-bytes may help")]
    Map(String),
    /// A size that is none.
    #[error("the ring's size must be a power of two of at least 4096 bytes, not {0}")]
    RingSize(u32),
    /// No interface matches a pattern.
    #[error("no interface matches {0:?}: `ip link` lists them")]
    UnknownInterface(String),
    /// The interfaces cannot be listed.
    #[error("the interfaces cannot be listed: {0}")]
    Interfaces(#[source] io::Error),
    /// The packets of sockets cannot be watched.
    #[error(
        "the packets of sockets cannot be watched: {0}; --source interfaces needs no control groups"
    )]
    NoSockets(String),
    /// No interface could be attached to.
    #[error("no interface could be watched: {0}")]
    NothingAttached(String),
}

impl StartError {
    pub(super) fn map(error: impl std::fmt::Display) -> Self {
        Self::Map(error.to_string())
    }
}
