//! What this host allows and what not, and what each lack costs.

use std::{fs, path::Path};

use aya::{maps::MapType, sys};

use super::{Options, attach::sockets, trial::Trial};

/// One fact about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// How it is.
    pub state: State,
}

/// Whether a fact stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Something is lost.
    Lacking {
        /// What.
        cost: &'static str,
        /// What helps.
        mend: &'static str,
    },
    /// Nothing works.
    Fatal {
        /// What helps.
        mend: String,
    },
}

/// Looks the host over. It is usable where no fact is [`State::Fatal`].
pub fn examine() -> Vec<Fact> {
    vec![
        kernel(),
        ring_buffer(),
        programs(),
        cgroup(),
        tcx(),
        btf(),
        statistics(),
    ]
}

fn kernel() -> Fact {
    let found = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Fact {
        name: "kernel",
        found: found.trim().to_owned(),
        state: State::Good,
    }
}

fn ring_buffer() -> Fact {
    let there = sys::is_map_supported(MapType::RingBuf);
    let state = match there {
        Ok(false) => State::Fatal {
            mend: "Linux 5.8 or later is needed".to_owned(),
        },
        // Where the kernel does not let us ask, loading says why.
        _ => State::Good,
    };
    Fact {
        name: "ring buffer",
        found: yes(there.unwrap_or(false)),
        state,
    }
}

/// The whole way, but for attaching.
fn programs() -> Fact {
    let (found, state) = match Trial::start(&Options::default()) {
        Ok(_) => ("accepted".to_owned(), State::Good),
        Err(error) => (
            "refused".to_owned(),
            State::Fatal {
                mend: error.to_string(),
            },
        ),
    };
    Fact {
        name: "kernel programs",
        found,
        state,
    }
}

fn cgroup() -> Fact {
    let root = sockets::cgroup_root();
    let state = if root.is_some() {
        State::Good
    } else {
        State::Lacking {
            cost: "connections have no process, and no round-trip time of the kernel's",
            mend: "mount -t cgroup2 none /sys/fs/cgroup/unified",
        }
    };
    Fact {
        name: "cgroup v2",
        found: root.map_or_else(
            || "not mounted".to_owned(),
            |path| path.display().to_string(),
        ),
        state,
    }
}

/// By version only, since attaching to find out would touch the host; `run` finds out by trying.
fn tcx() -> Fact {
    let there = aya::util::KernelVersion::current()
        .is_ok_and(|version| version >= aya::util::KernelVersion::new(6, 6, 0));
    Fact {
        name: "attachment",
        found: if there { "tcx" } else { "clsact" }.to_owned(),
        state: if there {
            State::Good
        } else {
            State::Lacking {
                cost: "a killed agent leaves its programs attached until its next start",
                mend: "Linux 6.6 or later; nothing needs to be done",
            }
        },
    }
}

fn btf() -> Fact {
    let there = Path::new("/sys/kernel/btf/vmlinux").exists();
    Fact {
        name: "kernel type information",
        found: yes(there),
        // The programs read nothing that would need it.
        state: State::Good,
    }
}

fn statistics() -> Fact {
    let on = fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled")
        .is_ok_and(|value| value.trim() == "1");
    Fact {
        name: "program statistics",
        found: if on { "on" } else { "off" }.to_owned(),
        state: if on {
            State::Lacking {
                cost: "about 20 ns for every packet",
                mend: "sysctl kernel.bpf_stats_enabled=0",
            }
        } else {
            State::Good
        },
    }
}

fn yes(there: bool) -> String {
    if there { "yes" } else { "no" }.to_owned()
}
