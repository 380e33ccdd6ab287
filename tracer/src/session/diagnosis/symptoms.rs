//! What was seen of one login: facts only.

mod host;
mod tls;
mod waits;

pub(in crate::session) use self::waits::Worst;
pub(super) use self::{host::NO_SOCKET, waits::Who};
use super::neighbours::Around;
use crate::{
    record::{
        Auth, AuthKind, Outcome, PhaseName, Side, SqlError, Stranger, Tcp, Tds, Text, Timestamp,
        Tls, Waited,
    },
    session::{attempts::Done, host::HostFacts, services::Controllers},
};

pub(super) const SECOND: u64 = 1_000_000_000;
/// Who has sent something so often again, and hears nothing, is heard by nobody: no loss that mends itself.
pub(in crate::session) const IN_VAIN: u32 = 3;
/// A wait that is so many times a server's usual one is long.
const UNUSUAL: u64 = 10;
/// But not below this, nanoseconds: a packet that is lost costs as much.
const UNUSUAL_FLOOR: u64 = 250_000_000;

/// How sure it is that a login took long for a reason that it did not fail for.
pub(super) const NOT_WHY: f64 = 0.45;

/// How sure it is that a login took long for a wait that is neither long itself nor most of it.
const PARTLY: f64 = 0.5;

/// A phase of the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Part {
    pub(in crate::session) name: PhaseName,
    /// Nanoseconds, as all durations here.
    pub(in crate::session) duration: u64,
    /// False for the phase in which the login ended, or is.
    pub(in crate::session) complete: bool,
    /// `None` where packets are missing.
    pub(in crate::session) waited: Option<Waited>,
    /// Segments that either side sent again in it.
    pub(in crate::session) resent: u32,
}

/// How the login's connection ended, where that decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Ended {
    /// Who ended it.
    pub(in crate::session) by: Side,
    /// By a RST, else by a FIN.
    pub(in crate::session) reset: bool,
    /// The RST took another path than that side's data.
    pub(in crate::session) foreign: bool,
    /// It came of somebody who knows of no such connection, though that side has just answered on it.
    pub(in crate::session) bare: bool,
    /// How long after the last message.
    pub(in crate::session) after: u64,
}

/// What was sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Lost {
    /// Time between the copies of packets that were sent again before they were answered.
    pub(in crate::session) time: u64,
    /// Copies of the segment that was sent most often, the first one not counted.
    pub(in crate::session) copies: u32,
    /// Whose segment that is.
    pub(in crate::session) by: Option<Side>,
    /// Its payload, bytes.
    pub(in crate::session) length: u32,
    /// The payload of the shortest segment that was sent again more than once, bytes; of the one that was
    /// sent most often where there is none.
    pub(in crate::session) shortest: u32,
    /// It was not answered up to the login's end.
    pub(in crate::session) for_good: bool,
}

/// How a connection was closed after its login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Closing {
    /// It did not close as connections should.
    pub(in crate::session) abnormal: bool,
    /// By a RST.
    pub(in crate::session) reset: bool,
    /// Which came another way than its side's data.
    pub(in crate::session) foreign: bool,
    /// How long nothing had passed before it, or before the requests that it left without answer.
    pub(in crate::session) idle: u64,
    /// Keep-alive probes without an answer before it.
    pub(in crate::session) probes: u32,
    /// Segments that the client had sent again by then since it had heard anything.
    pub(in crate::session) copies: u32,
    /// Requests without an answer then.
    pub(in crate::session) in_flight: u32,
}

