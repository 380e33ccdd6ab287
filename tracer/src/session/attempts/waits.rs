//! Times in which a client could not go on, as its host says: parts of an attempt. Times are nanoseconds.

use super::attempt::{Attempt, Done};
use crate::{
    record::{PartKind, PartOutcome, WaitOutcome},
    session::host::{ProcessFacts, SocketFacts},
};

/// What is shorter is not told.
const LEAST: u64 = 10_000_000;
/// Times between parts that the host is asked about, the longest ones.
const MOST_GAPS: usize = 8;

/// From when to when something was due.
pub(in crate::session) type Span = (u64, u64);

/// For how long of this time a process could not run, at least: what a figure says of a longer time may all
/// have been outside.
pub(in crate::session) fn of_process(facts: &ProcessFacts, within: Span) -> Vec<Done> {
    let (from, to) = within;
    let length = to.saturating_sub(from);
    let outside = facts.span.saturating_sub(length);
    let inside = |figure: Option<u64>| figure.unwrap_or(0).saturating_sub(outside);
    let each = [
        (WaitOutcome::Throttled, inside(facts.throttled)),
        (WaitOutcome::RunQueue, inside(facts.queued)),
        // It was seen so at moments inside.
        (WaitOutcome::Stopped, facts.stopped.unwrap_or(0)),
    ];
    let told = each
        .into_iter()
        .filter_map(|(why, took)| part(why, took, within));
    told.collect()
}

/// For how long at least a socket had bytes then that nobody read.
pub(in crate::session) fn of_socket(facts: &SocketFacts, within: Span) -> Option<Done> {
    part(WaitOutcome::Unread, facts.unread_for.unwrap_or(0), within)
}

fn part(why: WaitOutcome, took: u64, (from, to): Span) -> Option<Done> {
    let took = took.min(to.saturating_sub(from));
    let span = (from, from + took);
    (took >= LEAST).then(|| Done::new(PartKind::Wait, span, PartOutcome::Waited(why)))
}

impl Attempt {
    /// The times between its parts of which the host may have something to say, in their order.
    pub(in crate::session) fn gaps(&self) -> Vec<Span> {
        let mut parts: Vec<Span> = self
            .parts
            .iter()
            .map(|part| (part.start, part.end))
            .collect();
        parts.sort_unstable();
        let mut reached = parts.first().map_or(0, |(start, _)| *start);
        let mut gaps = Vec::new();
        for (start, end) in parts {
            if start.saturating_sub(reached) >= LEAST {
                gaps.push((reached, start));
            }
            reached = reached.max(end);
        }
        gaps.sort_by_key(|(from, to)| std::cmp::Reverse(to - from));
        gaps.truncate(MOST_GAPS);
        gaps.sort_unstable();
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn told(facts: &ProcessFacts) -> Vec<(PartOutcome, u64)> {
        let parts = of_process(facts, (1000 * MILLISECOND, 1100 * MILLISECOND));
        assert!(parts.iter().all(|part| part.start == 1000 * MILLISECOND));
        let each = parts.iter();
        each.map(|part| (part.outcome, part.end - part.start))
            .collect()
    }

    #[test]
    fn what_may_have_been_at_another_time_is_not_told() {
        let throttled = |span, took| ProcessFacts {
            span: span * MILLISECOND,
            throttled: Some(took * MILLISECOND),
            ..ProcessFacts::default()
        };
        let waited = PartOutcome::Waited(WaitOutcome::Throttled);
        assert_eq!(told(&throttled(100, 60)), [(waited, 60 * MILLISECOND)]);
        assert_eq!(told(&throttled(130, 60)), [(waited, 30 * MILLISECOND)]);
        assert_eq!(told(&throttled(160, 60)), []);
        // Several of a group's processors.
        assert_eq!(told(&throttled(100, 300)), [(waited, 100 * MILLISECOND)]);
        assert_eq!(told(&ProcessFacts::default()), []);
    }

    #[test]
    fn a_process_may_have_waited_for_more_than_one_thing() {
        let facts = ProcessFacts {
            span: 100 * MILLISECOND,
            queued: Some(70 * MILLISECOND),
            stopped: Some(20 * MILLISECOND),
            throttled: Some(MILLISECOND),
            ..ProcessFacts::default()
        };
        let [queued, stopped] = [WaitOutcome::RunQueue, WaitOutcome::Stopped];
        assert_eq!(
            told(&facts),
            [
                (PartOutcome::Waited(queued), 70 * MILLISECOND),
                (PartOutcome::Waited(stopped), 20 * MILLISECOND)
            ]
        );
        let unread = SocketFacts {
            unread_for: Some(50 * MILLISECOND),
            ..SocketFacts::default()
        };
        let part = of_socket(&unread, (0, 40 * MILLISECOND)).unwrap();
        assert_eq!(part.end, 40 * MILLISECOND);
    }
}
