//! What the numbers and states of refusals mean, and which of them name a cause of their own.

use std::ops::RangeInclusive;

use crate::record::{SqlError, Whom};

/// The login, or its password, is wrong; its state says more where the server tells it.
const LOGIN_FAILED: u32 = 18456;

/// What a number means, and whom to call.
const MEANINGS: &[(u32, &str, Whom)] = &[
    (
        LOGIN_FAILED,
        "user, password or right to connect is wrong",
        Whom::Identity,
    ),
    (
        18450,
        "the login is not defined for this server",
        Whom::Identity,
    ),
    (18451, "only administrators may connect", Whom::Database),
    (18452, "the domain is not trusted", Whom::Identity),
    (18470, "the login is disabled", Whom::Identity),
    (18486, "the login is locked out", Whom::Identity),
    (18487, "the password has expired", Whom::Identity),
    (18488, "the password must be changed", Whom::Identity),
    (18461, "the server is in single-user mode", Whom::Database),
    (18401, "the server is being upgraded", Whom::Database),
    (17142, "the server is paused", Whom::Database),
    (17187, "the server is not ready yet", Whom::Database),
    (17188, "the server is shutting down", Whom::Database),
    (
        17197,
        "the server took too long over the login",
        Whom::Database,
    ),
    (
        17810,
        "the administrators' own connection is in use",
        Whom::Database,
    ),
    (
        17828,
        "the server could not read PRELOGIN",
        Whom::Application,
    ),
    (17832, "the server could not read LOGIN7", Whom::Application),
    (
        17835,
        "the server asks for encryption that the client lacks",
        Whom::Application,
    ),
    (17892, "a logon trigger refused it", Whom::Database),
    (701, "the server is short of memory", Whom::Database),
    (10928, WORKERS, Whom::Database),
    (10929, WORKERS, Whom::Database),
    (10936, WORKERS, Whom::Database),
    (40143, BUSY, Whom::Database),
    (40197, BUSY, Whom::Database),
    (40501, BUSY, Whom::Database),
    (40540, BUSY, Whom::Database),
    (49918, BUSY, Whom::Database),
    (49919, BUSY, Whom::Database),
    (49920, BUSY, Whom::Database),
    (40615, FIREWALL, Whom::Database),
    (40914, FIREWALL, Whom::Database),
    (
        47073,
        "the server takes no connections from public networks",
        Whom::Database,
    ),
    (
        40532,
        "the server's name is missing or wrong",
        Whom::Application,
    ),
];

const WORKERS: &str = "the limit of workers or sessions is reached";
const BUSY: &str = "the service is busy or moves the database";
const FIREWALL: &str = "the server's firewall does not know the client";

/// What the states of 18456 mean, where it is another thing than the password (Microsoft's page of the error,
/// `MSSQLSERVER_18456`; 13 and 23 by the SQL Protocols team's own list).
const STATES: &[(RangeInclusive<u8>, &str, Whom)] = &[
    (2..=2, NO_SUCH_LOGIN, Whom::Identity),
    (5..=5, NO_SUCH_LOGIN, Whom::Identity),
    (
        6..=6,
        "a Windows login was used with a password",
        Whom::Application,
    ),
    (
        7..=7,
        "the login is disabled, and the password is wrong",
        Whom::Identity,
    ),
    (8..=9, "the password is wrong", Whom::Identity),
    (11..=12, NO_RIGHT, Whom::Identity),
    (13..=13, "the server is paused", Whom::Database),
    (18..=18, "the password must be changed", Whom::Identity),
    (23..=23, "the server is shutting down", Whom::Database),
    (
        58..=58,
        "the server takes no logins with a password, or SIDs do not match",
        Whom::Database,
    ),
    (102..=111, NO_ENTRA, Whom::Identity),
    (
        122..=124,
        "user name or password is empty",
        Whom::Application,
    ),
    (132..=133, NO_ENTRA, Whom::Identity),
];

const NO_ENTRA: &str = "Microsoft Entra ID did not let it in";
const NO_SUCH_LOGIN: &str = "there is no such login";
const NO_RIGHT: &str = "the login may not connect to this server";

/// A database that can not be opened: the one asked for, or the login's own.
const DATABASE: &[u32] = &[
    4060, 4064, 911, 916, 922, 924, 927, 942, 945, 976, 978, 979, 982, 983,
];
/// The states of 18456 that are about the database.
const STATES_OF_DATABASE: &[u8] = &[16, 27, 38, 40, 46, 126];

