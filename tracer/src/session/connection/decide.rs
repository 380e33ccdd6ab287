//! The moment a login's outcome is known.

use std::net::IpAddr;

use tracer_ebpf::{framing::SMP_HEADER, seq::Seq};

use super::Connection;
use crate::{
    record::{
        Confidence, ConnectionRef, Count, Nanos, Outcome, OutcomeKind, PartialReason, Sides,
        Stranger, Tds, Tls,
    },
    session::{
        dark::{Leave, QUIET, REDIRECTED, Sealed, UNNAMED},
        ending::{self, End},
        login::{Context, Login, Verdict},
        naming,
        output::Output,
        stream::Stream,
        timeline::Side,
    },
};

impl Connection {
    /// Tells the login: its phases, its outcome, and all that is known by now.
    pub(super) fn decide(&mut self, verdict: Verdict, out: &mut Output<'_>) {
        let Some(mut login) = self.login.take() else {
            return;
        };
        self.left = None;
        login.settle_tls(&self.sent);
        // Clocks may run backwards between two packets; phases do not.
        let at = verdict.at.max(login.phases.reached());
        let most = if login.is_unnamed() { UNNAMED } else { 1.0 };
        let verdict = Verdict {
            at,
            confidence: verdict.confidence.map(|confidence| confidence.min(most)),
            ..verdict
        };
        let answered = verdict.outcome.kind() == OutcomeKind::Answered;
        // A request shows that there was an answer, not when it came.
        let answered = answered && !verdict.by_request;
        let phase = login.phase();
        if answered {
            // A sealed login is decided by how its connection ends, but was over before.
            self.ended_in = None;
        }
        let unseen = self.joined_late && login.phases.has(phase);
        if !unseen && !login.phases.ended_at(verdict.at) {
            login.phases.end(phase, verdict.at, answered, &self.sent);
        }
        let unread = login.has_unread_reply();
        if unread || login.streams.iter().any(Stream::is_incomplete) || self.handshake.has_gap() {
            self.facts.connection.mark_partial(PartialReason::Gap);
        }
        self.decided_at = Some(verdict.at);
        self.client_said_bye |= login.client_said_bye();
        self.expect_sealed_control(&login);
        login.doubt_wishes(answered, &mut self.facts);
        self.describe_login(&login, verdict);
        login.disown_tls(verdict.outcome, &mut self.facts);
        self.describe_tcp();
        self.leave_out_times();
        self.name();
        out.login(self, &login, verdict.at);
        out.listener.decided(self.key, self.born);
        for sealed in verdict.requests.into_iter().flatten() {
            self.sealed_record(&sealed, out);
        }
        self.tail = Some(Box::new(std::mem::take(&mut login.streams)));
    }

    fn describe_login(&mut self, login: &Login, verdict: Verdict) {
        let encryption = self.facts.tds.as_ref().and_then(|tds| tds.encryption);
        let legs = self.evidence.legs();
        let whole = !self.facts.connection.partial;
        for ended in login.phases.iter() {
            let phase = ended.write(self.started, &login.timeline, legs, whole);
            *self.facts.phases.place(ended.name) = Some(phase);
        }
        self.facts.auth = login.auth(encryption, verdict.outcome);
        // Of messages that were not seen whole nothing may have been read.
        self.facts.tds.take_if(|tds| *tds == Tds::default());
        self.facts.tls.take_if(|tls| *tls == Tls::default());
        let into = &mut self.facts.login;
        let confidence = verdict.confidence.map(Confidence);
        into.decide(verdict.outcome, verdict.basis, confidence);
        let left = matches!(
            verdict.outcome,
            Outcome::Aborted | Outcome::Reset | Outcome::Closed
        );
        if left && self.sent[0].bytes == 0 {
            into.stranger = Some(Stranger::Silent);
        }
        into.duration_ns =
            (!self.joined_late).then(|| Nanos(verdict.at.saturating_sub(self.started)));
        into.sum_up(&self.facts.phases);
        into.owed_by = match verdict.outcome {
            Outcome::Timeout => Some(crate::record::Side::Server),
            // A server gives up on a client that has nothing to say.
            Outcome::Closed if login.client_owed(verdict.at) => Some(crate::record::Side::Client),
            _ => None,
        };
    }

