//! How long an attempt waits for what may follow. Times are nanoseconds.

use crate::record::Outcome;

/// How long after an announcement a connection to there follows it: a driver may ask for the name of
/// the server once more in between, which takes up to five seconds.
pub(super) const FOLLOWED: u64 = 5_000_000_000;
/// How long after it was refused a client goes on to the next address: at once, if it has one.
pub(super) const ELSEWHERE: u64 = 500_000_000;
/// How long drivers pause before they try again: a tenth of a second, and twice as long each time, up to
/// one second.
const AT_ONCE: u64 = 1_300_000_000;
/// The same after an error that passes: ten seconds, unless they are told otherwise
/// (`ConnectRetryInterval`).
const LATER: u64 = 11_000_000_000;
/// Tries of one attempt to the same servers.
pub(super) const MOST_TRIES: usize = 16;

/// Whether a client is likely to try again where a login came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) enum Returns {
    /// It got what it wanted, or what no second try would change.
    #[default]
    Never,
    /// It was not answered, or not let speak.
    AtOnce,
    /// The server said that it will be different soon.
    Later,
}

/// How long an attempt waits for what may follow; a redirect that `leads_on` names where to.
pub(super) fn patience(outcome: Outcome, leads_on: bool, returns: Returns) -> u64 {
    let again = match returns {
        Returns::Never => 0,
        Returns::AtOnce => AT_ONCE,
        Returns::Later => LATER,
    };
    match (outcome, leads_on) {
        (Outcome::Redirected, true) => FOLLOWED,
        (Outcome::Refused, _) => again.max(ELSEWHERE),
        _ => again,
    }
}
