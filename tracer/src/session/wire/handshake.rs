//! The TCP handshake, and what it tells where parts of it were not seen.

use tracer_ebpf::seq::Seq;

/// How long a client whose SYN is not answered is waited for at least, nanoseconds: its next one
/// comes after one to three seconds.
pub(in crate::session) const LEAST_SYN_PATIENCE: u64 = 4_000_000_000;
/// How long a handshake that was answered may take: a server sends its SYN-ACK for a minute.
pub(in crate::session) const ACK_PATIENCE: u64 = tracer_ebpf::patience::UNANSWERED;

/// The TCP handshake, and how long a client tries.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Handshake {
    first_syn: Option<u64>,
    last_syn: Option<u64>,
    /// Between the last two SYNs.
    gap: u64,
    syns: u32,
    first_syn_ack: Option<u64>,
    syn_acks: u32,
    ack: Option<u64>,
    /// Data passed before the end of the handshake did.
    end_was_missed: bool,
    /// The initial sequence numbers of both sides, as far as the handshake tells them.
    pub(in crate::session) isns: [Option<Seq>; 2],
}

impl Handshake {
    /// A SYN; when the first one passed, where this one repeats it.
    pub(in crate::session) fn syn(&mut self, at: u64, isn: Seq) -> Option<u64> {
        self.gap = self.last_syn.map_or(0, |last| at.saturating_sub(last));
        self.last_syn = Some(at);
        self.syns += 1;
        self.isns[0] = Some(isn);
        let first = self.first_syn;
        self.first_syn.get_or_insert(at);
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
        self.isns[0].get_or_insert(acknowledges.back(1));
        self.isns[1] = Some(isn);
        let first = self.first_syn_ack;
        self.first_syn_ack.get_or_insert(at);
        first
    }

    /// The client's acknowledgement; whether it is the first.
    pub(in crate::session) fn ack(&mut self, at: u64) -> bool {
        let is_first = self.ack.is_none();
        self.ack.get_or_insert(at);
        is_first
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
        self.first_syn_ack.is_some()
    }

    /// Whether the server has answered a SYN.
    pub(in crate::session) fn was_answered(&self) -> bool {
        self.first_syn_ack.is_some() || self.ack.is_some()
    }

    /// Whether the client has acknowledged the answer.
    pub(in crate::session) fn is_over(&self) -> bool {
        self.ack.is_some() || self.end_was_missed
    }

    /// Whether a part of it was not seen, though what follows was.
    pub(in crate::session) fn has_gap(&self) -> bool {
        self.end_was_missed || (self.ack.is_some() && self.first_syn_ack.is_none())
    }

    /// The round trips to the server's host and to the client's, as seen from here. None is taken
    /// from a SYN or SYN-ACK that was sent again: which copy was answered is not known (Karn's
    /// algorithm, RFC 6298 section 3).
    pub(in crate::session) fn legs(&self) -> [Option<u64>; 2] {
        let once = self.syn_acks == 1;
        let server = self.first_syn.zip(self.first_syn_ack);
        let client = self.first_syn_ack.zip(self.ack);
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
        LEAST_SYN_PATIENCE.max(self.gap.saturating_mul(2).saturating_add(SLACK))
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