/// What was seen of one login, and of its neighbours.
#[derive(Clone, Debug)]
pub(in crate::session) struct Symptoms<'a> {
    /// `None` while it is not decided.
    pub(in crate::session) outcome: Option<Outcome>,
    /// How sure the outcome is.
    pub(in crate::session) belief: f64,
    pub(in crate::session) stranger: Option<Stranger>,
    /// Another of the connections that were opened at once was faster.
    pub(in crate::session) loser: bool,
    /// From the first packet to the deciding one, or until now.
    pub(in crate::session) duration: u64,
    /// The phases, in their order.
    pub(in crate::session) parts: Vec<Part>,
    /// Who owes the next message, or owed it at the end.
    pub(in crate::session) owed_by: Option<Side>,
    pub(in crate::session) ended: Option<Ended>,
    pub(in crate::session) tcp: Tcp,
    pub(in crate::session) lost: Lost,
    /// In which phase the server was waited for the longest, and how soon after the question its kernel acknowledged that,
    /// where it did before there was an answer.
    pub(in crate::session) acknowledged: Option<(PhaseName, u64)>,
    /// Bytes of the server's answer that never came, though later ones did.
    pub(in crate::session) answer_lacks: Option<u32>,
    /// Of the server's last reply.
    pub(in crate::session) errors: Vec<SqlError>,
    pub(in crate::session) tds: Option<&'a Tds>,
    pub(in crate::session) tls: Option<&'a Tls>,
    pub(in crate::session) auth: Option<&'a Auth>,
    /// The name that the client says it connects to.
    pub(in crate::session) server_name: Option<&'a Text>,
    /// The name that the client has asked a name server for.
    pub(in crate::session) resolved_name: Option<&'a Text>,
    /// The database that it asks for.
    pub(in crate::session) database: Option<&'a Text>,
    /// The wall clock's time.
    pub(in crate::session) at: Timestamp,
    /// Not all of the connection was seen.
    pub(in crate::session) partial: bool,
    /// From here on a wait is long.
    pub(in crate::session) slow: u64,
    /// The wait that is looked at; the longest where it is not said.
    pub(in crate::session) looked_at: Option<Worst>,
    pub(in crate::session) around: Around,
    /// What other services were asked for its sake.
    pub(in crate::session) beside: &'a [Done],
    /// What the server's host asked of domain controllers meanwhile.
    pub(in crate::session) controllers: Controllers,
    /// What this host says of its time.
    pub(in crate::session) host: HostFacts,
    /// The answer came so long after the client had left.
    pub(in crate::session) late_reply: Option<u64>,
    pub(in crate::session) closing: Option<Closing>,
}

impl Default for Symptoms<'_> {
    fn default() -> Self {
        Self {
            outcome: None,
            belief: 1.0,
            stranger: None,
            loser: false,
            duration: 0,
            parts: Vec::new(),
            owed_by: None,
            ended: None,
            tcp: Tcp::default(),
            lost: Lost::default(),
            acknowledged: None,
            answer_lacks: None,
            errors: Vec::new(),
            tds: None,
            tls: None,
            auth: None,
            server_name: None,
            resolved_name: None,
            database: None,
            at: Timestamp::default(),
            partial: false,
            slow: SECOND,
            looked_at: None,
            around: Around::default(),
            beside: &[],
            controllers: Controllers::default(),
            host: HostFacts::default(),
            late_reply: None,
            closing: None,
        }
    }
}

