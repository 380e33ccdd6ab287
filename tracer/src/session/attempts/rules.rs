//! Which connections of one client belong together. Times are nanoseconds.

use super::{
    Verdict,
    tries::{Successor, Try},
};
use crate::record::Outcome;

/// Connections that are opened further apart do not race: drivers start all at once, or half a second
/// after the first (`TransparentNetworkIPResolution`).
const RACE: u64 = 600_000_000;
/// How soon after another was faster a client closes what it does not need.
const GIVEN_UP: u64 = 1_000_000_000;
/// A driver starts what is to race, and closes what has lost, within microseconds; this leaves room for
/// a busy host, and for a SYN that is under way.
pub(super) const AT_ONCE: u64 = 20_000_000;
/// How long a connection that is not answered may stay undecided.
const UNANSWERED: u64 = 130_000_000_000;
/// Before its first retransmission a SYN waits for one second (RFC 6298 section 2).
const FIRST_SYN_AGAIN: u64 = 1_100_000_000;

/// Within this a single SYN is known to have been the only one.
const DECIDED: u64 = 10_000_000_000;

/// How a connection came to nothing for another one's sake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Both were opened together, and the other was faster.
    Race,
    /// It was given up, and the other was opened then.
    Succeeded,
}

/// To the same port of two addresses.
fn are_alternatives(one: &Try, other: &Try) -> bool {
    one.server.port == other.server.port && one.server.address != other.server.address
}

/// Whether two connections were opened together, and `faster` was established while `one` was tried:
/// a driver starts all of them before it looks which is there, and none when one is.
fn raced(one: &Try, faster: &Try) -> bool {
    let Some(established) = faster.established else {
        return false;
    };
    let before = |opened: u64, there: u64| opened <= there.saturating_add(AT_ONCE);
    let tried = match one.established {
        Some(own) => before(faster.opened, own),
        None => before(one.last_syn, established),
    };
    one.opened.abs_diff(faster.opened) <= RACE && before(one.opened, established) && tried
}

/// How `one`, which was decided so, was given up for the other, if it was. Where that has come to
/// nothing itself, it was not.
pub(super) fn has_lost(one: &Try, verdict: &Verdict, other: &Try) -> Option<Lost> {
    if !verdict.silent || one.spoke {
        return None;
    }
    if one.successor == Successor::One(other.handle) {
        return Some(Lost::Succeeded);
    }
    let at = verdict.at;
    let other_failed = other.ended.is_some_and(|ending| ending.silent);
    let established = other.established?;
    if other_failed || !are_alternatives(one, other) {
        return None;
    }
    let in_time = match verdict.outcome {
        Outcome::Unreachable => true,
        // Nobody watches any more: it was slower than one that is in use.
        Outcome::Unknown => other.spoke,
        _ => at >= established && at <= established.max(one.established.unwrap_or(0)) + GIVEN_UP,
    };
    (in_time && raced(one, other)).then_some(Lost::Race)
}

/// Whether `one` was given up for the other at once: nothing less shows that the two are of one client
/// where their addresses do not.
pub(super) fn has_lost_at_once(one: &Try, verdict: &Verdict, other: &Try) -> bool {
    let decided = match (other.established, one.established) {
        (Some(first), Some(second)) => {
            verdict.outcome == Outcome::Unknown
                || verdict.at <= first.max(second).saturating_add(AT_ONCE)
        }
        (Some(_), None) => is_tried_once(one, other),
        _ => false,
    };
    decided
        && one.opened.abs_diff(other.opened) <= AT_ONCE
        && has_lost(one, verdict, other) == Some(Lost::Race)
}

/// Whether `one` was not answered, and its client, which uses the other, has not sent its SYN again when that
/// was due: whoever has nothing else does.
fn is_tried_once(one: &Try, other: &Try) -> bool {
    one.established.is_none() && one.last_syn == one.opened && other.spoke
}

/// Whether `one` may turn out to have been tried once only: its SYN was not sent again where that is due by now.
pub(super) fn may_be_tried_once(one: &Try, now: u64) -> bool {
    let open = !one.spoke && one.ended.is_none() && one.established.is_none();
    open && one.last_syn == one.opened && now <= one.opened.saturating_add(DECIDED)
}

/// Until when `one`, which may be, can turn out to have been given up at once for `other`, which is of another
/// family: first it is seen whether its SYN is sent again.
pub(super) fn may_lose_at_once(one: &Try, other: &Try) -> Option<u64> {
    let at_once = one.opened.abs_diff(other.opened) <= AT_ONCE && is_tried_once(one, other);
    (at_once && are_alternatives(one, other) && raced(one, other))
        .then(|| one.opened.saturating_add(DECIDED))
}

/// Whether `one` was refused and its client goes on, to an address of another family, at once.
pub(super) fn goes_on_at_once(one: &Try, opened: &Try) -> bool {
    let ended = one.ended.filter(|ending| {
        let since = opened.opened.checked_sub(ending.at);
        ending.outcome == Outcome::Refused && since.is_some_and(|since| since <= AT_ONCE)
    });
    ended.is_some() && one.opened < opened.opened && are_alternatives(one, opened)
}

/// Until when `one`, which is undecided, may turn out to have been given up for `other`.
pub(super) fn may_lose(one: &Try, other: &Try) -> Option<u64> {
    if one.spoke || one.ended.is_some() {
        return None;
    }
    if one.successor == Successor::One(other.handle) {
        return Some(one.opened.saturating_add(UNANSWERED));
    }
    let established = other.established?;
    if !are_alternatives(one, other) || !raced(one, other) {
        return None;
    }
    Some(match one.established {
        Some(own) => established.max(own).saturating_add(GIVEN_UP),
        None => one.opened.saturating_add(UNANSWERED),
    })
}

/// Whether a connection that is opened now may come after `one`: that is not answered, was not opened
/// together with it, and has not sent its next SYN yet. It goes to the same server, or to another address.
pub(super) fn may_succeed(opened: &Try, one: &Try) -> bool {
    let at = opened.opened;
    let unanswered = one.established.is_none() && one.ended.is_none() && !one.spoke;
    let waited = one.last_syn.saturating_sub(one.opened);
    let next_syn = one.last_syn + waited + FIRST_SYN_AGAIN;
    unanswered
        && (one.server == opened.server || are_alternatives(one, opened))
        && at > one.opened.saturating_add(RACE)
        && at > one.last_syn
        && at <= next_syn
}
