//! What was seen of one login: facts only.

use serde_json::Value;

use super::{found::Evidence, neighbours::Around};
use crate::record::{
    Auth, AuthKind, Certificate, Nanos, Outcome, PhaseName, Side, SqlError, Stranger, Tcp, Tds,
    Text, Timestamp, Tls, TlsHello, Waited,
};

pub(super) const SECOND: u64 = 1_000_000_000;
/// A wait that is so many times a server's usual one is long.
const UNUSUAL: u64 = 10;
/// But not below this, nanoseconds: a packet that is lost costs as much.
const UNUSUAL_FLOOR: u64 = 250_000_000;

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
    /// The payload of the shortest segment that was sent again, bytes.
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
    /// How long nothing had passed before it.
    pub(in crate::session) idle: u64,
    /// Keep-alive probes without an answer before it.
    pub(in crate::session) probes: u32,
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
    /// From the first packet to the deciding one, or until now.
    pub(in crate::session) duration: u64,
    /// The phases, in their order.
    pub(in crate::session) parts: Vec<Part>,
    /// Who owes the next message, or owed it at the end.
    pub(in crate::session) owed_by: Option<Side>,
    pub(in crate::session) ended: Option<Ended>,
    pub(in crate::session) tcp: Tcp,
    pub(in crate::session) lost: Lost,
    /// Of the server's last reply.
    pub(in crate::session) errors: Vec<SqlError>,
    pub(in crate::session) tds: Option<&'a Tds>,
    pub(in crate::session) tls: Option<&'a Tls>,
    pub(in crate::session) auth: Option<&'a Auth>,
    /// The name that the client says it connects to.
    pub(in crate::session) server_name: Option<&'a Text>,
    /// The database that it asks for.
    pub(in crate::session) database: Option<&'a Text>,
    /// The wall clock's time.
    pub(in crate::session) at: Timestamp,
    /// Not all of the connection was seen.
    pub(in crate::session) partial: bool,
    /// From here on a wait is long.
    pub(in crate::session) slow: u64,
    pub(in crate::session) around: Around,
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
            duration: 0,
            parts: Vec::new(),
            owed_by: None,
            ended: None,
            tcp: Tcp::default(),
            lost: Lost::default(),
            errors: Vec::new(),
            tds: None,
            tls: None,
            auth: None,
            server_name: None,
            database: None,
            at: Timestamp::default(),
            partial: false,
            slow: SECOND,
            around: Around::default(),
            late_reply: None,
            closing: None,
        }
    }
}

/// Whoever was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Who {
    Client,
    Server,
    Network,
}

impl Who {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Network => "network",
        }
    }
}

/// The longest wait of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Worst {
    pub(in crate::session) phase: PhaseName,
    pub(in crate::session) who: Who,
    /// Nanoseconds.
    pub(in crate::session) took: u64,
}

impl<'a> Symptoms<'a> {
    /// Whether somebody wants to know why: it did not do what its client wanted, or took long.
    pub(super) fn asks_why(&self) -> bool {
        let good = self.outcome.is_some_and(Outcome::is_good);
        let closing = self.closing.iter().any(|closing| closing.abnormal);
        !good || self.is_slow() || closing
    }

    /// Whether it took long, or a part of it did.
    pub(super) fn is_slow(&self) -> bool {
        let mut parts = self.parts.iter();
        self.duration >= self.slow
            || parts.any(|part| part.duration >= self.slow || self.is_unusual(part))
    }

