//! Requests that are counted and not told.

use super::{Scene, Sink, Step, step::Next};
use crate::{
    bytes::Bytes,
    config::{Config, requests},
    event::{Direction, Kind, mark},
    flow::{Flow, decided, usage},
    framing::{Framing, Header, TLS_HEADER, content_type, packet_type},
    loss::LossReason,
    tally::{Tally, Word, may_hold_message},
};

/// How often the sums of a connection that is in use are told, nanoseconds: of one that nobody sees end, what
/// was asked within so much since they were told last is missing at most.
const TOLD_EVERY: u64 = 10_000_000_000;

/// What a step needs of a connection's tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A new one, which has counted nothing.
    New,
    /// The one there is.
    Own,
}

/// What is needed to tell what a step has found.
#[inline(always)]
pub fn needs_tally(flow: &Flow, step: &Step, config: &Config) -> Needs {
    if flow.usage == usage::COUNTED {
        return Needs::Own;
    }
    let may_begin = flow.usage == usage::ANSWERED
        && matches!(step.next, Next::Command)
        && matches!(step.direction, Direction::ToServer)
        && config.requests == requests::COUNTED;
    if may_begin {
        Needs::New
    } else {
        Needs::Nothing
    }
}

/// A header that would be told; whether it is counted instead.
#[inline(never)]
pub(super) fn header<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    marks: u8,
    header: Header,
) -> bool {
    let is_record = match header.framing {
        Framing::Tds => false,
        Framing::Tls if is_message(header) => true,
        Framing::Tls | Framing::Smp => return false,
    };
    let is_reply = matches!(scene.step.direction, Direction::ToClient);
    let complete = marks & mark::COMPLETE != 0;
    let word = Word {
        at: scene.seen.now,
        kind: if is_record { 0 } else { header.kind },
        status: header.status,
        first: marks & mark::FIRST != 0,
        complete,
    };
    let flow = &mut *scene.flow;
    let is_attention = word.kind == packet_type::ATTENTION;
    match flow.usage {
        usage::COUNTED => {}
        usage::ANSWERED if !is_reply && word.first && !is_attention => {
            if is_record && flow.decided != decided::WITHOUT_SESSIONS {
                return false;
            }
        }
        usage::NONE if !is_reply && !is_attention => {
            flow.usage = usage::ASKED;
            return false;
        }
        usage::ASKED if is_reply && (is_record || complete && header.ends_message()) => {
            flow.usage = usage::ANSWERED;
            return false;
        }
        _ => return false,
    }
    let Some(tally) = scene.sink.tally() else {
        return false;
    };
    let begins = flow.usage != usage::COUNTED;
    if is_reply {
        tally.answered(&word, flow.client().sent.last_data);
    } else {
        tally.asked(&word);
    }
    let due = begins || word.at.wrapping_sub(tally.sums.told) >= TOLD_EVERY;
    if due {
        tally.sums.told = word.at;
        flow.usage = usage::COUNTED;
        tell(scene);
    }
    true
}

/// Whether a record is one of data that may hold a message.
#[inline(always)]
const fn is_message(header: Header) -> bool {
    header.kind == content_type::APPLICATION_DATA
        && may_hold_message(header.len.saturating_sub(TLS_HEADER))
}

/// The end of a message that would be told; whether it is counted instead.
#[inline(never)]
pub(super) fn end<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> bool {
    let direction = scene.step.direction;
    match scene.flow.usage {
        usage::COUNTED => {}
        usage::ASKED if matches!(direction, Direction::ToClient) => {
            scene.flow.usage = usage::ANSWERED;
            return false;
        }
        _ => return false,
    }
    let Some(tally) = scene.sink.tally() else {
        return false;
    };
    tally.ended(direction, scene.seen.now);
    true
}

/// Tells the sums before the connection's end.
#[inline(always)]
pub(super) fn tell_last<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    if scene.flow.usage != usage::COUNTED {
        return;
    }
    if scene.sink.tally().is_some() {
        tell(scene);
    } else {
        scene.sink.lose(LossReason::Gone);
    }
}

#[inline(always)]
fn tell<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) {
    let mut saying = scene.saying(Kind::Tally);
    saying.run_len = Tally::SIZE as u32;
    let told = super::Told {
        flow: scene.flow,
        segment: scene.segment,
        seen: scene.seen,
        saying,
    };
    scene.sink.relate_tally(&told);
}
