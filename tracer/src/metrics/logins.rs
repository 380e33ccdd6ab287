//! Logins, and what comes before and after them.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use super::{
    labels::{
        OfAttempt, OfCause, OfClose, OfDuration, OfLogin, OfOutcome, OfPhase, OfRequest, OfSide,
        cause, named, server,
    },
    series::Series,
    timed::{Example, Timed},
    told::Told,
};
use crate::record::{
    AttemptRecord, Body, CloseRecord, Count, Incident, IncidentAction, LoginRecord, PhaseName,
    Record, Text, Timestamp,
    trace::{self, Traces},
};

type Counts<L> = Series<L, Counter>;
type Durations<L> = Series<L, Timed>;

/// Declares the metrics with their names: once for the fields, the registry, and their housekeeping.
macro_rules! metrics {
    (
        counts { $($count:ident: $count_labels:ident = $count_name:literal, $count_help:literal;)* }
        durations { $($duration:ident: $duration_labels:ident = $duration_name:literal, $duration_help:literal;)* }
    ) => {
        /// See the module.
        #[derive(Debug)]
        pub(super) struct Logins {
            $($count: Counts<$count_labels>,)*
            $($duration: Durations<$duration_labels>,)*
            incidents_open: Gauge,
            /// This host's name, as its spans have it.
            host: Text,
            traces: Traces,
        }

        impl Logins {
            /// Nothing has happened yet on this host; it is told from now on.
            pub(super) fn new(told: &mut Told, host: &str) -> Self {
                let new = Self {
                    $($count: Series::new(Counter::default),)*
                    $($duration: Series::new(Timed::new),)*
                    incidents_open: Gauge::default(),
                    host: Text::from(host),
                    traces: Traces::default(),
                };
                $(new.$count.register(&mut told.registry, $count_name, $count_help);)*
                $(told.seconds(&new.$duration, $duration_name, $duration_help);)*
                told.registry.register(
                    "tds_incidents_open",
                    "Incidents that last",
                    new.incidents_open.clone(),
                );
                new
            }

            /// A minute has passed. How often there was no room for a series, by the metric's name.
            pub(super) fn minute(&mut self) -> Vec<(&'static str, u64)> {
                $(self.$count.turn();)*
                $(self.$duration.turn();)*
                vec![
                    $(($count_name, self.$count.folded()),)*
                    $(($duration_name, self.$duration.folded()),)*
                ]
            }
        }
    };
}

metrics! {
    counts {
        logins: OfLogin = "tds_logins", "Logins by what came of them; error is SQL Server's number, cause the likeliest";
        pending: OfSide = "tds_pending_logins", "Logins that were undecided for long, by who was waited for";
        closes: OfClose = "tds_closes", "Connections that ended, by who ended them and how";
        requests: OfRequest = "tds_requests", "Requests of connections that ended";
        retransmits: OfSide = "tds_retransmits", "Segments that were sent again, of connections that ended, by who sent them";
        attempts: OfAttempt = "tds_attempts", "Attempts to reach SQL Server, with all their connections and lookups";
        lookups: OfOutcome = "tds_lookups", "Questions to SQL Browser";
        incidents: OfCause = "tds_incidents", "Incidents that began, by their likeliest cause then";
    }
    durations {
        took: OfDuration = "tds_login_duration", "From a connection's first packet to what decided its login";
        phases: OfPhase = "tds_login_phase_duration", "How long a login's phase waited for this side";
        attempts_took: OfOutcome = "tds_attempt_duration", "From an attempt's first sign to its end";
    }
}

impl Logins {
    /// Counts what is told.
    pub(super) fn record(&mut self, record: &Record) {
        match &record.body {
            Body::Login(login) => self.login(login, record.timestamp),
            Body::Pending(pending) => {
                let facts = &pending.facts;
                let labels = OfSide {
                    server: server(&facts.server),
                    side: named(facts.login.owed_by),
                };
                self.pending.with(labels, Counter::inc);
            }
            Body::Close(close) => self.close(close),
            Body::Attempt(attempt) => self.attempt(attempt, record.timestamp),
            Body::Lookup(record) => {
                let outcome = named(record.lookup.outcome);
                self.lookups.with(OfOutcome { outcome }, Counter::inc);
            }
            Body::Incident(record) => self.incident(&record.incident),
            Body::Phase(_) | Body::Request(_) | Body::Mars(_) | Body::Loss(_) | Body::Agent(_) => {}
        }
    }

