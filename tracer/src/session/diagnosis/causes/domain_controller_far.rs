//! Every login waits the same few round trips to a controller.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::SECOND},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "domain_controller_far",
    whom: Some(Whom::Identity),
    meaning: "the domain controller is far away",
    seen: "the server answered the client's token after {waited_ns}[; such answers take {least_ns} \
           to {most_ns}]",
    fits,
    page: Page {
        means: "SQL Server's host asks a domain controller in another region: each login costs the same \
            few round trips to it.",
        signs: "NTLM, the same wait for every login to within a tenth, whatever the load, of no more \
            than two seconds.",
        against: "Waits that differ or grow. One login alone does not tell a distant controller from a \
            slow one.",
        confirm: "On SQL Server's host `nltest /dsgetdc:DOMAIN` and a ping to what it names; `nltest \
            /dsgetsite`. *Sites and Services*: whether the host's subnet belongs to a site with a \
            controller.",
        mend: "Assign the subnet to its site; a controller in the region; Kerberos, which asks no \
            controller at login.",
        reports: &[],
    },
};

/// A distant controller answers within this time: a few round trips around the world.
const FARTHEST: u64 = 2 * SECOND;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.controller_stall()?;
    if symptoms.stopped_at(stall.phase) || stall.took > FARTHEST {
        return None;
    }
    let around = &symptoms.around;
    let constant = around.alike.count >= 3 && around.alike.is_within(0.1);
    let confidence = match () {
        () if symptoms.queues() => return None,
        () if constant => 0.8,
        () if around.alike.count >= 3 => return None,
        () => 0.45,
    };
    Some(
        Found::at(confidence * symptoms.controller_share())
            .with("alike", around.alike.count)
            .took("least_ns", around.alike.least)
            .took("most_ns", around.alike.most),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Nanos, PhaseName, Waited},
        session::diagnosis::{
            Spread,
            symptoms::Who,
            tests::{fits, misses, ntlm, slow},
        },
    };

    fn far() -> Symptoms<'static> {
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.parts[1].waited = Some(Waited {
            server_ns: Nanos(1_200_000_000),
            ..Waited::default()
        });
        login
    }

    #[test]
    fn the_same_wait_to_a_few_per_cent_is_a_distance() {
        let auth = ntlm();
        let mut login = far();
        login.auth = Some(&auth);
        assert!(fits(&CAUSE, &login) < 0.5, "one alone may be anything");
        login.around.alike = Spread {
            count: 5,
            least: 1_180_000_000,
            most: 1_200_000_000,
        };
        assert!(fits(&CAUSE, &login) > 0.7);
    }

    #[test]
    fn waits_that_differ_and_waits_of_many_seconds_are_no_distance() {
        let auth = ntlm();
        let mut login = far();
        login.auth = Some(&auth);
        login.around.alike = Spread {
            count: 5,
            least: 300_000_000,
            most: 1_200_000_000,
        };
        assert!(misses(&CAUSE, &login));
        let mut long = slow(PhaseName::Auth, Who::Server);
        long.auth = Some(&auth);
        assert!(misses(&CAUSE, &long));
    }
}
