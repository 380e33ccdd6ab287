//! The client leaves when a fixed part of a timeout is over.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::SECOND},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "attempt_slice_expired",
    whom: Some(Whom::Application),
    meaning: "the driver gave this try only a slice of its timeout",
    seen: "the client left after {after_ns}, a slice of {of_timeout_ns}, while the server owed an \
           answer",
    fits,
    page: Page {
        means: "With `MultiSubnetFailover` or a failover partner drivers divide the timeout into slices: \
            the first try has 8 % or 12.5 % of it. A server that needs longer than 1.2 to 3.75 \
            seconds is never waited for long enough.",
        signs: "The client left after 8 % or 12.5 % of 15, 30 or 60 seconds, while the server owed an \
            answer.",
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
    let of_timeout = |timeout: &u64| {
        let near = |slice: &f64| {
            let expected = slice * *timeout as f64;
            (symptoms.duration as f64 - expected).abs() <= 0.03 * expected
        };
        SLICES.iter().any(near)
    };
    let timeout = TIMEOUTS.into_iter().find(|timeout| of_timeout(timeout))?;
    // The next try follows at once.
    let followed = symptoms.around.begun_by_client > 0;
    Some(
        Found::at(if followed { 0.65 } else { 0.5 })
            .took("after_ns", symptoms.duration)
            .took("of_timeout_ns", timeout),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::tests::{ended, fits, misses},
    };

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
