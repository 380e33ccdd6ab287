//! How a connection ends: the FIN of each side, resets, and what passed unseen before them.

use tracer_ebpf::{event::Event, packet::tcp_flag, seq::Seq};

use super::{Connection, State};
use crate::{
    record::{PartialReason, PhaseName},
    session::{
        attempts::{Gone, Who},
        diagnosis::IN_VAIN,
        input::Side,
        report::Report,
        verdict::outcome::End,
        wire::Reset,
    },
};

impl Connection {
    /// A FIN came; one before data that is missing is kept.
    pub(super) fn fin(&mut self, side: Side, event: &Event, report: &mut Report<'_>) {
        if let State::Undecided(login) = &mut self.state
            && login.keeps_early_fin(side, event)
        {
            return;
        }
        self.fin_passes(side, event, report);
    }

    /// A FIN that was kept passes, once the data before it has come or nobody waits for that.
    pub(super) fn early_fin_passes(&mut self, anyhow: bool, report: &mut Report<'_>) {
        if let State::Undecided(login) = &mut self.state
            && let Some((side, mut event)) = login.early_fin(anyhow)
        {
            if !anyhow {
                event.time = self.wire.last_seen;
            }
            self.fin_passes(side, &event, report);
        }
    }

    /// A FIN ends its side.
    pub(super) fn fin_passes(&mut self, side: Side, event: &Event, report: &mut Report<'_>) {
        self.note_missed(side, event);
        self.leaves_attempt(event.time, report);
        self.begin_end(side, event.time, acknowledged(event));
        self.wire.ends.fin(event.time, side);
        if event.tcp_flags & tcp_flag::ACK != 0 {
            self.wire.ends.acknowledge(side, event.ack);
        }
        if let State::Undecided(login) = &mut self.state
            && login.leaves_open(side, event)
        {
            return;
        }
        self.ended(End::Fin(side), event.time, report);
    }

    /// A reset ends both sides.
    pub(super) fn rst(&mut self, side: Side, event: &Event, report: &mut Report<'_>) {
        // It says what the first one said.
        if self.wire.ends.reset().is_some() {
            return;
        }
        self.early_fin_passes(true, report);
        self.leaves_attempt(event.time, report);
        self.begin_end(side, event.time, acknowledged(event));
        if side == Side::ToServer {
            self.wire.ends.note_strain(&self.wire.sent);
        }
        self.wire.ends.reset_by(Reset {
            at: event.time,
            side,
            ttl: event.ttl,
            bare: event.tcp_flags & tcp_flag::ACK == 0,
        });
        // What follows a client's FIN tells no more than that did.
        if !self.has_left() {
            self.ended(End::Rst(side), event.time, report);
        }
    }

    /// Notes what passed unseen before a FIN: its sequence numbers go further than what was counted.
    fn note_missed(&mut self, side: Side, event: &Event) {
        let others_fin = self.wire.ends.has_finished(side.reversed());
        let beyond = |side: Side, end: Seq| {
            let isn = self.wire.handshake.isn(side);
            let seen = self.wire.sent[side as usize].bytes as u32;
            isn.map_or(0, |isn| end.since(isn.add(1).add(seen)))
        };
        let has_ack = event.tcp_flags & tcp_flag::ACK != 0;
        let acknowledged = beyond(side.reversed(), event.ack);
        let missed = has_ack && acknowledged > i32::from(others_fin);
        if missed {
            self.wire.ends.note_missed_before();
            self.about.partial.insert(PartialReason::Gap);
        }
        let position = event.seq.add(event.payload_len);
        // It may yet come, but what it answers is not known to be owed.
        let own = beyond(side, position) > 0;
        if own && !self.is_undecided() {
            self.wire.ends.note_missed_before();
        }
        self.wire.ends.fin_follows(side, position);
    }

    /// Notes at the end what never came of the bytes before a FIN.
    pub(super) fn note_missed_before_fins(&mut self) {
        for side in [Side::ToServer, Side::ToClient] {
            let isn = self.wire.handshake.isn(side);
            let seen = self.wire.sent[side as usize].bytes as u32;
            let follows = self.wire.ends.position_of_fin(side);
            let missed = isn
                .zip(follows)
                .is_some_and(|(isn, end)| end.since(isn.add(1).add(seen)) > 0);
            if missed {
                self.about.partial.insert(PartialReason::Gap);
            }
        }
    }

    /// Both sockets have closed, and one of them was not seen to: its last records were lost.
    pub(super) fn note_unseen_end(&mut self) {
        let ends = &self.wire.ends;
        let half = ends.began().is_some() && !ends.are_over();
        if half && self.wire.both_sockets_ended() {
            self.about.partial.insert(PartialReason::EventsLost);
        }
    }

    /// A connection that was in use begins to end: its session may be recovered.
    fn leaves_attempt(&self, at: u64, report: &mut Report<'_>) {
        let begins = self.wire.ends.began().is_none() && !self.wire.untimed;
        let id = match &self.state {
            State::Settled(settled) if begins => settled.in_use(),
            _ => None,
        };
        let Some(id) = id.filter(|_| report.shared.config.attempts) else {
            return;
        };
        let identity = self.wire.identity();
        let [client, server] = &self.wire.sent;
        let last = client.last_data.max(server.last_data);
        report.shared.attempts.closes(Gone {
            who: Who::of(identity.client.address, self.about.process.as_deref()),
            server: identity.server,
            id,
            at,
            idle: at.saturating_sub(last),
        });
    }

    /// How things stand when the connection ends: what was asked and has no answer, and what was sent in vain.
    fn note_what_is_left(&mut self) {
        self.wire.ends.note_strain(&self.wire.sent);
        let [client, server] = &self.wire.sent;
        let last = [client.last_data, server.last_data];
        let unheard = self.usage.requests.is_answer_missing(last[1]);
        if unheard && self.about.is_whole() {
            self.about.partial.insert(PartialReason::EventsLost);
        }
        // An answer that was missed is no longer owed.
        let in_flight = if self.wire.ends.missed_before() || unheard {
            0
        } else {
            self.usage.in_flight()
        };
        self.wire
            .ends
            .leaves(last, (in_flight, self.wire.copies_in_vain()));
    }

    /// Notes the same where nobody ends a connection whose client has asked again and again, and hears nothing;
    /// whether that is so.
    pub(super) fn is_forsaken(&mut self) -> bool {
        let asks = self.wire.copies_in_vain() >= IN_VAIN && self.usage.in_flight() > 0;
        if !asks || self.wire.ends.began().is_some() || self.is_undecided() {
            return false;
        }
        self.note_what_is_left();
        self.wire.ends.left_in_flight() > 0
    }

    /// The connection begins to end: how things stood then.
    pub(super) fn begin_end(&mut self, side: Side, at: u64, acknowledged: Option<Seq>) {
        if self.wire.ends.began().is_some() {
            return;
        }
        self.note_what_is_left();
        self.about.ended_in = match &mut self.state {
            State::Undecided(login) => {
                let phase = login.begin_end(side, at, acknowledged);
                let known = self.wire.was_seen_to_begin() || login.dialogue.saw_login();
                known.then_some(phase)
            }
            State::Settled(_) if self.wire.ends.left_in_flight() > 0 => Some(PhaseName::Command),
            State::Settled(_) => self.about.ended_in,
        };
    }
}

/// Up to where a packet acknowledges the other side's stream, if it does.
fn acknowledged(event: &Event) -> Option<Seq> {
    (event.tcp_flags & tcp_flag::ACK != 0).then_some(event.ack)
}
