//! The client takes long to fetch its federated token.

use crate::{
    record::{AuthKind, PartKind, PhaseName, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms, questions::Questions, symptoms::Who, whole::Whole,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "federated_token_slow",
    whom: Some(Whom::Identity),
    meaning: "the client waited for its federated token",
    seen: "the client waited {token_ns} for {token_hosts}[, in {questions} questions][, {unanswered_questions} of them in \
           vain]|the client took {token_fetch_ns} to fetch its token[ from {sts_host}]|the client was \
           silent for {waited_ns} where it fetches its token[ from {sts_host}]",
    fits,
    page: Page {
        means: "The server asked for a federated token (FEDAUTHINFO) and the client needed long to get \
            one: from the login host of Entra, from a managed identity's endpoint, or from a person \
            who has to confirm.",
        signs: "The time between the server's FEDAUTHINFO and the client's token. The surer where the client's process \
            was connected to a token host for two fifths of it, which is told with `token_hosts`; of an attempt that \
            is known of the time before its connection too.",
        against: "A token that came at once: then the time is the server's, which checks it. A managed identity's: see \
            [`imds_slow`](#imds_slow). A connection to a token host that is kept for the next token begins nothing that \
            is seen.",
        confirm: "Traffic of that process to the host that `sts_host` names. The \
            driver's own log of tokens; Entra's sign-in log has the time of each.",
        mend: "Cache tokens (one credential object for all connections); name the identity instead of \
            letting a chain of credentials try each; open the path to the login host.",
        reports: &[
            "dotnet/SqlClient#3290",
            "dotnet/SqlClient#2922",
            "lurcher/unixODBC#206",
            "Azure/azure-workload-identity#976",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let auth = symptoms.auth?;
    let stall = symptoms.stalled_by(Who::Client);
    let hosts = hosts(&symptoms.questions());
    if let Some(stall) = stall
        && hosts.took() >= stall.took / 5 * 2
        && !hosts.is_empty()
    {
        return Some(found(&hosts));
    }
    let waits = stall.is_some_and(|stall| stall.phase == PhaseName::Auth);
    let entra = auth.entra.as_ref();
    let fetch = entra.and_then(|entra| entra.token_fetch_ns);
    let host = entra.and_then(|entra| entra.sts_host.clone());
    // Inside TLS it is known that both sides want one, not that it came.
    let wanted = symptoms.wants_token();
    let confidence = match (auth.kind, fetch) {
        (AuthKind::Entra, Some(_)) if waits => 0.9,
        // The token has not come, or where it began is not known.
        (AuthKind::Entra, None) if waits => 0.8,
        (AuthKind::Unknown, _) if waits && wanted => 0.8,
        // Something else took more of the time, and maybe of this.
        (AuthKind::Entra, Some(fetch)) if fetch.0 >= symptoms.slow => 0.5,
        _ => return None,
    };
    Some(
        Found::at(confidence)
            .with("token_fetch_ns", fetch)
            .with("sts_host", host),
    )
}

/// How well it fits an attempt.
pub(super) fn fits_attempt(whole: &Whole<'_>) -> Option<Found> {
    let hosts = hosts(&whole.questions());
    (whole.is_felt(hosts.took()) && !hosts.is_empty()).then(|| found(&hosts))
}

/// The connections to hosts of tokens: a machine's own endpoint is another cause.
fn hosts<'a>(questions: &Questions<'a>) -> Questions<'a> {
    questions.filter(|one| one.kind == PartKind::Token && !one.is_imds())
}

fn found(hosts: &Questions<'_>) -> Found {
    let names = hosts.names();
    hosts.support(Found::at(0.95).with("token_hosts", names), "token_ns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Auth, Entra, Nanos, ServiceOutcome, Tds},
        session::diagnosis::{
            questions::samples::{asked, imds},
            symptoms::SECOND,
            tests::{fits, misses, slow},
        },
    };

    fn entra(fetch: u64) -> Auth {
        Auth {
            kind: AuthKind::Entra,
            entra: Some(Entra {
                token_fetch_ns: Some(Nanos(fetch)),
                ..Entra::default()
            }),
            ..Auth::default()
        }
    }

    #[test]
    fn the_time_from_the_servers_wish_to_the_token_is_the_clients_fetch() {
        let (late, quick) = (entra(4 * SECOND), entra(20_000_000));
        let mut login = slow(PhaseName::Auth, Who::Client);
        login.auth = Some(&late);
        assert!(fits(&CAUSE, &login) >= 0.9);
        let mut server = slow(PhaseName::Auth, Who::Server);
        server.auth = Some(&quick);
        assert!(misses(&CAUSE, &server), "the token came at once");
    }

    #[test]
    fn traffic_to_a_token_host_makes_it_sure() {
        let auth = entra(4 * SECOND);
        let mut login = slow(PhaseName::Auth, Who::Client);
        login.auth = Some(&auth);
        let to_host = [asked(PartKind::Token, ServiceOutcome::Answered, (0, 4))];
        login.beside = &to_host;
        assert!(fits(&CAUSE, &login) > 0.9);
        let to_machine = [imds((0, 4))];
        login.beside = &to_machine;
        assert!(fits(&CAUSE, &login) <= 0.9, "that is another cause");
    }

    #[test]
    fn inside_tls_a_client_that_both_sides_want_a_token_of_fetches_it() {
        let (tds, auth) = (
            Tds {
                fedauth_required: Some(true),
                ..Tds::default()
            },
            Auth::default(),
        );
        let mut login = slow(PhaseName::Auth, Who::Client);
        login.auth = Some(&auth);
        assert!(misses(&CAUSE, &login));
        login.tds = Some(&tds);
        assert!(fits(&CAUSE, &login) >= 0.8);
    }
}
