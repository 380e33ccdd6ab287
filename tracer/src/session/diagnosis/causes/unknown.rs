//! None of the others: an honest answer.

use crate::session::diagnosis::{Cause, Page};

/// Told where nothing else fits.
pub(super) const CAUSE: Cause = Cause {
    slug: "unknown",
    whom: None,
    meaning: "none of the known causes fits",
    seen: "the {side} took {waited_ns} in {phase}|the {ended_by} ended it in {phase}|it ended in \
           {phase}",
    fits: |_| None,
    page: Page {
        means: "The login failed or was slow, and none of the causes fits what was seen. The evidence \
                says in which phase, and for whom was waited, or who ended it.",
        signs: "It is told where no other cause is likelier than 0.35, with a confidence of 0.5: that \
                none is known, not that there is none.",
        against: "Nothing.",
        confirm: "The phase and the side say where to look: at the client's host, on the way, or in SQL \
                  Server's error log and connectivity ring buffer at that moment.",
        mend: "None that would be known.",
        reports: &[],
    },
};
