//! A connection whose login is open: what is read of it, and how it is decided.

use tracer_ebpf::{
    event::{Event, mark},
    packet::tcp_flag,
    seq::Seq,
};

use crate::{
    record::{Outcome, OutcomeKind, PhaseName},
    session::{
        attempts::{Handle, Said},
        diagnosis::Place,
        dialogue::{
            Context, Decision, Dialogue,
            sealed::{Leave, QUIET},
        },
        input::{Config, Side},
        ledger::{Debt, Ledger},
        report::{Conclusion, Shared},
        stream::{Found, Stream},
        verdict::{
            outcome::{End, Unanswered},
            phases::{self, Reached},
        },
        wire::{self, Wire},
    },
    tds::prelogin::Guid,
};

/// Bytes of no known message after which a connection joined late counts as past its login.
const MAX_UNREAD: u64 = 64 * 1024;

/// A client's end that leaves open what came of its sealed login.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) at: u64,
    /// Of its FIN; `None` where it ended TLS first, and the server closed upon that.
    position: Option<Seq>,
}

/// What is known of an undecided login.
#[derive(Debug)]
pub(in crate::session) struct Undecided {
    pub(super) streams: [Stream; 2],
    pub(in crate::session) dialogue: Dialogue,
    pub(super) ledger: Ledger,
    /// Which message was due when the connection began to end.
    pub(super) debt_at_end: Option<Debt>,
    /// The side that did not leave, where its last word had not reached the one that did.
    unheard: Option<Side>,
    pub(super) left: Option<Left>,
    /// How the attempt that it is part of knows it.
    pub(super) attempt: Handle,
    /// Where the client went that has left, as far as that shows what the reply said.
    pub(super) went_to: Option<wire::End>,
    /// The attempt knows what the client says of itself.
    introduced: bool,
    /// When the client's socket closed, where it is on this host.
    pub(super) client_closed: Option<u64>,
    pub(super) pending_was_told: bool,
    /// A FIN that came before data of its side which it follows.
    early_fin: Option<Box<(Side, Event)>>,
    /// Where its neighbours know it from.
    pub(super) place: Option<Place>,
    /// It was made known to them, or there was no room.
    pub(super) is_known: bool,
}

impl Undecided {
    /// What the client says of itself, once.
    pub(super) fn introduces(&mut self) -> Option<Said> {
        let asked = self.dialogue.contents.asked.as_ref();
        let asked = asked.filter(|_| self.attempt != 0 && !self.introduced)?;
        let thread = asked.thread_id.filter(|thread| *thread != 0);
        self.introduced = true;
        Some(Said {
            thread,
            connection: self.named(),
        })
    }

    /// The instance that the client wants, as it says.
    pub(super) fn wanted_instance(&self) -> Option<&str> {
        let asked = self.dialogue.contents.asked.as_ref();
        asked?.instance.as_deref()
    }

    /// Whether it recovers the session of a connection that is gone, as far as that can be read.
    pub(super) fn recovers(&self) -> bool {
        let login = self.dialogue.contents.login7.as_ref();
        login.is_some_and(|login| login.recovers)
    }

    /// How the client names its connection.
    pub(super) fn named(&self) -> Option<Guid> {
        let trace = self.dialogue.contents.trace();
        let guid = trace.map(|trace| trace.connection);
        guid.filter(|guid| !guid.is_nil())
    }

    pub(super) fn new(from_start: bool) -> Self {
        Self {
            streams: Default::default(),
            dialogue: Dialogue::new(from_start),
            ledger: Ledger::default(),
            debt_at_end: None,
            unheard: None,
            left: None,
            attempt: 0,
            went_to: None,
            introduced: false,
            client_closed: None,
            pending_was_told: false,
            early_fin: None,
            place: None,
            is_known: false,
        }
    }

    /// Notes how far either side's stream goes by what a packet's header says.
    pub(super) fn note_positions(&mut self, event: &Event, side: Side) {
        if event.tcp_flags & (tcp_flag::SYN | tcp_flag::RST) == 0 {
            self.streams[side as usize].reaches(event.seq);
            if event.tcp_flags & tcp_flag::ACK != 0 {
                self.streams[side.reversed() as usize].is_acknowledged(event.ack);
            }
        }
    }

    /// A SYN, or the same once more: `first` is when it passed first.
    pub(super) fn syn(&mut self, event: &Event, first: Option<u64>) {
        self.streams[Side::ToServer as usize].open(event.seq.add(1));
        self.opens(event.time, Side::ToServer, first);
        self.ledger.begin(PhaseName::Handshake, event.time);
    }

