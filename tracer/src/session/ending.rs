//! Outcome and close, from how a connection ends.

use tracer_ebpf::event::Counters;

use super::{
    connection::Connection,
    dark::{Belief, EARLIER, Leave},
    login::{Login, Verdict},
    timeline::Side,
};
use crate::record::{Close, CloseClass, CloseMeans, ClosedBy, Nanos, Outcome, OutcomeKind};

/// A server that owes for this long is what a client gives up on, nanoseconds.
pub(super) const OWED_TOO_LONG: u64 = 1_000_000_000;
/// A RST whose hops differ by more than this from its side's data came from in between.
const SAME_PATH: u8 = 1;

/// How a connection's packets ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// The first FIN.
    pub(super) fin: Option<(u64, Side)>,
    /// The other side's FIN.
    pub(super) second_fin: Option<u64>,
    /// Both FINs were acknowledged.
    pub(super) closed: bool,
    /// The first RST: when, whose, and its time to live.
    pub(super) rst: Option<(u64, Side, u8)>,
    /// The last packet seen since the first of them.
    pub(super) last: Option<u64>,
    /// Keep-alive probes without an answer before the first of them.
    pub(super) probes: Option<u32>,
    /// Payload, or the other side's FIN, passed unseen before it.
    pub(super) missed: bool,
    /// Something had gone unanswered, or a window was closed, right before.
    pub(super) strained: bool,
}

impl Ends {
    /// When the end began.
    pub(super) fn began(&self) -> Option<u64> {
        match (self.fin, self.rst) {
            (Some((fin, _)), Some((rst, ..))) => Some(fin.min(rst)),
            (fin, rst) => fin.map(|(at, _)| at).or(rst.map(|(at, ..)| at)),
        }
    }

    /// Notes what either side waited for in vain when an end came.
    pub(super) fn note_strain(&mut self, sent: &[Counters; 2]) {
        self.probes.get_or_insert(unanswered_probes(sent));
        self.strained |= sent
            .iter()
            .any(|side| side.keep_alives > 0 || side.repeats > 0 || side.shut != 0);
    }

    /// Whether nothing more is to come.
    pub(super) const fn over(&self) -> bool {
        self.closed || self.rst.is_some()
    }
}

/// Why an undecided login will not be decided by a message any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Fin(Side),
    Rst(Side),
    /// The client stopped sending for good.
    Silence,
    /// Nobody watches any more.
    Unwatched,
}

/// The outcome of a login that ended without an answer, by the order of output.md.
pub(super) fn outcome(login: &Login, end: End, at: u64) -> Outcome {
    // Silence has lasted long after the last packet before it counts.
    let owed = login
        .owed_since()
        .is_some_and(|since| end == End::Silence || at.saturating_sub(since) >= OWED_TOO_LONG);
    let gave_up = matches!(
        end,
        End::Fin(Side::ToServer) | End::Rst(Side::ToServer) | End::Silence
    );
    if owed && gave_up {
        return Outcome::Timeout;
    }
    if login.inside_tls() && !matches!(end, End::Silence | End::Unwatched) {
        return Outcome::TlsFailed;
    }
    match end {
        End::Rst(_) => Outcome::Reset,
        End::Fin(Side::ToClient) if login.client_said_bye() => Outcome::Aborted,
        End::Fin(Side::ToClient) => Outcome::Closed,
        End::Fin(Side::ToServer) | End::Silence => Outcome::Aborted,
        End::Unwatched => Outcome::Unknown,
    }
}

/// What the records of a sealed login suggest when its connection ends.
pub(super) fn believed(login: &Login, end: End, at: u64) -> Option<Verdict> {
    // Turns that were not seen would shift the meaning of those that were.
    if !login.is_whole() {
        return None;
    }
    let belief = match end {
        End::Unwatched => return None,
        End::Silence => login.dark.contentment(at),
        End::Fin(Side::ToClient) if !login.client_said_bye() => {
            login.dark.farewell(Leave::Server, at)
        }
        End::Fin(_) | End::Rst(Side::ToServer) => login.dark.farewell(Leave::Client, at),
        End::Rst(Side::ToClient) => login.dark.farewell(Leave::Reset, at),
    };
    belief.map(Verdict::from)
}

impl From<Belief> for Verdict {
    fn from(belief: Belief) -> Self {
        let outcome = if belief.accepted {
            Outcome::Success
        } else {
            Outcome::Failed
        };
        let mut verdict = Self::inferred(outcome, belief.confidence, belief.at);
        verdict.requests[..EARLIER].copy_from_slice(&belief.requests);
        verdict
    }
}

