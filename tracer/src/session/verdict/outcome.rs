//! What came of a login that ended without an answer, by the order of the event contract.

use crate::{
    record::Outcome,
    session::{input::Side, ledger::Debt},
};

/// A side that owes for this long is what the other gives up on, nanoseconds.
pub(in crate::session) const OWED_TOO_LONG: u64 = 1_000_000_000;

/// Why an undecided login will not be decided by a message any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum End {
    Fin(Side),
    Rst(Side),
    /// The client stopped sending for good.
    Silence,
    /// Nobody watches any more.
    Unwatched,
}

/// What is known of an unanswered login when it ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Unanswered {
    pub(in crate::session) end: End,
    /// When it ended.
    pub(in crate::session) at: u64,
    /// When the client ended TLS in order, if it did.
    pub(in crate::session) client_bye: Option<u64>,
    /// Which message was due.
    pub(in crate::session) debt: Option<Debt>,
    /// TLS was being negotiated.
    pub(in crate::session) inside_tls: bool,
    /// One side does not speak TDS.
    pub(in crate::session) foreign: bool,
    /// The server does not.
    pub(in crate::session) server_is_foreign: bool,
}

impl Unanswered {
    /// The debt, if it was open for long before either side left.
    pub(in crate::session) fn owed_too_long(&self) -> Option<Debt> {
        let left = self.client_bye.map_or(self.at, |bye| bye.min(self.at));
        self.debt.filter(|debt| {
            // Silence has lasted long after the last packet before it counts.
            self.end == End::Silence || left.saturating_sub(debt.since) >= OWED_TOO_LONG
        })
    }

    /// Whether the client left, if only by ending TLS: the server then closes upon that.
    fn client_gave_up(&self) -> bool {
        match self.end {
            End::Fin(Side::ToServer) | End::Rst(Side::ToServer) | End::Silence => true,
            End::Fin(Side::ToClient) | End::Rst(Side::ToClient) => self.client_bye.is_some(),
            End::Unwatched => false,
        }
    }

    /// The outcome.
    pub(in crate::session) fn outcome(&self) -> Outcome {
        let owed_by_server = self
            .owed_too_long()
            .is_some_and(|debt| debt.by == Side::ToClient);
        if owed_by_server && self.client_gave_up() && !self.foreign {
            return Outcome::Timeout;
        }
        if self.inside_tls && !matches!(self.end, End::Silence | End::Unwatched) {
            return Outcome::TlsFailed;
        }
        match self.end {
            End::Rst(_) => Outcome::Reset,
            End::Fin(Side::ToClient) if self.server_is_foreign || self.client_bye.is_some() => {
                Outcome::Aborted
            }
            End::Fin(Side::ToClient) => Outcome::Closed,
            End::Fin(Side::ToServer) | End::Silence => Outcome::Aborted,
            End::Unwatched => Outcome::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn unanswered(end: End, owed_by: Side, for_ns: u64) -> Unanswered {
        Unanswered {
            end,
            at: for_ns,
            client_bye: None,
            debt: Some(Debt {
                by: owed_by,
                since: 0,
            }),
            inside_tls: false,
            foreign: false,
            server_is_foreign: false,
        }
    }

    #[test]
    fn who_leaves_and_who_owed_make_the_outcome() {
        use tracer_ebpf::event::Direction::{ToClient, ToServer};
        for (end, owed_by, waited, outcome) in [
            (End::Fin(ToServer), ToClient, SECOND, Outcome::Timeout),
            (End::Fin(ToServer), ToClient, SECOND - 1, Outcome::Aborted),
            (End::Rst(ToServer), ToClient, 3 * SECOND, Outcome::Timeout),
            (End::Fin(ToServer), ToServer, 3 * SECOND, Outcome::Aborted),
            (End::Fin(ToClient), ToClient, 3 * SECOND, Outcome::Closed),
            (End::Fin(ToClient), ToServer, 3 * SECOND, Outcome::Closed),
            (End::Rst(ToClient), ToClient, 3 * SECOND, Outcome::Reset),
            (End::Rst(ToServer), ToServer, 3 * SECOND, Outcome::Reset),
            (End::Silence, ToClient, 0, Outcome::Timeout),
            (End::Unwatched, ToClient, 3 * SECOND, Outcome::Unknown),
        ] {
            let found = unanswered(end, owed_by, waited).outcome();
            assert_eq!(found, outcome, "{end:?}, owed by {owed_by:?} for {waited}");
        }
    }

    #[test]
    fn a_server_that_closes_upon_the_clients_farewell_was_given_up_on() {
        let mut unanswered = unanswered(End::Fin(Side::ToClient), Side::ToClient, 2 * SECOND);
        unanswered.client_bye = Some(2 * SECOND - 5);
        assert_eq!(unanswered.outcome(), Outcome::Timeout);
        unanswered.client_bye = Some(SECOND / 2);
        assert_eq!(unanswered.outcome(), Outcome::Aborted);
    }

    #[test]
    fn a_handshake_of_tls_that_either_side_leaves_has_failed() {
        for end in [End::Fin(Side::ToServer), End::Rst(Side::ToClient)] {
            let mut unanswered = unanswered(end, Side::ToServer, 10);
            unanswered.inside_tls = true;
            assert_eq!(unanswered.outcome(), Outcome::TlsFailed);
        }
    }
}