    /// A SYN-ACK, the same.
    pub(super) fn syn_ack(&mut self, event: &Event, first: Option<u64>) {
        // It tells where a client begins whose SYN was not seen; of data in a SYN it may acknowledge
        // a part.
        if !self.streams[Side::ToServer as usize].is_opened() {
            self.streams[Side::ToServer as usize].open(event.ack);
        }
        self.streams[Side::ToClient as usize].open(event.seq.add(1));
        self.opens(event.time, Side::ToClient, first);
    }

    fn opens(&mut self, at: u64, side: Side, first: Option<u64>) {
        match first {
            Some(first) => self.ledger.repeat(side, first, at),
            None => self.ledger.step(at, side, side.reversed()),
        }
    }

    /// A server's stream begins here.
    pub(super) fn server_begins(&mut self, position: Seq) {
        self.streams[Side::ToClient as usize].open(position);
    }

    /// The first packet of the handshake was not seen.
    pub(super) fn start_was_missed(&mut self) {
        self.dialogue.start_was_missed();
    }

    /// The client's acknowledgement ends the handshake, or what followed shows that it is over.
    pub(super) fn handshake_ends(&mut self, at: u64, seen: bool) {
        let is_past = !self.dialogue.saw_start() && !self.ledger.rows().is_empty();
        if is_past {
            // Joined late, an acknowledgement may look like it.
            return;
        }
        if seen {
            // What came with the SYN (TCP Fast Open) is still to be answered.
            let asked = self.ledger.has_begun(PhaseName::Prelogin);
            let owed_by = if asked {
                Side::ToClient
            } else {
                Side::ToServer
            };
            self.ledger.step(at, Side::ToServer, owed_by);
            if let Some(begun) = self.ledger.begun(PhaseName::Handshake) {
                self.dialogue.note_round_trip(at.saturating_sub(begun));
            }
        }
        self.ledger.end(PhaseName::Handshake, at, seen);
    }

    /// Whether the client has asked before the handshake ended (TCP Fast Open).
    pub(super) fn asked_with_syn(&self) -> bool {
        self.ledger.has_begun(PhaseName::Prelogin)
    }

    /// A segment, or more of it.
    pub(super) fn segment(&mut self, side: Side, event: &Event, run: &[u8]) {
        let (from, to) = (event.seq, event.seq.add(event.payload_len));
        if event.marks & mark::RETRANSMIT != 0 {
            self.ledger.sent_again(side, from, to, event.time);
        } else if event.kind == tracer_ebpf::event::Kind::Segment as u8 {
            self.ledger.sent(side, from, to, event.time);
        }
        self.streams[side as usize].take(event, run);
    }

    /// Whether a FIN came before data of its side: then it is kept until that has come.
    pub(super) fn keeps_early_fin(&mut self, side: Side, event: &Event) -> bool {
        let early = self.early_fin.is_none() && self.streams[side as usize].lacks_bytes(false);
        if early {
            self.early_fin = Some(Box::new((side, *event)));
        }
        early
    }

    /// Whether the data before a kept FIN has not come for long.
    pub(super) fn early_fin_is_due(&self, now: u64) -> bool {
        let mut early = self.early_fin.iter();
        early.any(|early| now.saturating_sub(early.1.time) >= QUIET)
    }

    /// A FIN that was kept, once the data before it has come; or in any case, where nobody waits for
    /// that any more.
    pub(super) fn early_fin(&mut self, anyhow: bool) -> Option<(Side, Event)> {
        let (side, _) = **self.early_fin.as_ref()?;
        let due = anyhow || !self.streams[side as usize].lacks_bytes(false);
        due.then(|| self.early_fin.take().map(|early| *early))
            .flatten()
    }

    /// Gives up holes that are too old.
    pub(super) fn age(&mut self, side: Side, now: u64) {
        self.streams[side as usize].age(now);
    }

    /// The connection begins to end by `side`, which has acknowledged so much; the phase it is in.
    pub(super) fn begin_end(
        &mut self,
        side: Side,
        at: u64,
        acknowledged: Option<Seq>,
    ) -> PhaseName {
        let debt = self.open_ledger(at).debt();
        let other = side.reversed();
        let answered = debt.is_some_and(|debt| debt.by == side);
        let unheard = acknowledged
            .is_some_and(|up_to| answered && self.streams[other as usize].is_unacknowledged(up_to));
        self.unheard = unheard.then_some(other);
        let full = self.open_ledger(at);
        self.debt_at_end = full.debt();
        self.dialogue.phase(&full)
    }

    /// Whether it was the client who had to speak as the connection began to end.
    pub(super) fn is_clients_turn(&self) -> bool {
        self.debt_at_end
            .is_some_and(|debt| debt.by == Side::ToServer)
    }

