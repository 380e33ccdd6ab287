//! A segment of an undecided login: its bytes are told, but for the secret ones.

mod runs;

pub use runs::{MAX_RUN, RECORDS_A_TURN, Runs, tell_runs};

use self::runs::{hide, hide_withheld, mark_end, visible};
use super::{Scene, Sink, step::found};
use crate::{
    bytes::Bytes,
    event::{Direction, mark},
    framing::{self, Boundary, Framing, Header, TDS_HEADER, TLS_HEADER, content_type, packet_type},
    loss::LossReason,
    secrets::{self, InKind, Withheld},
    seq::{Seq, Span},
};

/// Message headers walked in one turn: the kernel's verifier follows each anew.
const HEADERS_A_TURN: usize = 4;
/// Turns for one segment: a flight of TLS records, or a reply of several packets.
const MAX_TURNS: u8 = 8;
/// Segments of one direction told before a login is given up as too long.
const MAX_EVENTS: u32 = 512;
/// Messages in one segment whose secrets are searched.
const MAX_SEARCHES: u32 = 1;

/// What a walk along the headers came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// The segment's last header, or one that is not whole.
    End,
    /// A message in which secrets are to be searched.
    Secrets,
    /// A request: the login is over.
    Request,
    /// The turn's last header, which may not be the segment's.
    More,
}

/// What is to follow a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another one along the headers: [`tell`].
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
    let end = scene.segment.end();
    if walk != Walk::Request {
        visible(scene, end);
    }
    if walk != Walk::Request || !scene.runs.are_none() {
        mark_end(scene, end);
    }
    scene.runs.request = u32::from(walk == Walk::Request);
    scene.step.turns = 0;
    tell_runs(scene, runs::RECORDS_AT_ONCE)
}

/// Starts the walk. Whether the next header's position is known.
#[inline(always)]
fn start<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    // What had passed before was told then, or withheld by the message that it was part of.
    scene
        .runs
        .start(scene.segment.start().add(scene.step.known));
    take_up(scene)
}

/// Walks the segment. Secrets are searched between two turns, and not within one: the kernel's
/// verifier would follow the search anew for every header.
#[inline(always)]
fn segment<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Walk {
    search(scene);
    hide_withheld(scene);
    let walk = walk(scene);
    if walk == Walk::Secrets {
        scene.runs.searches += 1;
        if scene.runs.searches > MAX_SEARCHES {
            // No client sends so many logins at once: what follows stays where it is.
            scene.sink.lose(LossReason::Withheld);
            scene.runs.from = scene.segment.end();
            return Walk::End;
        }
    } else if walk != Walk::More {
        return walk;
    }
    scene.step.turns += 1;
    if scene.step.turns < MAX_TURNS {
        return Walk::More;
    }
    // What was not walked is not known to be free of secrets.
    scene.sink.lose(LossReason::HeadersUnwalked);
    let from = scene.runs.from;
    let half = scene.flow.half(scene.step.direction);
    let walked = half.next_header.max(from);
    visible(scene, walked.min(scene.segment.end()));
    scene.runs.from = scene.segment.end();
    Walk::End
}

/// Walks the headers, leaving out what is secret between them.
#[inline(always)]
fn walk<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Walk {
    for _ in 0..HEADERS_A_TURN {
        let half = scene.flow.half(scene.step.direction);
        let position = half.next_header;
        if !scene.segment.end().after(position) {
            return Walk::End;
        }
        let (prefix, known) = scene.prefix(position);
        match framing::read(&prefix, known) {
            Boundary::Header(header) => {
                if ends_login(&header, scene.step.direction) {
                    visible(scene, position);
                    scene.flow.decided = 1;
                    return Walk::Request;
                }
                open(scene, header, position);
                let half = scene.flow.half(scene.step.direction);
                if half.undetermined != 0 {
                    return Walk::Secrets;
                }
                hide_withheld(scene);
            }
            Boundary::Incomplete { .. } => return Walk::End,
            Boundary::Unknown => {
                let half = scene.flow.half(scene.step.direction);
                half.framed = 0;
                half.carried = 0;
                scene.sink.lose(LossReason::FramingLost);
                unframed(scene, position);
                return Walk::End;
            }
        }
    }
    Walk::More
}

/// Goes on with the message the segment before left open, or starts over after a gap. Whether the
/// next header's position is known.
#[inline(always)]
fn take_up<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let start = scene.segment.start();
    let half = scene.flow.half(scene.step.direction);
    if half.events > MAX_EVENTS {
        scene.flow.decided = 1;
        scene.sink.lose(LossReason::LoginTooLong);
    }
    let half = scene.flow.half(scene.step.direction);
    if half.framed == 0 || half.next_header.add(u32::from(half.carried)).before(start) {
        // A hole keeps its header's position: it may yet be filled.
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
            half.next_header = start;
            half.message_open = 0;
            half.carried = 0;
            half.withheld.clear();
            scene.step.marks |= mark::RESYNC;
            return true;
        }
        unframed(scene, start);
        return false;
    }
    if scene.step.is(found::BLIND) {
        unframed(scene, start);
        return false;
    }
    true
}

