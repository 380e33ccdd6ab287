//! One connection, from its first packet to its last: undecided while its login is open, settled
//! after that.

mod ending;
mod login;
mod settled;
mod traffic;
mod undecided;

use tracer_ebpf::{
    event::{Event, Kind, SocketEnd, role},
    packet::tcp_flag,
    patience::{AFTER_RESET, HALF_OPEN},
    tally::Tally,
};

use self::{settled::Settled, undecided::Undecided};
use super::{
    attempts::Handle,
    dialogue::usage::Usage,
    input::{Side, SocketOwner},
    report::{About, Report},
    verdict::outcome::End,
    wire::Wire,
};
use crate::record::{PartialReason, Process, Text};

/// How long after its last packet a socket of this host may take to close; microseconds do.
const SOCKET_PATIENCE: u64 = 100_000_000;
/// How long after its socket closed the packets that closed it may be told.
const END_PATIENCE: u64 = 1_000_000_000;

/// A connection that was seen.
#[derive(Debug)]
pub(in crate::session) struct Connection {
    pub(in crate::session) wire: Wire,
    pub(in crate::session) about: About,
    pub(in crate::session) usage: Usage,
    state: State,
    /// When time is to be looked at next; `u64::MAX` where it changes nothing.
    pub(in crate::session) scheduled: u64,
    /// Something happened since the clock hand passed.
    pub(in crate::session) touched: bool,
}

#[derive(Debug)]
enum State {
    Undecided(Box<Undecided>),
    Settled(Box<Settled>),
}

impl Connection {
    /// A connection whose first event this is.
    pub(in crate::session) fn new(event: &Event) -> Self {
        let wire = Wire::new(event);
        let mut about = About {
            ifindex: event.ifindex,
            ..About::default()
        };
        if wire.joined_late {
            about.partial.insert(PartialReason::JoinedLate);
        }
        Self {
            state: State::Undecided(Box::new(Undecided::new(!wire.joined_late))),
            wire,
            about,
            usage: Usage::default(),
            scheduled: u64::MAX,
            touched: true,
        }
    }

    /// How the attempt that it is part of knows it, while its login is open.
    pub(in crate::session) fn attempt(&self) -> Handle {
        match &self.state {
            State::Undecided(login) => login.attempt,
            State::Settled(_) => 0,
        }
    }

    /// It is part of this attempt.
    pub(in crate::session) fn is_part_of(&mut self, attempt: Handle) {
        if let State::Undecided(login) = &mut self.state {
            login.attempt = attempt;
        }
    }

    /// SQL Browser has told the client which instance listens there.
    pub(in crate::session) fn is_to(&mut self, instance: &Text) {
        if let State::Undecided(login) = &mut self.state {
            login.dialogue.contents.announced = Some(instance.clone());
        }
    }

    /// Takes one event and the bytes it brought.
    pub(in crate::session) fn take(&mut self, event: &Event, run: &[u8], report: &mut Report<'_>) {
        let side = if event.direction == Side::ToServer as u8 {
            Side::ToServer
        } else {
            Side::ToClient
        };
        self.touched = true;
        let missing = self.wire.take(event, side);
        if missing > 0 {
            report.events_missing(missing);
            self.about.partial.insert(PartialReason::EventsLost);
        }
        if self.wire.untimed {
            self.about.partial.insert(PartialReason::Untimed);
        }
        if let State::Undecided(login) = &mut self.state {
            login.note_positions(event, side);
            login.ledger.acknowledged(event.server.acked_at);
        }
        match Kind::of(event.kind) {
            Some(Kind::Syn) => self.syn(event, report),
            Some(Kind::SynAck) => self.syn_ack(event),
            Some(Kind::Ack) => self.ack(event, report),
            Some(Kind::Segment | Kind::More) => self.segment(side, event, run, report),
            Some(Kind::Header) => self.header(side, event, run, report),
            Some(Kind::End) => self.message_end(side, event, report),
            Some(Kind::Tally) => {
                if let Some(tally) = Tally::read(run) {
                    self.requests_counted(event.time, &tally, report);
                }
            }
            Some(Kind::Fin) => self.fin(side, event, report),
            Some(Kind::Rst) => self.rst(side, event, report),
            Some(
                Kind::Owner
                | Kind::SocketEnd
                | Kind::Translated
                | Kind::Datagram
                | Kind::Opening
                | Kind::Bound
                | Kind::ShortSyn
                | Kind::ShortHeader,
            )
            | None => {}
        }
        self.stands(report);
    }

