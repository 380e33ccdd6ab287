//! The Kerberos server does not know SQL Server's name.

use crate::{
    kerberos::code,
    record::{AuthKind, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "spn_unknown",
    whom: Some(Whom::Identity),
    meaning: "no account has the service's name (SPN) for which the client wants a ticket",
    seen: "{fell_back?}the Kerberos server knows no account with the SPN that the client asks for, and the client went on \
           with NTLM|the Kerberos server knows no account with the SPN that the client asks for",
    fits,
    page: Page {
        means: "The client asked for a ticket to `MSSQLSvc/host:port` and the KDC knows no such service (KRB-ERROR 7, \
            `KDC_ERR_S_PRINCIPAL_UNKNOWN`). Without a ticket it falls back to NTLM, or fails with *Cannot generate SSPI \
            context*.",
        signs: "KRB-ERROR 7 for a service `MSSQLSvc`, in answer to the client's process just before or during its \
            login. The name itself is told with `--identities show`.",
        against: "The same error for other services: clients try names one after the other.",
        confirm: "`setspn -Q MSSQLSvc/host:port` finds none; on the client `klist get MSSQLSvc/host:port` says \
            0x7 / 0xc000018b. SQL Server's error log says at its start whether it could register the SPN.",
        mend: "`setspn -S MSSQLSvc/host:port ACCOUNT` for the account that SQL Server runs as, for each name that \
            clients use; or let the account register its own (*Write servicePrincipalName*). Or give the client the \
            name there is (`ServerSPN`).",
        reports: &[
            "dotnet/SqlClient#3954",
            "dotnet/SqlClient#2394",
            "dotnet/SqlClient#3566",
            "hugr-lab/mssql-extension#259",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    found(symptoms, false).filter(|_| found(symptoms, true).is_none())
}

/// How well it fits that Kerberos does not know a SQL Server whose name is so.
pub(super) fn found(symptoms: &Symptoms<'_>, malformed: bool) -> Option<Found> {
    let questions = symptoms.questions();
    let mut refusals = questions.refusals();
    let is_one = refusals.any(|refusal| {
        let service = &refusal.service;
        refusal.code == code::SERVICE_UNKNOWN
            && service.is_sql_server()
            && service.is_malformed() == malformed
    });
    let fell_back = symptoms.auth_kind() == AuthKind::Ntlm;
    is_one.then(|| {
        Found::at(0.9)
            .with("error_code", code::SERVICE_UNKNOWN)
            .with("fell_back", fell_back.then_some(true))
            .finding()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::{
            questions::samples::refused,
            tests::{ended, fits, misses},
        },
    };

    #[test]
    fn a_name_that_the_kdc_does_not_know_is_told() {
        let unknown = [refused(code::SERVICE_UNKNOWN, "sql1.lab.test:1433")];
        let other = [refused(code::CLOCK_SKEW, "sql1.lab.test:1433")];
        let mut login = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        assert!(misses(&CAUSE, &login));
        login.beside = &unknown;
        assert!(fits(&CAUSE, &login) >= 0.9);
        login.beside = &other;
        assert!(misses(&CAUSE, &login));
    }
}
