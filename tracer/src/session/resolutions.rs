//! Questions for names and addresses, until a connection shows that they were asked for its sake. Those of
//! which none does are forgotten: nobody is told what else a process looks for.

mod streams;

use std::{collections::VecDeque, net::IpAddr};

use foldhash::HashMap;

use self::streams::Streams;
use super::{
    attempts::{Asked, Done, Resolved, Who},
    input::{Beside, Datagram, Said},
};
use crate::{
    dns::{self, Answer, Code, Kind, Message},
    record::{PartKind, PartOutcome, RecordType, ResolutionOutcome, Text},
};

/// Questions known of one client, and of all; the oldest gives way.
const MAX_OF_CLIENT: usize = 128;
const MAX_CLIENTS: usize = 1024;
/// How long a question is remembered after something was heard of it, nanoseconds. A resolver may ask each of
/// three servers twice, for five seconds each.
const MEMORY: u64 = 60_000_000_000;
/// How soon after the last of its questions a client connects: at once, if it is its own resolver's answer.
const FOLLOWED: u64 = 5_000_000_000;
/// The same question sooner than this is a copy of the packet, seen elsewhere on the host: no resolver asks
/// again before it has waited for seconds.
const COPY: u64 = 100_000_000;
/// How soon after a name that is none the next one of a search list is tried.
const NEXT: u64 = 100_000_000;

/// A question, however often it was sent, and what came back.
#[derive(Debug)]
struct Query {
    port: u16,
    id: u16,
    name: Text,
    kind: Kind,
    asked: u64,
    asked_last: u64,
    requests: u32,
    answered: Option<(u64, Answer)>,
    /// It was asked by TCP, at first or in the end.
    tcp: bool,
}

impl Query {
    /// When it was heard of last.
    fn last(&self) -> u64 {
        let answered = self.answered.as_ref().map_or(0, |(at, _)| *at);
        self.asked_last.max(answered)
    }

    /// Its answer did not fit into a datagram.
    fn is_cut(&self) -> bool {
        let answered = self.answered.as_ref();
        answered.is_some_and(|(_, answer)| answer.is_cut)
    }

    fn is_for_addresses(&self) -> bool {
        self.kind != Kind::Ptr
    }

    fn has(&self, address: IpAddr) -> bool {
        let answered = self.answered.as_ref();
        answered.is_some_and(|(_, answer)| answer.addresses.contains(&address))
    }

    fn outcome(&self) -> ResolutionOutcome {
        match &self.answered {
            None => ResolutionOutcome::Timeout,
            Some((_, answer)) => match answer.code {
                Code::NoSuchName => ResolutionOutcome::NoSuchName,
                Code::Failed => ResolutionOutcome::Failed,
                Code::NoError if answer.has_any => ResolutionOutcome::Answered,
                Code::NoError => ResolutionOutcome::NoData,
            },
        }
    }

    /// The part of an attempt that it is, the client having gone on at `at`.
    fn done(&self, at: u64) -> Done {
        let answered = self.answered.as_ref().map(|(at, _)| *at);
        let span = (self.asked, answered.unwrap_or(at).max(self.asked));
        let outcome = PartOutcome::Resolution(self.outcome());
        Done {
            name: Some(self.name.clone()),
            asked: Some(Asked {
                record_type: match self.kind {
                    Kind::A => RecordType::A,
                    Kind::Aaaa => RecordType::Aaaa,
                    Kind::Ptr => RecordType::Ptr,
                },
                requests: self.requests,
                tcp: self.tcp,
            }),
            heard: answered.is_some(),
            ..Done::new(PartKind::Dns, span, outcome)
        }
    }
}

/// The questions of all clients.
#[derive(Debug, Default)]
pub(in crate::session) struct Resolutions {
    clients: HashMap<Who, VecDeque<Query>>,
    streams: Streams,
}

