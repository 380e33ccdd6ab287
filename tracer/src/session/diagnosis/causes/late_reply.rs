//! The answer comes after the client has left.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "late_reply",
    whom: Some(Whom::Database),
    meaning: "the answer came after the client had left",
    seen: "the server answered {late_ns} after the client had left",
    fits,
    page: Page {
        means: "The server answered after the client had given up: it was not silent, only slower than \
            the client's timeout. A longer timeout would have helped.",
        signs: "Data of the server after the client's FIN or RST, in the `close` line only.",
        against: "Nothing: it was seen. Why the server was slow, other causes say.",
        confirm: "`login.late_reply_ns`: by how much. The server's session may have been opened for \
            nobody: `sys.dm_exec_sessions`.",
        mend: "A timeout above the server's time; then mend the server.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let late = symptoms.late_reply?;
    Some(Found::at(0.95).took("late_ns", late).finding())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn an_answer_to_nobody_is_late() {
        let mut left = ended(Outcome::Timeout, PhaseName::Login, Side::Client);
        assert!(misses(&CAUSE, &left));
        left.late_reply = Some(40_000_000);
        assert!(fits(&CAUSE, &left) > 0.9);
    }
}
