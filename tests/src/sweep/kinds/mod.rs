//! The ways to change a connection.

mod cut;
mod delay;
mod double;
mod drop;
mod join;
mod swap;
mod whole;

use std::{fmt, str::FromStr};

use super::{engine::Input, expect::Expected, sources::Connection};

/// A connection that was changed, and what must be said of it.
#[derive(Debug)]
pub struct Variant {
    /// What was done to it, in general.
    pub group: String,
    /// And where.
    pub label: String,
    /// The changed packets.
    pub input: Input,
    /// What follows from the contract.
    pub expected: Expected,
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// As it is.
    Whole,
    /// Silence after a packet, and an end.
    Cut,
    /// The agent comes after some packets.
    Join,
    /// A packet was not captured.
    Drop,
    /// A packet was captured or sent twice.
    Double,
    /// Packets of one side in another order.
    Swap,
    /// A packet comes later, and all after it.
    Delay,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Whole,
        Self::Cut,
        Self::Join,
        Self::Drop,
        Self::Double,
        Self::Swap,
        Self::Delay,
    ];

    /// Every variant of a connection.
    pub fn each(self, connection: &Connection, take: &mut dyn FnMut(Variant)) {
        match self {
            Self::Whole => whole::each(connection, take),
            Self::Cut => cut::each(connection, take),
            Self::Join => join::each(connection, take),
            Self::Drop => drop::each(connection, take),
            Self::Double => double::each(connection, take),
            Self::Swap => swap::each(connection, take),
            Self::Delay => delay::each(connection, take),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{self:?}").to_lowercase())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.to_string() == name)
            .ok_or_else(|| format!("no kind {name}"))
    }
}
