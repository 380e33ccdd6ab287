//! What clients ask of services that a login may wait for, until a connection shows for whose sake: Kerberos,
//! directories, hosts of tokens and of revocation lists. Of what is asked for no login nothing is told.

mod talk;

use std::{collections::VecDeque, net::IpAddr};

use foldhash::HashMap;
use tracer_ebpf::beside::port;

pub(in crate::session) use self::talk::Owner;
use self::talk::Talk;
use super::{
    attempts::{Done, Handle, Service, Who},
    input::{Beside, Sign, Transport},
};
use crate::record::{PartKind, PartOutcome, ServiceOutcome, Text};

/// Questions known of one client, and of all; what is known to matter least gives way, then the oldest.
const MAX_OF_CLIENT: usize = 64;
const MAX_CLIENTS: usize = 1024;
/// Parts that one attempt has of this kind; further ones are not told.
const MAX_PARTS: usize = 32;
/// How long a question is remembered after something was heard of it, nanoseconds.
const MEMORY: u64 = 60_000_000_000;
/// The same of one that is an attempt's, which goes on.
const MEMORY_OF_OWNED: u64 = 600_000_000_000;
/// How soon after the last of them a client connects: at once, if that is what it asks for.
const FOLLOWED: u64 = 1_000_000_000;
/// How long one after the other may be asked before a connection.
const LONGEST: u64 = 120_000_000_000;

/// What the services are that a host asks about those who log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Controllers {
    /// Connections and questions to them that nobody answered.
    pub(in crate::session) unanswered: u32,
    /// Those that somebody did.
    pub(in crate::session) reached: u32,
}

/// The questions of all clients.
#[derive(Debug, Default)]
pub(in crate::session) struct Services {
    clients: HashMap<Who, VecDeque<Talk>>,
    /// Whose questions are an attempt's, by a connection of it.
    owned: HashMap<Handle, Who>,
}

impl Services {
    /// Takes a packet in. Where it begins something, is asked for whose sake that is, and by what name its host
    /// was found.
    pub(in crate::session) fn take(
        &mut self,
        who: Who,
        beside: &Beside<'_>,
        begins: impl FnOnce() -> (Owner, Option<Text>),
    ) {
        let own = self.clients.get_mut(&who);
        let known = own.and_then(|own| {
            let place = own.iter().rposition(|talk| talk.is_of(beside))?;
            Some((own, place))
        });
        if let Some((own, place)) = known
            && !own[place].is_followed(beside)
        {
            if !own[place].take(beside) {
                own.remove(place);
            }
            return;
        }
        let is_first = match (beside.transport, beside.sign) {
            (Transport::Tcp, Sign::Opens) | (Transport::Udp, Sign::Asks(_)) => true,
            // How it opened is told only now: where it asks, is refused, or is answered late.
            (Transport::Tcp, Sign::Asks(_) | Sign::Refuses) => beside.opened.is_some(),
            (Transport::Tcp, Sign::Answers(_)) => {
                beside.opened.is_some() && beside.service.1 == port::HTTP
            }
            _ => false,
        };
        if !is_first {
            return;
        }
        let (owner, name) = begins();
        let mut talk = Talk::new(beside, owner, name);
        if !talk.take(beside) {
            return;
        }
        if let Owner::One(handle) = owner {
            self.owned.insert(handle, who);
        }
        self.make_room(who);
        self.clients.entry(who).or_default().push_back(talk);
    }

    fn make_room(&mut self, who: Who) {
        if let Some(own) = self.clients.get_mut(&who) {
            if own.len() >= MAX_OF_CLIENT {
                let least = own.iter().position(|talk| talk.kind().is_none());
                own.remove(least.unwrap_or(0));
            }
        } else if self.clients.len() >= MAX_CLIENTS {
            let heard = |own: &VecDeque<Talk>| own.back().map(Talk::last);
            let oldest = self.clients.iter().min_by_key(|(_, own)| heard(own));
            if let Some(oldest) = oldest.map(|(who, _)| *who) {
                self.clients.remove(&oldest);
                self.owned.retain(|_, owner| *owner != oldest);
            }
        }
    }

    /// A client opens a connection that was not followed by anything else: what it has asked for just before
    /// `from` was asked for its sake.
    pub(in crate::session) fn followed(&mut self, who: Who, handle: Handle, from: u64) {
        let Some(own) = self.clients.get_mut(&who).filter(|_| handle != 0) else {
            return;
        };
        let mut reached = from;
        let mut count = 0;
        for talk in own.iter_mut().rev() {
            let is_free = talk.owner == Owner::Nobody;
            let until = talk.over(talk.last()).saturating_add(FOLLOWED);
            let leads_on = until.saturating_add(talk.patience()) >= reached;
            let is_recent = talk.begun.saturating_add(LONGEST) >= from;
            if !is_free || !leads_on || !is_recent || count >= MAX_PARTS {
                continue;
            }
            talk.owner = Owner::One(handle);
            if talk.is_open() && talk.begun < from {
                // The client has gone on.
                talk.ended = Some(from);
            }
            reached = reached.min(talk.begun);
            count += 1;
        }
        if count > 0 {
            self.owned.insert(handle, who);
        }
    }

