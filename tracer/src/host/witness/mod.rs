//! What this host has to say of logins: whether the client could run, what its socket held, and what the
//! network namespaces of both ends counted meanwhile.
//!
//! Looked at is as a login begins, each second while one is not decided, and once more when somebody asks:
//! never more often than every quarter of a second, a client's process then every 20 ms. Of what may not be read
//! nothing is told.

mod client;
mod counters;
mod cpu;
mod diag;
mod history;
mod networks;

use std::{
    collections::{HashMap, VecDeque},
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
};

use procfs::process::Process;

use self::{
    client::Client,
    cpu::Mounts,
    diag::{Abroad, Held},
    history::History,
    networks::Network,
};
use super::{namespaces::has_the_hosts_pids, now};
use crate::session::{BusyFacts, HostFacts, NetFacts, ProcessFacts, Question, SocketFacts};

/// Processes, network namespaces and logins followed; those that were seen the longest time ago give way.
const MAX_CLIENTS: usize = 64;
const MAX_NETWORKS: usize = 32;
const MAX_LOGINS: usize = 256;
/// How long a client is followed that begins no login any more, nanoseconds.
const INTEREST: u64 = 120_000_000_000;
/// Nothing is looked at again sooner.
const REST: u64 = 250_000_000;
/// But for a client's process once its login is over, since what held it back is counted when it may go on.
const LAST_REST: u64 = 20_000_000;
/// How long a network namespace is remembered that has no process which is known.
const REMEMBERED: u64 = 10_000_000_000;

/// A login that is not decided.
#[derive(Debug)]
struct Login {
    /// Both ends; which of them is the client's is not said before somebody asks.
    ends: [SocketAddr; 2],
    client: i32,
    samples: History<Held>,
}

/// What this host has to say.
#[derive(Debug)]
pub struct Witness {
    /// Whether a process's id is the one that `/proc` lists it by.
    has_hosts_pids: bool,
    /// `None` where no thread could be started.
    abroad: Option<Abroad>,
    home: Option<u64>,
    mounts: Mounts,
    clients: Vec<Client>,
    networks: Vec<Network>,
    logins: VecDeque<Login>,
    /// Logins that are not decided, by both ends, whose server is in that network namespace.
    served: VecDeque<([SocketAddr; 2], u64)>,
    /// How long some task of this host has waited for a processor.
    busy: History<u64>,
    /// When a process that accepts was looked at last, and which network namespace it and a server are in, as found
    /// then: a flood is not to be looked at login by login.
    accepting: HashMap<u32, (u64, Option<u64>)>,
    servers: HashMap<(IpAddr, u16), (u64, Option<u64>)>,
    /// Why sockets are not asked for, once that was refused.
    refused: Option<String>,
    refusal_was_told: bool,
}

impl Default for Witness {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Witness {
    /// It knows of nobody yet. Its thread that enters other network namespaces gives up all else where
    /// it is to be confined.
    pub fn new(confined: bool) -> Self {
        let myself = Process::myself().ok();
        Self {
            has_hosts_pids: has_the_hosts_pids(),
            abroad: Abroad::start(confined).ok(),
            home: myself.as_ref().and_then(networks::of),
            mounts: Mounts::find(),
            clients: Vec::new(),
            networks: Vec::new(),
            logins: VecDeque::new(),
            served: VecDeque::new(),
            busy: History::default(),
            accepting: HashMap::new(),
            servers: HashMap::new(),
            refused: None,
            refusal_was_told: false,
        }
    }

    /// A process opens a connection between these ends.
    pub fn begins(&mut self, pid: u32, ends: [SocketAddr; 2]) {
        if pid == 0 || !self.has_hosts_pids {
            return;
        }
        let now = now();
        self.look_at_host(now);
        if self.logins.len() >= MAX_LOGINS {
            self.logins.pop_front();
        }
        self.logins.push_back(Login {
            ends,
            client: pid.cast_signed(),
            samples: History::default(),
        });
        if let Some(network) = self.client(pid, now).and_then(|client| client.network) {
            self.glance(network, now);
        }
    }

