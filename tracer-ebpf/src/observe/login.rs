//! A segment of an undecided login: its bytes are told, but for the secret ones.

use super::{Next, Scene, Sink, Step};
use crate::{
    bytes::Bytes,
    event::{Direction, Kind, mark},
    framing::{self, Boundary, Framing, Header, TDS_HEADER, TLS_HEADER, content_type, packet_type},
    loss::LossReason,
    secrets::{self, Secrets, Withheld},
    seq::{Seq, Span},
};

/// Message headers walked in one packet: a flight of TLS records, or a reply of several packets.
pub const MAX_HEADERS: usize = 16;
/// Segments of one direction told before a login is given up as too long.
const MAX_EVENTS: u32 = 512;
/// Bytes that are told also when the budget is spent: headers.
const HEADER_ROOM: u32 = 24;

/// The visible runs of one segment, told as they end.
struct Runs {
    /// Where the run at hand starts.
    from: Seq,
    /// Whether the segment itself was told.
    told: bool,
    /// Whether bytes were left out after the last run.
    hidden: bool,
}

/// Tells a login's segment. [`Next::Command`] where a request in it shows that the login is over.
#[inline(always)]
pub fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: Step) -> Next {
    let mut runs = Runs {
        from: scene.segment.seq,
        told: false,
        hidden: false,
    };
    let mut step = step;
    let framed = take_up(scene, &mut step, &mut runs);
    let mut next = Next::Nothing;
    for _ in 0..MAX_HEADERS {
        let (half, _) = scene.flow.halves(step.direction);
        let position = half.next_header;
        if !framed || !scene.segment.end().after(position) {
            break;
        }
        let (prefix, known) = scene.prefix(step.direction, position);
        match framing::read(&prefix, known) {
            Boundary::Header(header) => {
                if ends_login(&header, step.direction) {
                    hide(
                        scene,
                        step,
                        &mut runs,
                        Span {
                            from: position,
                            to: scene.segment.end(),
                        },
                    );
                    scene.flow.decided = 1;
                    next = Next::Command;
                    break;
                }
                open(scene, step, &mut runs, header, position);
            }
            Boundary::Incomplete { .. } => {
                let (half, _) = scene.flow.halves(step.direction);
                half.carry = prefix;
                half.carried = known as u8;
                break;
            }
            Boundary::Unknown => {
                let (half, _) = scene.flow.halves(step.direction);
                half.framed = 0;
                scene.sink.lose(LossReason::FramingLost);
                unframed(scene, step, &mut runs, position);
                break;
            }
        }
    }
    close(scene, step, &mut runs);
    next
}

/// Goes on with the message the segment before left open, or starts over after a gap. Whether the
/// next header's position is known.
#[inline(always)]
fn take_up<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: &mut Step,
    runs: &mut Runs,
) -> bool {
    let start = scene.segment.seq;
    let (half, _) = scene.flow.halves(step.direction);
    if half.events > MAX_EVENTS {
        scene.flow.decided = 1;
        scene.sink.lose(LossReason::LoginTooLong);
    }
    let (half, _) = scene.flow.halves(step.direction);
    if half.framed == 0 || half.next_header.add(u32::from(half.carried)).before(start) {
        // A hole keeps its header's position: it may yet be filled.
        if let Some(prefix) = scene.packet.load(scene.segment.payload_at)
            && scene.segment.payload_len >= framing::HEADER_PREFIX
            && framing::plausible(&prefix, step.direction == Direction::ToClient).is_some()
        {
            let (half, _) = scene.flow.halves(step.direction);
            half.framed = 1;
            half.next_header = start;
            half.message_open = 0;
            half.carried = 0;
            half.withheld = Withheld::NOTHING;
            step.marks |= mark::RESYNC;
            return true;
        }
        unframed(scene, *step, runs, start);
        return false;
    }
    if half.undetermined != 0 {
        // The header came alone; its body starts here.
        half.undetermined = 0;
        let message = secrets::Message {
            kind: half.message,
            first: true,
            sealed: half.sealed != 0,
            body: start,
            end: half.next_header,
        };
        let found = secrets::of_client(
            &message,
            scene.packet,
            scene.segment.payload_at,
            scene.segment.payload_len,
        );
        if let Secrets::Known(withheld) = found {
            let (half, _) = scene.flow.halves(step.direction);
            half.withheld = withheld;
        }
    }
    hide_withheld(scene, *step, runs);
    true
}

/// A header: what of its message may be told, and where the next one is.
#[inline(always)]
fn open<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    runs: &mut Runs,
    header: Header,
    position: Seq,
) {
    let withheld = what_to_withhold(scene, step, header, position);
    let budget = scene.config.login_bytes;
    let (half, _) = scene.flow.halves(step.direction);
    half.withheld = withheld;
    if half.copied >= budget {
        let header_len = if matches!(header.framing, Framing::Tls) {
            TLS_HEADER
        } else {
            TDS_HEADER
        };
        half.withheld = Withheld::one(position.add(header_len), position.add(header.len));
    }
    half.next_header = position.add(header.len);
    half.carried = 0;
    if matches!(header.framing, Framing::Tds) {
        half.message_open = u8::from(!header.ends_message());
        half.message = header.kind;
    }
    hide_withheld(scene, step, runs);
}

