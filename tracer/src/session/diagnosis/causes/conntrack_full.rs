//! The table of followed connections is full, and the host drops what is new.

use crate::{
    record::Whom,
    session::{
        diagnosis::{Cause, Found, Page, Symptoms},
        host::Conntrack,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "conntrack_full",
    whom: Some(Whom::Host),
    meaning: "this host's table of followed connections was full",
    seen: "the SYN was not answered, and this host dropped {conntrack_drops} packets meanwhile for want of room \
           among {conntrack_most} followed connections",
    fits,
    page: Page {
        means: "A host that translates addresses or filters by connection (Kubernetes nodes, Docker, firewalls) \
            follows each connection in a table. Where that is full, what begins a new connection is dropped without \
            a word.",
        signs: "A SYN that was sent again or never answered, while the `drop` counter of conntrack moved in the \
            client's or the server's network namespace, and its table was full or nearly.",
        against: "Drops while the table has room (`conntrack_entries` far below `conntrack_most`). Packets of others are \
            counted too. Where the client's own host drops the SYN, it does so before packets are looked at: then no \
            SYN of it is seen at all.",
        confirm: "`dmesg`: *nf_conntrack: table full, dropping packet*; `conntrack -S`; \
            `sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max`.",
        mend: "A larger `net.netfilter.nf_conntrack_max`, shorter time-outs of connections that are over, pooled \
            connections, `notrack` for SQL Server's port.",
        reports: &["kubernetes/kubernetes#71261", "kubernetes/kubernetes#18604"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.misses_its_syn() {
        return None;
    }
    let host = &symptoms.host;
    let tables = [host.client_net.conntrack, host.server_net.conntrack];
    let tables = tables.into_iter().flatten();
    let full = tables
        .filter(|table| table.dropped > 0)
        .max_by_key(|table| table.entries)?;
    let confidence = if is_full(&full) { 0.92 } else { 0.5 };
    Some(
        Found::at(confidence)
            .with("conntrack_drops", full.dropped)
            .with("conntrack_entries", full.entries)
            .with("conntrack_most", full.most),
    )
}

/// Nearly: connections leave it all the time.
fn is_full(table: &Conntrack) -> bool {
    table.entries >= table.most - table.most / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_table_that_is_full_and_drops_is_why_a_syn_has_no_answer() {
        let mut lost = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        let mut table = Conntrack {
            entries: 99,
            most: 100,
            dropped: 0,
            insert_failed: 0,
        };
        lost.host.server_net.conntrack = Some(table);
        assert!(misses(&CAUSE, &lost), "it drops nothing");
        table.dropped = 4;
        lost.host.server_net.conntrack = Some(table);
        assert!(fits(&CAUSE, &lost) > 0.9);
        table.entries = 50;
        lost.host.server_net.conntrack = Some(table);
        assert!(fits(&CAUSE, &lost) < 0.6, "it has room");
    }

    #[test]
    fn drops_are_others_where_its_own_syn_was_answered() {
        let mut fine = ended(Outcome::Failed, PhaseName::Login, Side::Server);
        fine.tcp.syn_retransmits = Some(0);
        fine.host.client_net.conntrack = Some(Conntrack {
            entries: 100,
            most: 100,
            dropped: 4,
            insert_failed: 0,
        });
        assert!(misses(&CAUSE, &fine));
    }
}
