//! Many logins of one client at once.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "login_storm",
    whom: Some(Whom::Application),
    meaning: "one client logs in many times at once",
    seen: "the client began {begun_by_client} other logins within a second[, with \
           {in_flight_of_client} under way]",
    fits,
    page: Page {
        means: "One client opens dozens of connections within a second: pooling is off, each request has \
            a connection string of its own, or a pool was emptied at once. The server, its \
            authenticator and the client itself queue.",
        signs: "Twenty logins or more of one client address within a second of this one, or not decided \
            yet, and this one is slow or ended without an answer.",
        against: "Several processes behind one address are taken for one.",
        confirm: "`sys.dm_exec_sessions` by `host_name` and `program_name`; the counter *Logins/sec* of \
            *SQLServer:General Statistics*.",
        mend: "Pool; one connection string for all; spread retries by chance.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let around = &symptoms.around;
    let many = around.begun_by_client.max(around.in_flight_of_client);
    let confidence = match many {
        0..20 => return None,
        20..50 => 0.55,
        50.. => 0.65,
    };
    // A port that is shut is shut for each of them.
    let matters = !symptoms.ended_as(&[Outcome::Refused, Outcome::Failed]);
    matters.then(|| {
        Found::at(confidence)
            .with("begun_by_client", around.begun_by_client)
            .counted("in_flight_of_client", around.in_flight_of_client)
    })
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
    fn dozens_at_once_from_one_client_are_a_storm() {
        let mut login = slow(PhaseName::Login, Who::Server);
        assert!(misses(&CAUSE, &login));
        login.around.begun_by_client = 60;
        assert!(fits(&CAUSE, &login) > 0.6);
        login.outcome = Some(Outcome::Failed);
        assert!(misses(&CAUSE, &login), "its password is wrong all the same");
    }
}
