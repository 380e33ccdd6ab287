//! The end of a connection: its last phases, what it was used for, and its `close`.

use tracer_ebpf::patience::{AFTER_RESET, HALF_OPEN};

use super::Connection;
use crate::{
    record::{CloseMeans, ConnectionFacts, Nanos, PartialReason, Phase, PhaseName, Phases, Waited},
    session::{
        ending::End,
        output::Output,
        timeline::Side,
        usage::{Done, Ended},
    },
};

/// How long after its last packet a socket of this host may take to close; microseconds do.
const SOCKET_PATIENCE: u64 = 100_000_000;
/// How long after its socket closed the packets that closed it may be told.
const END_PATIENCE: u64 = 1_000_000_000;

impl Connection {
    /// Whether the connection is over: nothing of it is to come.
    pub(in crate::session) fn is_over(&self, now: u64) -> bool {
        let quiet = now.saturating_sub(self.last_seen);
        self.is_closed()
            || (self.is_orderly() && quiet >= SOCKET_PATIENCE)
            || (self.ends.rst.is_some() && quiet >= AFTER_RESET)
            || (self.ends.fin.is_some() && quiet >= HALF_OPEN)
            || self.is_unreachable()
    }

    /// Whether time alone may change it: its login is open, or it is closing.
    pub(in crate::session) fn is_restless(&self) -> bool {
        self.is_undecided()
            || self.ends.began().is_some()
            || self.socket_ended.is_some()
            || self.is_unreachable()
    }

    /// Whether its socket has closed, and the packets that say how were not seen.
    pub(in crate::session) fn ended_unseen(&self, now: u64) -> bool {
        let ended = self
            .socket_ended
            .is_some_and(|at| now.saturating_sub(at) >= END_PATIENCE);
        ended && self.ends.began().is_none()
    }

    /// Whether nothing was heard of it since then, its own socket not being here to say its end.
    pub(in crate::session) fn is_silent_since(&self, then: u64) -> bool {
        !self.local_socket && self.last_seen < then
    }

    /// Whether both sides have closed in order, and the socket has said its last word.
    pub(in crate::session) fn is_closed(&self) -> bool {
        self.is_orderly() && (self.socket_ended.is_some() || !self.local_socket)
    }

    fn is_orderly(&self) -> bool {
        self.ends.closed && self.ends.rst.is_none() && self.left.is_none()
    }

    /// Ends the connection: decides its login if that is open, and tells its `close`.
    pub(in crate::session) fn finish(
        mut self: Box<Self>,
        now: u64,
        reason: Option<PartialReason>,
        out: &mut Output<'_>,
    ) {
        if let Some(left) = self.left {
            self.ended(End::Fin(Side::ToServer), left.at, out);
        }
        let ending = self.ends.began().is_some();
        // After a reset only stragglers are waited for.
        let is_over = self.ends.over() || self.is_over(now);
        if let Some(reason) = reason.filter(|_| !is_over) {
            self.facts.connection.mark_partial(reason);
        }
        if self.is_undecided() {
            self.give_up(reason.is_some(), out);
        }
        let stopped = reason.is_some() && !ending && !self.is_unreachable();
        let last = self.ends.last.unwrap_or(self.last_seen);
        self.end_usage(last, self.closed_by(stopped).1, out);
        self.describe_tcp();
        self.end_phases(last);
        let mut close = self.describe_close(stopped);
        if self.untimed {
            (close.duration_ns, close.idle_ns) = (None, None);
        }
        self.leave_out_times();
        self.name();
        if !self.muted {
            out.close(*self.facts, close, now.min(last));
        }
    }

    /// The login will not be decided any more: as far as it came.
    fn give_up(&mut self, unwatched: bool, out: &mut Output<'_>) {
        let end = if unwatched {
            End::Unwatched
        } else {
            End::Silence
        };
        self.ended(end, self.last_seen, out);
    }

    fn end_usage(&mut self, at: u64, how: CloseMeans, out: &mut Output<'_>) {
        let server_last = self.sent[1].last_data;
        let began = self.ends.began().unwrap_or(at);
        if let Some(done) = self.requests.end(began, server_last) {
            self.tell_request(&done, None, out);
        }
        // A reset after the FIN ends what the FIN had left open.
        let how = if self.ends.rst.is_some() {
            CloseMeans::Rst
        } else {
            how
        };
        for ended in self.mars.finish(at, how, server_last) {
            match ended {
                Ended::Request(sid, done) => self.tell_request(&done, Some(sid), out),
                Ended::Session(session) => out.mars(self, session),
            }
        }
        let negotiated = self.facts.tds.as_ref().and_then(|tds| tds.mars) == Some(true);
        self.facts.mars = self.mars.summary(negotiated);
        self.facts.requests = if self.mars.was_used() {
            self.mars.requests()
        } else {
            self.requests.summary()
        };
    }

    /// A request's response is over: the first of them ends the phase after the login.
    pub(super) fn tell_request(&mut self, done: &Done, sid: Option<u16>, out: &mut Output<'_>) {
        if self.untimed {
            return;
        }
        if self.facts.phases.command.is_none()
            && let Some(decided) = self.decided_at
        {
            let server = done.end.saturating_sub(done.sent.max(decided));
            let network = server.min(self.evidence.legs().server);
            let total = done.end.saturating_sub(decided);
            let waited = Waited {
                client_ns: Nanos(total - server),
                server_ns: Nanos(server - network),
                network_ns: Nanos(network),
            };
            self.facts.phases.command = Some(Phase {
                start_ns: Nanos(decided.saturating_sub(self.started)),
                duration_ns: Nanos(total),
                complete: done.complete,
                waited: (!self.facts.connection.partial).then_some(waited),
                retransmits: 0,
            });
            out.phase(self, PhaseName::Command, done.end);
        }
        out.request(self, done, sid);
    }

    fn end_phases(&mut self, last: u64) {
        if let Some((from, to)) = self.mars.span() {
            let phase = self.plain_phase(from, to.unwrap_or(last), to.is_some());
            self.facts.phases.mars = Some(phase);
        }
        if let Some(began) = self.ends.began() {
            let phase = self.plain_phase(began, last, self.ends.over());
            self.facts.phases.close = Some(phase);
        }
    }

    /// Leaves out what depends on times that are not known.
    pub(super) fn leave_out_times(&mut self) {
        if !self.untimed {
            return;
        }
        let facts = &mut self.facts;
        facts.phases = Phases::default();
        facts.login.duration_ns = None;
        facts.login.late_reply_ns = None;
        facts.tcp.rtt_ns = None;
        if let Some(requests) = &mut facts.requests {
            requests.server_ns = None;
        }
        if let Some(auth) = &mut facts.auth {
            auth.controller_ns = None;
            if let Some(entra) = &mut auth.entra {
                entra.token_fetch_ns = None;
            }
        }
    }

    /// A phase in which nobody was waited for.
    fn plain_phase(&self, from: u64, to: u64, complete: bool) -> Phase {
        Phase {
            start_ns: Nanos(from.saturating_sub(self.started)),
            duration_ns: Nanos(to.saturating_sub(from)),
            complete,
            waited: None,
            retransmits: 0,
        }
    }

    /// All that is known of it.
    pub(in crate::session) fn facts(&self) -> ConnectionFacts {
        (*self.facts).clone()
    }
}