    /// By what TLS agreed on: how MARS's packets without data look in it. Where the length hides
    /// what else they may be, only if MARS was agreed on as well.
    fn expect_sealed_control(&mut self, login: &Login) {
        let Some(hello) = login.server_hello() else {
            return;
        };
        let negotiated = self.facts.tds.as_ref().and_then(|tds| tds.mars) == Some(true);
        let known = hello.sealed(SMP_HEADER);
        let sure = known.filter(|(_, plain)| negotiated || plain.start() == plain.end());
        self.mars.sealed_control_is(sure.map(|(len, _)| len));
    }

    /// A record that was read for the login's sake, and came after it.
    fn sealed_record(&mut self, sealed: &Sealed, out: &mut Output<'_>) {
        let boundary = crate::session::usage::Boundary {
            side: sealed.side,
            packet: None,
            status: 0,
            first: true,
            at: sealed.from,
            complete: Some(sealed.to),
            server_last: self.sent[1].last_data,
        };
        if self.sealed_control(sealed.side, sealed.len) {
            return;
        }
        self.boundary(&boundary, tracer_ebpf::framing::Framing::Tls, 0, out);
    }

    /// What the counters say.
    pub(super) fn describe_tcp(&mut self) {
        let [client, server] = self.sent;
        let rtt = self.evidence.round_trip().or(self.smoothed_rtt);
        let tcp = &mut self.facts.tcp;
        tcp.rtt_ns = rtt.map(Nanos);
        tcp.smoothed_rtt_ns = self.smoothed_rtt.map(Nanos);
        tcp.syn_retransmits = (!self.joined_late).then(|| self.handshake.syns.saturating_sub(1));
        tcp.retransmits = Sides {
            client: client.retransmits.max(self.resent[0]),
            server: server.retransmits.max(self.resent[1]),
        };
        tcp.zero_window = Sides {
            client: client.zero_windows,
            server: server.zero_windows,
        };
        tcp.bytes = Sides {
            client: Count(client.bytes),
            server: Count(server.bytes),
        };
        tcp.packets = Sides {
            client: Count(client.packets.into()),
            server: Count(server.packets.into()),
        };
        self.facts.connection.vantage = self.evidence.side();
    }

    /// Gives the connection its name, once: both sides of the stream must agree on it.
    pub(super) fn name(&mut self) {
        if self.named {
            return;
        }
        self.named = true;
        let (client, server) = (
            naming::End {
                address: self.facts.client.address,
                port: self.facts.client.port,
            },
            naming::End {
                address: self.facts.server.address,
                port: self.facts.server.port,
            },
        );
        // A server that answered no SYN has none; of one that was joined late, what it went on with.
        let server_isn = if self.joined_late {
            self.sent[1].isn
        } else {
            Seq(0)
        };
        let [client_isn, known] = self.handshake.isns;
        let isns = (
            client_isn.unwrap_or(self.sent[0].isn),
            known.unwrap_or(server_isn),
        );
        self.facts.connection.id = naming::connection_id(client, server, isns);
    }

    /// The short name records of one request or session carry.
    pub(in crate::session) fn reference(&mut self) -> ConnectionRef {
        self.name();
        ConnectionRef {
            id: self.facts.connection.id,
            community_id: self.facts.connection.community_id.clone(),
        }
    }

    /// A request passed though no answer to the login was seen.
    pub(super) fn lost_login(&mut self, at: u64, out: &mut Output<'_>) {
        if let Some(login) = &mut self.login {
            let verdict = login.request(at);
            self.decide(verdict, out);
        }
    }