/// All connections that may be are.
pub(super) const TOO_MANY_CONNECTIONS: u32 = 17809;
/// No thread could be had for the login.
pub(super) const NO_THREAD: u32 = 17189;
/// The database is not there right now.
pub(super) const NOT_AVAILABLE: u32 = 40613;

/// What an error means, and whom to call.
pub(super) fn meaning(error: &SqlError) -> Option<(&'static str, Whom)> {
    let by_state = STATES
        .iter()
        .filter(|_| error.number == LOGIN_FAILED)
        .find(|(states, ..)| states.contains(&error.state))
        .map(|(_, means, whom)| (*means, *whom));
    by_state.or_else(|| {
        let known = MEANINGS.iter().find(|(number, ..)| *number == error.number);
        known.map(|(_, means, whom)| (*means, *whom))
    })
}

/// What a refusal means, those that name a cause of their own too; `None` where that is not known.
pub(crate) fn refused_for(number: u32, state: u8) -> Option<&'static str> {
    let error = SqlError {
        number,
        state,
        class: 0,
    };
    let own = match number {
        TOO_MANY_CONNECTIONS => Some("as many connections as are allowed are open"),
        NO_THREAD => Some("no thread could be had for the login"),
        NOT_AVAILABLE => Some("the database is not there right now"),
        _ => None,
    };
    own.or_else(|| is_of_database(&error).then_some("the database can not be opened"))
        .or_else(|| meaning(&error).map(|(means, _)| means))
}

/// Whether an error says that a database can not be opened.
pub(super) fn is_of_database(error: &SqlError) -> bool {
    let by_state = error.number == LOGIN_FAILED && STATES_OF_DATABASE.contains(&error.state);
    by_state || DATABASE.contains(&error.number)
}

/// Whether an error names a cause of its own.
pub(super) fn is_specific(error: &SqlError) -> bool {
    let own = [TOO_MANY_CONNECTIONS, NO_THREAD, NOT_AVAILABLE];
    own.contains(&error.number) || is_of_database(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(number: u32, state: u8) -> SqlError {
        SqlError {
            number,
            state,
            class: 14,
        }
    }

    #[test]
    fn the_state_says_more_than_the_number() {
        let means = |state| meaning(&error(LOGIN_FAILED, state)).expect("it is known");
        assert_eq!(means(1).1, Whom::Identity);
        assert_eq!(means(5), (NO_SUCH_LOGIN, Whom::Identity));
        assert_eq!(means(58).1, Whom::Database);
        assert_eq!((means(104).0, means(133).0), (NO_ENTRA, NO_ENTRA));
        assert_eq!(means(123).1, Whom::Application, "an empty password");
        assert_eq!(meaning(&error(50_000, 58)), None, "another number's state");
    }

    #[test]
    fn every_error_that_is_known_has_a_meaning() {
        let known = MEANINGS.iter().map(|(number, ..)| *number);
        for number in known.chain(DATABASE.iter().copied()) {
            assert!(refused_for(number, 1).is_some(), "{number}");
        }
        for number in [TOO_MANY_CONNECTIONS, NO_THREAD, NOT_AVAILABLE] {
            assert!(refused_for(number, 1).is_some(), "{number}");
        }
        let of_database = refused_for(LOGIN_FAILED, 38);
        assert_ne!(of_database, refused_for(LOGIN_FAILED, 1));
        assert_eq!(refused_for(50_000, 1), None);
    }

    #[test]
    fn a_database_that_can_not_be_opened_is_told_by_number_or_by_state() {
        assert!(is_of_database(&error(4060, 1)));
        assert!(is_of_database(&error(LOGIN_FAILED, 38)));
        assert!(!is_of_database(&error(LOGIN_FAILED, 8)));
        assert!(!is_of_database(&error(50_000, 38)));
    }

    #[test]
    fn no_number_or_state_has_two_meanings() {
        let mut numbers: Vec<_> = MEANINGS.iter().map(|(number, ..)| *number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|two| two[0] != two[1]));
        let states = STATES.iter().flat_map(|(states, ..)| states.clone());
        let mut states: Vec<_> = states.chain(STATES_OF_DATABASE.iter().copied()).collect();
        states.sort_unstable();
        assert!(states.windows(2).all(|two| two[0] != two[1]));
    }
}
