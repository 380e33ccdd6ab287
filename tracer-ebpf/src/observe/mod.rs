//! One packet of a watched connection, from segment to events.
//!
//! The steps are apart because the kernel runs them in programs of their own: [`account()`] on every packet,
//! then what there is to tell. Replay runs them through [`packet`].
//!
//! What is not inlined is kept apart for the kernel's sake: its stack is 512 bytes in all, and its
//! verifier walks what is inlined anew at each place.

pub mod account;
pub mod command;
mod count;
mod hold;
pub mod login;
mod opens;
mod quiet;
mod receive;
mod step;
mod told;

pub use account::{account, is_timely};
pub use count::{Needs, needs_tally};
pub use hold::{hold, is_of_flood};
pub use login::Runs;
pub use opens::{Opens, opens, opens_flow};
pub use quiet::is_quiet;
pub use step::{Next, Step, found};
pub use told::{Saying, Told};

use crate::{
    bytes::Bytes,
    config::Config,
    event::{Direction, Event, Kind},
    flow::{Flow, Point, claim, usage},
    framing,
    loss::LossReason,
    packet::{Segment, tcp_flag},
    seq::Seq,
    tally::Tally,
};

/// Where events go: the ring buffer, or the engine.
pub trait Sink<B: Bytes + ?Sized> {
    /// Tells an event, with `event.run_len` bytes of the packet from offset `at` on.
    fn tell(&mut self, event: &Event, packet: &B, at: u32);

    /// The same, before the event is laid out: the kernel does that where the record lies, since
    /// its stack is too small.
    #[inline(always)]
    fn relate(&mut self, told: &Told<'_>, packet: &B, at: u32) {
        self.tell(&told.event(), packet, at);
    }

    /// The same of an event that is all there is to tell of its packet: see [`lone`].
    #[inline(always)]
    fn relate_lone(&mut self, told: &Told<'_>, packet: &B) {
        self.relate(told, packet, told.segment.payload_at);
    }

    /// Tells an event with the bytes of several parts of the packet's payload.
    fn relate_parts(&mut self, told: &Told<'_>, packet: &B, runs: &Runs);

    /// The connection's requests, where they are counted: see [`needs_tally`]. Without it each is told.
    #[inline(always)]
    fn tally(&mut self) -> Option<&mut Tally> {
        None
    }

    /// Tells an event with the [`Tally`] behind it.
    #[inline(always)]
    fn relate_tally(&mut self, _told: &Told<'_>) {}

    /// Counts something that was not seen.
    fn lose(&mut self, reason: LossReason);
}

/// The moment and place a packet is seen at.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Nanoseconds of `CLOCK_BOOTTIME`, or of the capture's clock.
    pub now: u64,
    /// The interface and side of it.
    pub point: Point,
}

/// What becomes of the flow after a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Keep,
    /// It is over: nothing of it is to come that matters.
    Forget,
}

/// Tells all there is to tell of one packet. `is_decided` answers whether the agent has decided the
/// flow's login ([`crate::flow::decided`]); it is asked only while that is open.
#[inline(always)]
pub fn packet<B: Bytes + ?Sized, S: Sink<B>>(
    flow: &mut Flow,
    segment: &Segment,
    packet: &B,
    seen: Sighting,
    config: &Config,
    is_decided: impl FnOnce() -> u8,
    sink: &mut S,
) -> Fate {
    let timely = is_timely(flow, segment);
    let mut step = Step::of(Direction::ToServer);
    account(flow, segment, seen, config, is_decided, &mut step);
    if step.is(found::STRANGE) {
        sink.lose(LossReason::OutOfWindow);
    }
    debug_assert!(timely || step.is_quiet(), "told with a tick's precision");
    if step.is_quiet() {
        return Fate::Keep;
    }
    let mut scene = Scene {
        flow,
        segment,
        packet,
        seen,
        step: &mut step,
        runs: &mut Runs::default(),
        config,
        sink,
    };
    tell(&mut scene)
}

