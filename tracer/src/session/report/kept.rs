//! What is kept of a connection's facts once its login is decided, until its `close` tells them again.
//!
//! Most of it is the same for all connections between two programs, and is kept once. What is a
//! connection's own is numbers.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    Report, client,
    common::Common,
    own::{Own, read_phase, write_phase},
    server,
};
use crate::{
    record::{
        Auth, Connection, ConnectionFacts, ConnectionId, Login, Nanos, Phase, PhaseName, Phases,
        Process, Tcp, Tds, Text, Timestamp, Tls, Written,
    },
    session::wire::Wire,
    tds::prelogin::TraceId,
};

/// What connections have in common.
#[derive(Debug, Default)]
pub(super) struct Commons {
    terms: Common<Terms>,
    tls: Common<Written<Tls>>,
    claims: Common<Claim>,
    alike: Common<Alike>,
    processes: Common<Process>,
}

/// Between which programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Terms {
    interface: Option<Text>,
    instance: Option<Text>,
    tds: Option<Tds>,
}

/// Who logged in, how, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Claim {
    auth: Option<Auth>,
    login: Login,
}

/// What a connection has in common with others. Each part is kept once: the same place is the same
/// value.
#[derive(Clone, Debug)]
struct Alike {
    terms: Arc<Terms>,
    tls: Option<Arc<Written<Tls>>>,
    claim: Arc<Claim>,
}

impl Alike {
    fn places(&self) -> (*const Terms, Option<*const Written<Tls>>, *const Claim) {
        let tls = self.tls.as_ref().map(Arc::as_ptr);
        (Arc::as_ptr(&self.terms), tls, Arc::as_ptr(&self.claim))
    }
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        self.places() == other.places()
    }
}

impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.places().hash(state);
    }
}

/// What is kept of a connection's facts; the rest its packets say.
#[derive(Debug)]
pub(in crate::session) struct Kept {
    id: ConnectionId,
    start: Timestamp,
    alike: Arc<Alike>,
    /// What is its own, then its phases.
    own: Box<[u8]>,
}

impl Report<'_> {
    /// Keeps a connection's facts; `trace` is what they tell of a client's name for it.
    pub(in crate::session) fn keep(
        &mut self,
        facts: &mut ConnectionFacts,
        trace: Option<TraceId>,
    ) -> Kept {
        let commons = &mut self.shared.commons;
        let own = Own::take(facts, trace);
        let mut bytes = Vec::with_capacity(160);
        own.write(&mut bytes);
        let mut reached = Nanos(0);
        for (name, phase) in facts.phases.of_login() {
            write_phase(name, phase, Some(reached), &mut bytes);
            reached = phase.start_ns + phase.duration_ns;
        }
        let terms = Terms {
            interface: facts.connection.interface.take(),
            instance: facts.server.instance.take(),
            tds: facts.tds.take(),
        };
        let claim = Claim {
            auth: facts.auth.take(),
            login: std::mem::take(&mut facts.login),
        };
        let alike = Alike {
            terms: commons.terms.share(&terms),
            tls: facts.tls.clone(),
            claim: commons.claims.share(&claim),
        };
        let kept = Kept {
            id: facts.connection.id,
            start: facts.connection.start,
            alike: commons.alike.share(&alike),
            own: bytes.into_boxed_slice(),
        };
        give(terms, claim, facts);
        own.give(facts);
        kept
    }

    /// What was agreed in TLS, kept once for all connections that agreed on the same.
    pub(super) fn keep_tls(&mut self, tls: Tls) -> Arc<Written<Tls>> {
        self.shared.commons.tls.share(&Written::new(tls))
    }

    /// A process, kept once for all its connections.
    pub(in crate::session) fn keep_process(&mut self, process: &Process) -> Arc<Process> {
        self.shared.commons.processes.share(process)
    }
}

impl Kept {
    /// The connection's name.
    pub(in crate::session) const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Notes a phase that ended after the login.
    pub(in crate::session) fn add_phase(&mut self, name: PhaseName, phase: &Phase) {
        let mut bytes = std::mem::take(&mut self.own).into_vec();
        write_phase(name, phase, None, &mut bytes);
        self.own = bytes.into_boxed_slice();
    }

    /// The facts, but for what [`super::close::complete`] takes from the packets anyway.
    pub(in crate::session) fn facts(&self, wire: &Wire) -> ConnectionFacts {
        let mut bytes = &*self.own;
        let own = Own::read(&mut bytes);
        let mut phases = Phases::default();
        let mut reached = Nanos(0);
        while let Some((name, phase)) = read_phase(&mut bytes, reached) {
            reached = phase.start_ns + phase.duration_ns;
            *phases.place(name) = Some(phase);
        }
        let mut facts = ConnectionFacts {
            connection: Connection {
                id: self.id,
                community_id: Some(wire.identity().community_id()),
                start: self.start,
                ..Connection::default()
            },
            client: client(wire),
            server: server(wire),
            process: None,
            nat: Vec::new(),
            attempt: None,
            tcp: Tcp::default(),
            tds: None,
            tls: self.alike.tls.clone(),
            auth: None,
            login: Login::default(),
            phases,
            mars: None,
            requests: None,
            diagnosis: Vec::new(),
        };
        let Alike { terms, claim, .. } = &*self.alike;
        give((**terms).clone(), (**claim).clone(), &mut facts);
        own.give(&mut facts);
        facts
    }
}

fn give(terms: Terms, claim: Claim, facts: &mut ConnectionFacts) {
    facts.connection.interface = terms.interface;
    facts.server.instance = terms.instance;
    facts.tds = terms.tds;
    facts.auth = claim.auth;
    facts.login = claim.login;
}
