//! The client owes, and its process could not run, or did not read.

use crate::{
    record::{Nanos, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "client_starved",
    whom: Some(Whom::Application),
    meaning: "the client's process could not run, or did not read what had come",
    seen: "the client took {waited_ns} over its next message in {phase}, when its process was \
           {process_state}|the client took \
           {waited_ns} over its next message in {phase}; its control group was throttled for \
           {throttled_ns}|the client took {waited_ns} over its next message in {phase}; its control group was \
           throttled in {throttled_periods} of {periods} periods|the client took {waited_ns} over its next message in {phase}; a thread of it \
           waited {run_queue_ns} for a processor|the client took {waited_ns} over its next message in \
           {phase} and left {unread_bytes} bytes unread",
    fits,
    page: Page {
        means: "The client owed the next message, and this host shows why none came: a limit on processor time \
            kept its control group waiting, its threads waited for a processor, a signal had stopped it, or the \
            server's answer lay in its socket and nobody read it, as where a thread pool is used up.",
        signs: "The longest wait is the client's, and the process's figures over that time: `throttled_ns` and \
            `throttled_periods` of all `periods` of its control group, or of one around it, `run_queue_ns` of the thread that waited \
            the longest, `process_state`, `unread_bytes`. They are taken as a login begins, each second while it is \
            not decided, and at its end; `measured_ns` is the time that they are of. At half of the wait and more \
            they are nearly sure, below a fifth they say nothing.",
        against: "Figures of a much longer time than the wait; a process that read its answer and was idle \
            ([`client_slow`](#client_slow)). Known only where the client is on the agent's host.",
        confirm: "`cpu.stat` of the container (`nr_throttled`, `throttled_usec`), `/proc/PID/schedstat`, \
            `ss -tnp` (Recv-Q), the state in `ps`; of .NET `dotnet-counters`: *ThreadPool Queue Length*.",
        mend: "Raise or remove the limit on processor time (`resources.limits.cpu`, `CPUQuota`); more processors \
            for the host; of unread answers: a larger minimum of threads, connections opened asynchronously.",
        reports: &[
            "dotnet/SqlClient#3118",
            "dotnet/SqlClient#2266",
            "dotnet/SqlClient#422",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let starved = symptoms.starved()?;
    let (process, socket) = (&symptoms.host.process, &symptoms.host.socket);
    // What is a hundredth of the wait is everybody's.
    let least = symptoms.stall().map_or(0, |stall| stall.took / 100);
    let some = |time: Option<u64>| time.filter(|time| *time > least).map(Nanos);
    let measured = process.throttled.or(process.queued);
    Some(
        Found::at(symptoms.slowness_of_wait(starved.confidence))
            .call(starved.whom)
            .shown_by_host()
            .with("process_state", process.stopped.map(|_| "stopped"))
            .with("stopped_ns", some(process.stopped))
            .with("throttled_ns", some(process.throttled))
            .with(
                "throttled_periods",
                process.throttled_periods.filter(|periods| *periods > 0),
            )
            .with("periods", process.periods.filter(|periods| *periods > 0))
            .with("run_queue_ns", some(process.queued))
            .with("cpu_pressure_ns", some(process.cpu_pressure))
            .with("memory_pressure_ns", some(process.memory_pressure))
            .with("unread_bytes", socket.unread.filter(|bytes| *bytes > 0))
            .with("unread_ns", some(socket.unread_for))
            .with("measured_ns", measured.map(|_| Nanos(process.span))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::{
            causes::client_slow,
            symptoms::{SECOND, Who},
            tests::{ended, fits, misses, slow},
        },
    };

    /// A client that owed for five seconds, looked at for six.
    fn owing() -> Symptoms<'static> {
        let mut owing = slow(PhaseName::Tls, Who::Client);
        owing.host.process.span = 6 * SECOND;
        owing.host.process.throttled = Some(0);
        owing.host.process.queued = Some(1_000_000);
        owing.host.socket.unread = Some(0);
        owing
    }

    #[test]
    fn a_limit_that_took_most_of_the_wait_is_the_hosts() {
        let mut login = owing();
        assert!(misses(&CAUSE, &login), "nothing held it back");
        login.host.process.throttled = Some(4 * SECOND);
        assert!(fits(&CAUSE, &login) > 0.9);
        assert_eq!(super::fits(&login).unwrap().whom, Some(Whom::Host));
        assert!(misses(&client_slow::CAUSE, &login), "the host explains it");
        login.host.process.throttled = Some(SECOND);
        assert!(fits(&CAUSE, &login) < 0.7);
        login.host.process.throttled = Some(SECOND / 2);
        assert!(misses(&CAUSE, &login), "that is a tenth");
    }

    #[test]
    fn what_was_counted_over_a_much_longer_time_says_nothing() {
        let mut login = owing();
        login.host.process.throttled = Some(4 * SECOND);
        login.host.process.span = 60 * SECOND;
        assert!(misses(&CAUSE, &login));
    }

    #[test]
    fn a_thread_that_waited_for_a_processor_was_starved() {
        let mut login = owing();
        login.host.process.queued = Some(3 * SECOND);
        assert!(fits(&CAUSE, &login) > 0.8);
    }

    #[test]
    fn one_that_was_stopped_or_did_not_read_is_the_applications() {
        let mut login = owing();
        login.host.socket.unread = Some(52);
        assert!(fits(&CAUSE, &login) > 0.75);
        assert_eq!(super::fits(&login).unwrap().whom, Some(Whom::Application));
        login.host.process.stopped = Some(0);
        assert!(fits(&CAUSE, &login) > 0.9);
    }

    #[test]
    fn a_limit_that_still_holds_it_back_is_known_by_its_periods() {
        let mut login = owing();
        login.host.process.throttled_periods = Some(2);
        login.host.process.periods = Some(3);
        assert!((0.6..0.7).contains(&fits(&CAUSE, &login)));
        login.host.socket.unread = Some(43);
        assert!(fits(&CAUSE, &login) > 0.8);
        assert_eq!(super::fits(&login).unwrap().whom, Some(Whom::Host));
        login.host.process.periods = Some(30);
        assert_eq!(super::fits(&login).unwrap().whom, Some(Whom::Application));
    }

    #[test]
    fn who_was_starved_and_then_turned_away_did_not_fail_for_that() {
        let mut login = owing();
        login.host.process.queued = Some(4 * SECOND);
        login.outcome = Some(Outcome::TlsFailed);
        login.ended = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server).ended;
        login.ended.as_mut().expect("an end").after = 1_000_000;
        assert!(fits(&CAUSE, &login) < 0.5);
        login.ended.as_mut().expect("an end").after = 9 * SECOND;
        assert!(fits(&CAUSE, &login) > 0.8, "the server gave up on it");
    }

    #[test]
    fn a_slow_server_is_not_excused_by_a_busy_client() {
        let mut login = slow(PhaseName::Login, Who::Server);
        login.host = owing().host;
        login.host.process.throttled = Some(5 * SECOND);
        assert!(misses(&CAUSE, &login));
    }
}
