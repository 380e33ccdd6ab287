//! A segment of an undecided login: its headers are told, and what is wanted of its messages.

mod runs;

pub use runs::{MAX_RUN, MAX_RUNS, RECORDS_A_TURN, Runs, tell_runs};

use self::runs::{mark_end, tell_at_once};
use super::{Scene, Sink, step::found};
use crate::{
    bytes::Bytes,
    event::{Direction, mark},
    framing::{self, Boundary, Framing, Header, TDS_HEADER, TLS_HEADER, content_type, packet_type},
    loss::LossReason,
    seq::{Seq, Span},
    wanted::{PARTS, field, is_token},
};

/// Headers and fields walked in one turn: the kernel's verifier follows each anew.
const STEPS_A_TURN: usize = 6;
/// Turns for one segment: a flight of TLS records, or a reply of many tokens.
const MAX_TURNS: u8 = 12;
/// Segments of one direction told before a login is given up as too long.
const MAX_EVENTS: u32 = 512;

/// What a walk along the segment came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// The segment's last header or field, or one that is not whole.
    End,
    /// A request: the login is over.
    Request,
    /// A field that is large.
    Large,
    /// There may be more.
    More,
}

/// What is to follow a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another one along the segment: [`tell`].
    Walk,
    /// Another one along the records: [`tell_runs`].
    Runs,
    /// The login is over by a request in the segment: [`super::command::tell`].
    Command,
    /// Nothing.
    Nothing,
}

/// Tells a login's segment, as far as one turn goes.
#[inline(always)]
pub fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Turn {
    let mut walk = Walk::End;
    if scene.step.turns != 0 || start(scene) {
        walk = segment(scene);
    }
    if walk == Walk::More {
        return Turn::Walk;
    }
    if walk != Walk::Request || !scene.runs.are_none() {
        let end = scene.segment.end();
        mark_end(scene, end);
    }
    scene.runs.request = u32::from(walk == Walk::Request);
    scene.step.turns = 0;
    tell_at_once(scene)
}

/// Starts the walk. Whether the position of what is next is known.
#[inline(always)]
fn start<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    // What had passed before was told then, if it was wanted.
    scene
        .runs
        .start(scene.segment.start().add(scene.step.known));
    take_up(scene)
}

/// Walks the segment for a turn. A field that is large is read last: the kernel's verifier would follow that
/// anew for every step.
#[inline(always)]
fn segment<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Walk {
    if scene.step.turns == 0 {
        want_parts(scene);
        want_part(scene, PARTS - 1);
    }
    let mut walk = Walk::More;
    for _ in 0..STEPS_A_TURN {
        walk = step(scene);
        if walk != Walk::More {
            break;
        }
    }
    if walk == Walk::Large {
        large_field(scene);
        want_parts(scene);
        let is_last = !scene.segment.end().after(next(scene));
        walk = if is_last { Walk::End } else { Walk::More };
    }
    scene.step.turns += 1;
    if walk == Walk::More && scene.step.turns >= MAX_TURNS {
        scene.sink.lose(LossReason::HeadersUnwalked);
        return Walk::End;
    }
    walk
}

/// Whether the next field is what comes next, and not the next header.
#[inline(always)]
fn is_inside<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let behind = scene.runs.behind != 0;
    let half = scene.flow.half(scene.step.direction);
    !behind && half.wanted.field != field::NOTHING && half.next_header.after(half.wanted.next)
}

/// Where the next field or header begins.
#[inline(always)]
fn next<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Seq {
    let inside = is_inside(scene);
    let half = scene.flow.half(scene.step.direction);
    if inside {
        half.wanted.next
    } else {
        half.next_header
    }
}

/// Walks one header or field on.
#[inline(always)]
fn step<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Walk {
    let inside = is_inside(scene);
    let position = next(scene);
    if !scene.segment.end().after(position) {
        return Walk::End;
    }
    let half = scene.flow.half(scene.step.direction);
    if inside && half.wanted.is_large() {
        return Walk::Large;
    }
    let (prefix, known) = scene.prefix(position);
    if inside {
        pass_field(scene, position, prefix, known)
    } else {
        pass_header(scene, position, prefix, known)
    }
}

