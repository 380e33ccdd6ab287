//! A receive window is shut.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "zero_window",
    whom: Some(Whom::Application),
    meaning: "the receiver did not read",
    seen: "the receiver's window was shut {times} times",
    fits,
    page: Page {
        means: "One side did not read what had arrived, so that its receive window was shut and the \
            other had to wait: its process was stopped, starved or stuck.",
        signs: "Packets that announce a window of 0, in a login that waited for long.",
        against: "A window that was shut only for a moment: what it cost is not measured.",
        confirm: "`ss -tmi` (Recv-Q) on that host, the process's state (`ps -o stat,wchan`), its \
            container's throttling.",
        mend: "Let the process run: processors, memory, no debugger.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let shut = &symptoms.tcp.zero_window;
    let stall = symptoms.stall()?;
    let found = |count: u32, whom: Whom| Found::at(0.7).with("times", count).call(whom);
    match stall.who {
        // The one can not speak because the other does not read.
        Who::Client | Who::Server if shut.client > 0 => Some(found(shut.client, Whom::Application)),
        Who::Client | Who::Server if shut.server > 0 => Some(found(shut.server, Whom::Database)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Sides},
        session::diagnosis::tests::{fits, misses, slow},
    };

    #[test]
    fn a_window_that_is_shut_during_a_long_wait_explains_it() {
        let mut login = slow(PhaseName::Login, Who::Server);
        assert!(misses(&CAUSE, &login));
        login.tcp.zero_window.client = 2;
        assert!(fits(&CAUSE, &login) >= 0.7);
        login.tcp.zero_window = Sides {
            client: 0,
            server: 1,
        };
        let found = super::fits(&login).expect("a cause");
        assert_eq!(found.whom, Some(Whom::Database));
    }
}
