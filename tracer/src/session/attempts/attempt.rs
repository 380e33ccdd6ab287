//! One attempt: what it consists of, and where it may go on.

use std::net::IpAddr;

use super::{
    Gone, Handle, Named, Verdict, Who, Why,
    patience::{FOLLOWED, MOST_TRIES, Returns, patience},
    tries::{Role, Try},
};
use crate::{
    kerberos::Refusal,
    record::{
        AttemptId, ConnectionId, Diagnosis, IncidentId, LookupOutcome, Outcome, PartKind,
        PartOutcome, RecordType, Target, Text,
    },
    session::wire::End,
    tds::prelogin::Guid,
};

/// Where somebody listens; the address is not known where it was announced by name.
pub(in crate::session) type Place = (Option<IpAddr>, u16);

/// A part that is over.
#[derive(Clone, Debug)]
pub(in crate::session) struct Done {
    pub(in crate::session) kind: PartKind,
    pub(in crate::session) start: u64,
    pub(in crate::session) end: u64,
    pub(in crate::session) outcome: PartOutcome,
    pub(in crate::session) name: Option<Text>,
    /// What a name server was asked, if it was.
    pub(in crate::session) asked: Option<Asked>,
    /// Which other service was, likewise.
    pub(in crate::session) service: Option<Box<Service>>,
    pub(in crate::session) connection: Option<ConnectionId>,
    pub(in crate::session) loser: bool,
    /// What its connection is to the attempt.
    pub(in crate::session) role: Role,
    /// Where a connection went.
    pub(in crate::session) server: Option<End>,
    /// The server has said something.
    pub(in crate::session) heard: bool,
    /// Why its login failed or took long.
    pub(in crate::session) causes: Box<[Diagnosis]>,
}

impl Done {
    /// One of which no more is known than that it came to this, from when to when.
    pub(in crate::session) fn new(
        kind: PartKind,
        (start, end): (u64, u64),
        outcome: PartOutcome,
    ) -> Self {
        Self {
            kind,
            start,
            end,
            outcome,
            name: None,
            asked: None,
            service: None,
            connection: None,
            loser: false,
            role: Role::default(),
            server: None,
            heard: false,
            causes: Box::default(),
        }
    }
}

/// What a name server was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Asked {
    pub(in crate::session) record_type: RecordType,
    pub(in crate::session) requests: u32,
    /// By TCP in the end.
    pub(in crate::session) tcp: bool,
}

/// A service that was asked, which is neither a name server nor SQL Browser.
#[derive(Clone, Debug)]
pub(in crate::session) struct Service {
    pub(in crate::session) address: IpAddr,
    /// What Kerberos said instead of a ticket.
    pub(in crate::session) refusal: Option<Refusal>,
    /// It gives a machine its tokens.
    pub(in crate::session) is_imds: bool,
}

/// What came of a lookup.
#[derive(Debug)]
pub(in crate::session) struct LookedUp {
    pub(in crate::session) who: Who,
    pub(in crate::session) client: IpAddr,
    /// The port that was asked from.
    pub(in crate::session) port: u16,
    /// Who was asked.
    pub(in crate::session) browser: IpAddr,
    pub(in crate::session) done: Done,
    pub(in crate::session) target: Target,
    /// Where the instance listens.
    pub(in crate::session) announced: Vec<Place>,
    /// What was asked to find who knows that.
    pub(in crate::session) resolved: Resolved,
    /// It was asked which instances there are: it may have nothing to do with a login.
    pub(in crate::session) only_looked: bool,
}

/// What name servers were asked for an attempt's sake.
#[derive(Debug, Default)]
pub(in crate::session) struct Resolved {
    /// The name that had the address.
    pub(in crate::session) name: Option<Text>,
    pub(in crate::session) parts: Vec<Done>,
}

/// An attempt.
#[derive(Clone, Debug)]
pub(in crate::session) struct Attempt {
    pub(in crate::session) client: IpAddr,
    /// How it was named, once it was.
    pub(in crate::session) id: Option<AttemptId>,
    /// Connections whose lines have named it.
    named: u32,
    pub(in crate::session) connections: u32,
    pub(in crate::session) target: Target,
    /// In the order in which they ended.
    pub(in crate::session) parts: Vec<Done>,
    /// Connections, those that are over too.
    pub(super) tries: Vec<Try>,
    /// Where its next connection goes.
    pub(super) expected: Vec<Place>,
    /// The connection whose session it recovers.
    pub(in crate::session) recovers: Option<Gone>,
    /// The incident that a login of it is part of.
    pub(in crate::session) incident: Option<IncidentId>,
    /// It is not told unless a connection follows: what there is of it is part of another one.
    pub(super) is_spare: bool,
    /// Its client is likely to try again.
    pub(super) returns: bool,
    /// Its client's process, if it is known.
    pub(in crate::session) pid: Option<u32>,
    /// Until when another part may follow.
    pub(in crate::session) until: u64,
}

