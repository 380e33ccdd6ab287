//! What came of the login.

use std::cmp::Reverse;

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Basis, Confidence, IncidentId, Nanos, PhaseName, Phases, Side, Text, Waited};

/// The login's outcome and what it asked for.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Login {
    /// How it ended; left out while it is not decided.
    pub outcome: Option<Outcome>,
    /// How the outcome is known; left out with it.
    pub basis: Option<Basis>,
    /// Where inferred, how sure.
    pub confidence: Option<Confidence>,
    /// From the first packet to the deciding one; left out where the first was not seen.
    pub duration_ns: Option<Nanos>,
    /// How much of that the client was waited for: the sum over the login's phases.
    pub client_ns: Option<Nanos>,
    /// How much of it the server was waited for.
    pub server_ns: Option<Nanos>,
    /// How much of it the network was waited for.
    pub network_ns: Option<Nanos>,
    /// The longest of the login's phases, the first where several are.
    pub slowest_phase: Option<PhaseName>,
    /// Who owed the next message when the login ended without an answer.
    pub owed_by: Option<Side>,
    /// The reply arrived after the client had given up, by this much.
    pub late_reply_ns: Option<Nanos>,
    /// The client sent an attention before the login was decided.
    pub attention: Option<bool>,
    /// The first error of the server's reply.
    pub error: Option<SqlError>,
    /// Further errors of the reply, at most [`Login::MAX_FURTHER_ERRORS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub further_errors: Vec<SqlError>,
    /// The database asked for, then the one that the server chose.
    pub database: Option<Text>,
    /// LOGIN7 `AppName`.
    pub app_name: Option<Text>,
    /// LOGIN7 `CltIntName`.
    pub client_library: Option<Text>,
    /// LOGIN7 `ServerName`: the name that the client connected to.
    pub server_name: Option<Text>,
    /// The language asked for, then the one that the server chose.
    pub language: Option<Text>,
    /// LOGIN7 `ClientPID`: a process on the client's host.
    pub client_pid: Option<u32>,
    /// LOGIN7 `HostName`, by the identity policy.
    pub host_name: Option<Text>,
    /// LOGIN7 `UserName`, by the identity policy.
    pub user: Option<Text>,
    /// The login asked for a new password (the fact, never the value).
    pub password_change: Option<bool>,
    /// Where the server sent the client.
    pub redirect: Option<Redirect>,
    /// What the client speaks where it does not speak TDS 7 or later.
    pub stranger: Option<Stranger>,
    /// Another connection of the same attempt was faster, and this one was given up for it: it has not
    /// failed.
    pub loser: Option<bool>,
    /// The incident that it is part of, where that had opened by then; in the `close` line that which the `login`
    /// line has named.
    pub incident: Option<IncidentId>,
}

impl Login {
    /// More errors than this are not listed.
    pub const MAX_FURTHER_ERRORS: usize = 7;

    /// Notes how it ended, and how sure that is where it is not observed.
    pub fn decide(&mut self, outcome: Outcome, basis: Basis, confidence: Option<Confidence>) {
        self.outcome = Some(outcome);
        self.basis = Some(basis);
        self.confidence = confidence;
    }

    /// Fills in who was waited for in all its phases together, and which was the longest. Where a
    /// phase is missing, or what passed in one, nothing is said.
    pub fn sum_up(&mut self, phases: &Phases) {
        let phases = phases.whole_login().unwrap_or_default();
        let waited = phases
            .iter()
            .map(|(_, phase)| phase.waited)
            .sum::<Option<Waited>>()
            .filter(|_| !phases.is_empty());
        let slowest = phases
            .iter()
            .min_by_key(|(_, phase)| Reverse(phase.duration_ns));
        // Phases of which packets are missing may be one that were two.
        let slowest = slowest.filter(|_| waited.is_some());
        self.slowest_phase = slowest.map(|(name, _)| *name);
        self.client_ns = waited.map(|waited| waited.client_ns);
        self.server_ns = waited.map(|waited| waited.server_ns);
        self.network_ns = waited.map(|waited| waited.network_ns);
    }

    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What came of it; what is not decided is unknown.
    pub fn kind(&self) -> OutcomeKind {
        self.outcome.map_or(OutcomeKind::Unknown, Outcome::kind)
    }

    /// Whether it did what its client wanted, or was passed on to where it will.
    pub fn is_good(&self) -> bool {
        self.outcome.is_some_and(Outcome::is_good)
    }

    /// Whether its outcome is concluded rather than read.
    pub fn is_inferred(&self) -> bool {
        self.basis == Some(Basis::Inferred)
    }

    /// Whether it went wrong; see [`Outcome::failed`].
    pub fn failed(&self) -> bool {
        self.loser != Some(true)
            && self
                .outcome
                .is_some_and(|outcome| outcome.failed(self.stranger))
    }
}

