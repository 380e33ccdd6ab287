//! How a connection opened that is told only from its first bytes on.
//!
//! Until these prove that it is SQL Server's no more is kept of it than an [`Opening`]. Then its [`Flow`] is
//! what it would be had each segment been counted, and [`Opening::tell`] tells what would have been told.

use crate::{
    config::Config,
    event::{Direction, Opening, Passed},
    flow::{Flow, Half, Point, decided},
    observe::{self, Sighting, Sink},
    packet::{
        Segment,
        tcp_flag::{ACK, SYN},
    },
    seq::Seq,
};

/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1000;

impl Passed {
    /// Notes that a segment passes; whether it is the first of its kind.
    #[inline(always)]
    fn note(&mut self, segment: &Segment, now: u64) -> bool {
        let first = self.times == 0;
        if first {
            self.time = now;
            self.seq = segment.seq;
            self.window = segment.window;
            self.ttl = segment.ttl;
        }
        self.times = self.times.saturating_add(1);
        first
    }

    /// Whether it was seen.
    #[inline(always)]
    pub const fn is_known(&self) -> bool {
        self.times != 0
    }
}

impl Opening {
    /// Notes the client's SYN. A socket may connect again: then the one before counts no more.
    #[inline(always)]
    fn note_syn(&mut self, segment: &Segment, now: u64) {
        if self.syn.is_known() && self.syn.seq != segment.seq {
            self.syn.times = 0;
            self.syn_ack.times = 0;
            self.ack.times = 0;
        }
        if self.syn.note(segment, now) {
            self.again = [0; 4];
            return;
        }
        let after = (now.wrapping_sub(self.syn.time) / MICROSECOND) as u32 | 1;
        match self.syn.times {
            2 => self.again[0] = after,
            3 => self.again[1] = after,
            4 => self.again[2] = after,
            5 => self.again[3] = after,
            _ => {}
        }
    }

    /// Notes a segment without payload.
    #[inline(always)]
    pub fn note(&mut self, segment: &Segment, now: u64) {
        match segment.flags & (SYN | ACK) {
            SYN => self.note_syn(segment, now),
            ACK if !self.ack.is_known() => {
                self.ack.note(segment, now);
                self.answered = segment.ack;
            }
            flags if flags == SYN | ACK => {
                self.syn_ack.note(segment, now);
            }
            _ => {}
        }
    }

    /// Lays out the connection's state as it is once the handshake was counted; whether the SYN was seen. Where
    /// it was not, the connection is one that was joined late.
    #[inline(always)]
    pub fn lay_out(&self, flow: &mut Flow) -> bool {
        if !self.syn.is_known() {
            return false;
        }
        flow.born = self.syn.time;
        flow.client_is_a = self.client_is_a as u8;
        flow.joined_late = 0;
        let client = flow.half(Direction::ToServer);
        begin(client, &self.syn);
        client.events = u32::from(self.syn.times).min(self.told_syns());
        if self.syn_ack.is_known() {
            let acked = self.syn.seq.add(1);
            let server = flow.half(Direction::ToClient);
            begin(server, &self.syn_ack);
            server.events = 1;
            server.acked = acked;
            server.sent.acked_at = self.syn_ack.time;
        }
        if self.ack.is_known() {
            let client = flow.half(Direction::ToServer);
            client.events += 1;
            client.sent.packets += 1;
            client.window = self.ack.window;
            client.sent.shut = u16::from(self.ack.window == 0);
            client.sent.zero_windows = u32::from(self.ack.window == 0);
            client.acked = self.answered;
            client.sent.acked_at = self.ack.time;
            // It tells of an answer that no socket has sent.
            if !self.syn_ack.is_known() {
                start(flow.half(Direction::ToClient), self.answered.back(1));
            }
            flow.established = 1;
        }
        true
    }

    /// SYNs of which it is known when they passed.
    #[inline(always)]
    const fn told_syns(&self) -> u32 {
        1 + self.again.len() as u32
    }