impl Resolutions {
    /// Takes a datagram in.
    pub(in crate::session) fn take(&mut self, datagram: &Datagram<'_>) {
        let (address, port) = datagram.asker;
        let who = Who::of(address, datagram.process);
        let time = datagram.time;
        let bytes = match datagram.said {
            Said::Question(bytes) => bytes,
            Said::Answer { kept, .. } => kept,
            // The next server is asked, or the same again.
            Said::Unreachable => return,
        };
        let Some(message) = dns::decode(bytes) else {
            return;
        };
        match (datagram.said, &message.answer) {
            (Said::Question(_), None) => self.asked(who, port, &message, time),
            (Said::Answer { .. }, Some(_)) if address.is_multicast() => {
                self.announced(message, time);
            }
            (Said::Answer { .. }, Some(_)) => self.answered(who, port, message, time),
            _ => {}
        }
    }

    /// Takes in a packet of a connection to a name server.
    pub(in crate::session) fn passes(&mut self, who: Who, beside: &Beside<'_>) {
        let time = beside.time;
        for message in self.streams.take(who, beside) {
            match message.answer {
                None => self.asked_by_tcp(who, beside.client.1, &message, time),
                Some(_) => self.answered(who, beside.client.1, message, time),
            }
        }
    }

    /// The first answer counts: one of two that are asked together is asked for again with the other, where that
    /// was lost.
    fn answered(&mut self, who: Who, port: u16, message: Message, at: u64) {
        if let Some(query) = self.find(who, port, &message)
            && query.answered.is_none()
        {
            query.answered = message.answer.map(|answer| (at, answer));
        }
    }

    /// An answer that everybody on the network hears (RFC 6762).
    fn announced(&mut self, message: Message, at: u64) {
        let Some(answer) = message.answer else {
            return;
        };
        for query in self.clients.values_mut().flatten() {
            let is_it = query.kind == message.kind && query.name.as_str() == message.name;
            if is_it && query.port == dns::MULTICAST_PORT && query.answered.is_none() {
                query.answered = Some((at, answer.clone()));
            }
        }
    }

    /// What did not fit into a datagram is asked for once more: that is one question. So is its twin, whose own
    /// answer is not waited for then.
    fn asked_by_tcp(&mut self, who: Who, port: u16, message: &Message, at: u64) {
        let own = self.clients.get_mut(&who).into_iter().flatten();
        let mut same: Vec<_> = own
            .filter(|query| query.name.as_str() == message.name)
            .collect();
        let goes_on = same.iter().any(|query| query.is_cut() || query.tcp);
        let waits = |query: &Query| goes_on && !query.tcp && query.answered.is_none();
        let mut same = same.iter_mut().rev();
        let cut = same.find(|query| query.kind == message.kind && (query.is_cut() || waits(query)));
        if let Some(query) = cut {
            (query.port, query.id, query.tcp) = (port, message.id, true);
            query.answered = None;
            query.asked_last = at;
            return;
        }
        self.asked(who, port, message, at);
        if let Some(query) = self.find(who, port, message) {
            query.tcp = true;
        }
    }

    /// The name by which a client has found an address, just before.
    pub(in crate::session) fn name_of(&self, who: Who, address: IpAddr) -> Option<Text> {
        let own = self.clients.get(&who)?;
        let query = own.iter().rev().find(|query| query.has(address))?;
        Some(query.name.clone())
    }

    fn asked(&mut self, who: Who, port: u16, message: &Message, at: u64) {
        if let Some(query) = self.find(who, port, message) {
            if at.saturating_sub(query.asked_last) >= COPY {
                query.requests = query.requests.saturating_add(1);
                query.asked_last = at;
            }
            return;
        }
        if self.clients.len() >= MAX_CLIENTS && !self.clients.contains_key(&who) {
            let heard = |queries: &VecDeque<Query>| queries.back().map(Query::last);
            let oldest = self.clients.iter().min_by_key(|(_, own)| heard(own));
            if let Some(oldest) = oldest.map(|(who, _)| *who) {
                self.clients.remove(&oldest);
            }
        }
        let own = self.clients.entry(who).or_default();
        if own.len() >= MAX_OF_CLIENT {
            own.pop_front();
        }
        own.push_back(Query {
            port,
            id: message.id,
            name: Text::from(message.name.as_str()),
            kind: message.kind,
            asked: at,
            asked_last: at,
            requests: 1,
            answered: None,
            tcp: false,
        });
    }

