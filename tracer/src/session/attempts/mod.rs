//! What a client does to log in once: which of its lookups and connections belong together.
//!
//! A client is a process of this host, where that is known. There are no processes in a capture, and
//! none of another host: there it goes by addresses, times and what was announced. Joined is only what
//! must be: what is in doubt is an attempt of its own.

mod attempt;
mod client;
mod families;
mod follow;
mod gone;
mod partners;
mod patience;
mod proxies;
mod questions;
mod rules;
mod tries;
mod waits;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    net::IpAddr,
};

use foldhash::HashMap;

pub(in crate::session) use self::{
    attempt::{Asked, Attempt, Done, LookedUp, Place, Resolved, Service},
    gone::Gone,
    patience::Returns,
    questions::Question,
    tries::{Role, Said},
    waits::{of_process, of_socket},
};
use self::{client::Client, follow::Opened, gone::Lately, partners::Partners, tries::Try};
use super::wire::End;
use crate::{
    record::{
        AttemptId, ConnectionId, Diagnosis, IncidentId, Outcome, PartKind, Process, Target, Text,
    },
    tds::prelogin::Guid,
};

/// Connections followed at once; a further one is an attempt of its own.
const MAX_TRIES: usize = 16_384;

/// Clients remembered that use no connection.
const MAX_PROBING: usize = 1024;
/// How long they are, nanoseconds.
const PROBING: u64 = 600_000_000_000;
/// Openings remembered of all clients.
const MAX_RECENT: usize = 256;

/// How a connection is known here; 0 where it is not followed.
pub(in crate::session) type Handle = u32;

/// Whose attempts they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::session) enum Who {
    /// Of a process of this host, by its id.
    Process(u32),
    /// Of whoever has this address.
    Address(IpAddr),
}

impl Who {
    pub(in crate::session) fn of(client: IpAddr, process: Option<&Process>) -> Self {
        match process {
            Some(process) if process.pid != 0 => Self::Process(process.pid),
            _ => Self::Address(client),
        }
    }

    /// Whether the two may be one with two addresses.
    fn is_of_other_family(self, other: Self) -> bool {
        matches!((self, other), (Self::Address(one), Self::Address(other))
            if one.is_ipv4() != other.is_ipv4())
    }
}

/// What came of a connection's login.
#[derive(Debug)]
pub(in crate::session) struct Verdict {
    pub(in crate::session) id: ConnectionId,
    pub(in crate::session) client: IpAddr,
    pub(in crate::session) start: u64,
    pub(in crate::session) at: u64,
    pub(in crate::session) outcome: Outcome,
    pub(in crate::session) kind: PartKind,
    /// What the client meant to reach, by this connection.
    pub(in crate::session) target: Target,
    /// Neither side has said a byte, and the server has not ended it.
    pub(in crate::session) silent: bool,
    /// Where it went.
    pub(in crate::session) server: End,
    /// The server has said something.
    pub(in crate::session) heard: bool,
    /// Where the server has sent the client.
    pub(in crate::session) redirect: Option<Place>,
    /// Whether the client is likely to try again.
    pub(in crate::session) returns: Returns,
    /// It recovers the session of a connection that is gone.
    pub(in crate::session) recovers: bool,
    /// How the client has named the connection.
    pub(in crate::session) guid: Option<Guid>,
    /// The failover partner that the server has told.
    pub(in crate::session) partner: Option<Text>,
    /// The client's process, if it is known.
    pub(in crate::session) pid: Option<u32>,
}

/// Why a login failed or took long.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Why<'a> {
    pub(in crate::session) causes: &'a [Diagnosis],
    /// The incident that it is part of.
    pub(in crate::session) incident: Option<IncidentId>,
}

/// How a connection's lines name its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Named {
    pub(in crate::session) id: AttemptId,
    pub(in crate::session) number: u32,
    /// It lost a race to another connection of the same attempt.
    pub(in crate::session) loser: bool,
}

/// That a client opened a connection.
#[derive(Clone, Copy, Debug)]
struct Opening {
    who: Who,
    handle: Handle,
    at: u64,
}

/// The attempts that go on, by client.
#[derive(Debug, Default)]
pub(in crate::session) struct Attempts {
    clients: HashMap<Who, Client>,
    /// Whose a connection is.
    homes: HashMap<Handle, Who>,
    last: Handle,
    /// Undecided ones by the name that their client gave them.
    guids: HashMap<Guid, Handle>,
    partners: Partners,
    gone: Lately,
    /// When is looked after whom, the next one first; what a client's own time contradicts is old.
    timers: BinaryHeap<Reverse<(u64, Who)>>,
    /// Connections that were opened last: where the two families race, a client has two addresses.
    recent: VecDeque<Opening>,
    /// Clients that have opened connections together and used none, and until when that is held against
    /// them: a program that looks which servers are there would be told as so many races.
    probing: VecDeque<(Who, u64)>,
    /// Those that are over and not told yet.
    over: Vec<Attempt>,
}