/// Tells what [`account()`] found worth telling.
#[inline(always)]
pub fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Fate {
    if let Some(kind) = lone(scene.flow, scene.step) {
        return tell_lone(scene, kind);
    }
    opening(scene);
    let mut next = scene.step.next;
    if next == Next::Login {
        let mut turn = login::tell(scene);
        while turn == login::Turn::Walk {
            turn = login::tell(scene);
        }
        while turn == login::Turn::Runs {
            turn = login::tell_runs(scene, login::RECORDS_A_TURN);
        }
        if turn == login::Turn::Command {
            next = Next::Command;
        }
    }
    if next == Next::Command {
        while command::tell(scene) {}
    }
    ending(scene)
}

/// The event that is all there is to tell of a packet, and has no bytes: a SYN, the answer to it, the ACK of that,
/// a FIN or a RST. The kernel tells it where it counts the packet.
#[inline(always)]
pub fn lone(flow: &Flow, step: &Step) -> Option<Kind> {
    // Before the end of a connection whose requests are counted, their sums are told.
    let is_preceded = step.is(found::FIN | found::RST) && flow.usage == usage::COUNTED;
    if is_preceded { None } else { step.lone() }
}

/// Tells it.
#[inline(always)]
pub fn tell_lone<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, kind: Kind) -> Fate {
    let saying = scene.saying(kind);
    let told = Told {
        flow: scene.flow,
        segment: scene.segment,
        seen: scene.seen,
        saying,
    };
    scene.sink.relate_lone(&told, scene.packet);
    fate(scene.flow, scene.step)
}

/// What becomes of a flow once all is told.
#[inline(always)]
fn fate(flow: &Flow, step: &Step) -> Fate {
    let ends_nothing = step.is(found::RST) && flow.has_only_ended();
    // What crosses a RST on its way is still to come.
    let is_over = flow.reset == 0 && step.is(found::LAST) && flow.is_closed();
    if ends_nothing || is_over {
        Fate::Forget
    } else {
        Fate::Keep
    }
}

/// Tells what is told before the payload: the handshake, and a repetition.
#[inline(always)]
pub fn opening<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    if scene.step.is(found::LATE_SYN) {
        tell_syn(scene);
    }
    if scene.step.is(found::LATE_ANSWER) {
        tell_answer(scene);
    }
    if let Some(kind) = scene.step.handshake {
        scene.tell(kind);
    }
    if scene.step.is(found::REPEAT) {
        scene.tell(Kind::Segment);
    }
}

/// Tells the SYN that opened the connection: it was not believed until it was answered, or held back.
#[inline(always)]
fn tell_syn<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    let rival = scene.flow.rival;
    scene.flow.rival.claim = claim::NONE;
    let syn = Segment {
        from_a: scene.flow.client_is_a != 0,
        seq: rival.isn,
        ack: Seq(0),
        flags: tcp_flag::SYN,
        ttl: rival.ttl,
        window: rival.window,
        payload_len: 0,
        ..*scene.segment
    };
    tell_late(scene, Kind::Syn, Direction::ToServer, &syn, rival.time);
}

/// Tells the SYN-ACK that was held back.
#[inline(always)]
fn tell_answer<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    let answer = scene.flow.answer;
    scene.flow.answer.time = 0;
    scene.flow.answer.unseen = 0;
    let syn_ack = Segment {
        from_a: scene.flow.client_is_a == 0,
        seq: scene.flow.server().sent.isn,
        ack: scene.flow.client().sent.isn.add(1),
        flags: tcp_flag::SYN | tcp_flag::ACK,
        ttl: answer.ttl,
        window: answer.window,
        payload_len: 0,
        ..*scene.segment
    };
    tell_late(
        scene,
        Kind::SynAck,
        Direction::ToClient,
        &syn_ack,
        answer.time,
    );
}

/// Tells a segment of the handshake that passed before the one at hand.
#[inline(always)]
fn tell_late<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    kind: Kind,
    direction: Direction,
    segment: &Segment,
    now: u64,
) {
    let half = scene.flow.half(direction);
    half.events = half.events.wrapping_add(1);
    let saying = Saying {
        kind,
        direction,
        marks: 0,
        framing: 0,
        parts: 0,
        number: half.events,
        run_seq: segment.seq,
        run_len: 0,
        packet_len: 0,
        header: [0; 8],
    };
    let point = scene.seen.point;
    let told = Told {
        flow: scene.flow,
        segment,
        seen: Sighting { now, point },
        saying,
    };
    scene.sink.relate(&told, scene.packet, segment.payload_at);
}