    /// A process is to accept the connection between these ends.
    pub fn accepts(&mut self, pid: u32, ends: [SocketAddr; 2]) {
        if pid == 0 || !self.has_hosts_pids {
            return;
        }
        if let Some(network) = self.network_of_server(pid, now()) {
            if self.served.len() >= MAX_LOGINS {
                self.served.pop_front();
            }
            self.served.push_back((ends, network));
        }
    }

    /// The network namespace of a process that accepts, looked at now unless it was just before.
    fn network_of_server(&mut self, pid: u32, now: u64) -> Option<u64> {
        let known = self.accepting.get(&pid);
        if let Some((_, network)) = known.filter(|(at, _)| now.saturating_sub(*at) < REST) {
            return *network;
        }
        self.look_at_host(now);
        if self.accepting.len() >= MAX_LOGINS {
            self.accepting.clear();
        }
        let process = Process::new(pid.cast_signed()).ok();
        let network = process.and_then(|process| self.network(process));
        self.accepting.insert(pid, (now, network));
        if let Some(network) = network {
            self.glance(network, now);
        }
        network
    }

    /// A login between these ends is decided.
    pub fn decided(&mut self, ends: [SocketAddr; 2]) {
        if let Some(place) = self.logins.iter().position(|login| login.ends == ends) {
            self.logins.remove(place);
        }
        if let Some(place) = self.served.iter().position(|(known, _)| *known == ends) {
            self.served.remove(place);
        }
    }

    /// A second has passed.
    pub fn tick(&mut self) {
        let now = now();
        self.clients
            .retain(|client| now.saturating_sub(client.used) < INTEREST);
        // Of one whose process is gone what was seen is remembered for a while.
        let lately =
            |network: &Network| network.is_there() || !network.samples.is_older(now, REMEMBERED);
        self.networks.retain(lately);
        if self.logins.is_empty() && self.served.is_empty() {
            return;
        }
        self.look_at_host(now);
        for client in &mut self.clients {
            let is_waited_for = |login: &Login| login.client == client.process.pid();
            if self.logins.iter().any(is_waited_for) {
                client.look(&self.mounts, now);
            }
        }
        let networks: Vec<_> = self.networks.iter().map(|network| network.id).collect();
        for network in networks {
            self.look_at(network, now);
        }
    }

    /// What it has to say of a login.
    pub fn says(&mut self, question: &Question<'_>) -> HostFacts {
        let now = now();
        self.look_at_host(now);
        let mut facts = HostFacts {
            busy: self.busy_between(question.from, question.to),
            ..HostFacts::default()
        };
        if let Some(network) = self.of_server(question.server, now) {
            self.glance(network, now);
            if let Some(network) = self.networks.iter().find(|one| one.id == network) {
                facts.server_net = network.counted(question.from);
                facts.listener = network.listener(question.server, question.from);
            }
        }
        let pid = question.process.map_or(0, |process| process.pid);
        let client = pid.cast_signed();
        let mut clients = self.clients.iter_mut();
        let Some(client) = clients.find(|one| pid != 0 && one.process.pid() == client) else {
            return facts;
        };
        if client.samples.is_older(now, LAST_REST) {
            client.look(&self.mounts, now);
        }
        if let Some((from, to)) = question.owed {
            facts.process = client.between(from, to);
        }
        if let Some(network) = client.network {
            self.glance(network, now);
            let network = self.networks.iter().find(|one| one.id == network);
            facts.client_net = network
                .map(|network| network.counted(question.from))
                .unwrap_or_default();
        }
        facts.socket = self.socket(question);
        facts
    }

    /// Looks at the whole host unless it did just before.
    fn look_at_host(&mut self, now: u64) {
        if self.busy.is_older(now, REST)
            && let Some(waited) = cpu::waited_by_any()
        {
            self.busy.add(now, waited);
        }
    }

