//! Names that are 64 bits, written as 16 hex digits.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 16];
                for (place, digit) in text.iter_mut().enumerate() {
                    *digit = DIGITS[(self.0 >> (60 - 4 * place) & 0xF) as usize];
                }
                formatter.write_str(str::from_utf8(&text).map_err(|_not_ascii| fmt::Error)?)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

hex_id! {
    /// The name of a connection, the same from either host's vantage.
    ConnectionId
}

hex_id! {
    /// The name of an attempt: it follows from its connection which was told first.
    AttemptId
}

hex_id! {
    /// The name of an incident: that of the connection which began first, mixed with what is wrong.
    IncidentId
}

hex_id! {
    /// The name of one start of the agent, drawn at random by whoever starts it.
    RunId
}

/// Text that is no run's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run's name is 16 hex digits")]
pub struct RunIdError;

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        number(text).map(Self).ok_or(RunIdError)
    }
}

/// Text that is no connection's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection's id is 16 hex digits")]
pub struct ConnectionIdError;

impl FromStr for ConnectionId {
    type Err = ConnectionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        number(text).map(Self).ok_or(ConnectionIdError)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{RunId, RunIdError};

    #[test]
    fn a_run_is_named_by_sixteen_hex_digits_that_read_back() {
        let run = RunId(0xab);
        assert_eq!(run.to_string(), "00000000000000ab");
        assert_eq!(run.to_string().parse(), Ok(run));
        for wrong in ["", "ab", "+0000000000000ab", "00000000000000ab0", "xyz"] {
            assert_eq!(wrong.parse::<RunId>(), Err(RunIdError), "{wrong}");
        }
    }
}