impl Attempt {
    /// One of which nothing has happened yet.
    pub(super) fn of(client: IpAddr) -> Self {
        Self {
            client,
            id: None,
            named: 0,
            connections: 0,
            target: Target::default(),
            parts: Vec::new(),
            tries: Vec::new(),
            expected: Vec::new(),
            recovers: None,
            incident: None,
            is_spare: false,
            returns: false,
            pid: None,
            until: 0,
        }
    }

    /// One that begins with a lookup.
    pub(super) fn after(lookup: LookedUp) -> Self {
        let LookedUp {
            who: _,
            client,
            port: _,
            browser: _,
            done,
            target,
            announced,
            resolved,
            only_looked,
        } = lookup;
        let patient = if announced.is_empty() { 0 } else { FOLLOWED };
        let mut attempt = Self {
            target,
            until: done.end.saturating_add(patient),
            parts: vec![done],
            expected: announced,
            is_spare: only_looked,
            ..Self::of(client)
        };
        attempt.resolves(resolved);
        attempt
    }

    /// Names were asked for its sake.
    pub(super) fn resolves(&mut self, resolved: Resolved) {
        let Resolved { name, parts } = resolved;
        if self.target.name.is_none() {
            self.target.name = name;
        }
        self.parts.extend(parts);
    }

    /// Whether nothing but names was asked, or nothing at all done.
    pub(super) fn is_idle(&self) -> bool {
        self.tries.is_empty() && !self.parts.iter().any(|part| part.kind.is_of_server())
    }

    /// When its first part began.
    pub(in crate::session) fn start(&self) -> u64 {
        let done = self.parts.iter().map(|part| part.start);
        let open = self.tries.iter().map(|one| one.opened);
        done.chain(open).min().unwrap_or(0)
    }

    /// When its last part was decided.
    pub(in crate::session) fn end(&self) -> u64 {
        let ends = self.parts.iter().map(|part| part.end);
        ends.max().unwrap_or(0)
    }

    /// The part that says what came of it: the login that won, else the last one.
    pub(in crate::session) fn decisive(&self) -> Option<&Done> {
        let own = self.parts.iter();
        let own = own
            .filter(|part| !part.loser && part.role != Role::Proxied && part.kind.is_of_server());
        let won = |part: &&Done| part.outcome == PartOutcome::Login(Outcome::Success);
        let last = own.clone().max_by_key(|part| (part.start, part.end));
        let last = last.or_else(|| self.parts.last());
        own.clone().find(won).or(last)
    }

    /// What came of it.
    pub(in crate::session) fn outcome(&self) -> Outcome {
        match self.decisive().map(|part| part.outcome) {
            Some(PartOutcome::Login(outcome)) => outcome,
            Some(PartOutcome::Lookup(LookupOutcome::Timeout)) => Outcome::Timeout,
            Some(PartOutcome::Lookup(LookupOutcome::Unreachable)) => Outcome::Unreachable,
            Some(
                PartOutcome::Lookup(LookupOutcome::Answered)
                | PartOutcome::Resolution(_)
                | PartOutcome::Service(_)
                | PartOutcome::Untried(_)
                | PartOutcome::Waited(_),
            )
            | None => Outcome::Unknown,
        }
    }

    /// Says why the login of one of its connections failed or took long.
    pub(super) fn explain(&mut self, connection: ConnectionId, why: Why<'_>) {
        let mut parts = self.parts.iter_mut();
        let part = parts.find(|part| part.connection == Some(connection));
        if let Some(part) = part {
            part.causes = why.causes.into();
            self.incident = why.incident.or(self.incident);
        }
    }

