//! The client's own kernel refuses to connect.

use crate::{
    record::Whom,
    session::{
        diagnosis::{Cause, Found, Page},
        host::{Hindrance, Untried},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "connect_refused_here",
    whom: Some(Whom::Host),
    meaning: "this host refused the connection before any packet",
    seen: "connect failed {connects} times before any packet, with {errno}|no socket was given {sockets} times, with \
           {errno}",
    fits: |_| None,
    page: Page {
        means: "The call that would have sent the first packet failed on the client's host: there is no route \
            (ENETUNREACH, EHOSTUNREACH), a policy forbids it (EPERM, EACCES: a sandbox, a container's rules), or the \
            process has no descriptor left for a socket (EMFILE). Nothing reached the network.",
        signs: "Of a process that `--watch-process` names: `connect` of a TCP socket, or `socket`, returned `errno`, \
            `connects` or `sockets` times.",
        against: "EHOSTUNREACH and ECONNREFUSED may come from others, by ICMP or RST: those are told of the connection \
            itself. A name with addresses of both families fails for one where the host has none of it, and goes on \
            with the other.",
        confirm: "`strace -f -e trace=socket,connect -p PID`, `ip route get ADDRESS`, `ls /proc/PID/fd | wc -l` and \
            `/proc/PID/limits`.",
        mend: "The route, the policy or the limit (`LimitNOFILE`) that `errno` names.",
        reports: &[],
    },
};

/// Why (`errno(3)`), and what it is called.
const REASONS: [(u32, &str); 9] = [
    (1, "EPERM"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (101, "ENETUNREACH"),
    (105, "ENOBUFS"),
    (113, "EHOSTUNREACH"),
];

/// How well it fits what a watched process did.
pub(super) fn fits(untried: &Untried) -> Option<Found> {
    let name = |errno| REASONS.iter().find(|(own, _)| *own == errno);
    let (errno, counted) = match untried.hindrance {
        Hindrance::Connect(errno) => (errno, "connects"),
        Hindrance::Socket(errno) => (errno, "sockets"),
        Hindrance::NothingTried => return None,
    };
    let (_, name) = name(errno)?;
    let found = Found::at(0.95).with("errno", name);
    let found = found.with(counted, untried.count);
    // Who may open no more has itself to blame.
    Some(if *name == "EMFILE" {
        found.call(Whom::Application)
    } else {
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::untried::samples::{sure, untried};

    #[test]
    fn what_the_kernel_refuses_is_told_by_its_name() {
        let found = fits(&untried(Hindrance::Connect(101))).unwrap();
        assert_eq!(found.evidence[0].1, "ENETUNREACH");
        assert_eq!(found.whom, None);
        let found = fits(&untried(Hindrance::Socket(24))).unwrap();
        assert_eq!(found.whom, Some(Whom::Application));
        assert!(sure(fits, &untried(Hindrance::Connect(111))) < 0.1);
    }
}
