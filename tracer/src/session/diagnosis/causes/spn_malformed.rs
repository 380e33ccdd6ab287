//! The client asks for a ticket to a name that no SQL Server has.

use super::spn_unknown;
use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "spn_malformed",
    whom: Some(Whom::Identity),
    meaning: "the client wants a ticket for a service's name (SPN) that no server registers",
    seen: "the client asked for a ticket to an SPN with an address in it, or without a host, or with what belongs \
           elsewhere",
    fits,
    page: Page {
        means: "The client makes the SPN from its connection string, and made one that cannot be registered: \
            `MSSQLSvc/10.0.0.1:1433` where it connects to an address, one with `,1433` or `\\INSTANCE` in it, without a \
            host, or with port 0. The KDC does not know it (KRB-ERROR 7), and the client falls back to NTLM or fails \
            with *Cannot generate SSPI context*.",
        signs: "KRB-ERROR 7 for a service `MSSQLSvc` whose second part is an address, empty, or has what belongs into a \
            connection string. The name itself is told with `--identities show`.",
        against: "A name of the usual form that is not registered: see [`spn_unknown`](#spn_unknown).",
        confirm: "`KRB5_TRACE=/dev/stderr` on the client, or `klist get` with the name it asks for.",
        mend: "Connect by the server's full name; a driver that makes the SPN right, or `ServerSPN` in the connection \
            string.",
        reports: &["dotnet/SqlClient#3954", "dotnet/SqlClient#3566"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    spn_unknown::found(symptoms, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kerberos::code,
        record::{Outcome, PhaseName, Side},
        session::diagnosis::{
            questions::samples::refused,
            tests::{ended, misses},
        },
    };

    #[test]
    fn a_name_with_an_address_is_told_as_what_it_is() {
        let asked = [refused(code::SERVICE_UNKNOWN, "10.0.0.1:1433")];
        let mut login = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        login.beside = &asked;
        assert!(crate::session::diagnosis::tests::fits(&CAUSE, &login) >= 0.9);
        assert!(misses(&spn_unknown::CAUSE, &login));
    }

    #[test]
    fn a_name_in_its_right_form_that_the_kdc_does_not_know_is_not_malformed() {
        let unknown = [refused(code::SERVICE_UNKNOWN, "sql1.lab.test:1433")];
        let mut login = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        login.beside = &unknown;
        assert!(misses(&CAUSE, &login));
    }
}