    fn login(&mut self, record: &LoginRecord, at: Timestamp) {
        self.logins.with(OfLogin::new(record), Counter::inc);
        let facts = &record.facts;
        let connection = facts.connection.id.0;
        let attempt = facts.attempt.as_ref().map(|attempt| attempt.id.0);
        let tds = facts.tds.as_ref();
        let guid = tds.and_then(|tds| tds.connection_guid.as_deref());
        let trace = self.traces.login(connection, attempt, guid, "");
        let told_by = |part: &str| Example {
            trace,
            span: trace::span(connection, &self.host, part),
            at,
        };
        let server = server(&facts.server);
        if let Some(took) = facts.login.duration_ns {
            let labels = OfDuration {
                server: server.clone(),
                outcome: named(facts.login.outcome),
            };
            let example = told_by("connection");
            self.took.with(labels, |timed| timed.observe(took, example));
        }
        for name in PhaseName::LOGIN {
            let waited = facts.phases.of(name).and_then(|phase| phase.waited);
            let Some(waited) = waited else { continue };
            let example = told_by(name.as_str());
            for (side, time) in [
                ("client", waited.client_ns),
                ("server", waited.server_ns),
                ("network", waited.network_ns),
            ] {
                let labels = OfPhase {
                    server: server.clone(),
                    phase: name.as_str().to_owned(),
                    side: side.to_owned(),
                };
                self.phases
                    .with(labels, |timed| timed.observe(time, example));
            }
        }
    }

    fn close(&mut self, record: &CloseRecord) {
        let facts = &record.facts;
        let server = server(&facts.server);
        let labels = OfClose {
            server: server.clone(),
            by: named(record.close.by),
            how: named(record.close.how),
            class: named(record.close.class),
        };
        self.closes.with(labels, Counter::inc);
        let sent_again = facts.tcp.retransmits;
        for (side, count) in [("client", sent_again.client), ("server", sent_again.server)] {
            if count > 0 {
                let labels = OfSide {
                    server: server.clone(),
                    side: side.to_owned(),
                };
                self.retransmits
                    .with(labels, |counter| counter.inc_by(count.into()));
            }
        }
        let Some(requests) = &facts.requests else {
            return;
        };
        for (kind, Count(count)) in [
            ("batch", requests.batch),
            ("rpc", requests.rpc),
            ("bulk", requests.bulk),
            ("transaction", requests.transaction),
            ("attention", requests.attention),
        ] {
            if count > 0 {
                let labels = OfRequest {
                    server: server.clone(),
                    kind: kind.to_owned(),
                };
                self.requests.with(labels, |counter| counter.inc_by(count));
            }
        }
    }

    fn attempt(&mut self, record: &AttemptRecord, at: Timestamp) {
        let attempt = &record.attempt;
        let connections = attempt.parts.iter().filter_map(|part| part.connection_id);
        let trace = self
            .traces
            .attempt(attempt.id.0, connections.map(|connection| connection.0));
        let example = Example {
            trace,
            span: trace::root(&trace, &self.host),
            at,
        };
        let outcome = named(attempt.outcome);
        let labels = OfAttempt {
            outcome: outcome.clone(),
            cause: cause(&attempt.diagnosis),
        };
        self.attempts.with(labels, Counter::inc);
        let took = attempt.duration_ns;
        self.attempts_took
            .with(OfOutcome { outcome }, |timed| timed.observe(took, example));
    }

    fn incident(&mut self, incident: &Incident) {
        match incident.action {
            IncidentAction::Opened => {
                let cause = incident.cause.to_string();
                self.incidents.with(OfCause { cause }, Counter::inc);
                self.incidents_open.inc();
            }
            // One that began before anything was counted does not count at its end either.
            IncidentAction::Closed if self.incidents_open.get() > 0 => {
                self.incidents_open.dec();
            }
            IncidentAction::Updated | IncidentAction::Closed => {}
        }
    }
}
