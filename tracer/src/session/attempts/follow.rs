//! Where an attempt may go on, and until when. Times are nanoseconds.

use std::net::IpAddr;

use super::{
    attempt::Attempt,
    patience::{ELSEWHERE, MOST_TRIES},
    tries::Try,
};
use crate::{
    record::{Outcome, Text},
    session::wire::End,
};

/// No timeout of a driver is longer: who tries again after that does so on its own account.
const LONGEST: u64 = 120_000_000_000;

/// What is known of a connection that opens, beside where it goes.
#[derive(Debug)]
pub(super) struct Opened<'a> {
    /// It is a process's own, and not one of all behind an address.
    pub(super) by_process: bool,
    /// The name that it goes to.
    pub(super) name: Option<&'a Text>,
    /// Servers that have told that this one is their failover partner.
    pub(super) partner_of: &'a [End],
}

impl Attempt {
    /// Whether a connection to there is the one that is to follow.
    pub(super) fn expects(&self, server: &End, at: u64) -> bool {
        let there = |(address, port): &(Option<IpAddr>, u16)| {
            *port == server.port && address.is_none_or(|address| address == server.address)
        };
        at <= self.until && !self.is_open() && self.expected.iter().any(there)
    }

    /// Whether its last connection was refused, and one to there may be the next.
    pub(super) fn tries_elsewhere(&self, server: &End, at: u64) -> bool {
        let refused = self.tries.last().is_some_and(|last| {
            let ended = last
                .ended
                .filter(|ended| at <= ended.at.saturating_add(ELSEWHERE));
            let outcome = ended.map(|ending| ending.outcome);
            outcome == Some(Outcome::Refused) && last.server.port == server.port
        });
        let mut addresses = self.tries.iter().map(|one| one.server.address);
        let is_new = addresses.all(|address| address != server.address);
        refused && is_new && at <= self.until && !self.is_open()
    }

    /// Whether it came to nothing, and may go on with what happens now.
    pub(super) fn goes_on(&self, at: u64) -> bool {
        let in_time = at <= self.until && at <= self.start().saturating_add(LONGEST);
        self.returns && in_time && !self.is_open() && self.tries.len() < MOST_TRIES
    }

    /// Whether it came to nothing, and this connection may be its next try: to the same server, to
    /// another address of the same name, or to the failover partner.
    pub(super) fn tries_again(&self, one: &Try, opened: &Opened<'_>) -> bool {
        if !self.goes_on(one.opened) {
            return false;
        }
        let of_name = opened.name.is_some() && opened.name == self.target.name.as_ref();
        self.tries.iter().any(|before| {
            let alternative = of_name && before.server.port == one.server.port;
            let partner = opened.partner_of.contains(&before.server);
            before.server == one.server || alternative || partner
        })
    }

    /// Whether one of its connections goes to that server, and is not decided.
    pub(super) fn is_open_to(&self, server: &End) -> bool {
        let mut tries = self.tries.iter();
        tries.any(|one| one.ended.is_none() && one.server == *server)
    }
}
