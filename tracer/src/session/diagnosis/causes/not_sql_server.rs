//! One side speaks something else.

use crate::{
    record::Stranger,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "not_sql_server",
    whom: None,
    meaning: "they do not speak TDS",
    seen: "what was said is {speaks}",
    fits,
    page: Page {
        means: "The client or the server speaks another protocol: a scanner, a browser, MySQL at SQL \
            Server's port, an old Sybase or TDS 4.2 client.",
        signs: "The first bytes of one side are none of TDS 7 or later.",
        against: "Nothing, unless bytes were missed.",
        confirm: "`login.stranger`; the process at either end.",
        mend: "Nothing, where it is a scanner; else mend the port.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stranger = symptoms
        .stranger
        .filter(|stranger| *stranger != Stranger::Silent)?;
    let confidence = match stranger {
        Stranger::PreTds7 | Stranger::Http => 0.97,
        _ => 0.88,
    };
    Some(Found::at(confidence).with("speaks", stranger))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn who_speaks_something_else_is_told_for_what_it_is() {
        let mut http = ended(Outcome::Aborted, PhaseName::Prelogin, Side::Client);
        assert!(misses(&CAUSE, &http));
        http.stranger = Some(Stranger::Http);
        assert!(fits(&CAUSE, &http) > 0.9);
        http.stranger = Some(Stranger::Silent);
        assert!(misses(&CAUSE, &http), "it said nothing");
    }
}