    /// Whether the host had processors for all that wanted to run, from then to then or in little more.
    fn busy_between(&self, from: u64, to: u64) -> Option<BusyFacts> {
        let ((first, then), (last, now)) = self.busy.between(from, to)?;
        let facts = BusyFacts {
            span: last.saturating_sub(*first),
            waited: now.saturating_sub(*then),
        };
        // What was measured over a much longer time may have happened at another.
        let is_close = facts.span <= to.saturating_sub(from).saturating_mul(3);
        Some(facts).filter(|_| is_close)
    }

    /// Whether a client's process could run from one moment to another; nothing of one that is not known.
    pub fn ran(&self, pid: u32, (from, to): (u64, u64)) -> ProcessFacts {
        let mut clients = self.clients.iter();
        let client = clients.find(|client| client.process.pid() == pid.cast_signed());
        client.map_or_else(ProcessFacts::default, |client| client.between(from, to))
    }

    /// What the network namespace of a process counts since then.
    pub fn net(&mut self, pid: u32, since: u64) -> NetFacts {
        let process = Process::new(pid.cast_signed()).ok();
        let network = process.and_then(|process| self.network(process));
        // One that is gone has opened connections before.
        let known = |client: &&Client| client.process.pid() == pid.cast_signed();
        let client = self.clients.iter().find(known);
        let network = network.or_else(|| client?.network);
        let Some(id) = network.filter(|_| self.has_hosts_pids) else {
            return NetFacts::default();
        };
        self.glance(id, now());
        let network = self.networks.iter().find(|network| network.id == id);
        network.map_or_else(NetFacts::default, |network| network.counted(since))
    }

    /// What cannot be told here, and why.
    pub fn shortfalls(&self) -> Vec<&'static str> {
        let mut shortfalls = Vec::new();
        if Process::new(1)
            .ok()
            .as_ref()
            .and_then(networks::of)
            .is_none()
        {
            shortfalls.push("the network namespaces of other processes may not be seen");
        }
        if !self.has_hosts_pids {
            return vec!["in another pid namespace than the host's: nothing is known of processes"];
        }
        if !self.mounts.show_limits() {
            shortfalls.push("no control groups that limit processor time are mounted");
        }
        if !self.mounts.show_pressure() {
            shortfalls.push("no control group tells its pressure");
        }
        shortfalls
    }

    /// Why sockets may not be asked for, once; it was found out by asking.
    pub fn refusal(&mut self) -> Option<String> {
        let refused = self.refused.take().filter(|_| !self.refusal_was_told)?;
        self.refusal_was_told = true;
        Some(refused)
    }

    /// The client's process, looked at now unless it was just before.
    fn client(&mut self, pid: u32, now: u64) -> Option<&Client> {
        let known = |client: &Client| client.process.pid() == pid.cast_signed();
        let place = match self.clients.iter().position(known) {
            Some(place) if self.clients[place].is_itself(now) => place,
            Some(place) => {
                // Another has its id.
                self.clients.swap_remove(place);
                self.meet(pid, now)?
            }
            None => self.meet(pid, now)?,
        };
        let client = &mut self.clients[place];
        client.used = now;
        if client.samples.is_older(now, REST) {
            client.look(&self.mounts, now);
        }
        self.clients.get(place)
    }

    fn meet(&mut self, pid: u32, now: u64) -> Option<usize> {
        let process = Process::new(pid.cast_signed()).ok()?;
        if self.clients.len() >= MAX_CLIENTS {
            let clients = self.clients.iter().enumerate();
            let (oldest, _) = clients.min_by_key(|(_, client)| client.used)?;
            self.clients.swap_remove(oldest);
        }
        let limits = (now, self.mounts.limits(&process));
        let network = Process::new(pid.cast_signed()).ok();
        let network = network.and_then(|process| self.network(process));
        self.clients.push(Client {
            process,
            network,
            limits,
            used: now,
            alive: now,
            samples: History::default(),
        });
        Some(self.clients.len() - 1)
    }

