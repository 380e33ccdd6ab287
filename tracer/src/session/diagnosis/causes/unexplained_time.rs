//! Between the parts of an attempt nothing is seen.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, whole::Whole},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "unexplained_time",
    whom: Some(Whom::Application),
    meaning: "the client did something else between its lookups and connections",
    seen: "nothing was seen for {unexplained_ns} between the parts",
    fits: |_| None,
    page: Page {
        means: "Most of the time of an attempt passed between its parts: after the lookup and before the \
            connection, or between two connections. The client was busy with something that is not seen \
            here: it resolved a name, waited for a thread, or paused before it tried again.",
        signs: "Of an attempt: `unexplained_ns` is a second or longer, and two fifths of its duration or more. \
            Told in `attempt` lines only.",
        against: "Parts that a capture does not have, because they passed another way; an address that did not answer \
            and that was waited for.",
        confirm: "On the client's host: name resolution (`resolvectl query`), processor limits, the driver's \
            own trace.",
        mend: "That of what took the time; a fixed port and an address that resolves at once leave little \
            between.",
        reports: &["dotnet/SqlClient#4418"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    // Whoever goes on after an address that does not answer has waited for that one.
    let waited = whole
        .steps
        .iter()
        .any(|step| step.is_dead() && !step.decisive);
    (whole.is_felt(whole.unexplained) && !waited)
        .then(|| Found::at(0.6).took("unexplained_ns", whole.unexplained))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::whole::samples::{SECOND, connection, sure, whole},
    };

    #[test]
    fn time_that_no_part_accounts_for_is_the_clients() {
        let mut gap = whole([connection(2, Outcome::Success, (0, 4))]);
        assert!(sure(fits, &gap) < 0.1);
        gap.unexplained = 3 * SECOND;
        assert!(sure(fits, &gap) > 0.5);
        gap.unexplained = SECOND;
        assert!(sure(fits, &gap) < 0.1, "most of it is explained");
    }
}