/// Searches the message at hand for its secrets, where that is open.
#[inline(always)]
fn search<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    let start = scene.segment.start();
    let half = scene.flow.half(scene.step.direction);
    if half.undetermined == 0 {
        return;
    }
    // Until then it is withheld whole. Where its first bytes are not here it remains so.
    let body = half.withheld.spans[0].from;
    if body.before(start) {
        half.undetermined = 0;
        return;
    }
    let at = scene.offset(body);
    let half = scene.flow.half(scene.step.direction);
    let message = secrets::Message {
        kind: half.message,
        reply: scene.step.direction == Direction::ToClient,
        first: true,
        sealed: half.sealed != 0,
        body,
        end: half.next_header,
    };
    let readable = scene.segment.end().since(body).max(0).cast_unsigned();
    let known = secrets::find(&message, scene.packet, at, readable, &mut half.withheld);
    half.undetermined = u8::from(!known);
}

/// A header: what of its message may be told, and where the next one is.
#[inline(always)]
fn open<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, header: Header, position: Seq) {
    withhold(scene, header, position);
    let budget = scene.config.login_bytes;
    let half = scene.flow.half(scene.step.direction);
    if half.copied >= budget {
        half.undetermined = 0;
        let header_len = if matches!(header.framing, Framing::Tls) {
            TLS_HEADER
        } else {
            TDS_HEADER
        };
        half.withheld = Withheld::one(position.add(header_len), position.add(header.len));
    }
    half.next_header = position.add(header.len);
    half.carried = 0;
    if !half.holes.are_none() {
        half.holes.pass_header(position);
    }
    if matches!(header.framing, Framing::Tds) {
        half.message_open = u8::from(!header.ends_message());
        half.message = header.kind;
    }
}

/// Finds what of the message at hand may not be told.
#[inline(always)]
fn withhold<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    header: Header,
    position: Seq,
) {
    let end = position.add(header.len);
    let body = position.add(TDS_HEADER);
    // What looked like a header behind a gap may be none: nothing is believed of where it says
    // that secrets are.
    let guessed = scene.step.marks & mark::RESYNC != 0 && scene.config.withhold_unframed != 0;
    let half = scene.flow.half(scene.step.direction);
    half.undetermined = 0;
    half.withheld.clear();
    match header.framing {
        Framing::Tls if header.kind == content_type::APPLICATION_DATA => {
            half.sealed = 1;
            half.withheld = Withheld::one(position.add(TLS_HEADER), end);
        }
        Framing::Tls => half.handshaking = 1,
        Framing::Smp => half.withheld = Withheld::one(position.add(framing::SMP_HEADER), end),
        Framing::Tds if scene.step.direction == Direction::ToClient => {
            let some = secrets::in_reply(header.kind, half.message_open == 0) == InKind::Some;
            if some && may_hold_secrets(scene, body) {
                let half = scene.flow.half(scene.step.direction);
                half.withheld = Withheld::one(body, body);
                half.undetermined = 1;
            }
        }
        Framing::Tds => {
            if header.kind == packet_type::PRELOGIN && half.sealed == 0 {
                half.handshaking = 1;
            }
            let first = half.message_open == 0;
            match secrets::in_kind(header.kind, first, half.sealed != 0) {
                InKind::None => {}
                InKind::All => half.withheld = Withheld::one(body, end),
                InKind::Some => {
                    half.withheld = Withheld::one(body, end);
                    half.undetermined = u8::from(!guessed);
                }
            }
        }
    }
}

/// Whether a reply is worth a search: there is a token among its tokens, or they are not at hand.
#[inline(always)]
fn may_hold_secrets<B: Bytes + ?Sized, S: Sink<B>>(scene: &Scene<'_, B, S>, body: Seq) -> bool {
    if body.before(scene.segment.start()) {
        return true;
    }
    let readable = scene.segment.end().since(body).max(0).cast_unsigned();
    readable == 0 || secrets::sspi_token(scene.packet, scene.offset(body), readable) < readable
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

/// Bytes whose header is not known: a client's may be a password, so they stay where they are
/// unless the connection is in its TLS handshake.
#[inline(always)]
fn unframed<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, from: Seq) {
    let half = scene.flow.half(scene.step.direction);
    let safe = scene.step.direction == Direction::ToClient
        || scene.config.withhold_unframed == 0
        || (half.handshaking != 0 && half.sealed == 0 && scene.flow.server().handshaking != 0);
    if !safe {
        scene.sink.lose(LossReason::Withheld);
        let to = scene.segment.end();
        hide(scene, Span { from, to });
    }
}