#[inline(always)]
fn what_to_withhold<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    header: Header,
    position: Seq,
) -> Withheld {
    let end = position.add(header.len);
    let from_client = step.direction == Direction::ToServer;
    let (half, _) = scene.flow.halves(step.direction);
    half.undetermined = 0;
    match header.framing {
        Framing::Tls if header.kind == content_type::APPLICATION_DATA => {
            half.sealed = 1;
            Withheld::one(position.add(TLS_HEADER), end)
        }
        Framing::Tls => {
            half.handshaking = 1;
            Withheld::NOTHING
        }
        Framing::Smp => Withheld::one(position.add(framing::SMP_HEADER), end),
        Framing::Tds if !from_client => Withheld::NOTHING,
        Framing::Tds => {
            let body = position.add(TDS_HEADER);
            let message = secrets::Message {
                kind: header.kind,
                first: half.message_open == 0,
                sealed: half.sealed != 0,
                body,
                end,
            };
            if header.kind == packet_type::PRELOGIN && half.sealed == 0 {
                half.handshaking = 1;
            }
            let readable = scene.segment.end().since(body).max(0).cast_unsigned();
            let at = scene.offset(body);
            match secrets::of_client(&message, scene.packet, at, readable) {
                Secrets::Known(withheld) => withheld,
                Secrets::InBody => {
                    let (half, _) = scene.flow.halves(step.direction);
                    half.undetermined = 1;
                    Withheld::one(body, end)
                }
            }
        }
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

/// Bytes whose header is not known: a client's may be a password, so they stay where they are
/// unless the connection is in its TLS handshake.
#[inline(always)]
fn unframed<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    runs: &mut Runs,
    from: Seq,
) {
    let (half, _) = scene.flow.halves(step.direction);
    let safe = step.direction == Direction::ToClient
        || scene.config.withhold_unframed == 0
        || (half.handshaking != 0 && half.sealed == 0 && scene.flow.server.handshaking != 0);
    if !safe {
        scene.sink.lose(LossReason::Withheld);
        hide(
            scene,
            step,
            runs,
            Span {
                from,
                to: scene.segment.end(),
            },
        );
    }
}

#[inline(always)]
fn hide_withheld<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    runs: &mut Runs,
) {
    let (half, _) = scene.flow.halves(step.direction);
    let withheld = half.withheld;
    let message_end = half.next_header;
    for span in withheld.spans {
        if !span.is_empty() {
            // A length that lies must not hide the messages behind it.
            hide(
                scene,
                step,
                runs,
                Span {
                    from: span.from,
                    to: span.to.min(message_end),
                },
            );
        }
    }
}

/// Leaves a part out: tells the run before it and goes on behind it.
#[inline(always)]
fn hide<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    runs: &mut Runs,
    hidden: Span,
) {
    let end = scene.segment.end();
    if !hidden.to.after(runs.from) || !hidden.from.before(end) {
        return;
    }
    if hidden.from.after(runs.from) {
        run(scene, step, runs, hidden.from);
    }
    runs.from = hidden.to.min(end);
    runs.hidden = true;
}

/// Tells the run up to `to`, as far as the budget goes.
#[inline(always)]
fn run<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    step: Step,
    runs: &mut Runs,
    to: Seq,
) {
    let mut len = Span {
        from: runs.from,
        to,
    }
    .len();
    let budget = scene.config.login_bytes;
    let (half, _) = scene.flow.halves(step.direction);
    if len > HEADER_ROOM {
        let left = budget.saturating_sub(half.copied);
        if left < len {
            len = left;
            if half.over_budget == 0 {
                half.over_budget = 1;
                scene.sink.lose(LossReason::BudgetSpent);
            }
        }
    }
    let (half, _) = scene.flow.halves(step.direction);
    half.copied = half.copied.saturating_add(len);
    let kind = if runs.told { Kind::More } else { Kind::Segment };
    let mut event = scene.event(kind, step);
    event.run_seq = runs.from;
    event.run_len = len;
    let at = scene.offset(runs.from);
    runs.told = true;
    runs.hidden = false;
    runs.from = runs.from.add(len);
    scene.sink.tell(&event, scene.packet, at);
}

/// Tells what is left of the segment. The last record of a segment always reaches its end, with
/// no bytes where the rest was left out: then the reader knows that it has all.
#[inline(always)]
fn close<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, step: Step, runs: &mut Runs) {
    let end = scene.segment.end();
    if end.after(runs.from) {
        run(scene, step, runs, end);
    }
    if runs.hidden || end.after(runs.from) {
        runs.from = end;
        run(scene, step, runs, end);
    }
}