    /// The connection ends, or falls silent for good: no answer will come.
    pub(super) fn ended(&mut self, end: End, at: u64, out: &mut Output<'_>) {
        for side in [Side::ToServer, Side::ToClient] {
            while self
                .login
                .as_ref()
                .is_some_and(|login| login.streams[side as usize].has_hole())
            {
                if let Some(login) = &mut self.login {
                    login.streams[side as usize].skip_hole();
                }
                self.read(side, out);
            }
        }
        let Some(login) = &mut self.login else { return };
        let dark = super::is_dark(&self.facts);
        let mut context = Context {
            facts: &mut self.facts,
            sent: &self.sent,
            identity: &out.shared.config.identity,
            certificates: &mut out.shared.certificates,
            memory: &mut out.shared.memory,
        };
        let verdict = login
            .cut_reply(at, &mut context)
            .or_else(|| dark.then(|| ending::believed(login, end, at)).flatten());
        let verdict = verdict.unwrap_or_else(|| Verdict::observed(self.outcome_at(end, at), at));
        self.decide(verdict, out);
    }

    /// The client, which has left, opens a connection to this server; whether that tells that it was
    /// sent there.
    pub(in crate::session) fn goes_on_at(
        &mut self,
        address: IpAddr,
        port: u16,
        now: u64,
        out: &mut Output<'_>,
    ) -> bool {
        let here = (self.facts.server.address, self.facts.server.port);
        let belief = self.left.and_then(|left| {
            let at_once = now.saturating_sub(left.at) < QUIET;
            let login = self
                .login
                .as_ref()
                .filter(|_| at_once && here != (address, port))?;
            login.dark.farewell(Leave::Client, left.at)
        });
        let Some(belief) = belief else { return false };
        let verdict = Verdict {
            outcome: Outcome::Redirected,
            confidence: Some(REDIRECTED),
            ..belief.into()
        };
        self.decide(verdict, out);
        true
    }

    fn outcome_at(&self, end: End, at: u64) -> Outcome {
        let Some(login) = &self.login else {
            return Outcome::Unknown;
        };
        // Who acknowledges was answered, though the answer was not seen.
        let acknowledges = login.streams[Side::ToClient as usize].is_incomplete();
        let unanswered = self.handshake.syns > 0 && !self.handshake.was_answered() && !acknowledges;
        if unanswered {
            match (end, self.sent[1].packets) {
                (End::Rst(Side::ToClient), 1) => return Outcome::Refused,
                (End::Unwatched, 0) if self.handshake.syns < 2 => return Outcome::Unknown,
                (_, 0) => return Outcome::Unreachable,
                _ => {}
            }
        }
        let lost = self.ends.missed
            || login.has_unread_reply()
            || login.streams.iter().any(Stream::is_incomplete)
            || self
                .facts
                .connection
                .partial_reasons
                .contains(&PartialReason::EventsLost);
        // Whether a client that left had waited for long.
        let hinges_on_time = self.untimed && login.owed_since().is_some();
        if self.joined_late || lost || hinges_on_time {
            Outcome::Unknown
        } else {
            ending::outcome(login, end, at)
        }
    }

    /// Decides what only time can tell: a sealed login after which nothing more comes, a SYN that
    /// nobody answers, a server that never does.
    pub(in crate::session) fn wait(&mut self, now: u64, out: &mut Output<'_>) {
        for side in [Side::ToServer, Side::ToClient] {
            if let Some(login) = &mut self.login {
                login.streams[side as usize].age(now);
            }
            self.read(side, out);
        }
        if let Some(left) = self.left {
            if now.saturating_sub(left.at) >= QUIET {
                self.ended(End::Fin(Side::ToServer), left.at, out);
            }
            return;
        }
        let Some(login) = &self.login else { return };
        if let Some(belief) = login
            .dark
            .contentment(now)
            .filter(|_| super::is_dark(&self.facts) && login.is_whole())
        {
            self.decide(belief.into(), out);
            return;
        }
        let quiet = now.saturating_sub(self.last_seen);
        if !self.handshake.was_answered() && !self.joined_late {
            if quiet > self.handshake.patience() {
                self.ended(End::Silence, self.last_seen, out);
            }
        } else if quiet > out.shared.config.login_patience {
            self.ended(End::Silence, self.last_seen, out);
        }
    }

    /// Whether the client tried and nobody answered.
    pub(in crate::session) fn is_unreachable(&self) -> bool {
        self.facts.login.outcome == Some(Outcome::Unreachable) && self.login.is_none()
    }
}