/// How a login ended; the first that fits, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged with a routing change.
    Redirected,
    /// LOGINACK seen, or inferred in the dark.
    Success,
    /// An ERROR token and no LOGINACK, or a refusal inferred in the dark.
    Failed,
    /// RST in answer to SYN.
    Refused,
    /// No answer to any SYN.
    Unreachable,
    /// The client gave up while the server had owed the next message for a second or more.
    Timeout,
    /// Ended inside the TLS phase by an alert or by either side closing.
    TlsFailed,
    /// RST by either side before the login was decided.
    Reset,
    /// The server's FIN before the login was decided.
    Closed,
    /// The client's FIN before the login was decided, a probe without data, a peer without TDS.
    Aborted,
    /// Joined late, or too much was lost to say.
    #[default]
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Redirected,
        Self::Success,
        Self::Failed,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::TlsFailed,
        Self::Reset,
        Self::Closed,
        Self::Aborted,
        Self::Unknown,
    ];

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redirected => "redirected",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::TlsFailed => "tls_failed",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the server answered the login, or it ended without an answer.
    pub fn kind(self) -> OutcomeKind {
        match self {
            Self::Redirected | Self::Success | Self::Failed => OutcomeKind::Answered,
            Self::Unknown => OutcomeKind::Unknown,
            Self::Refused
            | Self::Unreachable
            | Self::Timeout
            | Self::TlsFailed
            | Self::Reset
            | Self::Closed
            | Self::Aborted => OutcomeKind::Ended,
        }
    }

    /// Whether the login went wrong. A probe, and a peer that does not speak TDS, has not failed to
    /// log in by leaving; where the server ended it, it has, whoever it was.
    pub fn failed(self, stranger: Option<Stranger>) -> bool {
        match self {
            Self::Aborted => stranger.is_none(),
            Self::Failed => true,
            outcome => outcome.kind() == OutcomeKind::Ended,
        }
    }

    /// The login did what its client wanted, or was passed on to where it will.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Success | Self::Redirected)
    }
}

/// What came of a login, in three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The server answered it: with yes, with no, or with where to go.
    Answered,
    /// It ended before it was answered.
    Ended,
    /// Nobody can say.
    Unknown,
}

/// An ERROR token without its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SqlError {
    /// Error number, such as 18456.
    pub number: u32,
    /// State, which tells apart the causes of one number.
    pub state: u8,
    /// Severity.
    pub class: u8,
}

/// ENVCHANGE routing.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Redirect {
    /// Host name or address as the server wrote it.
    pub address: Text,
    /// TCP port.
    pub port: u16,
    /// Database, in enhanced routing.
    pub database: Option<Text>,
}

/// Clients that are no TDS 7 clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stranger {
    /// Connected and sent nothing.
    Silent,
    /// TDS 4.2 or 5.0: packet type 2.
    PreTds7,
    /// An HTTP request.
    Http,
    /// TLS that never became TDS.
    Tls,
    /// Anything else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::{Login, Outcome, OutcomeKind, Stranger};
    use crate::record::{Body, Nanos, PhaseName, Phases, samples};

    #[test]
    fn a_login_that_is_not_decided_is_neither_good_nor_failed() {
        let login = Login::default();
        assert_eq!(login.kind(), OutcomeKind::Unknown);
        assert!(!login.is_good() && !login.failed());
        assert_eq!(serde_json::json!(login), serde_json::json!({}));
    }

    #[test]
    fn the_phases_of_a_whole_login_are_summed_up() {
        let Body::Login(login) = samples::login().body else {
            unreachable!("a login")
        };
        let mut summed = Login::default();
        summed.sum_up(&login.facts.phases);
        let told = &login.facts.login;
        assert_eq!(summed.client_ns, told.client_ns);
        assert_eq!(summed.server_ns, told.server_ns);
        assert_eq!(summed.network_ns, told.network_ns);
        assert_eq!(summed.slowest_phase, Some(PhaseName::Tls));
        let parts = [summed.client_ns, summed.server_ns, summed.network_ns];
        let sum = parts
            .into_iter()
            .flatten()
            .fold(Nanos(0), |sum, part| sum + part);
        assert_eq!(Some(sum), told.duration_ns);
    }

    #[test]
    fn a_login_of_which_a_phase_or_its_waits_are_missing_is_not_summed_up() {
        let Body::Login(login) = samples::login().body else {
            unreachable!("a login")
        };
        let nothing = |change: fn(&mut Phases)| {
            let mut phases = login.facts.phases.clone();
            change(&mut phases);
            let mut summed = login.facts.login.clone();
            summed.sum_up(&phases);
            summed.client_ns.is_none() && summed.slowest_phase.is_none()
        };
        assert!(nothing(|phases| *phases = Phases::default()));
        assert!(nothing(|phases| phases.handshake = None));
        assert!(nothing(|phases| phases.tls = None));
        assert!(nothing(|phases| {
            if let Some(tls) = &mut phases.tls {
                tls.waited = None;
            }
        }));
    }

    #[test]
    fn an_answer_may_be_a_refusal_and_an_end_may_be_a_probe() {
        assert_eq!(Outcome::Failed.kind(), OutcomeKind::Answered);
        assert_eq!(Outcome::Timeout.kind(), OutcomeKind::Ended);
        let ended = |outcome, stranger| Login {
            outcome: Some(outcome),
            stranger,
            ..Login::default()
        };
        assert!(ended(Outcome::Failed, None).failed());
        assert!(ended(Outcome::Aborted, None).failed());
        assert!(!ended(Outcome::Aborted, Some(Stranger::Silent)).failed());
        assert!(ended(Outcome::Reset, Some(Stranger::Silent)).failed());
        assert!(!ended(Outcome::Unknown, None).failed());
    }
}
