//! What the host can add to a login, and what of it cannot be had here.

use std::path::Path;

use super::{Finding, Verdict};
use crate::{
    host::{
        Witness,
        containers::{Readable, runtime_version},
    },
    probe::Drops,
};

/// Where system calls' ends are traced.
const TRACED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const CONNECT: &str = "events/syscalls/sys_exit_connect";

/// What containers and pods are called.
pub(super) fn names(host_root: &Path) -> Finding {
    const WHAT: &str = "names";
    let places = Readable::under(host_root);
    let refused = places.iter().filter_map(|found| {
        let refusal = found.refusal.as_ref()?;
        Some(format!("{}: {refusal}", found.place.display()))
    });
    let refused: Vec<_> = refused.collect();
    if !refused.is_empty() {
        return Finding::lacking(
            WHAT,
            Verdict::Degraded,
            refused.join("; "),
            "what containers and pods are called, where no other place says it",
            "run as root, or let its user read these directories",
        );
    }
    let places: Vec<_> = places
        .iter()
        .map(|found| found.place.display().to_string())
        .collect();
    Finding::good(
        WHAT,
        if places.is_empty() {
            format!("of containers none are kept below {}", host_root.display())
        } else {
            format!("of containers are read in {}", places.join(", "))
        },
    )
}

/// The runtime that is asked for names, at its socket.
pub(super) fn runtime(socket: &Path) -> Finding {
    const WHAT: &str = "runtime";
    let place = socket.display();
    match runtime_version(socket) {
        Ok(version) => Finding::good(WHAT, format!("{version} answers at {place}")),
        Err(error) => Finding::lacking(
            WHAT,
            Verdict::Degraded,
            format!("at {place}: {error}"),
            "what containers and pods are called, where no file says it",
            "the socket of a runtime with CRI's v1 (containerd 1.6 and later, CRI-O, cri-dockerd), and a user who may write to it",
        ),
    }
}

/// Limits, waits and sockets of processes, and counters.
pub(super) fn evidence() -> Finding {
    const WHAT: &str = "evidence";
    let witness = Witness::new(false);
    let shortfalls = witness.shortfalls();
    if shortfalls.is_empty() {
        return Finding::good(
            WHAT,
            "limits of control groups, run queues, sockets and counters can be read",
        );
    }
    Finding::lacking(
        WHAT,
        Verdict::Degraded,
        shortfalls.join("; "),
        "causes that the host would show: clients that could not run, listen queues that were full",
        "the host's pid namespace; the control groups' cpu controller; CAP_SYS_PTRACE and CAP_SYS_ADMIN for \
         processes of other users and other network namespaces; Linux with CONFIG_PSI for pressure",
    )
}

/// Packets that the kernel throws away, and why.
pub(super) fn drops() -> Finding {
    const WHAT: &str = "drops";
    match Drops::watch(&[]) {
        Ok(drops) if drops.says_why_it_resets() => Finding::good(
            WHAT,
            "the kernel says which packets it throws away, and which connections it resets, and why",
        ),
        Ok(_) => Finding::good(
            WHAT,
            "the kernel says which packets it throws away, and why; why it resets a connection Linux 6.10 and later do",
        ),
        Err(reason) => Finding::lacking(
            WHAT,
            Verdict::Degraded,
            reason,
            "causes by `drop_reason`: what this host's own firewall or queues throw away looks like a silent server",
            "Linux 5.17 or later with CONFIG_DEBUG_INFO_BTF, and CAP_PERFMON",
        ),
    }
}

/// Calls that fail before a packet.
pub(super) fn calls() -> Finding {
    const WHAT: &str = "watch-process";
    let mut places = TRACED.into_iter();
    match places.find(|place| Path::new(place).join(CONNECT).is_dir()) {
        Some(_) => Finding::good(WHAT, "calls that fail before a packet can be seen"),
        None => Finding::lacking(
            WHAT,
            Verdict::Degraded,
            "the ends of system calls are not traced here",
            "with `--watch-process`: connects that this host refuses",
            "mount -t tracefs none /sys/kernel/tracing; Linux with CONFIG_FTRACE_SYSCALLS",
        ),
    }
}
