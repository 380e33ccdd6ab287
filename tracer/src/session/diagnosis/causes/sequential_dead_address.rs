//! A name has addresses that do not answer, and the client tries them first.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, whole::Whole},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "sequential_dead_address",
    whom: Some(Whom::Network),
    meaning: "an address that does not answer was tried before the one that does",
    seen: "the client tried {dead_addresses} first and lost {lost_ns} there",
    fits: |_| None,
    page: Page {
        means: "The server's name has several addresses: of an availability group's listener in several \
            subnets, of IPv4 and IPv6, of a cluster. The client tries them one after the other, and waits \
            for one that is dead before it goes on to the next.",
        signs: "Of an attempt: a connection that was refused or never answered, then one to another address \
            with the same port, a second or more after the first had begun (`lost_ns`). Told in `attempt` \
            lines only.",
        against: "An address that answers at other times: the server or the way was down for a while.",
        confirm: "Resolve the name on the client's host and try each address; of a listener \
            `sys.availability_group_listener_ip_addresses` says which one is online.",
        mend: "`MultiSubnetFailover=True`: all addresses are tried at once. Or register only the address \
            that is online (`RegisterAllProvidersIP=0` of the cluster's name), or take the dead one out \
            of DNS.",
        reports: &["dotnet/corefx#14978", "microsoft/azuredatastudio#525"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let connections: Vec<_> = whole.connections().collect();
    let mut dead = Vec::new();
    let mut lost: u64 = 0;
    for pair in connections.windows(2) {
        let [one, next] = pair else { continue };
        let elsewhere = one.server.zip(next.server);
        let elsewhere = elsewhere.filter(|(one, next)| one.0 != next.0 && one.1 == next.1);
        if let Some(((address, _), _)) = elsewhere.filter(|_| one.is_dead()) {
            dead.push(address.to_string());
            lost = lost.saturating_add(next.start.saturating_sub(one.start));
        }
    }
    if dead.is_empty() || lost < whole.slow {
        return None;
    }
    let confidence = match whole.is_good() {
        true if whole.is_felt(lost) => 0.92,
        true => 0.6,
        false => 0.5,
    };
    Some(
        Found::at(confidence)
            .with("dead_addresses", dead)
            .took("lost_ns", lost),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::whole::samples::{connection, sure, whole},
    };

    #[test]
    fn an_address_that_is_dead_and_tried_first_costs_the_time_until_the_next() {
        let dead = connection(2, Outcome::Unreachable, (0, 3));
        let alive = connection(3, Outcome::Success, (7, 8));
        assert!(sure(fits, &whole([dead, alive])) > 0.9);
        // Another one of the same address is a second try.
        let same = connection(2, Outcome::Success, (7, 8));
        assert!(sure(fits, &whole([dead, same])) < 0.1);
        // Who is refused goes on at once.
        let refused = connection(2, Outcome::Refused, (0, 0));
        let slow = connection(3, Outcome::Success, (0, 8));
        assert!(sure(fits, &whole([refused, slow])) < 0.1);
    }
}