impl Symptoms<'_> {
    /// Whether somebody wants to know why: it did not do what its client wanted, or took long.
    pub(super) fn asks_why(&self) -> bool {
        let good = self.outcome.is_some_and(Outcome::is_good);
        let closing = self.closing.iter().any(|closing| closing.abnormal);
        !good || self.is_slow() || closing
    }

    /// Whether it took long, or a part of it did.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow_anywhere() || self.parts.iter().any(|part| self.is_unusual(part))
    }

    /// Whether it took long, whatever is usual for its server.
    fn is_slow_anywhere(&self) -> bool {
        let mut parts = self.parts.iter();
        self.duration >= self.slow || parts.any(|part| part.duration >= self.slow)
    }

    /// Whether it went well, and took long for its server only.
    pub(super) fn is_only_unusual(&self) -> bool {
        let good = self.outcome.is_some_and(Outcome::is_good);
        good && !self.is_slow_anywhere()
    }

    fn is_unusual(&self, part: &Part) -> bool {
        let Some(typical) = self.around.typical(part.name) else {
            return false;
        };
        let waited = part.waited.map_or(0, |waited| waited.server_ns.0);
        // Where some logins always wait for long, a long wait is not odd; buckets are an eighth wide.
        let seldom = typical.p99.is_none_or(|p99| waited > p99 + p99 / 8);
        waited >= UNUSUAL_FLOOR && waited >= typical.p50.saturating_mul(UNUSUAL) && seldom
    }

    /// Whether one side speaks something else.
    pub(super) fn is_strange(&self) -> bool {
        self.stranger
            .is_some_and(|stranger| stranger != Stranger::Silent)
    }

    /// Whether it is not decided yet.
    pub(super) fn is_pending(&self) -> bool {
        self.outcome.is_none()
    }

    /// Whether it ended so.
    pub(super) fn ended_as(&self, outcomes: &[Outcome]) -> bool {
        self.outcome
            .is_some_and(|outcome| outcomes.contains(&outcome))
    }

    /// Whether it ended without an answer.
    pub(super) fn is_unanswered(&self) -> bool {
        use Outcome::{Aborted, Closed, Reset, Timeout, TlsFailed};
        self.ended_as(&[Timeout, TlsFailed, Reset, Closed, Aborted])
    }

    /// How sure a cause is that a login took long for: of one that somebody ended at once, however long it had taken by
    /// then, that is not why it failed.
    pub(super) fn slowness(&self, confidence: f64) -> f64 {
        use Outcome::{Aborted, Closed, Failed, Reset, TlsFailed};
        let failed = self.ended_as(&[Failed, TlsFailed, Reset, Closed, Aborted]);
        let at_once = self.ended.is_none_or(|ended| ended.after < SECOND / 4);
        if failed && at_once {
            confidence.min(NOT_WHY)
        } else {
            confidence
        }
    }

    /// The same of somebody who was waited for: of a login that took long by many waits none is why.
    pub(super) fn slowness_of_wait(&self, confidence: f64) -> f64 {
        let confidence = self.slowness(confidence);
        let most = self.duration / 5 * 3;
        match self.stall() {
            Some(stall) if stall.took < self.slow && stall.took < most => confidence.min(PARTLY),
            _ => confidence,
        }
    }

    /// Whether the server left at once after PRELOGIN, without a word.
    pub(super) fn left_over_prelogin(&self) -> bool {
        let ended = self.ended.filter(|ended| ended.by == Side::Server);
        let at_once = ended.is_some_and(|ended| !ended.foreign && ended.after < SECOND);
        let asked = self.tds.is_some() && self.tcp.bytes.server.0 == 0;
        let dropped = self.ended_as(&[Outcome::Reset, Outcome::Closed]);
        at_once && asked && dropped && self.stopped_at(PhaseName::Prelogin)
    }

    /// Whether all of it was seen, and the client has sent no byte.
    pub(super) fn never_speaks(&self) -> bool {
        !self.partial && self.tcp.bytes.client.0 == 0
    }

    pub(super) fn part(&self, name: PhaseName) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// The phase in which it ended, or is.
    pub(super) fn stopped_in(&self) -> Option<PhaseName> {
        let last = self.parts.last()?;
        (!last.complete).then_some(last.name)
    }

    /// Whether it ended in that phase, or is there.
    pub(super) fn stopped_at(&self, name: PhaseName) -> bool {
        self.stopped_in() == Some(name)
    }

    /// Whether both sides want a federated token.
    pub(super) fn wants_token(&self) -> bool {
        self.tds
            .is_some_and(|tds| tds.fedauth_required == Some(true))
    }

    /// How it authenticates.
    pub(super) fn auth_kind(&self) -> AuthKind {
        self.auth.map_or(AuthKind::Unknown, |auth| auth.kind)
    }

    /// The major version of the server.
    pub(super) fn server_major(&self) -> Option<u32> {
        let version = self.tds?.server_version.as_deref()?;
        version.split('.').next()?.parse().ok()
    }

    /// Whether an error of this number was among the server's.
    pub(super) fn has_error(&self, number: u32) -> bool {
        self.errors.iter().any(|error| error.number == number)
    }
}
