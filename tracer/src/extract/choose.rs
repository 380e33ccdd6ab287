//! Which connections are wanted, found by what the engine says of them.

use foldhash::HashMap;
use std::net::IpAddr;
use tracer_ebpf::flow::FlowKey;

use crate::{
    capture::tracker::words,
    record::{Body, ConnectionFacts, ConnectionId, Login, Outcome, Record},
    session::{Decided, Listener},
};

/// Which connections are wanted: those that all of these name.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By their ids; empty where any will do.
    pub connections: Vec<ConnectionId>,
    /// Whose login took longer, nanoseconds.
    pub slower: Option<u64>,
    /// Whose login ended so; empty where any will do.
    pub outcomes: Vec<Outcome>,
}

impl Wanted {
    fn wants(&self, id: ConnectionId, login: &Login) -> bool {
        let named = self.connections.is_empty() || self.connections.contains(&id);
        let slow = self
            .slower
            .is_none_or(|slower| login.duration_ns.is_some_and(|took| took.0 > slower));
        let ended = self.outcomes.is_empty()
            || login
                .outcome
                .is_some_and(|outcome| self.outcomes.contains(&outcome));
        named && slow && ended
    }
}

/// A connection that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// From its first packet to when it was over, nanoseconds since 1970.
    from: u64,
    to: u64,
    /// What is said of each of its packets.
    pub(super) comment: String,
}

/// What is known of connections, and by which addresses.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    wanted: &'a Wanted,
    by_key: HashMap<FlowKey, Vec<Chosen>>,
    /// Connections that are wanted.
    pub(super) found: Vec<ConnectionId>,
    /// What is told while the engine works, for the tracker.
    pub(super) decided: Vec<Decided>,
    pub(super) announced: Vec<(IpAddr, u16)>,
}

impl<'a> Choice<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            by_key: HashMap::default(),
            found: Vec::new(),
            decided: Vec::new(),
            announced: Vec::new(),
        }
    }

    /// The connection that began at `born` between these addresses, if it is wanted.
    pub(super) fn of(&self, key: &FlowKey, born: u64) -> Option<&Chosen> {
        let of_key = self.by_key.get(key)?;
        of_key
            .iter()
            .find(|chosen| chosen.from <= born && born <= chosen.to)
    }

    fn closed(&mut self, facts: &ConnectionFacts, at: u64) {
        let id = facts.connection.id;
        if !self.wanted.wants(id, &facts.login) {
            return;
        }
        self.found.push(id);
        let from = facts.connection.start.0;
        let chosen = Chosen {
            from,
            to: at.max(from),
            comment: comment(facts),
        };
        let own = (
            (facts.client.address, facts.client.port),
            (facts.server.address, facts.server.port),
        );
        let others = facts.nat.iter().map(|other| {
            let (client, server) = (&other.client, &other.server);
            ((client.address, client.port), (server.address, server.port))
        });
        for (client, server) in [own].into_iter().chain(others) {
            let (key, _) = FlowKey::of(words(client.0), client.1, words(server.0), server.1);
            self.by_key.entry(key).or_default().push(chosen.clone());
        }
    }
}

impl Listener for Choice<'_> {
    fn record(&mut self, record: Record) {
        if let Body::Close(close) = &record.body {
            let at = record.timestamp.0;
            self.closed(&close.facts, at);
        }
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.announced.push(server);
    }

    fn decided(&mut self, decided: Decided) {
        self.decided.push(decided);
    }
}

/// Which connection, and how its login ended.
fn comment(facts: &ConnectionFacts) -> String {
    let login = &facts.login;
    let outcome = login
        .outcome
        .map(|outcome| format!(", {}", outcome.as_str()));
    let error = login
        .error
        .as_ref()
        .map(|error| format!(" (error {})", error.number));
    let took = login
        .duration_ns
        .map(|took| format!(" after {:.3} s", took.0 as f64 / 1e9));
    let said: String = [outcome, error, took].into_iter().flatten().collect();
    format!("connection {}{said}", facts.connection.id)
}
