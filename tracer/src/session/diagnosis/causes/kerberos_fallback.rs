//! The client offered Kerberos first, and NTLM was used.

use crate::{
    record::{AuthKind, Outcome, PartKind, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, questions::Question},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "kerberos_fallback",
    whom: Some(Whom::Identity),
    meaning: "Kerberos was wanted and NTLM was used",
    seen: "the client offered Kerberos, got no ticket in {questions} questions[ (KRB-ERROR {error_code})], and logged in by NTLM|the client offered Kerberos and logged in by NTLM",
    fits,
    page: Page {
        means: "The client would have used Kerberos and got no ticket for the server's SPN, so NTLM was \
            used: slower, with a question to a domain controller for every login, and refused where \
            NTLM is forbidden.",
        signs: "SPNEGO that offers Kerberos before NTLM, and NTLM messages after it; the login was \
            refused, or waited for the answer to its token. The surer where the client's process was seen to ask for a \
            ticket and got none, which is told of a login that went well too.",
        against: "Clients that are not in a domain, or connect to an address instead of a name: they never \
            get a ticket.",
        confirm: "`setspn -Q MSSQLSvc/host:port`; on the client `klist get MSSQLSvc/host:port`; on the \
            server `SELECT auth_scheme FROM sys.dm_exec_connections`.",
        mend: "Register the SPN for the service's account, or let it register its own; connect by the \
            name that the SPN has.",
        reports: &["dotnet/SqlClient#3566", "hugr-lab/mssql-extension#259"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let auth = symptoms.auth?;
    let fell = auth.kind == AuthKind::Ntlm && auth.fallback_from == Some(AuthKind::Kerberos);
    let asked = symptoms.questions().of(PartKind::Kdc);
    let error = asked.refusals().last().map(|refusal| refusal.code);
    if fell && (error.is_some() || !asked.is_empty() && asked.all(Question::is_in_vain)) {
        let found = Found::at(0.85).with("error_code", error);
        return Some(asked.support(found, "kdc_ns").finding());
    }
    // It costs a controller's time, or a ticket that was looked for in vain.
    let matters = symptoms.controller_stall().is_some() || symptoms.ended_as(&[Outcome::Failed]);
    (fell && matters).then(|| Found::at(0.5).with("offered", &auth.mechanisms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kerberos::code,
        record::{Auth, PhaseName},
        session::diagnosis::{
            questions::samples::refused,
            symptoms::Who,
            tests::{fits, misses, ntlm, slow},
        },
    };

    #[test]
    fn a_fall_back_is_told_where_its_price_was_paid() {
        let auth = Auth {
            fallback_from: Some(AuthKind::Kerberos),
            ..ntlm()
        };
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        assert!(fits(&CAUSE, &login) >= 0.5);
        let mut elsewhere = slow(PhaseName::Tls, Who::Client);
        elsewhere.auth = Some(&auth);
        assert!(misses(&CAUSE, &elsewhere));
        let asked = [refused(code::SERVICE_UNKNOWN, "sql1.lab.test:1433")];
        elsewhere.beside = &asked;
        assert!(fits(&CAUSE, &elsewhere) > 0.8, "no ticket was given");
    }
}
