//! Somebody else's qdisc and filters, which the agent meets and leaves alone.

use anyhow::{Result, ensure};

use crate::process::{command, output};

/// Filters that match nothing, on both sides of the loopback interface, at the priority that the
/// agent would have: of IPv4 only, so that none for all packets may stand beside them.
const FILTER: &str = "prio 1 protocol ip bpf bytecode";
const NOTHING: &str = "1,6 0 0 0,";

/// What was there before the agent.
pub(super) struct Stranger {
    all: String,
}

impl Stranger {
    pub(super) fn comes() -> Result<Self> {
        tc("qdisc add dev lo clsact", &[])?;
        for side in ["ingress", "egress"] {
            tc(&format!("filter add dev lo {side} {FILTER}"), &[NOTHING])?;
        }
        Ok(Self { all: all()? })
    }

    pub(super) fn is_untouched(&self) -> Result<()> {
        let now = all()?;
        ensure!(now == self.all, "before {}, now {now}", self.all);
        Ok(())
    }
}

fn all() -> Result<String> {
    let lines = [
        "qdisc show dev lo",
        "filter show dev lo ingress",
        "filter show dev lo egress",
    ];
    lines.into_iter().map(|line| tc(line, &[])).collect()
}

fn tc(line: &str, more: &[&str]) -> Result<String> {
    output(command("tc", line.split(' ')).args(more))
}
