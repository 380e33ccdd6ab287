//! How much a line matters: what pipelines route by.

use serde::Serialize;

use super::{
    Agent, AgentAction, Attempt, Body, Close, CloseClass, Incident, IncidentOutcome, Login, Lookup,
    LookupOutcome, Nanos,
};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be, or nobody can say.
    Info,
    /// Something was slow, lost or degraded.
    Warn,
    /// Something failed.
    Error,
}

impl Severity {
    /// All of them, by their place in the order.
    pub const ALL: &[Self] = &[Self::Info, Self::Warn, Self::Error];
}

impl Body {
    /// How much the event matters. Logins, lookups and attempts are slow that took longer than `slow`.
    pub fn severity(&self, slow: Option<Nanos>) -> Severity {
        match self {
            Self::Login(record) => of_login(&record.facts.login, slow),
            Self::Close(record) => of_close(&record.close),
            Self::Lookup(record) => of_lookup(&record.lookup, slow),
            Self::Attempt(record) => of_attempt(&record.attempt, slow),
            Self::Incident(record) => of_incident(&record.incident),
            Self::Pending(_) | Self::Loss(_) => Severity::Warn,
            Self::Agent(record) => of_agent(&record.agent),
            Self::Phase(_) | Self::Request(_) | Self::Mars(_) => Severity::Info,
        }
    }
}

fn of_login(login: &Login, slow: Option<Nanos>) -> Severity {
    if login.failed() {
        Severity::Error
    } else {
        slow_or_not(login.duration_ns, slow)
    }
}

fn of_close(close: &Close) -> Severity {
    match close.class {
        CloseClass::Normal | CloseClass::BenignReset => Severity::Info,
        CloseClass::Abnormal => Severity::Warn,
    }
}

fn of_lookup(lookup: &Lookup, slow: Option<Nanos>) -> Severity {
    match lookup.outcome {
        LookupOutcome::Answered => slow_or_not(Some(lookup.duration_ns), slow),
        LookupOutcome::Timeout | LookupOutcome::Unreachable => Severity::Error,
    }
}

fn of_attempt(attempt: &Attempt, slow: Option<Nanos>) -> Severity {
    if attempt.failed() {
        Severity::Error
    } else {
        slow_or_not(Some(attempt.duration_ns), slow)
    }
}

/// What is over and well again needs nobody; of what only fell silent or goes on nobody knows that.
fn of_incident(incident: &Incident) -> Severity {
    match incident.outcome {
        Some(IncidentOutcome::Recovered) => Severity::Info,
        Some(IncidentOutcome::Quiet | IncidentOutcome::Ongoing) | None if incident.failed() => {
            Severity::Error
        }
        _ => Severity::Warn,
    }
}

fn of_agent(agent: &Agent) -> Severity {
    let all_taken = || matches!(agent.reason.as_deref(), Some("applied" | "unchanged"));
    match agent.action {
        AgentAction::Degraded => Severity::Warn,
        AgentAction::Reload if !all_taken() => Severity::Warn,
        AgentAction::Start
        | AgentAction::Stop
        | AgentAction::InterfaceAdded
        | AgentAction::InterfaceRemoved
        | AgentAction::PortAdded
        | AgentAction::PortRemoved
        | AgentAction::Reload
        | AgentAction::Status => Severity::Info,
    }
}

fn slow_or_not(duration: Option<Nanos>, slow: Option<Nanos>) -> Severity {
    if slow.is_some_and(|limit| duration.is_some_and(|duration| duration > limit)) {
        Severity::Warn
    } else {
        Severity::Info
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;
    use crate::record::{Body, Count, IncidentOutcome, Nanos, Outcome, Record, Stranger, samples};

    fn with(outcome: Outcome, stranger: Option<Stranger>) -> Record {
        let mut record = samples::login();
        if let Body::Login(login) = &mut record.body {
            login.facts.login.outcome = Some(outcome);
            login.facts.login.stranger = stranger;
        }
        record
    }

    #[test]
    fn a_login_that_failed_is_an_error_however_it_failed() {
        for outcome in [
            Outcome::Failed,
            Outcome::Refused,
            Outcome::Unreachable,
            Outcome::Timeout,
            Outcome::TlsFailed,
            Outcome::Reset,
            Outcome::Closed,
            Outcome::Aborted,
        ] {
            assert_eq!(with(outcome, None).body.severity(None), Severity::Error);
        }
        let reset = with(Outcome::Reset, Some(Stranger::Silent));
        assert_eq!(reset.body.severity(None), Severity::Error);
    }

    #[test]
    fn a_login_that_went_well_is_a_warning_only_above_the_limit() {
        let duration = 8_777_871;
        for outcome in [Outcome::Success, Outcome::Redirected, Outcome::Unknown] {
            let login = with(outcome, None).body;
            assert_eq!(login.severity(None), Severity::Info);
            assert_eq!(login.severity(Some(Nanos(duration))), Severity::Info);
            assert_eq!(login.severity(Some(Nanos(duration - 1))), Severity::Warn);
        }
    }

    #[test]
    fn an_incident_is_as_bad_as_its_logins_until_they_go_well_again() {
        let with = |failed, outcome| {
            let mut record = samples::incident();
            if let Body::Incident(incident) = &mut record.body {
                incident.incident.failed = Count(failed);
                incident.incident.outcome = outcome;
            }
            record.body.severity(None)
        };
        assert_eq!(with(1, None), Severity::Error);
        assert_eq!(with(0, None), Severity::Warn, "they were slow");
        assert_eq!(with(1, Some(IncidentOutcome::Quiet)), Severity::Error);
        assert_eq!(with(1, Some(IncidentOutcome::Recovered)), Severity::Info);
    }

    #[test]
    fn a_stranger_that_leaves_has_not_failed() {
        let probe = with(Outcome::Aborted, Some(Stranger::Silent));
        assert_eq!(probe.body.severity(None), Severity::Info);
    }

    #[test]
    fn what_was_lost_what_hangs_and_an_abnormal_close_are_warnings() {
        assert_eq!(samples::pending().body.severity(None), Severity::Warn);
        assert_eq!(samples::loss().body.severity(None), Severity::Warn);
        assert_eq!(samples::close().body.severity(None), Severity::Warn);
        assert_eq!(samples::agent().body.severity(None), Severity::Info);
    }
}