/// Everything a step needs.
pub struct Scene<'a, B: Bytes + ?Sized, S: Sink<B>> {
    /// The connection.
    pub flow: &'a mut Flow,
    /// The packet's segment.
    pub segment: &'a Segment,
    /// The packet's bytes.
    pub packet: &'a B,
    /// When and where it is seen.
    pub seen: Sighting,
    /// What the accounting found.
    pub step: &'a mut Step,
    /// What of a login's segment may be told.
    pub runs: &'a mut Runs,
    /// The load's options.
    pub config: &'a Config,
    /// Where events go.
    pub sink: &'a mut S,
}

impl<B: Bytes + ?Sized, S: Sink<B>> Scene<'_, B, S> {
    /// An event of this packet, numbered.
    #[inline(always)]
    fn saying(&mut self, kind: Kind) -> Saying {
        let half = self.flow.half(self.step.direction);
        half.events = half.events.wrapping_add(1);
        Saying {
            kind,
            direction: self.step.direction,
            marks: self.step.marks,
            framing: 0,
            parts: 0,
            number: half.events,
            run_seq: self.segment.start(),
            run_len: 0,
            packet_len: 0,
            header: [0; 8],
        }
    }

    /// Tells it, with its bytes from offset `at` on.
    #[inline(always)]
    fn say(&mut self, saying: Saying, at: u32) {
        let told = Told {
            flow: self.flow,
            segment: self.segment,
            seen: self.seen,
            saying,
        };
        self.sink.relate(&told, self.packet, at);
    }

    /// Tells an event that has no bytes.
    #[inline(always)]
    fn tell(&mut self, kind: Kind) {
        let saying = self.saying(kind);
        self.say(saying, self.segment.payload_at);
    }

    /// Where in the packet a position of the stream lies; it must be within the payload.
    #[inline(always)]
    fn offset(&self, position: Seq) -> u32 {
        self.segment
            .payload_at
            .wrapping_add(position.0.wrapping_sub(self.segment.start().0))
    }

    /// The header prefix at `position`, and how many of its bytes are known: what was carried over
    /// from the segment before, then what this one holds.
    ///
    /// It is gathered where it stays if it is not whole: the kernel's verifier forgets there how it
    /// came together.
    #[inline(always)]
    fn prefix(&mut self, position: Seq) -> ([u8; 8], u32) {
        if !self.gather_prefix(position) {
            return ([0; 8], 0);
        }
        let half = self.flow.half(self.step.direction);
        (half.carry, u32::from(half.carried))
    }

    /// Whether there is any byte of it.
    #[inline(never)]
    fn gather_prefix(&mut self, position: Seq) -> bool {
        let there = self.segment.end().0.wrapping_sub(position.0);
        let known = there.min(framing::HEADER_PREFIX);
        let at = self.offset(position);
        let packet = self.packet;
        let half = self.flow.half(self.step.direction);
        if half.carried == 0
            && known == framing::HEADER_PREFIX
            && let Some(whole) = packet.load(at)
        {
            half.carry = whole;
            half.carried = framing::HEADER_PREFIX as u8;
            return true;
        }
        let carried = u32::from(half.carried);
        if carried < known {
            let (more, count) = packet.load_some(at.wrapping_add(carried), known - carried);
            let kept = u64::from_le_bytes(half.carry) & !(u64::MAX << (8 * (carried & 7)));
            let more = u64::from_le_bytes(more) << (8 * (carried & 7));
            half.carry = (kept | more).to_le_bytes();
            half.carried = (carried + count) as u8;
        }
        half.carried != 0
    }
}

/// Tells the packet's FIN or RST, and whether the connection is over.
#[inline(always)]
pub fn ending<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Fate {
    if scene.step.is(found::FIN | found::RST) {
        count::tell_last(scene);
    }
    if scene.step.is(found::FIN) {
        scene.tell(Kind::Fin);
    }
    if scene.step.is(found::RST) {
        scene.tell(Kind::Rst);
        if scene.flow.has_only_ended() {
            return Fate::Forget;
        }
    }
    if scene.step.is(found::LAST) && !scene.step.is(found::FIN) {
        scene.tell(Kind::Ack);
    }
    fate(scene.flow, scene.step)
}

#[cfg(test)]
mod tests;
