//! The client begins with PRELOGIN, and the server wants TLS first.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "strict_only_server",
    whom: Some(Whom::Application),
    meaning: "the server speaks TDS 8.0 only",
    seen: "the server read PRELOGIN and left without a byte[, while {strict_accepted} that began with TLS \
           got in]",
    fits,
    page: Page {
        means: "The server is set to *Force Strict Encryption*: it wants TLS before anything else (TDS 8.0). \
            The client begins with PRELOGIN, as older drivers and every other `Encrypt` than `strict` do, and \
            the server leaves.",
        signs: "The server's end within a second after PRELOGIN, without one byte of it. It is sure where \
            others that begin with TLS get in (`strict_accepted`); else a FIN says that the server had read \
            PRELOGIN before it left: whoever turns a connection away unread resets it.",
        against: "A login that began with PRELOGIN and got in: it does speak TDS 7. A server that takes no more \
            connections, or a proxy with nobody behind it, may look the same \
            ([`connection_limit`](#connection_limit)).",
        confirm: "SQL Server Configuration Manager, *Protocols*, *Flags*: *Force Strict Encryption*. In the \
            error log 17836.",
        mend: "`Encrypt=strict` with a driver that knows it (TDS 8.0); or switch *Force Strict Encryption* off.",
        reports: &["eclipse-vertx/vertx-sql-client#1476", "FreeTDS/freetds#655"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let around = &symptoms.around;
    let left = symptoms.left_over_prelogin();
    if !left || around.good_plain > 0 {
        return None;
    }
    let reset = symptoms.ended.is_some_and(|ended| ended.reset);
    let confidence = match (around.good_strict, reset) {
        (1.., _) => 0.9,
        (0, false) => 0.6,
        (0, true) => 0.4,
    };
    Some(
        Found::at(confidence)
            .counted("strict_accepted", around.good_strict)
            .with("reset", reset),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side, Tds},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_server_that_leaves_over_prelogin_and_lets_in_who_begins_with_tls_wants_tds_8() {
        let tds = Tds::default();
        let mut left = ended(Outcome::Closed, PhaseName::Prelogin, Side::Server);
        left.ended.as_mut().expect("an end").after = 300_000;
        assert!(misses(&CAUSE, &left), "it was not asked");
        left.tds = Some(&tds);
        assert!((0.5..0.7).contains(&fits(&CAUSE, &left)));
        left.around.good_strict = 2;
        assert!(fits(&CAUSE, &left) >= 0.9);
        left.around.good_plain = 1;
        assert!(misses(&CAUSE, &left), "it speaks TDS 7 too");
    }

    #[test]
    fn a_reset_may_be_of_a_server_that_has_read_nothing() {
        let tds = Tds::default();
        let mut reset = ended(Outcome::Reset, PhaseName::Prelogin, Side::Server);
        let end = reset.ended.as_mut().expect("an end");
        (end.after, end.reset) = (300_000, true);
        reset.tds = Some(&tds);
        assert!(fits(&CAUSE, &reset) <= 0.45);
    }
}
