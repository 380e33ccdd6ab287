//! One login after the other from one client.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "serial_open",
    whom: Some(Whom::Application),
    meaning: "the application opens its connections one after the other",
    seen: "{in_a_row} logins in a row began each as soon as the one before it had ended",
    fits,
    page: Page {
        means: "A client opens one connection after the other, each as soon as the one before is done: a \
            pool that fills itself serially multiplies a slow login by its size.",
        signs: "At least three logins of one client address in a row, each begun within 50 milliseconds \
            of the end of the one before, none at the same time; and this login is slow.",
        against: "Several processes behind one address are taken for one.",
        confirm: "The pool's settings; SqlClient opens connections of one pool one at a time.",
        mend: "A minimum pool size, so that it is filled before it is needed; mend what makes each \
            login slow.",
        reports: &["dotnet/SqlClient#601"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let serial = symptoms.around.one_after_the_other;
    let confidence = match serial {
        0..3 => return None,
        3..8 => 0.45,
        8.. => 0.6,
    };
    symptoms
        .is_slow()
        .then(|| Found::at(confidence).with("in_a_row", serial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::{
            symptoms::Who,
            tests::{fits, misses, slow},
        },
    };

    #[test]
    fn logins_that_each_begin_when_the_last_one_ends_are_serial() {
        let mut login = slow(PhaseName::Login, Who::Server);
        assert!(misses(&CAUSE, &login));
        login.around.one_after_the_other = 12;
        assert!(fits(&CAUSE, &login) >= 0.6);
    }
}
