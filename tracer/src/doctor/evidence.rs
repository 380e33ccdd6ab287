//! What the host can add to why a login was slow, and what of it cannot be had here.

use std::path::Path;

use super::{Finding, Verdict};
use crate::host::Witness;

/// Where system calls' ends are traced.
const TRACED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const CONNECT: &str = "events/syscalls/sys_exit_connect";

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
