//! There is no port left to connect from.

use crate::{
    record::Whom,
    session::{
        diagnosis::{Cause, Found, Page},
        host::{Hindrance, Untried},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "ephemeral_ports",
    whom: Some(Whom::Host),
    meaning: "no port was left to connect from",
    seen: "connect failed {connects} times before any packet: the address is not available; {ports_in_use} sockets \
           and {time_wait} connections that are over share {ports} ports|connect failed {connects} times before any \
           packet: the address is not available",
    fits: |_| None,
    page: Page {
        means: "Each connection needs a port of the client's host, and keeps it for a minute after it has closed it \
            (TIME_WAIT). Who opens and closes many to the same server uses them up: `connect` fails with \
            EADDRNOTAVAIL, and no packet is sent.",
        signs: "Of a process that `--watch-process` names: `connect` returned EADDRNOTAVAIL, and the ports of its \
            network namespace (`ports`, of `ip_local_port_range`) are all in use, or wait (`ports_in_use`, \
            `time_wait`).",
        against: "Ports that are left: then the socket was bound to an address that the host does not have.",
        confirm: "`ss -s`, `ss -tan state time-wait | wc -l`, `sysctl net.ipv4.ip_local_port_range`.",
        mend: "Pool connections instead of opening one for each query; a wider `net.ipv4.ip_local_port_range`; \
            `net.ipv4.tcp_tw_reuse=1`; several addresses.",
        reports: &[
            "dreamfactorysoftware/dreamfactory#200",
            "npgsql/npgsql#1386 (of another database)",
        ],
    },
};

/// `errno(3)`.
const EADDRNOTAVAIL: u32 = 99;

/// How well it fits what a watched process did.
pub(super) fn fits(untried: &Untried) -> Option<Found> {
    if untried.hindrance != Hindrance::Connect(EADDRNOTAVAIL) {
        return None;
    }
    let net = &untried.net;
    let used = net.in_use.zip(net.time_wait);
    let share = net
        .ports
        .zip(used)
        .map(|(ports, (in_use, waiting))| (in_use + waiting) as f64 / f64::from(ports.max(1)));
    let confidence = match share {
        Some(0.8..) => 0.95,
        Some(0.5..) => 0.75,
        Some(_) => 0.45,
        None => 0.7,
    };
    Some(
        Found::at(confidence)
            .with("connects", untried.count)
            .with("ports", net.ports)
            .with("ports_in_use", net.in_use)
            .with("time_wait", net.time_wait),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{
        diagnosis::untried::samples::{sure, untried},
        host::NetFacts,
    };

    #[test]
    fn an_address_that_is_not_available_where_all_ports_are_in_use_is_for_want_of_them() {
        let mut refused = untried(Hindrance::Connect(EADDRNOTAVAIL));
        refused.net = NetFacts {
            ports: Some(20),
            in_use: Some(3),
            time_wait: Some(17),
            ..NetFacts::default()
        };
        assert!(sure(fits, &refused) > 0.9);
        refused.net.ports = Some(28_232);
        assert!(sure(fits, &refused) < 0.5, "there are others left");
        assert!(sure(fits, &untried(Hindrance::Connect(101))) < 0.1);
    }
}
