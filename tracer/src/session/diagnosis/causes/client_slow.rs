//! The client owes, and nothing seen explains it.

use crate::{
    record::{AuthKind, PhaseName, Side, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        symptoms::{SECOND, Who},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "client_slow",
    whom: Some(Whom::Application),
    meaning: "the client was slow, and nothing seen here explains it",
    seen: "the client took {waited_ns} over its next message in {phase}[{server_gave_up?}, and the \
           server gave up]",
    fits,
    page: Page {
        means: "The client owed the next message for long: its process was busy, short of threads or of \
            processor time, or it waited for something that is not seen here.",
        signs: "The longest wait is the client's, and no cause fits that knows what a client does there.",
        against: "A certificate that it may be checking, a token that it fetches; a server that does not read \
            ([`zero_window`](#zero_window)). Where its process is on the agent's host and could not run it is \
            [`client_starved`](#client_starved).",
        confirm: "On the client's host: processor limits of its container (`cpu.stat`, `nr_throttled`), \
            run queue, thread pool of the runtime (`dotnet-counters`: *ThreadPool Queue Length*), \
            garbage collection.",
        mend: "Give the process processors and threads; open connections asynchronously; see \
            [`serial_open`](#serial_open) and [`login_storm`](#login_storm).",
        reports: &[
            "dotnet/SqlClient#3118",
            "dotnet/SqlClient#2266",
            "dotnet/SqlClient#422",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Client)?;
    if symptoms.starved().is_some() {
        return None;
    }
    // Others know what it waits for there.
    let elsewhere = match stall.phase {
        PhaseName::Tls => symptoms.certificate().is_some() && stall.took >= 4 * SECOND,
        PhaseName::Auth => symptoms.auth_kind() == AuthKind::Entra || symptoms.wants_token(),
        _ => false,
    };
    // It can not speak while the server does not read.
    let shut_out = symptoms.tcp.zero_window.server > 0;
    let by_server = symptoms.ended.is_some_and(|ended| ended.by == Side::Server);
    let confidence = if elsewhere || shut_out { 0.5 } else { 0.75 };
    Some(
        Found::at(symptoms.slowness_of_wait(confidence))
            .with(
                "zero_windows",
                Some(symptoms.tcp.zero_window.client).filter(|count| *count > 0),
            )
            .with("server_gave_up", by_server.then_some(true)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::tests::{certificate, fits, left_tls, misses, slow};

    #[test]
    fn a_client_that_owes_for_long_is_slow() {
        assert!(fits(&CAUSE, &slow(PhaseName::Prelogin, Who::Client)) >= 0.7);
        assert!(fits(&CAUSE, &slow(PhaseName::Login, Who::Client)) >= 0.7);
        assert!(misses(&CAUSE, &slow(PhaseName::Login, Who::Server)));
    }

    #[test]
    fn a_wait_that_is_neither_long_nor_most_of_a_slow_login_is_hardly_why() {
        let mut login = slow(PhaseName::Login, Who::Client);
        login.slow = 6 * SECOND;
        login.duration = 10 * SECOND;
        assert!(fits(&CAUSE, &login) <= 0.5);
        login.duration = 7 * SECOND;
        assert!(fits(&CAUSE, &login) >= 0.7);
    }

    #[test]
    fn a_client_that_the_servers_shut_window_keeps_from_speaking_may_not_be_slow() {
        let mut login = slow(PhaseName::Login, Who::Client);
        login.tcp.zero_window.server = 1;
        assert!(fits(&CAUSE, &login) <= 0.5);
    }

    #[test]
    fn what_it_may_wait_for_elsewhere_speaks_against_it() {
        let tls = left_tls(certificate(), None);
        let mut login = slow(PhaseName::Tls, Who::Client);
        login.tls = Some(&tls);
        assert!(fits(&CAUSE, &login) <= 0.5);
    }
}
