//! An idle connection is dead when it is used again.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, IN_VAIN, Page, Symptoms, symptoms::SECOND},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "idle_drop",
    whom: Some(Whom::Network),
    meaning: "the connection was dropped on the way while it was idle",
    seen: "the connection was cut after {idle_ns} of silence[, with {keep_alive_probes} keep-alives \
           unanswered][, with {requests_in_flight} requests under way][, sent again {copies} times]",
    fits,
    page: Page {
        means: "A device on the way (NAT, load balancer, firewall) forgot the connection while it was \
            idle: Azure's load balancer after 4 minutes, others after 5 to 60. The next request is \
            not answered, or reset.",
        signs: "The connection was idle for a minute or more, and then a RST came from elsewhere, \
            keep-alive probes were not answered, or the first request was reset, or sent again three times and more without \
            a word from the server. In the `close` line \
            only.",
        against: "A server that restarted meanwhile resets too, from its own distance.",
        confirm: "`close.idle_ns` of several: the shortest is the device's limit.",
        mend: "Keep-alives below the limit (drivers send them after 30 seconds unless the system says \
            otherwise), a longer limit on the device, a pool that drops idle connections earlier.",
        reports: &[
            "kubermatic/kubelb#539",
            "microsoft/mssql-jdbc#2285",
            "dotnet/SqlClient#1530",
        ],
    },
};

/// Devices forget what is idle for a minute at the earliest, nanoseconds.
pub(super) const LEAST: u64 = 60 * SECOND;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let closing = symptoms.closing.filter(|closing| closing.abnormal)?;
    if closing.idle < LEAST {
        return None;
    }
    let confidence = match () {
        () if closing.foreign => 0.88,
        () if closing.probes >= 3 => 0.8,
        () if closing.in_flight > 0 && closing.copies >= IN_VAIN => 0.8,
        () if closing.in_flight > 0 && closing.reset => 0.7,
        () => return None,
    };
    Some(
        Found::at(confidence)
            .took("idle_ns", closing.idle)
            .counted("keep_alive_probes", closing.probes)
            .counted("copies", closing.copies)
            .counted("requests_in_flight", closing.in_flight)
            .finding(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::{
            Closing,
            tests::{fits, misses},
        },
    };

    fn dead() -> Symptoms<'static> {
        Symptoms {
            outcome: Some(Outcome::Success),
            closing: Some(Closing {
                abnormal: true,
                reset: true,
                foreign: true,
                idle: 260 * SECOND,
                probes: 0,
                copies: 0,
                in_flight: 1,
            }),
            ..Symptoms::default()
        }
    }

    #[test]
    fn an_idle_connection_that_somebody_else_resets_was_dropped() {
        assert!(fits(&CAUSE, &dead()) > 0.8);
    }

    #[test]
    fn one_in_use_and_one_that_closes_in_order_were_not() {
        let mut busy = dead();
        busy.closing.as_mut().expect("a close").idle = SECOND;
        assert!(misses(&CAUSE, &busy));
        let mut orderly = dead();
        orderly.closing.as_mut().expect("a close").abnormal = false;
        assert!(misses(&CAUSE, &orderly));
    }
}