    /// All that is known at `now` of a login without an answer.
    pub(super) fn open_ledger(&self, now: u64) -> Ledger {
        let mut full = self.dialogue.full_ledger(&self.ledger, now, false);
        if let Some(side) = self.unheard {
            full.unsay(side);
        }
        full
    }

    /// Whether all of the connection was seen so far: what did not come was not sent.
    pub(super) fn is_whole(&self) -> bool {
        let mut streams = self.streams.iter();
        streams.all(Stream::is_opened) && !self.streams.iter().any(Stream::is_incomplete)
    }

    /// Reads what a stream has become able to tell.
    pub(super) fn read(&mut self, side: Side, now: u64, shared: &mut Shared) -> Option<Decision> {
        while let Some(found) = self.streams[side as usize].next(&mut shared.memory) {
            let whole = self.is_whole();
            let mut context = Context {
                ledger: &mut self.ledger,
                identity: &shared.config.identity,
                fingerprints: &mut shared.fingerprints,
                whole,
                now,
            };
            match found {
                Found::Unit(unit) => {
                    let decision = self.dialogue.read(side, &unit, &mut context);
                    shared.memory = unit.into_memory();
                    if decision.is_some_and(|decision| decision.by_request) {
                        let answer = self.read_missed_answer(now, shared);
                        return answer.or(decision);
                    }
                    if decision.is_some() {
                        return decision;
                    }
                }
                Found::Unknown(prefix) => {
                    self.dialogue.unknown(side, &prefix, &mut context);
                }
            }
            if self.dialogue.is_foreign() && !self.dialogue.is_strict() {
                self.streams.iter_mut().for_each(Stream::forsake);
            }
        }
        None
    }

    /// A request shows that the answer has passed: what was seen of it behind a hole is read.
    pub(super) fn read_missed_answer(&mut self, now: u64, shared: &mut Shared) -> Option<Decision> {
        let side = Side::ToClient;
        while self.streams[side as usize].skip_missed_hole() {
            let decision = self.read(side, now, shared);
            if decision.is_some() {
                return decision;
            }
        }
        None
    }

    /// Whether nothing is to be learned of the login any more: it was over before anybody watched.
    pub(super) fn is_past_login(&self) -> bool {
        let unread = self.streams.iter().map(Stream::unread).sum::<u64>();
        let junk = unread > MAX_UNREAD && !self.streams.iter().any(Stream::is_opened);
        self.dialogue.is_sealed_past_login() || (junk && !self.dialogue.saw_login())
    }

    /// Whether a FIN leaves open what came of a sealed login: the server's own end is to be seen, or
    /// where the client goes next.
    pub(super) fn leaves_open(&mut self, side: Side, event: &Event) -> bool {
        let bye = self.dialogue.client_bye();
        let is_clients_end = side == Side::ToServer || bye.is_some();
        match (side, self.left) {
            (Side::ToServer, Some(_)) => true,
            (_, None) if is_clients_end && self.depends_on_server(event.time) => {
                self.left = Some(Left {
                    at: event.time,
                    position: (side == Side::ToServer).then(|| event.seq.add(event.payload_len)),
                });
                true
            }
            // The server follows the client: where that goes next is still to be seen.
            (Side::ToClient, Some(left)) => left.position.is_none_or(|at| event.ack.after(at)),
            _ => false,
        }
    }

    pub(super) fn depends_on_server(&self, now: u64) -> bool {
        let readable = self.dialogue.is_sealed() && self.is_whole() && self.unheard.is_none();
        readable && self.dialogue.reading().depends_on_server(now)
    }

    /// What the sealed records of a login suggest when its connection ends.
    pub(super) fn believed(&self, end: End, at: u64) -> Option<Decision> {
        // Turns that were not seen would shift the meaning of those that were.
        if !self.dialogue.is_sealed() || !self.is_whole() || self.unheard.is_some() {
            return None;
        }
        let leave = match end {
            End::Unwatched => Leave::Unwatched,
            End::Fin(Side::ToClient) if self.dialogue.client_bye().is_none() => Leave::Server,
            End::Rst(Side::ToClient) => Leave::Reset,
            End::Fin(_) | End::Rst(Side::ToServer) | End::Silence => Leave::Client,
        };
        // A reply that had to be sent again is as young as its last copy.
        let full = self.open_ledger(at);
        let last = full.last_step().map_or(at, |step| step.at.min(at));
        let repeated = full.repeated(last, at);
        let belief = self.dialogue.reading().farewell(leave, at - repeated);
        belief.map(Decision::from)
    }

