//! The ports that are watched: those that were named, and those that were learned meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use tracer_ebpf::{event::Bound, flow::FlowKey};

use crate::{
    host,
    ports::Ports,
    record::{Agent, AgentAction, Text},
};

/// Ports remembered at once; the one that was unused for longest gives way.
const MOST: usize = 256;
/// How long a port is watched that nobody uses, nanoseconds.
const UNUSED: u64 = 3_600_000_000_000;
/// Ports below are not learned from traffic: other protocols live there (RFC 6335 §6), all connections of
/// which would be watched.
const SYSTEM_PORTS: u16 = 1024;

/// What a port was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A server has answered a login there.
    Traffic,
    /// A server has sent a client there.
    Redirect,
    /// SQL Browser has announced it.
    SqlBrowser,
    /// A process of SQL Server has bound it.
    Process,
}

impl Source {
    /// The name in `agent.reason`.
    const fn name(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Redirect => "redirect",
            Self::SqlBrowser => "sql_browser",
            Self::Process => "process",
        }
    }
}

/// A port that SQL Server is said to be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) port: u16,
    /// Where the server is, as far as that is known.
    pub(super) address: Option<IpAddr>,
    pub(super) source: Source,
}

impl Word {
    pub(super) const fn of((address, port): (IpAddr, u16), source: Source) -> Self {
        Self {
            port,
            address: Some(address),
            source,
        }
    }

