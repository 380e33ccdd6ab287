//! The TCP handshake, and what it tells where parts of it were not seen.

use tracer_ebpf::{event::Event, seq::Seq};

use super::Connection;
use crate::{
    record::{PartialReason, PhaseName},
    session::timeline::Side,
};

/// How long a client whose SYN is not answered is waited for at least, nanoseconds: its next one comes
/// after one to three seconds.
pub(in crate::session) const LEAST_PATIENCE: u64 = 4_000_000_000;

/// The TCP handshake, and how long a client tries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshake {
    first_syn: Option<u64>,
    last_syn: Option<u64>,
    /// Between the last two SYNs.
    gap: u64,
    pub(super) syns: u32,
    syn_ack: Option<u64>,
    ack: Option<u64>,
    /// Data passed before the end of the handshake did.
    pub(super) end_missed: bool,
    /// The initial sequence numbers of both sides, as far as the handshake tells them.
    pub(super) isns: [Option<Seq>; 2],
}

impl Handshake {
    /// Whether the server has answered a SYN.
    pub(super) fn was_answered(&self) -> bool {
        self.syn_ack.is_some() || self.ack.is_some()
    }

    /// Whether a part of it was not seen, though what follows was.
    pub(super) fn has_gap(&self) -> bool {
        self.end_missed || (self.ack.is_some() && self.syn_ack.is_none())
    }

    /// How long after its last SYN a client counts as gone: when the next one, twice as far off,
    /// has not come.
    pub(super) fn patience(&self) -> u64 {
        const SLACK: u64 = 1_000_000_000;
        LEAST_PATIENCE.max(self.gap.saturating_mul(2).saturating_add(SLACK))
    }
}

impl Connection {
    pub(super) fn syn(&mut self, event: &Event) {
        self.syn_ttl[0] = Some(event.ttl);
        let handshake = &mut self.handshake;
        handshake.first_syn.get_or_insert(event.time);
        handshake.gap = handshake
            .last_syn
            .map_or(0, |last| event.time.saturating_sub(last));
        handshake.last_syn = Some(event.time);
        handshake.syns += 1;
        handshake.isns[0] = Some(event.seq);
        if let Some(login) = &mut self.login {
            login.streams[Side::ToServer as usize].open(event.seq.add(1));
            login.timeline.moved(event.time, Side::ToServer);
        }
    }

    pub(super) fn syn_ack(&mut self, event: &Event) {
        self.syn_ttl[1] = Some(event.ttl);
        self.handshake.syn_ack.get_or_insert(event.time);
        // It tells where a client begins whose SYN was not seen; one that was may have brought payload,
        // which is acknowledged too.
        let isn = *self.handshake.isns[0].get_or_insert(event.ack.back(1));
        self.handshake.isns[1] = Some(event.seq);
        if let Some(login) = &mut self.login {
            login.streams[Side::ToServer as usize].open(isn.add(1));
            login.streams[Side::ToClient as usize].open(event.seq.add(1));
            login.timeline.moved(event.time, Side::ToClient);
        }
    }

    pub(super) fn ack(&mut self, event: &Event) {
        if self.ends.began().is_some() {
            self.ends.closed |= self.ends.fin.is_some() && self.ends.second_fin.is_some();
            return;
        }
        if self.handshake.ack.is_some() {
            return;
        }
        self.handshake.ack = Some(event.time);
        self.see_through_gap(event);
        if let (Some(syn), Some(syn_ack)) = (self.handshake.last_syn, self.handshake.syn_ack) {
            self.evidence.handshake(
                syn_ack.saturating_sub(syn),
                event.time.saturating_sub(syn_ack),
            );
        }
        if let Some(login) = &mut self.login {
            login.timeline.moved(event.time, Side::ToServer);
            login
                .phases
                .end(PhaseName::Handshake, event.time, true, &self.sent);
        }
    }

    /// What the client's answer to the handshake tells of packets of it that were not seen.
    fn see_through_gap(&mut self, event: &Event) {
        let Some(login) = &mut self.login else { return };
        if self.handshake.first_syn.is_none() {
            self.joined_late = true;
            login.phases.start_was_missed();
            self.facts
                .connection
                .mark_partial(PartialReason::JoinedLate);
        }
        let is_first = self.handshake.isns[0].is_some_and(|isn| isn.add(1) == event.seq);
        if is_first && self.handshake.syn_ack.is_none() {
            self.handshake.isns[1] = Some(event.ack.back(1));
            login.streams[Side::ToClient as usize].open(event.ack);
        }
    }
}
