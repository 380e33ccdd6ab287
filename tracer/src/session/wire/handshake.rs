//! The TCP handshake, and what it tells where parts of it were not seen.

use tracer_ebpf::seq::Seq;

use super::when::When;
use crate::session::input::Side;

/// How long a client whose SYN is not answered is waited for at least, nanoseconds: its next one
/// comes after one to three seconds.
pub(in crate::session) const LEAST_SYN_PATIENCE: u64 = 4_000_000_000;
/// How long a handshake that was answered may take: a server sends its SYN-ACK for a minute.
pub(in crate::session) const ACK_PATIENCE: u64 = tracer_ebpf::patience::UNANSWERED;

/// When its packets passed.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    first_syn: When,
    last_syn: When,
    /// Between the last two SYNs.
    gap: u64,
    first_syn_ack: When,
    ack: When,
}

/// The TCP handshake, and how long a client tries.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Handshake {
    /// Nobody asks for them once the login is decided.
    times: Option<Box<Times>>,
    syns: u32,
    syn_acks: u32,
    was_acknowledged: bool,
    /// Data passed before the end of the handshake did.
    end_was_missed: bool,
    /// The initial sequence numbers of both sides, and whether the handshake tells them.
    isns: [Seq; 2],
    has_isn: [bool; 2],
}

impl Handshake {
    /// A SYN; when the first one passed, where this one repeats it.
    pub(in crate::session) fn syn(&mut self, at: u64, isn: Seq) -> Option<u64> {
        self.syns += 1;
        self.has_isn(Side::ToServer, isn);
        let times = self.times();
        let last = times.last_syn.moment();
        times.gap = last.map_or(0, |last| at.saturating_sub(last));
        times.last_syn = When::at(at);
        let first = times.first_syn.moment();
        times.first_syn.or_at(at);
        first
    }

    /// A SYN-ACK; when the first one passed, where this one repeats it.
    pub(in crate::session) fn syn_ack(
        &mut self,
        at: u64,
        isn: Seq,
        acknowledges: Seq,
    ) -> Option<u64> {
        self.syn_acks += 1;
        // It tells where a client begins whose SYN was not seen; one that was may have brought payload,
        // which is acknowledged too.
        if self.isn(Side::ToServer).is_none() {
            self.has_isn(Side::ToServer, acknowledges.back(1));
        }
        self.has_isn(Side::ToClient, isn);
        let times = self.times();
        let first = times.first_syn_ack.moment();
        times.first_syn_ack.or_at(at);
        first
    }

    /// The client's acknowledgement; whether it is the first.
    pub(in crate::session) fn ack(&mut self, at: u64) -> bool {
        if self.was_acknowledged {
            return false;
        }
        self.was_acknowledged = true;
        self.times().ack = When::at(at);
        true
    }

    /// A side's initial sequence number is this.
    pub(in crate::session) fn has_isn(&mut self, side: Side, isn: Seq) {
        self.isns[side as usize] = isn;
        self.has_isn[side as usize] = true;
    }

    /// A side's initial sequence number, as far as the handshake tells it.
    pub(in crate::session) fn isn(&self, side: Side) -> Option<Seq> {
        self.has_isn[side as usize].then_some(self.isns[side as usize])
    }

    fn times(&mut self) -> &mut Times {
        self.times.get_or_insert_default()
    }

    /// The login is decided: when its packets passed does not matter any more.
    pub(in crate::session) fn forget_times(&mut self) {
        self.times = None;
    }

    /// Data came, and no end of the handshake before it.
    pub(in crate::session) fn misses_end(&mut self) {
        self.end_was_missed = true;
    }

    /// How often the client sent its SYN again; `None` where none was seen.
    pub(in crate::session) fn syn_retransmits(&self) -> Option<u32> {
        self.syns.checked_sub(1)
    }

    /// Whether a SYN was seen.
    pub(in crate::session) fn has_begun(&self) -> bool {
        self.syns > 0
    }

    /// Whether a SYN-ACK was seen.
    pub(in crate::session) fn was_accepted(&self) -> bool {
        self.syn_acks > 0
    }

    /// Whether the server has answered a SYN.
    pub(in crate::session) fn was_answered(&self) -> bool {
        self.syn_acks > 0 || self.was_acknowledged
    }

    /// Whether the client has acknowledged the answer.
    pub(in crate::session) fn is_over(&self) -> bool {
        self.was_acknowledged || self.end_was_missed
    }

    /// Whether a part of it was not seen, though what follows was.
    pub(in crate::session) fn has_gap(&self) -> bool {
        self.end_was_missed || (self.was_acknowledged && self.syn_acks == 0)
    }

    /// The round trips to the server's host and to the client's, as seen from here. None is taken
    /// from a SYN or SYN-ACK that was sent again: which copy was answered is not known (Karn's
    /// algorithm, RFC 6298 section 3).
    pub(in crate::session) fn legs(&self) -> [Option<u64>; 2] {
        let Some(times) = self.times.as_deref() else {
            return [None; 2];
        };
        let once = self.syn_acks == 1;
        let syn_ack = times.first_syn_ack.moment();
        let server = times.first_syn.moment().zip(syn_ack);
        let client = syn_ack.zip(times.ack.moment());
        let span = |(from, to): (u64, u64)| to.saturating_sub(from);
        [
            server.filter(|_| once && self.syns == 1).map(span),
            client.filter(|_| once).map(span),
        ]
    }

    /// How long after its last packet the handshake counts as given up.
    pub(in crate::session) fn patience(&self) -> u64 {
        const SLACK: u64 = 1_000_000_000;
        if self.was_answered() {
            return ACK_PATIENCE;
        }
        // When the next SYN, twice as far off, has not come.
        let gap = self.times.as_deref().map_or(0, |times| times.gap);
        LEAST_SYN_PATIENCE.max(gap.saturating_mul(2).saturating_add(SLACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_in_one_go_tells_both_round_trips() {
        let mut handshake = Handshake::default();
        assert_eq!(handshake.syn(100, Seq(7)), None);
        assert_eq!(handshake.syn_ack(400, Seq(9), Seq(8)), None);
        assert!(handshake.ack(450));
        assert_eq!(handshake.legs(), [Some(300), Some(50)]);
    }

    #[test]
    fn no_round_trip_is_taken_from_what_was_sent_again() {
        let mut handshake = Handshake::default();
        handshake.syn(100, Seq(7));
        assert_eq!(handshake.syn(1_100, Seq(7)), Some(100));
        handshake.syn_ack(1_130, Seq(9), Seq(8));
        handshake.ack(1_140);
        assert_eq!(handshake.legs(), [None, Some(10)]);
        handshake.syn_ack(1_150, Seq(9), Seq(8));
        assert_eq!(handshake.legs(), [None, None]);
    }

    #[test]
    fn a_client_is_waited_for_until_its_next_syn_is_overdue() {
        let mut handshake = Handshake::default();
        handshake.syn(0, Seq(7));
        assert_eq!(handshake.patience(), LEAST_SYN_PATIENCE);
        handshake.syn(8_000_000_000, Seq(7));
        assert_eq!(handshake.patience(), 17_000_000_000);
    }
}
