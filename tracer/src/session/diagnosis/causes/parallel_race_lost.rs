//! Another of the connections that the client opened at once was faster.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "parallel_race_lost",
    whom: Some(Whom::Application),
    meaning: "another connection that was opened with it was faster",
    seen: "the client closed it without a word",
    fits,
    page: Page {
        means: "The client opened connections to several addresses of the server at once \
            (`MultiSubnetFailover`, IPv4 and IPv6), kept the first that was accepted and closed this \
            one. Nothing is wrong.",
        signs: "`login.loser`: the connection is part of an attempt, another one of which went on.",
        against: "Nothing.",
        confirm: "The `attempt` line with the same `attempt.id`.",
        mend: "None is needed. Where one address never wins, take it out of DNS, or set \
            `MultiSubnetFailover=False` where there is one subnet.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    symptoms.loser.then(|| Found::at(0.95))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn who_was_slower_than_another_has_lost_a_race() {
        let mut left = ended(Outcome::Aborted, PhaseName::Prelogin, Side::Client);
        assert!(misses(&CAUSE, &left));
        left.loser = true;
        assert!(fits(&CAUSE, &left) > 0.9);
    }
}