    /// Whether a connection, decided, is part of it.
    pub(super) fn has_part(&self, connection: ConnectionId) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.connection == Some(connection))
    }

    /// Whether connections raced, and the client has used none.
    pub(super) fn came_to_nothing(&self) -> bool {
        let raced = self.parts.iter().any(|part| part.loser);
        raced && !self.tries.iter().any(|one| one.spoke)
    }

    /// Its connections, those that are over too.
    pub(in crate::session) fn handles(&self) -> Vec<Handle> {
        self.tries.iter().map(|one| one.handle).collect()
    }

    /// Its connection that is undecided, the last one of several.
    pub(super) fn at_work(&self) -> Option<Handle> {
        let open = self.tries.iter().rev().find(|one| one.ended.is_none());
        open.map(|one| one.handle)
    }

    /// Whether a connection is one of it.
    pub(super) fn has(&self, handle: Handle) -> bool {
        self.tries.iter().any(|one| one.handle == handle)
    }

    /// Whether a connection of it is undecided.
    pub(super) fn is_open(&self) -> bool {
        self.tries.iter().any(|one| one.ended.is_none())
    }

    /// A connection of it is opened.
    pub(super) fn opens(&mut self, one: Try) {
        self.target.port.get_or_insert(one.server.port);
        if one.again.is_none() {
            self.expected.clear();
            self.until = 0;
        }
        self.connections = self.connections.saturating_add(1);
        // Most have one only.
        self.tries.reserve_exact(1);
        self.tries.push(one);
    }

    /// The login of a connection of it is decided.
    pub(super) fn decided(&mut self, verdict: &Verdict, role: Role, loser: bool) -> Named {
        let Verdict {
            id,
            start,
            at,
            outcome,
            kind,
            ref target,
            redirect,
            server,
            heard,
            returns,
            guid,
            ..
        } = *verdict;
        let own = self.target.clone();
        self.target = Target {
            name: own.name.or_else(|| target.name.clone()),
            instance: own.instance.or_else(|| target.instance.clone()),
            port: own.port.or(target.port),
        };
        if !loser && role != Role::Proxied {
            self.client = verdict.client;
            self.pid = self.pid.or(verdict.pid);
        }
        self.parts.reserve_exact(1);
        self.parts.push(Done {
            name: target.name.clone(),
            connection: Some(id),
            loser,
            role,
            server: Some(server),
            heard,
            ..Done::new(kind, (start, at), PartOutcome::Login(outcome))
        });
        if outcome == Outcome::Redirected {
            self.expected.extend(redirect);
        }
        // Of one with so many tries there is no further one, whatever its client does.
        let returns = if self.tries.len() < MOST_TRIES {
            returns
        } else {
            Returns::Never
        };
        let until = at.saturating_add(patience(outcome, redirect.is_some(), returns));
        if !loser && role != Role::Proxied {
            self.returns = returns != Returns::Never;
            // Who got in does not try again.
            self.until = if self.returns {
                self.until.max(until)
            } else {
                until
            };
        }
        self.named += 1;
        Named {
            id: *self
                .id
                .get_or_insert(guid.map_or(AttemptId(id.0), named_by)),
            number: self.named,
            loser,
        }
    }

    /// Another attempt turns out to be this one. Not if both were named.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self {
            client: _,
            id,
            named,
            connections,
            target,
            parts,
            tries,
            expected,
            recovers,
            incident,
            is_spare: _,
            returns,
            pid,
            until,
        } = other;
        let (earlier, later) = if parts
            .iter()
            .map(|part| part.start)
            .min()
            .unwrap_or(u64::MAX)
            < self.start()
        {
            (target, std::mem::take(&mut self.target))
        } else {
            (std::mem::take(&mut self.target), target)
        };
        self.target = Target {
            name: earlier.name.or(later.name),
            instance: earlier.instance.or(later.instance),
            port: earlier.port.or(later.port),
        };
        self.id = self.id.or(id);
        self.named += named;
        self.connections = self.connections.saturating_add(connections);
        self.parts.extend(parts);
        self.tries.extend(tries);
        self.expected.extend(expected);
        self.recovers = self.recovers.or(recovers);
        self.incident = self.incident.or(incident);
        self.returns |= returns;
        self.pid = self.pid.or(pid);
        self.until = self.until.max(until);
    }

    /// A connection turns out to be no next try of it.
    pub(super) fn gives_up(&mut self, handle: Handle) -> Option<Self> {
        let place = self.tries.iter().position(|one| one.handle == handle)?;
        let mut one = self.tries.remove(place);
        let with = one.again.take()?;
        self.connections = self.connections.saturating_sub(1);
        let parts = self.parts.split_off(self.parts.len().saturating_sub(with));
        let name = parts.iter().find_map(|part| part.name.clone());
        let mut other = Self {
            parts,
            ..Self::of(self.client)
        };
        other.target.name = name;
        other.opens(one);
        Some(other)
    }
}

/// The name of an attempt whose client has named its connection: the same wherever that is read.
fn named_by(guid: Guid) -> AttemptId {
    let [low, high] = guid.halves();
    AttemptId(low ^ high.rotate_left(1))
}