    /// The network namespace of a process, followed from now on.
    fn network(&mut self, by: Process) -> Option<u64> {
        let id = networks::of(&by)?;
        match self.networks.iter_mut().find(|network| network.id == id) {
            Some(known) if !known.is_there() => known.by = by,
            Some(_) => {}
            None => {
                if self.networks.len() >= MAX_NETWORKS {
                    self.networks.remove(0);
                }
                self.networks.push(Network::new(id, by, self.home));
            }
        }
        Some(id)
    }

    /// The only network namespace in which somebody listens there; `None` where several could be it.
    fn of_server(&mut self, server: (IpAddr, u16), now: u64) -> Option<u64> {
        let known = self.servers.get(&server);
        if let Some((_, network)) = known.filter(|(at, _)| now.saturating_sub(*at) < REST) {
            return *network;
        }
        if self.servers.len() >= MAX_LOGINS {
            self.servers.clear();
        }
        let found = self.find_server(server);
        self.servers.insert(server, (now, found));
        found
    }

    fn find_server(&self, server: (IpAddr, u16)) -> Option<u64> {
        let mut all = self.networks.iter();
        let only = all.find(|network| network.listens(server))?;
        let others = all.any(|network| network.listens(server));
        (!others).then_some(only.id)
    }

    /// Looks at a network namespace unless it did just before.
    fn glance(&mut self, id: u64, now: u64) {
        let network = self.networks.iter().find(|network| network.id == id);
        if network.is_some_and(|network| network.samples.is_older(now, REST)) {
            self.look_at(id, now);
        }
    }

    fn look_at(&mut self, id: u64, now: u64) {
        let here = |login: &&mut Login| {
            let mut clients = self.clients.iter();
            let client = clients.find(|client| client.process.pid() == login.client);
            client.is_some_and(|client| client.network == Some(id))
        };
        let logins = self.logins.iter_mut().filter(here);
        let mut logins: Vec<_> = logins.take(diag::MOST_ASKED).collect();
        let ends = logins.iter().map(|login| client_first(login.ends));
        let ends = ends.collect();
        let mut networks = self.networks.iter_mut();
        let there = networks.find(|network| network.id == id && network.is_there());
        let Some(network) = there else {
            return;
        };
        match network.look(now, ends, self.abroad.as_ref()) {
            Ok(held) => {
                for (login, held) in logins.iter_mut().zip(held) {
                    if let Some(held) = held {
                        login.samples.add(now, held);
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.refused = Some(error.to_string());
            }
            // Its process is gone.
            Err(_) => {}
        }
    }

    /// What the client's socket held while the client owed.
    fn socket(&self, question: &Question<'_>) -> SocketFacts {
        let [local, remote] =
            [question.client, question.server].map(|(address, port)| (address, port).into());
        let mut logins = self.logins.iter();
        let login = logins.find(|login| client_first(login.ends) == (local, remote));
        let Some(login) = login else {
            return SocketFacts::default();
        };
        let (from, to) = question.owed.unwrap_or_default();
        let while_owed: Vec<_> = login.samples.within(from, to).collect();
        let unread = while_owed.iter().filter(|(_, held)| held.unread > 0);
        let first = unread.clone().next().map(|(at, _)| *at);
        let last = unread.clone().next_back().map(|(at, _)| *at);
        SocketFacts {
            unread: while_owed.iter().map(|(_, held)| held.unread).max(),
            unread_for: first.zip(last).map(|(first, last)| last - first),
            path_mtu: login.samples.last().and_then(|(_, held)| held.path_mtu),
        }
    }
}

/// The ends of a connection, the client's first: it is given one of the high ports.
fn client_first([one, other]: [SocketAddr; 2]) -> (SocketAddr, SocketAddr) {
    if one.port() >= other.port() {
        (one, other)
    } else {
        (other, one)
    }
}
