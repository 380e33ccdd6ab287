//! `close`: the end of a connection, with its last phases and what it was used for.

use crate::{
    record::{Body, Close, CloseMeans, CloseRecord, ConnectionFacts, Nanos, Outcome, Phase},
    session::{
        dialogue::usage::Usage,
        verdict::close::{Circumstances, class, closed_by},
        wire::{Wire, unanswered_probes},
    },
};

use super::{
    About, Report,
    facts::{describe_tcp, leave_out_times},
};

/// How the connection ended. `stopped`: nobody watched any more before it did.
pub(in crate::session) fn describe_close(
    wire: &Wire,
    about: &About,
    usage: &Usage,
    outcome: Option<Outcome>,
    (stopped, forsaken): (bool, bool),
) -> Close {
    let ends = &wire.ends;
    let (by, how) = closed_by(ends, stopped);
    let began = ends.began();
    let data = ends.idle_since().max(wire.started);
    let probes = ends
        .probes()
        .unwrap_or_else(|| unanswered_probes(&wire.sent));
    let circumstances = Circumstances {
        by,
        how,
        outcome,
        owed_by_server: about.owed_by_server,
        in_flight: ends.left_in_flight(),
        strained: ends.were_strained(),
        forsaken,
        was_reset: ends.reset().is_some(),
        foreign_reset: wire.is_foreign_reset() == Some(true),
        mars_in_order: usage.mars_in_order(),
        client_bye: usage.client_bye,
    };
    let is_over = ends.are_over() || wire.both_sockets_ended();
    let half_open = how == CloseMeans::Fin && !is_over && !stopped;
    let timed = |nanos: u64| (!wire.untimed).then_some(Nanos(nanos));
    Close {
        by,
        how,
        class: class(&circumstances),
        phase: about.ended_in,
        duration_ns: timed(wire.last_seen.saturating_sub(wire.started)),
        idle_ns: began.and_then(|began| timed(began.saturating_sub(data))),
        keep_alive_probes: Some(probes).filter(|probes| *probes > 0),
        middlebox: wire.is_foreign_reset(),
        half_open: half_open.then_some(true),
        requests_in_flight: Some(ends.left_in_flight()).filter(|count| *count > 0),
    }
}

/// What is known of the connection at its end.
pub(in crate::session) fn complete(
    mut facts: ConnectionFacts,
    wire: &Wire,
    about: &About,
    usage: &Usage,
    (last, saw_login): (u64, bool),
) -> ConnectionFacts {
    describe_tcp(wire, about, &mut facts);
    let agreed = usage.mars_agreed == Some(true);
    facts.mars = usage.mars.summary(agreed);
    facts.requests = if usage.mars.was_used() {
        usage.mars.requests()
    } else {
        usage.requests.summary()
    };
    // Before a connection was joined, sessions may have been opened.
    let mars = usage.mars.span().filter(|_| saw_login);
    if let Some((from, to)) = mars {
        facts.phases.mars = Some(plain_phase(wire, from, to.unwrap_or(last), to.is_some()));
    }
    if let Some(began) = wire.ends.began() {
        let over = wire.ends.are_over();
        facts.phases.close = Some(plain_phase(wire, began, last, over));
    }
    leave_out_times(wire, &mut facts);
    facts
}

impl Report<'_> {
    pub(in crate::session) fn close(&mut self, facts: ConnectionFacts, close: Close, at: u64) {
        self.tell(at, Body::Close(Box::new(CloseRecord { facts, close })));
    }
}

/// A phase in which nobody was waited for.
fn plain_phase(wire: &Wire, from: u64, to: u64, complete: bool) -> Phase {
    Phase {
        start_ns: Nanos(from.saturating_sub(wire.started)),
        duration_ns: Nanos(to.saturating_sub(from)),
        complete,
        waited: None,
        retransmits: 0,
    }
}
