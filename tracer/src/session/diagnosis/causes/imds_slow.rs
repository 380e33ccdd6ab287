//! The client waits for the token of its managed identity.

use crate::{
    record::Whom,
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        questions::{Question, Questions},
        symptoms::Who,
        whole::Whole,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "imds_slow",
    whom: Some(Whom::Identity),
    meaning: "the client waited for the token of its managed identity",
    seen: "the machine's token endpoint was waited for {imds_ns}[, in {questions} questions][, {unanswered_questions} of them in vain]",
    fits,
    page: Page {
        means: "The client logs in as a managed identity and asks the machine's own endpoint for a token: \
            169.254.169.254 in Azure, port 40342 of the machine itself with Azure Arc. That was slow, or is blocked, \
            as where there is no managed identity at all and a chain of credentials tries each kind.",
        signs: "The client's process asked that endpoint for two fifths or more of the time that the client or the \
            whole attempt took, and that was a second or longer.",
        against: "A token from a login host: see [`federated_token_slow`](#federated_token_slow).",
        confirm: "On the client `curl -H Metadata:true \
            'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://database.windows.net/'` \
            takes as long. In Kubernetes the pods of workload identity or `aad-pod-identity` answer in its place.",
        mend: "One credential object for all connections, so that tokens are kept; the kind of credential named, \
            instead of a chain that tries each; `NO_PROXY=169.254.169.254`; a rule of the firewall or network policy \
            that lets it pass.",
        reports: &[
            "dotnet/SqlClient#3290",
            "dotnet/SqlClient#2922",
            "Azure/azure-workload-identity#976",
        ],
    },
};

fn found(questions: &Questions<'_>) -> (Option<Found>, u64) {
    let asked = questions.filter(Question::is_imds);
    let found = (!asked.is_empty()).then(|| asked.support(Found::at(0.93), "imds_ns"));
    (found, asked.took())
}

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Client)?;
    let (found, took) = found(&symptoms.questions());
    found.filter(|_| took >= stall.took / 5 * 2)
}

/// How well it fits an attempt.
pub(super) fn fits_attempt(whole: &Whole<'_>) -> Option<Found> {
    let (found, took) = found(&whole.questions());
    found.filter(|_| whole.is_felt(took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::{
            questions::samples::imds,
            tests::{fits, misses, slow},
        },
    };

    #[test]
    fn a_client_that_is_silent_while_it_asks_its_machine_waits_for_that() {
        let late = [imds((0, 4))];
        let mut login = slow(PhaseName::Auth, Who::Client);
        assert!(misses(&CAUSE, &login));
        login.beside = &late;
        assert!(fits(&CAUSE, &login) > 0.9);
        let quick = [imds((0, 0))];
        login.beside = &quick;
        assert!(misses(&CAUSE, &login));
    }
}