    fn syn(&mut self, event: &Event, report: &mut Report<'_>) {
        self.wire.syn_ttl(Side::ToServer, event.ttl);
        let first = self.wire.handshake.syn(event.time, event.seq);
        if first.is_some() {
            let attempts = &mut report.shared.attempts;
            attempts.syn_again(self.attempt(), event.time);
        }
        if let State::Undecided(login) = &mut self.state {
            login.syn(event, first);
        }
    }

    fn syn_ack(&mut self, event: &Event) {
        self.wire.syn_ttl(Side::ToClient, event.ttl);
        let handshake = &mut self.wire.handshake;
        let first = handshake.syn_ack(event.time, event.seq, event.ack);
        if let State::Undecided(login) = &mut self.state {
            login.syn_ack(event, first);
        }
    }

    fn ack(&mut self, event: &Event, report: &mut Report<'_>) {
        if self.wire.ends.began().is_some() {
            let side = if event.direction == Side::ToServer as u8 {
                Side::ToServer
            } else {
                Side::ToClient
            };
            self.wire.ends.acknowledge(side, event.ack);
            return;
        }
        if !self.wire.handshake.ack(event.time) {
            return;
        }
        let State::Undecided(login) = &mut self.state else {
            return;
        };
        if !self.wire.handshake.has_begun() {
            if !std::mem::replace(&mut self.wire.joined_late, true) {
                report.shared.standing.joined_late += 1;
            }
            self.about.partial.insert(PartialReason::JoinedLate);
            login.start_was_missed();
        }
        let handshake = &mut self.wire.handshake;
        let client = handshake.isn(Side::ToServer);
        let is_first = client.is_some_and(|isn| isn.add(1) == event.seq);
        if is_first && handshake.isn(Side::ToClient).is_none() {
            // What the client acknowledges tells where a server begins whose SYN-ACK was not seen.
            handshake.has_isn(Side::ToClient, event.ack.back(1));
            login.server_begins(event.ack);
        }
        self.wire.evidence.handshake(self.wire.handshake.legs());
        login.handshake_ends(event.time, true);
        let attempts = &mut report.shared.attempts;
        attempts.established(login.attempt, event.time);
    }

    fn segment(&mut self, side: Side, event: &Event, run: &[u8], report: &mut Report<'_>) {
        if self.wire.payload_ttl(side, event.ttl) && side == Side::ToServer {
            let attempts = &mut report.shared.attempts;
            attempts.speaks(self.attempt(), event.time);
        }
        self.late_reply(side, event.time);
        let settled = match &mut self.state {
            State::Undecided(login) => {
                // What comes with a SYN (TCP Fast Open) waits for no handshake, nor does its answer.
                let in_syn = event.tcp_flags & tcp_flag::SYN != 0 || login.asked_with_syn();
                if !in_syn && !self.wire.handshake.is_over() && !self.wire.joined_late {
                    self.wire.handshake.misses_end();
                    login.handshake_ends(event.time, false);
                    let attempts = &mut report.shared.attempts;
                    attempts.established(login.attempt, event.time);
                }
                login.segment(side, event, run);
                false
            }
            State::Settled(settled) => settled.segment(side, event, run),
        };
        if settled {
            self.read_tail(side, report);
        } else {
            self.read(side, report);
            self.early_fin_passes(false, report);
        }
    }

    /// Whether a socket may be one of the ends. A client's is known before its first packet: one
    /// that is known later uses the port again.
    pub(in crate::session) fn may_have(&self, owner: &SocketOwner) -> bool {
        let named = owner.isns.is_some() && self.about.process.is_none();
        owner.role & role::CLIENT == 0 || owner.time <= self.wire.started || named
    }

    /// A socket of this host is one of the ends.
    pub(in crate::session) fn owner(&mut self, owner: &SocketOwner, report: &mut Report<'_>) {
        self.wire.socket(owner.role);
        let is_clients = owner.role & role::CLIENT != 0;
        if self.about.process.is_none() || (is_clients && !self.about.is_clients) {
            let process = Some(&owner.process);
            self.about.process = process
                .filter(|process| **process != Process::default())
                .map(|process| report.keep_process(process));
            self.about.is_clients = is_clients;
        }
    }