    /// What was asked for the sake of a connection whose certificate names these hosts, as it stands at `at`.
    pub(in crate::session) fn of(&mut self, handle: Handle, hosts: &[Text], at: u64) -> Vec<Done> {
        let who = self.owned.get(&handle);
        let Some(own) = who.and_then(|who| self.clients.get_mut(who)) else {
            return Vec::new();
        };
        for talk in own
            .iter_mut()
            .filter(|talk| talk.owner == Owner::One(handle))
        {
            let name = talk.name.as_ref();
            talk.is_certified |= name.is_some_and(|name| hosts.contains(name));
        }
        let is_its = |talk: &Talk| talk.owner == Owner::One(handle);
        parts(own, is_its, at)
    }

    /// Hands out the parts of an attempt with these connections, which is over.
    pub(in crate::session) fn claim(&mut self, handles: &[Handle], at: u64) -> Vec<Done> {
        let owned = handles
            .iter()
            .filter_map(|handle| self.owned.remove(handle));
        let mut whose: Vec<_> = owned.collect();
        whose.dedup();
        let is_its = |talk: &Talk| matches!(talk.owner, Owner::One(of) if handles.contains(&of));
        let mut claimed = Vec::new();
        for who in whose {
            if let Some(own) = self.clients.get_mut(&who) {
                claimed.extend(parts(own, is_its, at));
                own.retain(|talk| !is_its(talk));
                if own.is_empty() {
                    self.clients.remove(&who);
                }
            }
        }
        claimed.truncate(MAX_PARTS);
        claimed
    }

    /// What a host asked of domain controllers between two moments.
    pub(in crate::session) fn controllers(&self, who: Who, from: u64, to: u64) -> Controllers {
        let own = self.clients.get(&who).into_iter().flatten();
        let meanwhile = own.filter(|talk| talk.begun >= from && talk.begun <= to);
        let mut found = Controllers::default();
        for talk in meanwhile.filter(|talk| talk.is_controller()) {
            if talk.is_reached() {
                found.reached += 1;
            } else {
                found.unanswered += 1;
            }
        }
        found
    }

    /// Forgets what was asked long ago.
    pub(in crate::session) fn forget(&mut self, now: u64) {
        self.clients.retain(|_, own| {
            own.retain(|talk| {
                let memory = match talk.owner {
                    Owner::One(_) => MEMORY_OF_OWNED,
                    Owner::Nobody | Owner::Doubtful => MEMORY,
                };
                talk.last().saturating_add(memory) > now
            });
            !own.is_empty()
        });
        let clients = &self.clients;
        self.owned.retain(|handle, who| {
            let own = clients.get(who).into_iter().flatten();
            own.into_iter()
                .any(|talk| talk.owner == Owner::One(*handle))
        });
    }
}

/// The parts that these are, the client having gone on at `at`: of several that ask for the same one after the
/// other, at the next.
fn parts(own: &VecDeque<Talk>, is_its: impl Fn(&Talk) -> bool, at: u64) -> Vec<Done> {
    let its: Vec<_> = own.iter().filter(|talk| is_its(talk)).collect();
    let mut parts = Vec::new();
    for (place, talk) in its.iter().enumerate() {
        let Some(kind) = talk.kind().filter(|_| talk.begun <= at) else {
            continue;
        };
        let mut later = its[place + 1..]
            .iter()
            .filter(|later| later.kind() == Some(kind));
        let until = later.next().map_or(at, |next| next.begun.min(at));
        let end = if talk.is_open() { until } else { at };
        parts.push(done(talk, kind, talk.over(end)));
    }
    parts
}

fn done(talk: &Talk, kind: PartKind, end: u64) -> Done {
    let outcome = talk.outcome();
    let name = match kind {
        PartKind::Token | PartKind::Revocation => talk.name.clone(),
        _ => None,
    };
    let (address, _) = talk.service;
    Done {
        name: name.or_else(|| talk.is_imds().then(|| named(address))),
        service: Some(Box::new(Service {
            address,
            refusal: talk.refusal().cloned(),
            is_imds: talk.is_imds(),
        })),
        heard: !matches!(outcome, ServiceOutcome::Unanswered),
        ..Done::new(kind, (talk.begun, end), PartOutcome::Service(outcome))
    }
}

fn named(address: IpAddr) -> Text {
    Text::from(address.to_string().as_str())
}

#[cfg(test)]
mod tests;