impl Connection {
    /// The `close` of this connection. `stopped`: the agent stopped watching before it ended.
    pub(super) fn describe_close(&self, stopped: bool) -> Close {
        let ends = &self.ends;
        let (by, how) = self.closed_by(stopped);
        let began = ends.began();
        let data = self.idle_since.max(self.started);
        Close {
            by,
            how,
            class: self.close_class(by, how),
            phase: self.ended_in,
            duration_ns: Some(Nanos(self.last_seen.saturating_sub(self.started))),
            idle_ns: began.map(|began| Nanos(began.saturating_sub(data))),
            keep_alive_probes: ends
                .probes
                .or_else(|| Some(unanswered_probes(&self.sent)))
                .filter(|probes| *probes > 0),
            middlebox: ends
                .rst
                .and_then(|(_, side, ttl)| self.is_foreign(side, ttl)),
            half_open: (how == CloseMeans::Fin && !ends.over() && !stopped).then_some(true),
            requests_in_flight: Some(self.in_flight()).filter(|count| *count > 0),
        }
    }

    pub(super) fn closed_by(&self, stopped: bool) -> (ClosedBy, CloseMeans) {
        match (self.ends.fin, self.ends.rst) {
            (Some((fin, side)), Some((rst, ..))) if fin <= rst => (by(side), CloseMeans::Fin),
            (_, Some((_, side, _))) => (by(side), CloseMeans::Rst),
            (Some((_, side)), None) => (by(side), CloseMeans::Fin),
            (None, None) if stopped => (ClosedBy::Agent, CloseMeans::Evicted),
            (None, None) => (ClosedBy::Client, CloseMeans::Timeout),
        }
    }

    fn close_class(&self, by: ClosedBy, how: CloseMeans) -> CloseClass {
        if by == ClosedBy::Agent {
            return CloseClass::Normal;
        }
        let login = &self.facts.login;
        if login.kind() == OutcomeKind::Ended {
            let aborted = login.outcome == Some(Outcome::Aborted);
            let probe = aborted && by == ClosedBy::Client && how == CloseMeans::Fin;
            return if probe && self.ends.rst.is_none() {
                CloseClass::Normal
            } else {
                CloseClass::Abnormal
            };
        }
        let calm = !self.ends.strained;
        let quiet = self.in_flight() == 0 && calm;
        // MARS clients end the connection after their own SMP FINs and reset what comes late.
        let negotiated = self.facts.tds.as_ref().and_then(|tds| tds.mars) == Some(true);
        let mars = self.mars.was_left_in_order(negotiated) && calm;
        match (how, by) {
            (CloseMeans::Rst, ClosedBy::Client) if quiet && self.foreign_rst() != Some(true) => {
                CloseClass::BenignReset
            }
            (CloseMeans::Fin, ClosedBy::Client) if self.ends.rst.is_some() && (quiet || mars) => {
                CloseClass::BenignReset
            }
            // Who leaves while an answer is owed has given it up.
            (CloseMeans::Fin, ClosedBy::Client)
                if self.ends.rst.is_none() && self.in_flight() == 0 =>
            {
                CloseClass::Normal
            }
            // Refusing a login, the server closes after its ERROR (MS-TDS §3.3.5.5); a client that
            // ends TLS first has closed, whoever's FIN is seen first.
            (CloseMeans::Fin, ClosedBy::Server)
                if login.outcome == Some(Outcome::Failed) || self.client_said_bye =>
            {
                CloseClass::Normal
            }
            _ => CloseClass::Abnormal,
        }
    }

    fn foreign_rst(&self) -> Option<bool> {
        self.ends
            .rst
            .and_then(|(_, side, ttl)| self.is_foreign(side, ttl))
    }

    /// Whether a RST took another path than its side's data: then a middlebox sent it.
    fn is_foreign(&self, side: Side, ttl: u8) -> Option<bool> {
        let usual = self.ttl[side as usize].or(self.syn_ttl[side as usize])?;
        Some(usual.abs_diff(ttl) > SAME_PATH)
    }

    fn in_flight(&self) -> u32 {
        self.left_in_flight
    }
}

fn unanswered_probes(sent: &[Counters; 2]) -> u32 {
    sent[0].keep_alives.saturating_add(sent[1].keep_alives)
}

fn by(side: Side) -> ClosedBy {
    match side {
        Side::ToServer => ClosedBy::Client,
        Side::ToClient => ClosedBy::Server,
    }
}