    /// Tells the segments of the handshake that were seen.
    pub fn tell<S: Sink<[u8]>>(&self, sink: &mut S) {
        let config = &Config::default();
        let point = Point::new(self.ifindex, false);
        let mut flow = None;
        for (segment, now) in self.segments() {
            let flow = flow.get_or_insert_with(|| Flow::new(&segment, true, now));
            let seen = Sighting { now, point };
            observe::packet(
                flow,
                &segment,
                [].as_slice(),
                seen,
                config,
                || decided::NO,
                sink,
            );
        }
    }

    /// The segments of the handshake that were seen, and when, in their order.
    fn segments(&self) -> impl Iterator<Item = (Segment, u64)> {
        let syns = 1 + self.again.iter().filter(|after| **after != 0).count();
        let syn = self.segment(Direction::ToServer, &self.syn, Seq(0), SYN);
        let again = self.again.into_iter().take(syns - 1);
        let times = core::iter::once(0).chain(again.map(|after| u64::from(after) * MICROSECOND));
        let syns =
            times.filter_map(move |after| syn.map(|(segment, time)| (segment, time + after)));
        let asked = self.syn.seq.add(1);
        let answer = self.segment(Direction::ToClient, &self.syn_ack, asked, SYN | ACK);
        let ack = self.segment(Direction::ToServer, &self.ack, self.answered, ACK);
        let known = self.syn.is_known();
        syns.chain(answer).chain(ack).filter(move |_| known)
    }

    fn segment(
        &self,
        direction: Direction,
        passed: &Passed,
        ack: Seq,
        flags: u8,
    ) -> Option<(Segment, u64)> {
        let segment = Segment {
            key: self.key,
            from_a: (self.client_is_a != 0) == (direction == Direction::ToServer),
            seq: passed.seq,
            ack,
            flags,
            ttl: passed.ttl,
            window: passed.window,
            payload_at: 0,
            payload_len: 0,
        };
        passed.is_known().then_some((segment, passed.time))
    }
}

/// A direction whose SYN has passed.
#[inline(always)]
fn begin(half: &mut Half, syn: &Passed) {
    half.sent.packets = u32::from(syn.times);
    half.sent.retransmits = u32::from(syn.times) - 1;
    start(half, syn.seq);
}