    /// The kernel's own figures at the end of a local socket.
    pub(in crate::session) fn socket_end(&mut self, end: &SocketEnd, report: &mut Report<'_>) {
        self.wire.socket_end(end);
        if let State::Undecided(login) = &mut self.state
            && end.role & role::CLIENT != 0
        {
            login.client_closed.get_or_insert(end.time);
        }
        let handshake = &self.wire.handshake;
        let trying = handshake.has_begun() && !handshake.was_answered();
        if !trying || end.role & role::CLIENT == 0 {
            return;
        }
        if end.srtt_us > 0 {
            // The kernel has measured a round trip: there was an answer, which was not told.
            self.about.partial.insert(PartialReason::EventsLost);
            self.ended(End::Unwatched, self.wire.last_seen, report);
        } else {
            // A client's socket that closes before any answer has stopped trying.
            self.ended(End::Silence, self.wire.last_seen, report);
        }
    }

    /// The snap length cut the login.
    pub(in crate::session) fn cut_login(&mut self) {
        if self.is_undecided() {
            self.about.partial.insert(PartialReason::Gap);
        }
    }

    /// The kernel had forgotten the connection, and names and counts it anew.
    pub(in crate::session) fn renamed(&mut self, born: u64, report: &mut Report<'_>) {
        self.wire.renamed(born);
        // What follows an end is of a connection that was let go.
        if self.wire.ends.began().is_some() {
            return;
        }
        report.flow_forgotten();
        self.about.partial.insert(PartialReason::EventsLost);
    }

    /// Whether the connection's login is open.
    pub(in crate::session) fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided(_))
    }

    /// Whether its handshake goes on, and nothing was told of it.
    pub(in crate::session) fn is_untold(&self) -> bool {
        let handshake = &self.wire.handshake;
        let shakes_hands = handshake.has_begun() && !handshake.is_over();
        matches!(&self.state, State::Undecided(login) if shakes_hands && !login.pending_was_told)
    }

    /// Whether nothing of it is to come: both sides have closed, and its socket has said so.
    pub(in crate::session) fn is_closed(&self) -> bool {
        !self.has_left() && self.wire.is_closed()
    }

    /// Whether the connection is over at `now`: nothing of it is to come.
    pub(in crate::session) fn is_over(&self, now: u64) -> bool {
        self.is_closed() || self.is_unreachable() || self.over_at().is_some_and(|at| now >= at)
    }

    /// When the connection will be over, if nothing more is heard of it.
    fn over_at(&self) -> Option<u64> {
        let ends = &self.wire.ends;
        let patience = if ends.reset().is_some() {
            AFTER_RESET
        } else if ends.are_orderly() {
            SOCKET_PATIENCE
        } else {
            ends.first_fin().map(|_| HALF_OPEN)?
        };
        let at = self.wire.last_seen.saturating_add(patience);
        // Nothing is told of what no socket has any more.
        let closed = self.wire.last_socket_ended();
        let closed = closed.map(|closed| closed.max(self.wire.last_seen));
        let at = closed.map_or(at, |closed| at.min(closed.saturating_add(SOCKET_PATIENCE)));
        (!self.has_left()).then_some(at)
    }

    /// When its socket will have been closed for so long that the packets that say how will not come.
    fn unseen_end_at(&self) -> Option<u64> {
        let closed = self.wire.socket_ended()?;
        let unseen = self.wire.ends.began().is_none();
        unseen.then(|| closed.saturating_add(END_PATIENCE))
    }

    /// Whether its socket has closed, and the packets that say how were not seen.
    pub(in crate::session) fn ended_unseen(&self, now: u64) -> bool {
        self.unseen_end_at().is_some_and(|at| now >= at)
    }

    /// Whether nothing was heard of it since then, its own socket not being here to say its end.
    pub(in crate::session) fn is_silent_since(&self, then: u64) -> bool {
        !self.wire.local_socket && self.wire.last_seen < then
    }

    /// When time alone changes it next.
    pub(in crate::session) fn due(&self, report: &Report<'_>) -> Option<u64> {
        let login = match &self.state {
            State::Undecided(login) => login.due(&self.wire, &report.shared.config),
            State::Settled(_) => None,
        };
        let ends = [self.over_at(), self.unseen_end_at()];
        ends.into_iter().flatten().chain(login).min()
    }

    /// Lets time pass: what has waited long enough is decided, or told.
    pub(in crate::session) fn wait(&mut self, now: u64, report: &mut Report<'_>) {
        for side in [Side::ToServer, Side::ToClient] {
            if let State::Undecided(login) = &mut self.state {
                login.age(side, now);
            }
            self.read(side, report);
        }
        if let State::Undecided(login) = &self.state
            && login.early_fin_is_due(now)
        {
            self.early_fin_passes(true, report);
        }
        self.wait_for_login(now, report);
    }
}