impl Attempts {
    /// A client opens a connection.
    pub(in crate::session) fn opens(
        &mut self,
        who: Who,
        client: IpAddr,
        server: End,
        at: u64,
        resolved: Resolved,
    ) -> Handle {
        if let Some(own) = self.clients.get_mut(&who).filter(|own| own.is_full()) {
            own.make_room(&mut self.over);
        }
        let is_full = self.clients.get(&who).is_some_and(Client::is_full);
        if self.homes.len() >= MAX_TRIES || is_full {
            return 0;
        }
        self.last = self.last.checked_add(1).unwrap_or(1);
        if self.homes.insert(self.last, who).is_some() {
            // That is four thousand million connections later.
            return 0;
        }
        let one = Try::new(self.last, server, at);
        self.goes_on_in_family(who, &one);
        let probes = self.is_probing(who, at);
        let own = self.clients.entry(who).or_default();
        own.probes = probes;
        let partner_of = self.partners.of(&server, resolved.name.as_ref());
        let name = resolved.name.clone();
        let opened = Opened {
            by_process: matches!(who, Who::Process(_)),
            name: name.as_ref(),
            partner_of: &partner_of,
        };
        own.opens(client, one, resolved, &opened);
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Opening {
            who,
            handle: self.last,
            at,
        });
        self.last
    }

    /// The connection for whose sake a client may do something now; a second one where that is not sure.
    pub(in crate::session) fn at_work(&self, who: Who) -> [Option<Handle>; 2] {
        let own = self.clients.get(&who);
        let mut all = own.into_iter().flat_map(Client::at_work);
        [all.next(), all.next()]
    }

    /// When the attempt began that a connection of this client is part of.
    pub(in crate::session) fn start_of(&self, who: Who, handle: Handle) -> Option<u64> {
        self.clients.get(&who)?.start_of(handle)
    }

    /// The client sends its SYN again.
    pub(in crate::session) fn syn_again(&mut self, handle: Handle, at: u64) {
        self.change(handle, at, |one| one.syn_again(at));
    }

    /// A connection's handshake is over.
    pub(in crate::session) fn established(&mut self, handle: Handle, at: u64) {
        self.change(handle, at, |one| {
            one.established.get_or_insert(at);
        });
    }

    /// The client says its first byte.
    pub(in crate::session) fn speaks(&mut self, handle: Handle, at: u64) {
        self.change(handle, at, |one| one.spoke = true);
    }

    /// Others may wait for what becomes of it.
    fn change(&mut self, handle: Handle, now: u64, change: impl FnOnce(&mut Try)) {
        let Some(client) = self.homes.get(&handle).copied() else {
            return;
        };
        let Some(own) = self.clients.get_mut(&client) else {
            return;
        };
        if let Some(one) = own.find(handle) {
            change(one);
        }
        if own.has_several() {
            self.review(client, now);
        }
    }

    /// A connection's login is decided: the attempt that it is part of.
    pub(in crate::session) fn decided(&mut self, handle: Handle, verdict: &Verdict) -> Named {
        let at = verdict.at;
        if let Some(guid) = verdict
            .guid
            .filter(|guid| self.guids.get(guid) == Some(&handle))
        {
            self.guids.remove(&guid);
        }
        if let Some(partner) = &verdict.partner {
            self.partners.learn(verdict.server, partner);
        }
        let client = self.homes.remove(&handle);
        let client = client.map(|client| self.winners_client(client, handle, verdict));
        let gone = client.filter(|_| verdict.recovers);
        let gone = gone.and_then(|who| self.gone.recovered(who, verdict.server, verdict.start));
        let own = client.and_then(|client| self.clients.get_mut(&client));
        let named = own.and_then(|own| own.decided(handle, verdict, gone));
        if let (Some(named), Some(client)) = (named, client) {
            self.review(client, at);
            return named;
        }
        let mut alone = Attempt::of(verdict.client);
        alone.connections = 1;
        let named = alone.decided(verdict, Role::Own, false);
        self.over.push(alone);
        named
    }

    /// The name that a client has asked for before a connection of its, where it has asked for one.
    pub(in crate::session) fn name(
        &self,
        (client, process): (IpAddr, Option<&Process>),
        handle: Handle,
    ) -> Option<&Text> {
        let own = [Who::of(client, process), Who::Address(client)];
        let own = own
            .iter()
            .filter_map(|who| self.clients.get(who)?.name(handle));
        let mut over = self.over.iter().rev();
        let over = over.find(|attempt| attempt.handles().contains(&handle));
        own.chain(over.and_then(|attempt| attempt.target.name.as_ref()))
            .next()
    }

    /// Why a connection's login, which was decided just now, failed or took long.
    pub(in crate::session) fn explain(
        &mut self,
        (client, process): (IpAddr, Option<&Process>),
        connection: ConnectionId,
        why: Why<'_>,
    ) {
        if !why.causes.is_empty()
            && let Some(attempt) = self.of_connection((client, process), connection)
        {
            attempt.explain(connection, why);
        }
    }

    /// In which times its client could not go on.
    pub(in crate::session) fn waited(
        &mut self,
        (client, process): (IpAddr, Option<&Process>),
        connection: ConnectionId,
        waits: impl IntoIterator<Item = Done>,
    ) {
        let mut waits = waits.into_iter().peekable();
        if waits.peek().is_some()
            && let Some(attempt) = self.of_connection((client, process), connection)
        {
            attempt.parts.extend(waits);
        }
    }

    /// The attempt that has a connection whose login was decided just now.
    fn of_connection(
        &mut self,
        (client, process): (IpAddr, Option<&Process>),
        connection: ConnectionId,
    ) -> Option<&mut Attempt> {
        let over = self.over.iter().rposition(|over| over.has_part(connection));
        if let Some(place) = over {
            return self.over.get_mut(place);
        }
        // Its process may have become known since it was opened; and a proxy's connection is its client's.
        let named = [Who::of(client, process), Who::Address(client)];
        let has_it = |who: &Who| {
            self.clients
                .get(who)
                .is_some_and(|own| own.has_part(connection))
        };
        let who = named.into_iter().find(has_it).or_else(|| {
            let mut all = self.clients.iter();
            let found = all.find(|(_, own)| own.has_part(connection))?;
            Some(*found.0)
        })?;
        self.clients.get_mut(&who)?.of_connection(connection)
    }

    /// A connection that was in use begins to end.
    pub(in crate::session) fn closes(&mut self, gone: Gone) {
        self.gone.add(gone);
    }

    /// A connection is none that is told.
    pub(in crate::session) fn forget(&mut self, handle: Handle, at: u64) {
        if let Some(client) = self.homes.remove(&handle)
            && let Some(own) = self.clients.get_mut(&client)
        {
            let said = own.get(handle).and_then(|one| one.said.connection);
            if let Some(guid) = said.filter(|guid| self.guids.get(guid) == Some(&handle)) {
                self.guids.remove(&guid);
            }
            own.forget(handle);
            self.review(client, at);
        }
    }

    /// A connection's login is not told: it is one stranger's too many.
    pub(in crate::session) fn mute(&mut self, id: ConnectionId) {
        let is_it = |attempt: &Attempt| {
            let parts = attempt.parts.iter();
            let mut own = parts.filter(|part| part.kind.is_of_server());
            own.next().is_some_and(|only| only.connection == Some(id)) && own.next().is_none()
        };
        self.over.retain(|attempt| !is_it(attempt));
    }

    /// Lets time pass up to `now`.
    pub(in crate::session) fn pass_time(&mut self, now: u64) {
        while let Some(Reverse((at, client))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            if let Some(own) = self.clients.get_mut(&client)
                && own.due == at
            {
                own.due = u64::MAX;
                self.review(client, at);
            }
        }
    }

    /// Looks which attempts of a client are over.
    fn review(&mut self, client: Who, now: u64) {
        let rivals = self.rivals(client, now);
        let Some(own) = self.clients.get_mut(&client) else {
            return;
        };
        let told = self.over.len();
        let next = own.release(now, &mut self.over, &rivals);
        if self.over[told..].iter().any(Attempt::came_to_nothing) {
            own.probes = true;
            if self.probing.len() >= MAX_PROBING {
                self.probing.pop_front();
            }
            self.probing
                .push_back((client, now.saturating_add(PROBING)));
        }
        if own.is_empty() {
            self.clients.remove(&client);
        } else if next < own.due {
            own.due = next;
            self.timers.push(Reverse((next, client)));
        }
    }

    /// Whether a client opens connections together and uses none.
    fn is_probing(&mut self, client: Who, now: u64) -> bool {
        while self.probing.front().is_some_and(|(_, until)| *until < now) {
            self.probing.pop_front();
        }
        self.probing.iter().any(|(other, _)| *other == client)
    }

    /// Those that are over.
    pub(in crate::session) fn take_over(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.over)
    }

    /// Nobody watches any more.
    pub(in crate::session) fn finish(&mut self) {
        let all = self
            .clients
            .drain()
            .flat_map(|(_, own)| own.into_attempts());
        let mut all: Vec<_> = all
            .filter(|attempt| attempt.parts.iter().any(|part| part.kind.is_of_server()))
            .filter(|attempt| !attempt.is_spare || !attempt.tries.is_empty())
            .collect();
        all.sort_by_key(|attempt| (attempt.start(), attempt.client, attempt.id));
        self.over.extend(all);
        self.homes.clear();
        self.guids.clear();
        self.recent.clear();
        self.probing.clear();
        self.timers.clear();
    }
}

#[cfg(test)]
mod tests;
