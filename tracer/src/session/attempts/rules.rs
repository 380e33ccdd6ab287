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
const AT_ONCE: u64 = 20_000_000;
/// How long a connection that is not answered may stay undecided.
const UNANSWERED: u64 = 130_000_000_000;
/// Before its first retransmission a SYN waits for one second (RFC 6298 section 2).
const FIRST_SYN_AGAIN: u64 = 1_100_000_000;

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
    let at = verdict.at;
    let other_failed = other.ended.is_some_and(|ending| ending.silent);
    if !verdict.silent || one.spoke || !are_alternatives(one, other) || other_failed {
        return None;
    }
    let established = other.established?;
    if one.successor == Successor::One(other.handle) {
        return Some(Lost::Succeeded);
    }
    let in_time = verdict.outcome == Outcome::Unreachable
        || at >= established && at <= established.max(one.established.unwrap_or(0)) + GIVEN_UP;
    (in_time && raced(one, other)).then_some(Lost::Race)
}

/// Whether `one` was given up for the other at once: nothing less shows that the two are of one client
/// where their addresses do not.
pub(super) fn has_lost_at_once(one: &Try, verdict: &Verdict, other: &Try) -> bool {
    let both = other.established.zip(one.established);
    let decided =
        both.is_some_and(|(first, second)| verdict.at <= first.max(second).saturating_add(AT_ONCE));
    decided
        && one.opened.abs_diff(other.opened) <= AT_ONCE
        && has_lost(one, verdict, other) == Some(Lost::Race)
}

/// Until when `one`, which is undecided, may turn out to have been given up for `other`.
pub(super) fn may_lose(one: &Try, other: &Try) -> Option<u64> {
    if one.spoke || one.ended.is_some() || !are_alternatives(one, other) {
        return None;
    }
    let established = other.established?;
    let succeeded = one.successor == Successor::One(other.handle);
    if !succeeded && !raced(one, other) {
        return None;
    }
    Some(match one.established {
        Some(own) => established.max(own).saturating_add(GIVEN_UP),
        None => one.opened.saturating_add(UNANSWERED),
    })
}

/// Whether a connection that is opened now may come after `one`: that is not answered, was not opened
/// together with it, and has not sent its next SYN yet.
pub(super) fn may_succeed(opened: &Try, one: &Try) -> bool {
    let at = opened.opened;
    let unanswered = one.established.is_none() && one.ended.is_none() && !one.spoke;
    let waited = one.last_syn.saturating_sub(one.opened);
    let next_syn = one.last_syn + waited + FIRST_SYN_AGAIN;
    unanswered
        && are_alternatives(one, opened)
        && at > one.opened.saturating_add(RACE)
        && at > one.last_syn
        && at <= next_syn
}