#[inline(always)]
fn pass_header<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    position: Seq,
    prefix: [u8; 8],
    known: u32,
) -> Walk {
    match framing::read(&prefix, known) {
        Boundary::Header(header) => {
            if ends_login(&header, scene.step.direction) {
                scene.flow.decided = 1;
                return Walk::Request;
            }
            open(scene, header, position);
            let half = scene.flow.half(scene.step.direction);
            let told = half.wanted.span(0);
            scene.want(told.from, told.to);
            Walk::More
        }
        Boundary::Incomplete { .. } => {
            // Up to the segment's end; less is at hand only where a capture was cut.
            scene.want(position, position.add(framing::HEADER_PREFIX));
            Walk::End
        }
        Boundary::Unknown => {
            let half = scene.flow.half(scene.step.direction);
            half.framed = 0;
            half.carried = 0;
            let is_first = half.guessed == 0 && position.since(half.sent.isn) == 1;
            scene.sink.lose(LossReason::FramingLost);
            let end = scene.segment.end();
            // One byte is enough to say that a server speaks something else.
            let said = u32::from(is_first && scene.step.direction == Direction::ToClient);
            scene.want(position, position.add(said));
            unknown(scene, position.add(said), end);
            Walk::End
        }
    }
}

#[inline(always)]
fn pass_field<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    position: Seq,
    prefix: [u8; 8],
    known: u32,
) -> Walk {
    let half = scene.flow.half(scene.step.direction);
    let end = half.next_header;
    let known = known.min(end.since(position).max(0).cast_unsigned());
    let Some(told) = half.wanted.pass(position, &prefix, known, end) else {
        scene.want(position, position.add(framing::HEADER_PREFIX).min(end));
        return Walk::End;
    };
    half.carried = 0;
    half.wrapped |= u8::from(half.wanted.field == field::RECORD);
    scene.want(told.from, told.to.min(end));
    Walk::More
}

/// Reads the large field that comes next.
#[inline(always)]
fn large_field<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    let end = scene.segment.end();
    let half = scene.flow.half(scene.step.direction);
    let position = half.wanted.next;
    let at = scene.offset(position);
    let packet = scene.packet;
    let half = scene.flow.half(scene.step.direction);
    half.carried = 0;
    let readable = end.since(position).max(0).cast_unsigned();
    let whole = half.next_header.since(position).max(0).cast_unsigned();
    let readable = readable.min(whole);
    if half.wanted.field == field::LOGIN7 && !is_token(packet, at) {
        half.wanted.login7(packet, at, readable, whole);
    } else {
        half.wanted.sspi(packet, at, readable, whole);
    }
}

/// Tells the parts of the packet at hand but the last: what goes on from the segment before, or what has just
/// been read.
#[inline(always)]
fn want_parts<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    want_part(scene, 0);
    let half = scene.flow.half(scene.step.direction);
    if half.wanted.has_many() {
        for index in 1..PARTS - 1 {
            want_part(scene, index);
        }
    }
}

#[inline(always)]
fn want_part<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, index: usize) {
    let from = scene.runs.from;
    let half = scene.flow.half(scene.step.direction);
    let part = half.wanted.span(index);
    let to = part.to.min(half.next_header);
    if to.after(part.from.max(from)) {
        scene.want(part.from, to);
    }
}

