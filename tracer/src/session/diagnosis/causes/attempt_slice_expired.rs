//! The client leaves when a fixed part of a timeout is over.

use crate::{
    record::{Outcome, Side, Whom},
    session::{
        attempts::Role,
        diagnosis::{
            Cause, Found, Page, Symptoms,
            symptoms::SECOND,
            whole::{Step, Whole},
        },
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "attempt_slice_expired",
    whom: Some(Whom::Application),
    meaning: "the driver gave this try only a slice of its timeout",
    seen: "the client left after {after_ns}, a slice of {of_timeout_ns}, while the server owed an \
           answer[, and went on with {tries_after_it} more tries]",
    fits,
    page: Page {
        means: "With `MultiSubnetFailover` or a failover partner drivers divide the timeout into slices: \
            the first try has 8 % or 12.5 % of it. A server that needs longer than 1.2 to 3.75 \
            seconds is never waited for long enough.",
        signs: "The client left after 8 % or 12.5 % of 15, 30 or 60 seconds, while the server owed an \
            answer. Of an attempt it is surer: its next try began at once (`tries_after_it`), and the surest \
            where later tries had longer slices.",
        against: "A time that only happens to be that long; the server's delay is the other half of the \
            cause.",
        confirm: "The driver's settings (`MultiSubnetFailover`, `Failover Partner`, `ConnectRetryCount`) \
            and the tries that follow at once.",
        mend: "A longer timeout; `MultiSubnetFailover=False` where there is one address; mend the \
            server's delay.",
        reports: &["dotnet/SqlClient#4114"],
    },
};

/// Parts of a timeout that drivers give to one try of several.
const SLICES: [f64; 2] = [0.08, 0.125];
/// Timeouts that are usual, nanoseconds.
const TIMEOUTS: [u64; 3] = [15 * SECOND, 30 * SECOND, 60 * SECOND];

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let by_client = symptoms.ended.is_some_and(|ended| ended.by == Side::Client);
    let waited = symptoms.server_stall().is_some();
    if !by_client || !waited || !symptoms.ended_as(&[Outcome::Timeout]) {
        return None;
    }
    let timeout = timeout(symptoms.duration)?;
    // The next try follows at once.
    let followed = symptoms.around.begun_by_client > 0;
    Some(
        Found::at(if followed { 0.65 } else { 0.5 })
            .took("after_ns", symptoms.duration)
            .took("of_timeout_ns", timeout),
    )
}

/// The timeout of which so long a time is a slice.
fn timeout(took: u64) -> Option<u64> {
    let near = |timeout: &u64, slice: &f64| {
        let expected = slice * *timeout as f64;
        (took as f64 - expected).abs() <= 0.03 * expected
    };
    let of_timeout = |timeout: &u64| SLICES.iter().any(|slice| near(timeout, slice));
    TIMEOUTS.into_iter().find(of_timeout)
}

/// The next try begins so soon after the one before it was given up.
const AT_ONCE: u64 = 1_300_000_000;

/// How well it fits an attempt.
pub(super) fn fits_attempt(whole: &Whole<'_>) -> Option<Found> {
    let own = whole
        .connections()
        .filter(|step| step.role != Role::Proxied);
    let own: Vec<_> = own.collect();
    let given_up = [Outcome::Timeout, Outcome::Unreachable, Outcome::Aborted];
    let goes_on = |one: &Step<'_>, next: &Step<'_>| {
        let end = one.start + one.took;
        one.ended_as(&given_up) && next.start >= end && next.start - end <= AT_ONCE
    };
    let mut cut = own.windows(2).filter_map(|pair| match pair {
        [one, next] if goes_on(one, next) => Some(one.took),
        _ => None,
    });
    let first = cut.next()?;
    let timeout = timeout(first)?;
    // A driver doubles its slices, or gives the next try that much more.
    let grows = cut.clone().any(|took| took >= first / 2 * 3);
    Some(
        Found::at(if grows { 0.88 } else { 0.75 })
            .took("after_ns", first)
            .took("of_timeout_ns", timeout)
            .with("tries_after_it", own.len() - 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::{
            tests::{ended, fits, misses},
            whole::samples::{connection, sure, whole},
        },
    };

    #[test]
    fn tries_that_are_given_up_after_a_slice_each_are_one_attempt_cut_into_slices() {
        let slice = |from: u64, took: u64, outcome| Step {
            start: from,
            took,
            ..connection(2, outcome, (0, 1))
        };
        let first = slice(0, 2_400_000_000, Outcome::Timeout);
        let second = slice(2_500_000_000, 4_800_000_000, Outcome::Timeout);
        let last = slice(7_500_000_000, SECOND, Outcome::Success);
        assert!(sure(fits_attempt, &whole([first, second, last])) > 0.85);
        assert!((0.7..0.8).contains(&sure(fits_attempt, &whole([first, second]))));
        assert!(sure(fits_attempt, &whole([first])) < 0.1, "nothing follows");
        let odd = slice(0, 3_000_000_000, Outcome::Timeout);
        assert!(sure(fits_attempt, &whole([odd, second])) < 0.1);
    }

    #[test]
    fn a_client_that_leaves_at_8_per_cent_of_30_seconds_has_more_tries() {
        let mut left = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
        left.duration = 2_410_000_000;
        assert!(fits(&CAUSE, &left) >= 0.5);
        left.duration = 3_000_000_000;
        assert!(misses(&CAUSE, &left));
        left.duration = 1_870_000_000;
        assert!(fits(&CAUSE, &left) >= 0.5, "an eighth of 15 seconds");
    }
}