    fn is_unusual(&self, part: &Part) -> bool {
        let usual = self.around.usual(part.name);
        let waited = part.waited.map_or(0, |waited| waited.server_ns.0);
        usual
            .is_some_and(|usual| waited >= UNUSUAL_FLOOR && waited >= usual.saturating_mul(UNUSUAL))
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

    /// How long somebody was waited for in a phase.
    pub(super) fn waited(&self, name: PhaseName, who: Who) -> u64 {
        let waited = self.part(name).and_then(|part| part.waited);
        waited.map_or(0, |waited| of(&waited, who))
    }

    /// The longest wait.
    pub(super) fn worst(&self) -> Option<Worst> {
        let whos = [Who::Server, Who::Client, Who::Network];
        let waits = self.parts.iter().flat_map(|part| {
            let waited = part.waited.unwrap_or_default();
            whos.map(|who| Worst {
                phase: part.name,
                who,
                took: of(&waited, who),
            })
        });
        // The first of those that are equally long.
        waits
            .rev()
            .max_by_key(|wait| wait.took)
            .filter(|wait| wait.took > 0)
    }

    /// The longest wait, where it is long.
    pub(super) fn stall(&self) -> Option<Worst> {
        self.worst().filter(|worst| {
            let part = self.part(worst.phase);
            worst.took >= self.slow || part.is_some_and(|part| self.is_unusual(part))
                // Or most of a login that is.
                || (self.duration >= self.slow && worst.took >= self.duration / 5 * 2)
        })
    }

    /// The longest wait, where it is long and for that one.
    pub(super) fn stalled_by(&self, who: Who) -> Option<Worst> {
        self.stall().filter(|worst| worst.who == who)
    }

    /// The longest wait, where the server kept it waiting and packets got through.
    pub(super) fn server_stall(&self) -> Option<Worst> {
        let heard = !(self.lost.by == Some(Side::Client) && self.lost.for_good);
        self.stalled_by(Who::Server).filter(|_| heard)
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

    /// How sure it is that a wait for the server is this login's own, and not one with others for the
    /// same thing.
    pub(super) fn own_share(&self) -> f64 {
        let around = &self.around;
        match () {
            () if around.stalled < 2 => 0.75,
            () if around.own_pace >= 2 && around.own_pace > around.joined => 0.75,
            // They came together and left together: who knows.
            () if around.joined < 2 && around.released >= 2 => 0.6,
            () => 0.45,
        }
    }

    /// The longest wait, where it was for the answer to a token that a domain controller is asked about.
    pub(super) fn controller_stall(&self) -> Option<Worst> {
        let asks = self.auth.is_some() && self.controller_share() > 0.0;
        self.server_stall()
            .filter(|stall| asks && stall.phase == PhaseName::Auth)
    }

    /// Whether logins of its kind wait for each other: they are answered one after the other, and who is
    /// alone waits less.
    pub(super) fn queues(&self) -> bool {
        let around = &self.around;
        let took = self.worst().map_or(0, |worst| worst.took);
        let alone = around.alone.count > 0 && around.alone.most >= took / 5 * 4;
        around.steps >= 2 && around.ahead >= 1 && !alone
    }

    /// How likely it is that such a wait is a domain controller's.
    pub(super) fn controller_share(&self) -> f64 {
        match self.auth_kind() {
            AuthKind::Ntlm => 1.0,
            AuthKind::Spnego => 0.9,
            // Inside TLS: who has several rounds is no SQL login.
            AuthKind::Unknown => 0.85,
            // A ticket is checked without it, as a rule.
            AuthKind::Kerberos => 0.6,
            AuthKind::Sql | AuthKind::Entra => 0.0,
        }
    }

    pub(super) fn hello(&self) -> Option<&'a TlsHello> {
        self.tls?.hello.as_ref()
    }

    pub(super) fn certificate(&self) -> Option<&'a Certificate> {
        self.tls?.certificate.as_ref()
    }

    /// The server has answered the client's hello.
    pub(super) fn hello_was_answered(&self) -> bool {
        self.tls.is_some_and(|tls| tls.version.is_some())
    }

    /// Whether it ended inside TLS, by that side.
    pub(super) fn tls_left_by(&self, side: Side) -> bool {
        let left = self.ended.is_some_and(|ended| ended.by == side);
        self.ended_as(&[Outcome::TlsFailed]) && (left || self.alert_from(side).is_some())
    }

    /// The alert of a side: its name, empty where it is sealed.
    pub(super) fn alert_from(&self, side: Side) -> Option<&'a str> {
        let alert = self
            .tls?
            .alert
            .as_ref()
            .filter(|alert| alert.from == side)?;
        Some(alert.description.as_deref().unwrap_or(""))
    }

    /// Whether the client left over the server's certificate: it was shown, and the client ended what
    /// was agreed upon so far.
    pub(super) fn left_over_certificate(&self) -> bool {
        let shown = self.certificate().is_some() || self.hello_was_answered();
        self.tls_left_by(Side::Client) && shown
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

    /// Adds where the time went, or where it ended, to what a cause rests on.
    pub(super) fn place(&self, evidence: &mut Evidence) {
        let mut add = |name, value: Value| {
            if !evidence.iter().any(|(known, _)| *known == name) {
                evidence.push((name, value));
            }
        };
        let stall = self.stall().or(self.worst().filter(|_| self.is_slow()));
        if let Some(stall) = stall {
            add("phase", stall.phase.as_str().into());
            add("side", stall.who.as_str().into());
            let took = serde_json::to_value(Nanos(stall.took));
            add("waited_ns", took.unwrap_or_default());
        } else if let Some(phase) = self.stopped_in() {
            add("phase", phase.as_str().into());
            if let Some(ended) = self.ended {
                let by = match ended.by {
                    Side::Client => "client",
                    Side::Server => "server",
                };
                add("ended_by", by.into());
            }
        }
    }
}

fn of(waited: &Waited, who: Who) -> u64 {
    match who {
        Who::Client => waited.client_ns.0,
        Who::Server => waited.server_ns.0,
        Who::Network => waited.network_ns.0,
    }
}