/// Goes on with the message the segment before left open, or starts over after a gap. Whether the
/// position of what is next is known.
#[inline(always)]
fn take_up<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let (start, end) = (scene.segment.start(), scene.segment.end());
    let half = scene.flow.half(scene.step.direction);
    if half.events > MAX_EVENTS {
        scene.flow.decided = 1;
        scene.sink.lose(LossReason::LoginTooLong);
    }
    let inside = is_inside(scene);
    let half = scene.flow.half(scene.step.direction);
    let carried = u32::from(half.carried);
    let in_header = if inside { 0 } else { carried };
    if half.framed == 0 || half.next_header.add(in_header).before(start) {
        return start_over(scene);
    }
    if scene.step.is(found::BLIND) {
        unknown(scene, start, end);
        return false;
    }
    let half = scene.flow.half(scene.step.direction);
    let passed = half.wanted.next.min(half.next_header);
    // Of which of the fields passed since then it is, is not known any more; records are all told.
    let in_records = half.wanted.field == field::RECORD;
    let stays = scene.config.withhold_unframed == 0;
    let is_reply = matches!(scene.step.direction, Direction::ToClient);
    if scene.step.marks & mark::FILLS_GAP != 0 && (in_records || is_reply && stays) {
        scene.want(start, passed);
    }
    let half = scene.flow.half(scene.step.direction);
    if inside && half.wanted.next.add(carried).before(start) {
        // What the message goes on with lies in a hole before.
        half.carried = 0;
        let message_end = half.next_header;
        scene.runs.behind = 1;
        unknown(scene, start, message_end);
    }
    true
}

/// Looks for a header at the start of a segment. A hole keeps the position of the header before it: it
/// may yet be filled.
#[inline(always)]
fn start_over<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let (start, end) = (scene.segment.start(), scene.segment.end());
    if let Some(prefix) = scene.packet.load(scene.segment.payload_at)
        && scene.segment.payload_len >= framing::HEADER_PREFIX
        && let Some(header) =
            framing::plausible(&prefix, scene.step.direction == Direction::ToClient)
        // That the login is over is believed only of a request that ends with its segment.
        && (!ends_login(&header, scene.step.direction)
            || header.len == scene.segment.payload_len)
    {
        let half = scene.flow.half(scene.step.direction);
        half.framed = 1;
        half.guessed = 1;
        half.next_header = start;
        half.message_open = 0;
        half.carried = 0;
        half.wanted.field = field::NOTHING;
        scene.step.marks |= mark::RESYNC;
        return true;
    }
    unknown(scene, start, end);
    false
}

/// A header: what of its packet is told, and where the next one is.
#[inline(always)]
fn open<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, header: Header, position: Seq) {
    scene.runs.behind = 0;
    let end = position.add(header.len);
    let header_len = if matches!(header.framing, Framing::Tls) {
        TLS_HEADER
    } else {
        TDS_HEADER
    };
    let direction = scene.step.direction;
    let spent = scene.flow.half(direction).copied >= scene.config.login_bytes;
    let guessed = scene.config.withhold_unframed != 0 && scene.flow.half(direction).guessed != 0;
    // What looked like a header may be none: nothing is believed of where it says that fields are. What a
    // server says is told whole then, where it stays in this process.
    let told_whole = if guessed {
        is_handshake(scene)
    } else {
        scene.flow.half(direction).guessed != 0 && matches!(direction, Direction::ToClient)
    };
    let client = scene.flow.client();
    let in_tls = client.wrapped != 0 && client.sealed == 0;
    let half = scene.flow.half(direction);
    let first = half.message_open == 0;
    let is_reply = matches!(direction, Direction::ToClient);
    // PRELOGIN is answered first of all; some servers wrap TLS in replies.
    let may_answer = position.since(half.sent.isn) == 1 || half.guessed != 0 || in_tls;
    let kind = match header.framing {
        Framing::Tds if is_reply => in_reply(header.kind, first, may_answer),
        Framing::Tds => in_request(header.kind, first, half.sealed != 0),
        Framing::Tls | Framing::Smp => field::NOTHING,
    };
    let continues = half.wanted.goes_on_at(position)
        && match kind {
            field::PRELOGIN | field::ANSWER => {
                half.wanted.field == field::RECORD && half.wanted.next.after(position)
            }
            _ => half.wanted.field != field::RECORD && !first && header.kind == half.message,
        };
    if continues && !guessed && !spent {
        half.wanted.go_on(position);
    } else {
        let kind = if guessed || spent {
            field::NOTHING
        } else {
            kind
        };
        let body = header.len.saturating_sub(header_len);
        half.wanted.open(position, header_len, body, kind);
    }
    let mut clear = false;
    if matches!(header.framing, Framing::Tls) {
        // Alerts, and a handshake as long as it is in clear.
        clear = matches!(
            header.kind,
            content_type::CHANGE_CIPHER_SPEC | content_type::ALERT | content_type::HANDSHAKE
        );
        half.handshaking |= u8::from(clear);
        half.sealed |= u8::from(header.kind == content_type::APPLICATION_DATA);
    }
    if (told_whole || (clear && !guessed)) && !spent {
        half.wanted.whole(header.len);
    }
    half.next_header = end;
    half.carried = 0;
    if !half.holes.are_none() {
        half.holes.pass_header(position);
    }
    if matches!(header.framing, Framing::Tds) {
        half.message_open = u8::from(!header.ends_message());
        half.message = header.kind;
    }
}

