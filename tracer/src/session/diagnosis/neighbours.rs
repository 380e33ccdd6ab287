//! What other logins to the same server, and of the same client, did meanwhile.
//!
//! Of each server it is kept who logs in and what the last logins came to, of each client when it
//! began its last ones: a fixed number of each. What is full is not followed; nobody waits for it.

mod around;
mod client;
mod server;
mod usual;

use std::{cmp::Reverse, net::IpAddr, num::NonZeroUsize};

use foldhash::{HashMap, fast::RandomState};
use lru::LruCache;

pub(in crate::session) use self::around::Around;
#[cfg(test)]
pub(in crate::session) use self::around::Spread;
#[cfg(test)]
pub(in crate::session) use self::usual::Typical;
use self::{client::Client, server::Server};
use crate::{
    record::{AuthKind, Outcome, PhaseName},
    session::baselines::Baselines,
};

/// Servers followed.
const MAX_SERVERS: usize = 256;
/// Clients followed.
const MAX_CLIENTS: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// A wait for the server; moments are nanoseconds as in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Wait {
    pub(in crate::session) phase: PhaseName,
    /// When it was asked.
    pub(in crate::session) asked: u64,
    /// When it answered, or when it is.
    pub(in crate::session) until: u64,
    /// It did answer.
    pub(in crate::session) answered: bool,
    /// How many others waited in that phase when it was asked.
    pub(in crate::session) ahead: u16,
}

impl Wait {
    /// How long it is, nanoseconds.
    pub(in crate::session) const fn took(&self) -> u64 {
        self.until.saturating_sub(self.asked)
    }
}

/// Where a login in flight is kept.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Place {
    server: usize,
    flight: usize,
    client: IpAddr,
    /// What was said of it last: nothing is looked up where nothing changed.
    said: (PhaseName, Option<u64>),
}

/// A login whose neighbours are asked for, or that is over.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Me {
    pub(in crate::session) started: u64,
    /// What time it is.
    pub(in crate::session) now: u64,
    /// Its longest wait for the server.
    pub(in crate::session) wait: Option<Wait>,
    pub(in crate::session) kind: AuthKind,
    /// `None` while it is not decided.
    pub(in crate::session) outcome: Option<Outcome>,
    /// Its SYN had to be sent again.
    pub(in crate::session) syn_again: bool,
    /// Its data had to be.
    pub(in crate::session) resent: bool,
    /// It begins with TLS, as in TDS 8.0.
    pub(in crate::session) strict: bool,
    /// Its round trip, nanoseconds.
    pub(in crate::session) round_trip: Option<u64>,
}

/// Logins by their servers and clients.
#[derive(Debug)]
pub(in crate::session) struct Neighbours {
    places: HashMap<(IpAddr, u16), usize>,
    servers: Vec<Server>,
    /// By when their last logins began.
    clients: LruCache<IpAddr, Client, RandomState>,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self {
            places: HashMap::default(),
            servers: Vec::new(),
            clients: LruCache::with_hasher(MAX_CLIENTS, RandomState::default()),
        }
    }
}

impl Neighbours {
    /// A login begins; where it is kept, if there is room.
    pub(in crate::session) fn enter(
        &mut self,
        server: (IpAddr, u16),
        client: IpAddr,
        started: u64,
    ) -> Option<Place> {
        let place = self.server(server, started)?;
        let flight = self.servers[place].enter(started)?;
        self.clients
            .get_or_insert_mut(client, Client::default)
            .begins(started);
        Some(Place {
            server: place,
            flight,
            client,
            said: (PhaseName::Handshake, None),
        })
    }

    /// A login is in this phase, and the server owes it an answer since then.
    pub(in crate::session) fn stands(
        &mut self,
        place: &mut Place,
        phase: PhaseName,
        asked: Option<u64>,
        now: u64,
    ) {
        if place.said != (phase, asked) {
            place.said = (phase, asked);
            self.servers[place.server].stands(place.flight, phase, asked, now);
        }
    }

    /// How many others waited when a login asked the server for what it waits for the longest.
    pub(in crate::session) fn ahead(&self, place: Place, phase: PhaseName) -> u16 {
        self.servers[place.server].ahead(place.flight, phase)
    }

    /// What is known of a login's neighbours.
    pub(in crate::session) fn around(&self, place: Place, port: u16, me: &Me) -> Around {
        let mut around = Around::default();
        self.servers[place.server].describe(place.flight, me, &mut around);
        if let Some(client) = self.clients.peek(&place.client) {
            client.describe(port, me, &mut around);
        }
        around
    }

    /// A login is over.
    pub(in crate::session) fn leave(&mut self, place: Place, me: &Me, waits: &[(PhaseName, u64)]) {
        self.servers[place.server].leave(place.flight, me, waits);
        if let Some(client) = self.clients.peek_mut(&place.client) {
            client.ends(me.now);
        }
    }

    /// A login is not one of its own.
    pub(in crate::session) fn forget(&mut self, place: Place, now: u64) {
        self.servers[place.server].forget(place.flight);
        if let Some(client) = self.clients.peek_mut(&place.client) {
            client.ends(now);
        }
    }

    /// A client was sent on to another server's port.
    pub(in crate::session) fn sent_on(&mut self, place: Place, port: u16, now: u64) {
        if let Some(client) = self.clients.peek_mut(&place.client) {
            client.sent_on(port, now);
        }
    }

    /// What is usual at each server, as it is kept: those that were seen last first.
    pub(in crate::session) fn baselines(&self) -> Baselines {
        let mut servers: Vec<_> = self.servers.iter().collect();
        servers.sort_by_key(|server| (Reverse(server.last()), server.address()));
        let known = servers.into_iter().map(Server::baseline);
        Baselines {
            servers: known.filter(|server| !server.is_empty()).collect(),
            ..Baselines::default()
        }
    }

    /// What was usual before; of how many servers it could not be read.
    pub(in crate::session) fn learn(&mut self, kept: &Baselines) -> usize {
        let mut unread = kept.servers.len().saturating_sub(MAX_SERVERS);
        for baseline in kept.servers.iter().take(MAX_SERVERS) {
            let place = self.server((baseline.address, baseline.port), 0);
            let learnt = place.is_some_and(|place| self.servers[place].learn(baseline));
            unread += usize::from(!learnt);
        }
        unread
    }

    /// The place of a server: the one that was quiet for the longest time gives way.
    fn server(&mut self, address: (IpAddr, u16), now: u64) -> Option<usize> {
        if let Some(place) = self.places.get(&address) {
            return Some(*place);
        }
        let new = Server::new(address, now);
        if self.servers.len() < MAX_SERVERS {
            self.places.insert(address, self.servers.len());
            self.servers.push(new);
            return Some(self.servers.len() - 1);
        }
        let servers = self.servers.iter().enumerate();
        let quiet = servers.filter(|(_, server)| server.is_quiet());
        let (place, _) = quiet.min_by_key(|(_, server)| server.last())?;
        self.places.remove(&self.servers[place].address());
        self.places.insert(address, place);
        self.servers[place] = new;
        Some(place)
    }
}

#[cfg(test)]
mod tests;
