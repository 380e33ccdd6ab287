//! SYNs of one busy client go unanswered, others get through.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "snat_suspected",
    whom: Some(Whom::Network),
    meaning: "the ports of an address translation may be used up",
    seen: "no SYN of this connection was answered, while {accepted_lately} others got in and the \
           client began {begun_by_client} more",
    fits,
    page: Page {
        means: "Between client and server addresses are translated, and the translator has no port left \
            for one more connection: it drops the SYN. Azure's load balancers, NAT gateways and \
            Kubernetes nodes do.",
        signs: "A client that opens many connections; some SYNs go unanswered while others to the same \
            server pass.",
        against: "A client that opens few connections, or none that pass. It is a suspicion: the \
            translator itself is not seen.",
        confirm: "Azure Monitor: *SNAT Connection Count* with state *failed*, *Allocated SNAT Ports*. On a \
            Linux gateway `conntrack -S` and `nf_conntrack_count`.",
        mend: "Pool connections; more outbound addresses or ports for each instance; a private \
            endpoint, which needs no translation.",
        reports: &["Azure/AKS#4697", "microsoft/azure-container-apps#1422"],
    },
};

/// Logins that a client begins within two seconds, from which on it is busy.
const MANY: u32 = 10;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let around = &symptoms.around;
    let unreachable = symptoms.ended_as(&[Outcome::Unreachable]);
    let some_pass = around.good >= 3 && around.begun_by_client >= MANY;
    (unreachable && some_pass).then(|| {
        Found::at(0.55)
            .with("accepted_lately", around.good)
            .with("begun_by_client", around.begun_by_client)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_busy_client_of_whose_syns_only_some_are_answered_may_be_out_of_ports() {
        let mut unreachable = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        unreachable.around.good = 20;
        assert!(misses(&CAUSE, &unreachable), "it is not busy");
        unreachable.around.begun_by_client = 30;
        assert!(fits(&CAUSE, &unreachable) > 0.5);
    }
}
