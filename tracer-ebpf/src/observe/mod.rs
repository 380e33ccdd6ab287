//! One packet of a watched connection, from segment to events.
//!
//! The steps are apart because the kernel runs them in two programs: [`account`] on every packet,
//! then [`login::tell`] or [`command::tell`] where it says so, then [`ending`]. Replay runs them
//! through [`packet`].

pub mod account;
pub mod command;
pub mod login;

pub use account::{Next, Step, account};

use crate::{
    bytes::Bytes,
    config::Config,
    event::{Direction, Event, Kind, mark},
    flow::{Flow, Point},
    framing,
    loss::LossReason,
    packet::{Segment, tcp_flag},
    seq::Seq,
};

/// Where events go: the ring buffer, or the engine.
pub trait Sink<B: Bytes + ?Sized> {
    /// Tells an event, with `event.run_len` bytes of the packet from offset `at` on.
    fn tell(&mut self, event: &Event, packet: &B, at: u32);

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

/// Tells all there is to tell of one packet. `decided` answers whether the agent has decided the
/// flow's login; it is asked only while that is open.
#[inline(always)]
pub fn packet<B: Bytes + ?Sized, S: Sink<B>>(
    flow: &mut Flow,
    segment: &Segment,
    packet: &B,
    seen: Sighting,
    config: &Config,
    decided: impl FnOnce() -> bool,
    sink: &mut S,
) -> Fate {
    let mut scene = Scene {
        flow,
        segment,
        packet,
        seen,
        config,
        sink,
    };
    let step = account(&mut scene, decided);
    let mut next = step.next;
    if next == Next::Login {
        next = login::tell(&mut scene, step);
    }
    if next == Next::Command {
        command::tell(&mut scene, step);
    }
    if step.next == Next::Copy {
        Fate::Keep
    } else {
        ending(&mut scene, step)
    }
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
    /// The load's options.
    pub config: &'a Config,
    /// Where events go.
    pub sink: &'a mut S,
}

impl<B: Bytes + ?Sized, S: Sink<B>> Scene<'_, B, S> {
    /// An event of this packet, numbered.
    #[inline(always)]
    fn event(&mut self, kind: Kind, step: Step) -> Event {
        let (half, _) = self.flow.halves(step.direction);
        half.events = half.events.wrapping_add(1);
        let number = half.events;
        let late = if self.flow.joined_late != 0 {
            mark::JOINED_LATE
        } else {
            0
        };
        Event {
            kind: kind as u8,
            direction: step.direction as u8,
            marks: step.marks | late,
            tcp_flags: self.segment.flags,
            ttl: self.segment.ttl,
            framing: 0,
            window: self.segment.window,
            time: self.seen.now,
            born: self.flow.born,
            number,
            ifindex: self.seen.point.ifindex(),
            key: self.segment.key,
            client_is_a: u32::from(self.flow.client_is_a),
            seq: self.segment.seq,
            ack: self.segment.ack,
            payload_len: self.segment.payload_len,
            run_seq: self.segment.seq,
            run_len: 0,
            packet_len: 0,
            header: [0; 8],
            client: self.flow.client.sent,
            server: self.flow.server.sent,
        }
    }

    /// Tells an event that has no bytes.
    #[inline(always)]
    fn tell(&mut self, kind: Kind, step: Step) {
        let event = self.event(kind, step);
        self.sink.tell(&event, self.packet, self.segment.payload_at);
    }

    /// Where in the packet a position of the stream lies; it must be within the payload.
    #[inline(always)]
    fn offset(&self, position: Seq) -> u32 {
        self.segment
            .payload_at
            .wrapping_add(position.0.wrapping_sub(self.segment.seq.0))
    }

    /// The header prefix at `position`, and how many of its bytes are known: what was carried over
    /// from the segment before, then what this one holds.
    #[inline(always)]
    fn prefix(&mut self, direction: Direction, position: Seq) -> ([u8; 8], u32) {
        let (half, _) = self.flow.halves(direction);
        let carried = u32::from(half.carried);
        let mut prefix = half.carry;
        let known = self
            .segment
            .end()
            .0
            .wrapping_sub(position.0)
            .min(framing::HEADER_PREFIX);
        if carried == 0
            && known == framing::HEADER_PREFIX
            && let Some(whole) = self.packet.load(self.offset(position))
        {
            return (whole, known);
        }
        if carried == 0 {
            prefix = [0; 8];
        }
        let mut readable = carried;
        for (index, byte) in (0..).zip(prefix.iter_mut()) {
            if index < carried || index >= known {
                continue;
            }
            let Some([value]) = self.packet.load(self.offset(position.add(index))) else {
                break;
            };
            *byte = value;
            readable = index + 1;
        }
        (prefix, readable)
    }
}

/// Tells the packet's FIN or RST, and whether the connection is over.
#[inline(always)]
pub fn ending<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: Step) -> Fate {
    if step.fin {
        scene.tell(Kind::Fin, step);
    }
    if step.rst {
        scene.tell(Kind::Rst, step);
        // While the login is open a late reply may still tell something.
        if scene.flow.decided != 0 {
            return Fate::Forget;
        }
    }
    if step.fin_acked && !step.fin {
        scene.tell(Kind::Ack, step);
    }
    if step.fin_acked && scene.flow.is_closed() {
        Fate::Forget
    } else {
        Fate::Keep
    }
}

/// Whether a segment may open a flow: a SYN, or payload of a connection joined late.
#[inline(always)]
pub const fn opens_flow(segment: &Segment) -> bool {
    segment.has(tcp_flag::SYN) || (segment.payload_len > 1 && !segment.has(tcp_flag::RST))
}

#[cfg(test)]
mod tests;
