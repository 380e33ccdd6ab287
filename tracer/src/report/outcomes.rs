//! How logins ended: by outcome, and those that the server refused by its error and state, each with what it means.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::gather::Gathered;
use crate::{record::Outcome, session};

/// Rows that are shown.
const ROWS: usize = 20;

/// Logins that ended alike.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
pub(super) struct OutcomeRow {
    pub(super) outcome: String,
    /// SQL Server's error, where it refused the login.
    pub(super) error: Option<u32>,
    /// The error's state.
    pub(super) state: Option<u8>,
    pub(super) means: &'static str,
    pub(super) logins: u64,
}

impl OutcomeRow {
    /// The error as it is named: number and state.
    pub(super) fn of_error(&self) -> String {
        match (self.error, self.state) {
            (Some(error), Some(state)) => format!("{error}, state {state}"),
            _ => String::new(),
        }
    }
}

/// All of them, the most frequent first.
pub(super) fn rows(gathered: &Gathered) -> Vec<OutcomeRow> {
    let mut rows: Vec<_> = gathered
        .outcomes
        .iter()
        .map(|((outcome, error), &logins)| OutcomeRow {
            outcome: super::text::words(outcome),
            error: error.map(|(number, _)| number),
            state: error.map(|(_, state)| state),
            means: error
                .and_then(|(number, state)| session::refused_for(number, state))
                .or_else(|| meaning(outcome))
                .unwrap_or_default(),
            logins,
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.logins));
    rows.truncate(ROWS);
    rows
}

/// What an outcome means; nothing where it is none of this version's.
fn meaning(outcome: &str) -> Option<&'static str> {
    let known = Outcome::ALL
        .iter()
        .find(|known| known.as_str() == outcome)?;
    Some(match known {
        Outcome::Redirected => "the server passed it on to another address",
        Outcome::Success => "the server took it",
        Outcome::Failed => "the server refused it",
        Outcome::Refused => {
            "the connection was answered by a reset: nothing listens there, or it is filtered"
        }
        Outcome::Unreachable => "nobody answered the SYN",
        Outcome::Timeout => "the client gave up while the server owed an answer",
        Outcome::TlsFailed => "it ended within the TLS handshake",
        Outcome::Reset => "either side reset the connection before the login was decided",
        Outcome::Closed => "the server closed the connection before the login was decided",
        Outcome::Aborted => "the client closed the connection before the login was decided",
        Outcome::Unknown => "too little was seen to say",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_meaning_of_its_own() {
        let mut meanings: Vec<_> = Outcome::ALL
            .iter()
            .map(|outcome| meaning(outcome.as_str()).expect("it is known"))
            .collect();
        meanings.sort_unstable();
        meanings.dedup();
        assert_eq!(meanings.len(), Outcome::ALL.len());
        assert_eq!(meaning("a later version's"), None);
    }
}
