//! A segment of a decided connection: message boundaries only.

use super::{Scene, Sink, Step};
use crate::{
    bytes::Bytes,
    event::{Direction, Kind, mark},
    framing::{
        self, Boundary, Framing, HEADER_PREFIX, Header, SMP_HEADER, TDS_HEADER, content_type,
    },
    loss::LossReason,
    seq::Seq,
};

/// Message headers walked in one packet: a GSO packet of 64 KiB holds 16 TDS packets of 4 KiB.
pub const MAX_HEADERS: usize = 32;
/// TLS records of a direction told one by one after the login: a MARS session inside shows in
/// their sizes.
const MAX_RECORDS: u8 = 64;

/// Tells the boundaries in a segment.
#[inline(always)]
pub fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: Step) {
    let mut step = step;
    if !take_up(scene, &mut step) {
        return;
    }
    for _ in 0..MAX_HEADERS {
        let end = scene.segment.end();
        let (half, _) = scene.flow.halves(step.direction);
        let position = half.next_header;
        if half.end_open != 0 && end.at_or_after(position) {
            half.end_open = 0;
            tell_end(scene, step, position);
        }
        if !end.after(position) {
            return;
        }
        let (prefix, known) = scene.prefix(step.direction, position);
        match framing::read(&prefix, known) {
            Boundary::Header(header) => {
                pass(scene, step, header, prefix, position);
                step.marks &= !mark::RESYNC;
            }
            Boundary::Incomplete { .. } => {
                let (half, _) = scene.flow.halves(step.direction);
                half.carry = prefix;
                half.carried = known as u8;
                return;
            }
            Boundary::Unknown => {
                let (half, _) = scene.flow.halves(step.direction);
                half.framed = 0;
                half.end_open = 0;
                scene.sink.lose(LossReason::FramingLost);
                return;
            }
        }
    }
    scene.sink.lose(LossReason::HeadersUnwalked);
}

/// Whether the next boundary is known; after a gap, whether this segment starts at one.
#[inline(always)]
fn take_up<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: &mut Step) -> bool {
    let start = scene.segment.seq;
    let (half, _) = scene.flow.halves(step.direction);
    if half.framed != 0 && !half.next_header.add(u32::from(half.carried)).before(start) {
        return true;
    }
    half.framed = 0;
    half.carried = 0;
    half.end_open = 0;
    half.message_open = 0;
    let Some(prefix) = scene.packet.load(scene.segment.payload_at) else {
        return false;
    };
    let server = step.direction == Direction::ToClient;
    if scene.segment.payload_len < HEADER_PREFIX || framing::plausible(&prefix, server).is_none() {
        return false;
    }
    let (half, _) = scene.flow.halves(step.direction);
    half.framed = 1;
    half.next_header = start;
    step.marks |= mark::RESYNC;
    true
}

/// Passes a header: keeps what the next one needs, tells it where it is a boundary.
#[inline(always)]
fn pass<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    header: Header,
    prefix: [u8; 8],
    position: Seq,
) {
    let end = position.add(header.len);
    let complete = scene.segment.end().at_or_after(end);
    let speaker = scene.flow.last_speaker;
    let (half, _) = scene.flow.halves(step.direction);
    let mut marks = if complete { mark::COMPLETE } else { 0 };
    let telling = match header.framing {
        Framing::Tds => {
            let first = half.message_open == 0;
            half.message_open = u8::from(!header.ends_message());
            half.message = header.kind;
            if first {
                marks |= mark::FIRST;
            }
            let last = header.ends_message();
            half.end_open = u8::from(last && !complete);
            first || (last && step.direction == Direction::ToClient)
        }
        Framing::Tls => {
            marks |= mark::FIRST;
            let turn = speaker != step.direction as u8 + 1;
            half.records = half.records.saturating_add(1);
            turn || half.records < MAX_RECORDS || header.kind != content_type::APPLICATION_DATA
        }
        Framing::Smp => {
            marks |= mark::FIRST;
            half.end_open = u8::from(!complete);
            true
        }
    };
    half.next_header = end;
    half.carried = 0;
    scene.flow.last_speaker = step.direction as u8 + 1;
    if telling {
        tell_header(scene, step, marks, header, prefix, position);
    }
}

#[inline(always)]
fn tell_header<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    marks: u8,
    header: Header,
    prefix: [u8; 8],
    position: Seq,
) {
    let mut event = scene.event(Kind::Header, step);
    event.marks |= marks;
    event.framing = header.framing as u8;
    event.run_seq = position;
    event.packet_len = header.len;
    event.header = prefix;
    // An SMP header is longer than its prefix, and the TDS header behind it says what it carries.
    if header.framing == Framing::Smp && !position.before(scene.segment.seq) {
        let there = scene.segment.end().since(position).cast_unsigned();
        event.run_len = there.min(header.len).min(SMP_HEADER + TDS_HEADER);
    }
    let at = scene.offset(position);
    scene.sink.tell(&event, scene.packet, at);
}

#[inline(always)]
fn tell_end<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: Step, position: Seq) {
    let mut event = scene.event(Kind::End, step);
    event.run_seq = position;
    scene
        .sink
        .tell(&event, scene.packet, scene.segment.payload_at);
}
