//! The server alone is slow over TLS.

use crate::{
    record::{PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_slow_tls",
    whom: Some(Whom::Database),
    meaning: "SQL Server was slow to answer TLS",
    seen: "the server {was_asked} and answered {waited_ns} later[, where it \
           usually takes {usual_ns}][, with {stalled_with_it} other logins waiting]",
    fits,
    page: Page {
        means: "SQL Server took long over its part of the TLS handshake: a private key behind a slow \
            store, a certificate check of its own, a starved host.",
        signs: "The server owed its answer for a second or more, or for ten times what it usually takes \
            there, its kernel had acknowledged the question (`acknowledged_ns`, where that was seen), and the answer came.",
        against: "Others that stall with it: then it is \
            [`server_threads_exhausted`](#server_threads_exhausted). Packets that were sent again.",
        confirm: "XEvent `process_login_finish`: `ssl_*` times; in the ring buffer *SslProcessing*, of \
            newer versions *Ssl/SecAPITime* against *Ssl/EnqueueTime*.",
        mend: "Give the host processors; keys of at most 4096 bits; look at Schannel's event log, and \
            at a hardware store of keys if there is one.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    symptoms
        .server_stall()
        .filter(|stall| stall.phase == PhaseName::Tls)?;
    Found::slow_server(symptoms, PhaseName::Tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::{
        symptoms::Who,
        tests::{fits, misses, slow},
    };

    #[test]
    fn a_server_that_is_slow_there_towards_this_login_alone_is_told() {
        let mut login = slow(PhaseName::Tls, Who::Server);
        assert!(fits(&CAUSE, &login) >= 0.7);
        login.around.stalled = 8;
        assert!(fits(&CAUSE, &login) < 0.5, "it is not alone");
    }

    #[test]
    fn a_slow_client_and_another_phase_are_not() {
        assert!(misses(&CAUSE, &slow(PhaseName::Tls, Who::Client)));
        assert!(misses(&CAUSE, &slow(PhaseName::Auth, Who::Server)));
    }
}
