//! A segment of a decided connection: message boundaries only.

use super::{Next, Scene, Sink, Step, count};
use crate::{
    bytes::Bytes,
    event::{Direction, Kind, mark},
    flow::Flow,
    framing::{
        self, Boundary, Framing, HEADER_PREFIX, Header, SMP_HEADER, TDS_HEADER, content_type,
        smp_flag,
    },
    loss::LossReason,
    packet::Segment,
    seq::Seq,
};

/// Message headers walked in one turn: the kernel's verifier follows each anew.
const HEADERS_A_TURN: usize = 4;
/// Turns for one packet. A GSO packet of 64 KiB holds 16 TDS packets of 4 KiB; twice that.
const MAX_TURNS: u8 = 8;
/// TLS records of a direction told one by one after the login: a MARS session inside shows in
/// their sizes.
const MAX_RECORDS: u8 = 64;

/// Passes the headers of a segment that goes on with a known message and tells nothing: what most
/// of a long reply's segments are. The kernel spares them a program of their own; what this leaves
/// is for [`tell`].
#[inline(always)]
pub fn skim<B: Bytes + ?Sized>(flow: &mut Flow, segment: &Segment, packet: &B, step: &mut Step) {
    let half = flow.half(step.direction);
    let position = half.next_header;
    let there = segment.end().since(position);
    if half.framed == 0
        || half.carried != 0
        || half.end_open != 0
        || half.message_open == 0
        || position.before(segment.start())
        || there < HEADER_PREFIX.cast_signed()
    {
        return;
    }
    let at = segment
        .payload_at
        .wrapping_add(position.since(segment.start()).cast_unsigned());
    let Some(prefix) = packet.load(at) else {
        return;
    };
    let Boundary::Header(header) = framing::read(&prefix, HEADER_PREFIX) else {
        return;
    };
    if header.framing != Framing::Tds || header.ends_message() || header.len < there.cast_unsigned()
    {
        return;
    }
    half.message = header.kind;
    half.next_header = position.add(header.len);
    flow.last_speaker = step.direction as u8 + 1;
    step.next = Next::Nothing;
}

/// Tells the boundaries in a segment, a few in one turn. Whether another turn is needed.
#[inline(always)]
pub fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    if scene.step.turns == 0 && !take_up(scene) {
        return false;
    }
    scene.step.turns += 1;
    for _ in 0..HEADERS_A_TURN {
        let end = scene.segment.end();
        let half = scene.flow.half(scene.step.direction);
        let position = half.next_header;
        if half.end_open != 0 && end.at_or_after(position) {
            half.end_open = 0;
            tell_end(scene, position);
        }
        if !end.after(position) {
            return false;
        }
        let (prefix, known) = scene.prefix(position);
        match framing::read(&prefix, known) {
            Boundary::Header(header) => {
                pass(scene, header, prefix, position);
                scene.step.marks &= !mark::RESYNC;
            }
            Boundary::Incomplete { .. } => return false,
            Boundary::Unknown => {
                let half = scene.flow.half(scene.step.direction);
                half.framed = 0;
                half.carried = 0;
                half.end_open = 0;
                scene.sink.lose(LossReason::FramingLost);
                return false;
            }
        }
    }
    if scene.step.turns < MAX_TURNS {
        return true;
    }
    scene.sink.lose(LossReason::HeadersUnwalked);
    false
}

/// Whether the next boundary is known; after a gap, whether this segment starts at one.
#[inline(always)]
fn take_up<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let start = scene.segment.start();
    let half = scene.flow.half(scene.step.direction);
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
    let server = scene.step.direction == Direction::ToClient;
    if scene.segment.payload_len < HEADER_PREFIX || framing::plausible(&prefix, server).is_none() {
        return false;
    }
    let half = scene.flow.half(scene.step.direction);
    half.framed = 1;
    half.next_header = start;
    scene.step.marks |= mark::RESYNC;
    true
}

/// Whether the TDS header of what an SMP packet carries has not come whole: then it is told by
/// itself, and kept like any other until it has.
#[inline(always)]
const fn is_split(header: Header, there: i32) -> bool {
    const HEADERS: u32 = SMP_HEADER + TDS_HEADER;
    matches!(header.framing, Framing::Smp)
        && header.kind == smp_flag::DATA
        && header.len >= HEADERS
        && there < HEADERS.cast_signed()
}

/// Passes a header: keeps what the next one needs, tells it where it is a boundary.
#[inline(always)]
fn pass<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    header: Header,
    prefix: [u8; 8],
    position: Seq,
) {
    let mut end = position.add(header.len);
    let mut complete = scene.segment.end().at_or_after(end);
    let is_split = is_split(header, scene.segment.end().since(position));
    if is_split {
        end = position.add(SMP_HEADER);
        complete = false;
    }
    let speaker = scene.flow.last_speaker;
    let half = scene.flow.half(scene.step.direction);
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
            // A long request ends with its last packet: from there on the server is waited for.
            first || last
        }
        Framing::Tls => {
            marks |= mark::FIRST;
            let turn = speaker != scene.step.direction as u8 + 1;
            half.records = half.records.saturating_add(1);
            turn || half.records < MAX_RECORDS || header.kind != content_type::APPLICATION_DATA
        }
        Framing::Smp => {
            marks |= mark::FIRST;
            half.end_open = u8::from(!complete && !is_split);
            if is_split {
                half.message_open = 0;
            }
            true
        }
    };
    half.next_header = end;
    half.carried = 0;
    scene.flow.last_speaker = scene.step.direction as u8 + 1;
    if telling && !count::header(scene, marks, header) {
        tell_header(scene, marks, header, prefix, position);
    }
}

#[inline(always)]
fn tell_header<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    marks: u8,
    header: Header,
    prefix: [u8; 8],
    position: Seq,
) {
    let mut saying = scene.saying(Kind::Header);
    saying.marks |= marks;
    saying.framing = header.framing as u8;
    saying.run_seq = position;
    saying.packet_len = header.len;
    saying.header = prefix;
    let mut at = scene.offset(position);
    // An SMP header is longer than its prefix, and the TDS header behind it says what it carries.
    if header.framing == Framing::Smp {
        let there = scene.segment.end().since(position).cast_unsigned();
        let whole = there.min(header.len).min(SMP_HEADER + TDS_HEADER);
        // Of what passed in the segment before only the prefix is known.
        let passed = scene.segment.start().since(position).max(0).cast_unsigned();
        saying.run_len = whole.saturating_sub(passed);
        at = at.wrapping_add(passed);
    }
    scene.say(saying, at);
}

#[inline(always)]
fn tell_end<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, position: Seq) {
    if count::end(scene) {
        return;
    }
    let mut saying = scene.saying(Kind::End);
    saying.run_seq = position;
    scene.say(saying, scene.segment.payload_at);
}