    /// The question that a message is, or answers.
    fn find(&mut self, who: Who, port: u16, message: &Message) -> Option<&mut Query> {
        let own = self.clients.get_mut(&who)?;
        own.iter_mut().rev().find(|query| {
            (query.port, query.id, query.kind) == (port, message.id, message.kind)
                && query.name.as_str() == message.name
        })
    }

    /// What was asked for the sake of a connection, or a question to SQL Browser, that goes to this address now:
    /// the name that has it, its twin of the other family, the names of a search list before it; and the name of
    /// the address.
    pub(in crate::session) fn followed(&mut self, who: Who, address: IpAddr, at: u64) -> Resolved {
        let Some(own) = self.clients.get_mut(&who) else {
            return Resolved::default();
        };
        let mut resolved = Resolved::default();
        let recent =
            |query: &Query| query.asked <= at && at.saturating_sub(query.last()) <= FOLLOWED;
        let is_named = |query: &Query| {
            let mut same = own.iter().filter(|other| other.name == query.name);
            query.has(address) && same.any(recent)
        };
        let place = own.iter().position(is_named);
        if let Some(place) = place {
            let (port, name) = (own[place].port, own[place].name.clone());
            let mut first = own[place].asked;
            // Of several of one name, those of the same socket, and one each of others.
            let (mut kinds, mut places) = (vec![own[place].kind], vec![place]);
            for (other, query) in own.iter().enumerate() {
                let is_twin = query.is_for_addresses() && query.name == name && query.asked <= at;
                if !is_twin || other == place || query.port != port && kinds.contains(&query.kind) {
                    continue;
                }
                kinds.push(query.kind);
                places.push(other);
                first = first.min(query.asked);
            }
            take_from(own, places, at, &mut resolved.parts);
            search(own, &name, first, at, &mut resolved.parts);
            resolved.name = Some(name);
        }
        let reverse = dns::reverse(address);
        let is_reverse = |query: &Query| recent(query) && query.name.as_str() == reverse;
        let all = own.iter().enumerate();
        let places = all.filter(|(_, query)| is_reverse(query)).map(|(at, _)| at);
        let places = places.collect();
        take_from(own, places, at, &mut resolved.parts);
        if own.is_empty() {
            self.clients.remove(&who);
        }
        resolved
    }

    /// Forgets what was asked long ago.
    pub(in crate::session) fn forget(&mut self, now: u64) {
        self.streams.forget(now.saturating_sub(MEMORY));
        self.clients.retain(|_, own| {
            own.retain(|query| query.last().saturating_add(MEMORY) > now);
            !own.is_empty()
        });
    }
}

/// The names of a search list that were tried before `name` was at `first`: they begin with the same label,
/// are none, and each was followed by the next at once.
fn search(own: &mut VecDeque<Query>, name: &str, first: u64, at: u64, parts: &mut Vec<Done>) {
    let label = |name: &str| name.split('.').next().map(str::to_owned);
    let wanted = label(name);
    let mut reached = first;
    let mut places = Vec::new();
    for (place, query) in own.iter().enumerate().rev() {
        let led_on = query.last() <= first
            && query.last().saturating_add(NEXT) >= reached
            && query.outcome() != ResolutionOutcome::Answered;
        if query.is_for_addresses() && led_on && label(&query.name) == wanted {
            reached = reached.min(query.asked);
            places.push(place);
        }
    }
    take_from(own, places, at, parts);
}

/// Takes the questions at these places out.
fn take_from(own: &mut VecDeque<Query>, mut places: Vec<usize>, at: u64, parts: &mut Vec<Done>) {
    places.sort_unstable();
    let taken = places.into_iter().rev();
    let mut taken: Vec<_> = taken.filter_map(|place| own.remove(place)).collect();
    taken.reverse();
    parts.extend(taken.iter().map(|query| query.done(at)));
}

#[cfg(test)]
mod tests;