/// A direction whose stream is known from its start.
#[inline(always)]
fn start(half: &mut Half, isn: Seq) {
    half.sent.isn = isn;
    half.syn = 1;
    half.synced = 1;
    half.framed = 1;
    half.next_seq = isn.add(1);
    half.next_header = half.next_seq;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Kind},
        key::FlowKey,
        observe::{Runs, Told},
    };

    #[derive(Default)]
    struct Heard(Vec<Event>);

    impl Sink<[u8]> for Heard {
        fn tell(&mut self, event: &Event, _packet: &[u8], _at: u32) {
            self.0.push(*event);
        }

        fn relate_parts(&mut self, _told: &Told<'_>, _packet: &[u8], _runs: &Runs) {
            unreachable!("a handshake has no payload");
        }

        fn lose(&mut self, reason: crate::loss::LossReason) {
            panic!("lost: {reason:?}");
        }
    }

    fn passed(time: u64, seq: u32, window: u16) -> Passed {
        Passed {
            time,
            seq: Seq(seq),
            window,
            ttl: 64,
            times: 1,
        }
    }

    fn opening() -> Opening {
        Opening {
            kind: Kind::Opening as u8,
            time: 900_000,
            key: FlowKey::of([1; 4], 50_000, [2; 4], 11_000).0,
            client_is_a: 0,
            answered: Seq(501),
            syn: passed(1000, 100, 64_240),
            syn_ack: passed(2000, 500, 65_160),
            ack: passed(3000, 101, 502),
            ..Opening::default()
        }
    }

    /// What is told of it, and the state that counting its segments leaves.
    fn counted(opening: &Opening) -> (Vec<Event>, Flow) {
        let mut heard = Heard::default();
        opening.tell(&mut heard);
        let mut flow: Option<Flow> = None;
        for (segment, now) in opening.segments() {
            let flow = flow.get_or_insert_with(|| Flow::new(&segment, true, now));
            let point = Point::new(0, false);
            let seen = Sighting { now, point };
            let (config, sink) = (Config::default(), &mut Heard::default());
            observe::packet(
                flow,
                &segment,
                [].as_slice(),
                seen,
                &config,
                || decided::NO,
                sink,
            );
            // Where they are counted is left to the first packet that is.
            flow.half(Direction::ToServer).point = Point(0);
            flow.half(Direction::ToClient).point = Point(0);
        }
        (heard.0, flow.expect("a SYN"))
    }

    fn laid_out(opening: &Opening) -> Flow {
        let data = opening.segment(Direction::ToServer, &opening.ack, Seq(501), ACK);
        let (data, now) = data.unwrap_or_else(|| opening.segments().next().expect("a SYN"));
        let mut flow = Flow::new(&data, true, now);
        assert!(opening.lay_out(&mut flow));
        flow
    }

    #[test]
    fn its_state_is_what_counting_its_handshake_leaves() {
        let whole = opening();
        let mut repeated = opening();
        repeated.syn.times = 3;
        repeated.again = [1_000_000, 3_000_000, 0, 0];
        let cookies = Opening {
            syn_ack: Passed::default(),
            ..opening()
        };
        let unfinished = Opening {
            ack: Passed::default(),
            ..opening()
        };
        let mut shut = opening();
        shut.ack.window = 0;
        for opening in [whole, repeated, cookies, unfinished, shut] {
            let (_, flow) = counted(&opening);
            assert_eq!(format!("{:#?}", laid_out(&opening)), format!("{flow:#?}"));
        }
    }

    #[test]
    fn each_segment_is_told_at_its_time() {
        let mut repeated = opening();
        repeated.syn.times = 9;
        repeated.again = [1, 2, 3, 4];
        let (events, _) = counted(&repeated);
        let told: Vec<_> = events
            .iter()
            .map(|event| (event.kind, event.time))
            .collect();
        let (syn, syn_ack, ack) = (Kind::Syn as u8, Kind::SynAck as u8, Kind::Ack as u8);
        let syns = [
            (syn, 1000),
            (syn, 2000),
            (syn, 3000),
            (syn, 4000),
            (syn, 5000),
        ];
        assert_eq!(told[..5], syns);
        assert_eq!(told[5..], [(syn_ack, 2000), (ack, 3000)]);
        assert_eq!(laid_out(&repeated).client().events, 6);
        assert_eq!(laid_out(&repeated).client().sent.packets, 10);
    }

    #[test]
    fn a_socket_that_connects_again_begins_anew() {
        let mut opening = opening();
        let (syn, _) = opening.segments().next().expect("a SYN");
        opening.note_syn(&syn, 4_000_000);
        assert_eq!((opening.syn.times, opening.again[0]), (2, 3999));
        let other = Segment { seq: Seq(7), ..syn };
        opening.note_syn(&other, 9_000_000);
        assert_eq!((opening.syn.times, opening.syn.time), (1, 9_000_000));
        assert!(!opening.syn_ack.is_known() && !opening.ack.is_known());
    }

    #[test]
    fn one_whose_syn_was_not_seen_is_joined_late() {
        let mut opening = opening();
        opening.syn = Passed::default();
        let mut heard = Heard::default();
        opening.tell(&mut heard);
        assert!(heard.0.is_empty());
        let (data, now) = opening
            .segment(Direction::ToServer, &opening.ack, Seq(501), ACK)
            .expect("an ACK");
        let mut flow = Flow::new(&data, true, now);
        assert!(!opening.lay_out(&mut flow));
        assert_eq!(flow.joined_late, 1);
    }
}