    /// The outcome of a login that ended without an answer.
    pub(super) fn outcome_at(
        &self,
        end: End,
        at: u64,
        wire: &Wire,
        lost: bool,
    ) -> (Outcome, Option<Debt>) {
        let handshake = &wire.handshake;
        // Who acknowledges was answered, though the answer was not seen.
        let acknowledges = self.streams[Side::ToClient as usize].is_incomplete();
        if handshake.has_begun() && !handshake.was_answered() && !acknowledges {
            let tries = handshake.syn_retransmits().unwrap_or(0) + 1;
            match (end, wire.sent[1].packets) {
                (End::Rst(Side::ToClient), 1) => return (Outcome::Refused, None),
                (End::Unwatched, 0) if tries < 2 => return (Outcome::Unknown, None),
                (_, 0) => return (Outcome::Unreachable, None),
                _ => {}
            }
        }
        let full = self.open_ledger(at);
        let unanswered = Unanswered {
            end,
            at,
            client_bye: self.dialogue.client_bye(),
            debt: self.debt_at_end.or(full.debt()),
            inside_tls: self.dialogue.inside_tls(),
            foreign: self.dialogue.is_foreign(),
            server_is_foreign: self.dialogue.server_is_foreign(),
        };
        // What a side that leaves has sent before, and nobody saw, may have been anything.
        let leaver = match end {
            End::Fin(side) | End::Rst(side) => Some(side),
            End::Silence | End::Unwatched => None,
        };
        let unseen = leaver.is_some_and(|side| {
            self.streams[side as usize].lacks_bytes(wire.ends.has_finished(side))
        });
        let lost = lost
            || unseen
            || wire.ends.missed_before()
            || self.dialogue.has_unread_reply()
            || self.streams.iter().any(Stream::is_incomplete);
        // Whether a client that left had waited for long is not known without times.
        let depends_on_time = wire.untimed && unanswered.debt.is_some();
        if wire.joined_late || lost || depends_on_time {
            return (Outcome::Unknown, None);
        }
        let watched = end != End::Unwatched;
        let debt = unanswered
            .owed_too_long()
            .filter(|_| watched && !wire.untimed);
        (unanswered.outcome(), debt)
    }

    /// What is to be told of the login, decided so.
    pub(super) fn conclude(
        &self,
        decision: Decision,
        debt: Option<Debt>,
        wire: &Wire,
    ) -> Conclusion {
        // A request shows that there was an answer, not when it came.
        let answered = !decision.by_request && decision.outcome.kind() == OutcomeKind::Answered;
        let now = wire.last_seen.max(decision.at);
        let full = if answered {
            self.dialogue.full_ledger(&self.ledger, now, true)
        } else {
            self.open_ledger(now)
        };
        let reached = Reached {
            start: (!wire.joined_late).then_some(wire.started),
            phase: self.dialogue.phase(&full),
            at: decision.at,
            whole: self.is_whole(),
            answered,
        };
        let spans = phases::spans(&full, reached);
        Conclusion {
            decision,
            debt,
            spans,
            phase: reached.phase,
            answered,
            whole: self.is_whole(),
            answer_was_missed: self.streams[Side::ToClient as usize].is_incomplete(),
            answer_lacks: self.streams[Side::ToClient as usize].awaited(),
            ledger: full,
        }
    }

    /// When time alone changes the login next.
    pub(super) fn due(&self, wire: &Wire, config: &Config) -> Option<u64> {
        if let Some(left) = self.left {
            return Some(left.at.saturating_add(QUIET));
        }
        let early_fin = self.early_fin.as_ref();
        let early_fin = early_fin.map(|early| early.1.time.saturating_add(QUIET));
        let holes = self.streams.iter().filter_map(Stream::hole_is_given_up_at);
        let content = if self.dialogue.is_sealed() && self.is_whole() {
            self.dialogue.reading().content_at()
        } else {
            None
        };
        let handshake = (!wire.handshake.is_over() && !wire.joined_late)
            .then(|| wire.last_seen.saturating_add(wire.handshake.patience() + 1));
        let pending = (!self.pending_was_told && self.may_be_pending(wire))
            .then(|| wire.started.saturating_add(config.pending_after));
        let others = [content, handshake, pending, early_fin];
        holes.chain(others.into_iter().flatten()).min()
    }

    /// Whether the login may be told as pending: of one joined late only if it is known to be open.
    pub(super) fn may_be_pending(&self, wire: &Wire) -> bool {
        let is_open = wire.handshake.was_answered() || self.dialogue.saw_login();
        is_open
            && (!wire.joined_late || self.dialogue.saw_login())
            && self.dialogue.contents.stranger.is_none()
    }

    /// The streams, which go on for a while after the decision.
    pub(super) fn into_streams(self) -> [Stream; 2] {
        self.streams
    }
}