/// What a client's packet begins with.
#[inline(always)]
const fn in_request(kind: u8, first: bool, sealed: bool) -> u8 {
    match kind {
        packet_type::PRELOGIN => field::PRELOGIN,
        // A login that began in sealed records goes on in these.
        packet_type::LOGIN7 if first && !sealed => field::LOGIN7,
        packet_type::SSPI if first => field::SSPI,
        _ => field::NOTHING,
    }
}

/// What a server's packet begins with; whether it may answer PRELOGIN.
#[inline(always)]
const fn in_reply(kind: u8, first: bool, answers: bool) -> u8 {
    match kind {
        packet_type::PRELOGIN => field::PRELOGIN,
        packet_type::TABULAR_RESULT if answers => field::ANSWER,
        packet_type::TABULAR_RESULT if first => field::TOKEN,
        _ => field::NOTHING,
    }
}

/// Whether a header shows that the login is over: a request, or a session of MARS.
#[inline(always)]
const fn ends_login(header: &Header, direction: Direction) -> bool {
    match header.framing {
        Framing::Smp => true,
        Framing::Tls => false,
        Framing::Tds => {
            matches!(direction, Direction::ToServer)
                && matches!(
                    header.kind,
                    packet_type::SQL_BATCH
                        | packet_type::RPC
                        | packet_type::BULK_LOAD
                        | packet_type::TRANSACTION_MANAGER
                )
        }
    }
}

/// Bytes of which it is not known what they are stay where they are, unless they can only be of a TLS
/// handshake.
#[inline(always)]
fn unknown<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, from: Seq, to: Seq) {
    if scene.config.withhold_unframed == 0 || is_handshake(scene) {
        scene.want(from, to);
    } else if scene.flow.half(scene.step.direction).syn != 0 {
        scene.sink.lose(LossReason::Withheld);
    }
}

/// Whether whatever a side sends now is of a TLS handshake. A server has nothing else to say before
/// the client's sealed login, of which all is known up to what this segment answers; a client only where
/// TLS goes straight on TCP, where nothing else ever comes.
#[inline(always)]
fn is_handshake<B: Bytes + ?Sized, S: Sink<B>>(scene: &Scene<'_, B, S>) -> bool {
    let (client, server) = (scene.flow.client(), scene.flow.server());
    let sealed = client.sealed | server.sealed != 0;
    let strict = client.handshaking & server.handshaking != 0;
    let answers = client.handshaking | client.wrapped != 0
        && client.holes.are_none()
        && client.guessed == 0
        && !scene.segment.ack.after(client.next_seq);
    let is_reply = matches!(scene.step.direction, Direction::ToClient);
    !sealed && (strict || is_reply && answers)
}

impl<B: Bytes + ?Sized, S: Sink<B>> Scene<'_, B, S> {
    /// Tells this part of the stream, as far as the segment has it.
    #[inline(never)]
    fn want(&mut self, from: Seq, to: Seq) {
        let from = from.max(self.runs.from);
        let to = to.min(self.segment.end());
        runs::visible(self, Span { from, to });
    }
}