    /// What it means that a process by the name of SQL Server's has bound a port; nothing where it is another
    /// program.
    pub(super) fn of_process(bound: &Bound) -> Option<Self> {
        let is_server = host::is_sql_server_at(bound.pid) != Some(false);
        is_server.then_some(Self {
            port: bound.port,
            address: None,
            source: Source::Process,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    word: Word,
    /// When it was used last, nanoseconds as in events.
    used: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    ports: Ports,
    learned: BTreeMap<u16, Learned>,
    /// Changes that nobody has been told of.
    changes: Vec<Agent>,
}

impl Watched {
    pub(super) fn new(ports: Ports) -> Self {
        Self {
            ports,
            learned: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// Takes other ports that are named; those that were learned stay.
    pub(super) fn name(&mut self, ports: Ports) {
        self.learned.retain(|port, _| !ports.contains(*port));
        self.ports = ports;
    }

    /// Takes a word that SQL Server is at a port.
    pub(super) fn hear(&mut self, word: Word, now: u64) {
        if !self.ports.auto || self.ports.contains(word.port) || word.port == 0 {
            return;
        }
        if let Some(known) = self.learned.get_mut(&word.port) {
            known.used = known.used.max(now);
            return;
        }
        if word.source == Source::Traffic && word.port < SYSTEM_PORTS {
            return;
        }
        if self.learned.len() >= MOST {
            let oldest = self.learned.values().min_by_key(|learned| learned.used);
            if let Some(oldest) = oldest.map(|learned| learned.word.port) {
                self.forget(oldest, "crowded");
            }
        }
        self.learned.insert(word.port, Learned { word, used: now });
        let mut agent = Agent::new(AgentAction::PortAdded);
        agent.port = Some(word.port);
        agent.address = word.address;
        agent.reason = Some(Text::from(word.source.name()));
        self.changes.push(agent);
    }

    /// Takes the word of the processes that listen now.
    pub(super) fn find_servers(&mut self, now: u64) {
        if !self.ports.auto {
            return;
        }
        for address in host::sql_servers() {
            self.hear(
                Word {
                    port: address.port(),
                    address: host::named(address.ip()),
                    source: Source::Process,
                },
                now,
            );
        }
    }

    /// Forgets what nobody has used for long. Where a port would be forgotten it is asked whether a connection is
    /// `open` there, or a process listens.
    pub(super) fn age(&mut self, now: u64, open: impl FnOnce() -> Vec<FlowKey>) {
        let is_old = |learned: &&Learned| now.saturating_sub(learned.used) >= UNUSED;
        if !self.learned.values().any(|learned| is_old(&learned)) {
            return;
        }
        let ports = open().into_iter().flat_map(|key| [key.a_port, key.b_port]);
        for port in ports {
            if let Some(known) = self.learned.get_mut(&port) {
                known.used = now;
            }
        }
        self.find_servers(now);
        let old = self.learned.values().filter(is_old);
        let old: Vec<_> = old.map(|learned| learned.word.port).collect();
        for port in old {
            self.forget(port, "unused");
        }
    }

    fn forget(&mut self, port: u16, reason: &str) {
        if self.learned.remove(&port).is_some() {
            let mut agent = Agent::new(AgentAction::PortRemoved);
            agent.port = Some(port);
            agent.reason = Some(Text::from(reason));
            self.changes.push(agent);
        }
    }

    /// What has changed since the last call.
    pub(super) fn changes(&mut self) -> Vec<Agent> {
        std::mem::take(&mut self.changes)
    }

    /// All ports that are watched now.
    pub(super) fn all(&self) -> BTreeSet<u16> {
        let mut all = self.ports.known();
        all.extend(self.learned.keys());
        all
    }

    /// How many of them were learned; nothing where none is.
    pub(super) fn learned(&self) -> Option<u64> {
        self.ports.auto.then_some(self.learned.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    fn word(port: u16, source: Source) -> Word {
        Word {
            port,
            address: None,
            source,
        }
    }

    fn auto() -> Watched {
        Watched::new(Ports::default())
    }

    fn told(watched: &mut Watched) -> Vec<(AgentAction, Option<u16>, String)> {
        let changes = watched.changes().into_iter();
        let reason = |agent: &Agent| agent.reason.as_ref().map(ToString::to_string);
        changes
            .map(|agent| (agent.action, agent.port, reason(&agent).unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_port_is_learned_once_and_told_with_its_source() {
        let mut watched = auto();
        watched.hear(word(11_000, Source::Redirect), 1);
        watched.hear(word(11_000, Source::Traffic), 2);
        watched.hear(word(1433, Source::Traffic), 3);
        let added = (AgentAction::PortAdded, Some(11_000), "redirect".to_owned());
        assert_eq!(told(&mut watched), [added]);
        assert_eq!(watched.all(), BTreeSet::from([1433, 11_000]));
        assert_eq!(watched.learned(), Some(1));
    }

    #[test]
    fn nothing_is_learned_where_ports_were_named() {
        let mut watched = Watched::new("1433".parse().unwrap());
        watched.hear(word(11_000, Source::Process), 1);
        assert_eq!(
            (watched.all(), watched.learned()),
            (BTreeSet::from([1433]), None)
        );
        assert!(watched.changes().is_empty());
    }

    #[test]
    fn a_port_of_other_protocols_is_not_learned_from_traffic() {
        let mut watched = auto();
        watched.hear(word(443, Source::Traffic), 1);
        assert_eq!(watched.learned(), Some(0));
        watched.hear(word(443, Source::Process), 1);
        assert_eq!(watched.learned(), Some(1));
    }

    #[test]
    fn a_port_that_nobody_uses_is_forgotten_after_an_hour() {
        let mut watched = auto();
        for port in [11_000, 11_001, 11_002] {
            watched.hear(word(port, Source::Traffic), 0);
        }
        watched.changes();
        watched.age(59 * MINUTE, || panic!("asked too soon"));
        watched.hear(word(11_001, Source::Traffic), 30 * MINUTE);
        let open = vec![FlowKey::of([1; 4], 11_000, [2; 4], 50_000).0];
        watched.age(60 * MINUTE, || open);
        let removed = (AgentAction::PortRemoved, Some(11_002), "unused".to_owned());
        assert_eq!(told(&mut watched), [removed]);
        watched.age(90 * MINUTE, Vec::new);
        assert_eq!(watched.all(), BTreeSet::from([1433, 11_000]));
        watched.age(200 * MINUTE, Vec::new);
        assert_eq!(watched.all(), BTreeSet::from([1433]));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut watched = auto();
        for port in 0..=MOST as u16 {
            watched.hear(word(20_000 + port, Source::Traffic), port.into());
        }
        assert_eq!(watched.learned(), Some(MOST as u64));
        let removed = (AgentAction::PortRemoved, Some(20_000), "crowded".to_owned());
        assert!(told(&mut watched).contains(&removed));
    }
}
