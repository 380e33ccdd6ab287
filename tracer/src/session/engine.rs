//! The table of connections: who gets which event, who is evicted, and whose time is up.

mod evict;

use std::net::IpAddr;

use foldhash::HashMap;
use tracer_ebpf::{
    event::{Direction, Event, Kind, SocketEnd, mark, role},
    flow::FlowKey,
    patience::UNANSWERED,
};

use super::{
    beginning::Beginning,
    connection::Connection,
    entry::{Entry, LINGER, Restless, settle},
    naming,
    output::Shared,
};
use crate::record::{
    LossReason, PartialReason, Process, Record, Text, Timestamp, identity::Policy,
};

/// How often time is looked at, nanoseconds.
const TICK: u64 = 250_000_000;
/// Looks at the time in one gap between events: four minutes, longer than almost anything waits.
const MAX_LOOKS: u32 = 1024;
/// Owners kept of connections of which no packet was seen yet.
const MAX_STRAY_OWNERS: usize = 16 * 1024;

/// The engine's options.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections kept at once; the longest idle give way, counted.
    pub max_connections: usize,
    /// What may be said of users, domains and workstations.
    pub identity: Policy,
    /// What to add to an event's time to get nanoseconds since 1970.
    pub wall_offset: i64,
    /// Names of interfaces by index.
    pub interfaces: HashMap<u32, String>,
    /// Silence after which a login counts as never to be answered, nanoseconds.
    pub login_patience: u64,
    /// Silence after which a connection in use counts as gone, its end not having been seen,
    /// nanoseconds.
    pub idle_patience: u64,
    /// Tell `phase` records.
    pub phases: bool,
    /// Tell `request` records.
    pub requests: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 65_536,
            identity: Policy::Hide,
            wall_offset: 0,
            interfaces: HashMap::default(),
            login_patience: UNANSWERED,
            idle_patience: 604_800_000_000_000,
            phases: false,
            requests: false,
        }
    }
}

impl Config {
    pub(super) fn wall(&self, at: u64) -> Timestamp {
        Timestamp::from_nanoseconds(i128::from(at) + i128::from(self.wall_offset))
    }

    pub(super) fn interface(&self, index: u32) -> Option<Text> {
        self.interfaces
            .get(&index)
            .map(|name| Text::from(name.as_str()))
    }
}

/// Whose socket a connection is.
#[derive(Clone, Debug)]
pub struct SocketOwner {
    /// The connection.
    pub key: FlowKey,
    /// See [`tracer_ebpf::event::role`].
    pub role: u32,
    /// When it was known, nanoseconds as in events.
    pub time: u64,
    /// The process.
    pub process: Process,
}

/// What a captured packet's checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Of the packet as it is.
    Right,
    /// Left to the network card: a packet that had not left its host when it was captured, or one that
    /// never left it.
    Unfinished,
    /// Of another packet: this one was damaged or rewritten. That says nothing of where.
    Wrong,
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// Something happened to a connection; the bytes are those that follow the record.
    Event(&'a Event, &'a [u8]),
    /// A connection's socket is on this host.
    Owner(SocketOwner),
    /// A socket closed.
    SocketEnd(SocketEnd),
    /// The checksum of a captured packet.
    Checksum {
        /// The connection.
        key: FlowKey,
        /// Which way the packet went.
        direction: Direction,
        /// What it is.
        checksum: Checksum,
    },
    /// The snap length cut a login that is not sealed: what of it would be secret is not known, so
    /// nothing of that part was told.
    CutLogin(FlowKey),
    /// The snap length cut a message header off: where this direction's next message begins is not known.
    Cut(FlowKey, Direction),
    /// Something was not seen, so many times since the last word of it.
    Loss(LossReason, u64),
}

/// Who hears what the engine finds.
pub trait Listener {
    /// A record.
    fn record(&mut self, record: Record);

    /// A login is decided: the kernel need not copy its connection's bytes any more.
    fn decided(&mut self, key: FlowKey, born: u64);
}

/// Connections, rebuilt from events.
#[derive(Debug)]
pub struct Engine {
    shared: Shared,
    connections: HashMap<FlowKey, Entry>,
    restless: Restless,
    /// By connection, and whether it is the client's socket.
    stray_owners: HashMap<(FlowKey, bool), SocketOwner>,
    /// By client, who has just left a sealed login without a request: perhaps for elsewhere.
    leavers: HashMap<IpAddr, FlowKey>,
    next_tick: u64,
    /// When the idle are looked for next.
    next_sweep: u64,
    opened: u64,
}

impl Engine {
    /// An engine without connections.
    pub fn new(config: Config) -> Self {
        Self {
            shared: Shared::new(config),
            connections: HashMap::default(),
            restless: Restless::default(),
            stray_owners: HashMap::default(),
            leavers: HashMap::default(),
            next_tick: 0,
            next_sweep: 0,
            opened: 0,
        }
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.connections
            .values()
            .filter(|entry| !matches!(entry, Entry::Over { .. }))
            .count()
    }

    /// Connections seen so far.
    pub fn connections_seen(&self) -> u64 {
        self.opened
    }

    /// Changes what is added to an event's time to get nanoseconds since 1970.
    pub fn set_wall_offset(&mut self, offset: i64) {
        self.shared.config.wall_offset = offset;
    }

    /// Names an interface.
    pub fn name_interface(&mut self, index: u32, name: String) {
        self.shared.config.interfaces.insert(index, name);
    }

    /// Takes in what happened.
    pub fn on_event(&mut self, input: Input<'_>, listener: &mut dyn Listener) {
        match input {
            Input::Event(event, run) => self.event(event, run, listener),
            Input::Owner(owner) => self.owner(owner, listener),
            Input::SocketEnd(end) => self.socket_end(&end, listener),
            Input::Checksum {
                key,
                direction,
                checksum,
            } => match self.connections.get_mut(&key) {
                Some(Entry::Beginning(beginning)) => beginning.checksum(direction, checksum),
                Some(Entry::Open(connection)) => connection.checksum(direction, checksum),
                Some(Entry::Over { .. }) | None => {}
            },
            Input::CutLogin(key) => {
                if let Some(Entry::Open(connection)) = self.connections.get_mut(&key) {
                    connection.cut_login();
                }
            }
            Input::Cut(key, _) => {
                if let Some(Entry::Open(connection)) = self.connections.get_mut(&key) {
                    connection.cut();
                }
            }
            Input::Loss(reason, count) => self.shared.losses.add(reason, count),
        }
    }

    fn event(&mut self, event: &Event, run: &[u8], listener: &mut dyn Listener) {
        self.pass_time(event.time, listener);
        let mut out = self.shared.output(listener);
        if let Some(entry) = self.connections.get_mut(&event.key) {
            let again = event.marks & mark::JOINED_LATE != 0;
            if entry.goes_on_beginning(event) {
                return;
            }
            match entry.grown(&mut out) {
                Entry::Open(connection) if again && is_end_again(event, connection) => return,
                Entry::Open(connection) if connection.born == event.born || again => {
                    if connection.born != event.born {
                        // The kernel's table had forgotten the connection and found it again.
                        connection.moved_to(event.born, &mut out);
                    }
                    connection.take(event, run, &mut out);
                    if connection.has_left() {
                        let client = connection.facts.client.address;
                        self.leavers.insert(client, event.key);
                    }
                    settle(entry, event.time, &mut self.restless, &mut out);
                    return;
                }
                // Port reuse: a SYN of another connection.
                Entry::Open(_) => {
                    let lost = Some(PartialReason::EventsLost);
                    entry.end(event.time, event.time, lost, &mut out);
                    self.restless.over.push_back((event.time, event.key));
                }
                Entry::Over { born, .. } if *born == event.born => return,
                Entry::Over { until, .. } if again && event.time < *until => return,
                Entry::Over { .. } | Entry::Beginning(_) => {}
            }
        }
        self.open(event, run, listener);
    }

    fn open(&mut self, event: &Event, run: &[u8], listener: &mut dyn Listener) {
        let late = event.marks & mark::JOINED_LATE != 0;
        let tells = is_end(event) || event.kind == Kind::Ack as u8;
        if tells && late {
            // Of the two ends of a connection that was never told the first counts.
            if event.client.packets + event.server.packets == 1 {
                self.shared.losses.add(LossReason::ConnectionUntold, 1);
            }
            return;
        }
        // Stragglers of a connection that is forgotten already.
        if tells && event.number > 1 {
            return;
        }
        if self.connections.len() >= self.shared.config.max_connections {
            self.evict(event.time, listener);
        }
        if self.restless.are_many(self.shared.config.max_connections) {
            self.on_tick(event.time, listener);
        }
        if !late {
            self.follow(event, listener);
        }
        self.opened += 1;
        let owners = [true, false].map(|client| self.stray_owners.remove(&(event.key, client)));
        if owners.iter().all(Option::is_none)
            && let Some(beginning) = Beginning::of(event)
        {
            self.restless.waiting.push(event.key);
            let entry = Entry::Beginning(beginning);
            self.connections.insert(event.key, entry);
            return;
        }
        let mut connection = Box::new(Connection::new(event, &self.shared.config));
        for owner in owners.iter().flatten() {
            connection.owner(owner);
        }
        let mut out = self.shared.output(listener);
        connection.take(event, run, &mut out);
        let mut entry = Entry::Open(connection);
        settle(&mut entry, event.time, &mut self.restless, &mut out);
        self.connections.insert(event.key, entry);
    }

    /// A connection that opens may be where a client was sent to by the reply it has just left with.
    fn follow(&mut self, event: &Event, listener: &mut dyn Listener) {
        let (client, server) = naming::ends(&event.key, event.client_is_a != 0);
        let Some(key) = self.leavers.get(&client.address).copied() else {
            return;
        };
        let mut out = self.shared.output(listener);
        let Some(entry @ Entry::Open(_)) = self.connections.get_mut(&key) else {
            return;
        };
        if let Entry::Open(connection) = entry
            && connection.goes_on_at(server.address, server.port, event.time, &mut out)
        {
            self.leavers.remove(&client.address);
            settle(entry, event.time, &mut self.restless, &mut out);
        }
    }

    fn owner(&mut self, owner: SocketOwner, listener: &mut dyn Listener) {
        let mut out = self.shared.output(listener);
        let entry = self.connections.get_mut(&owner.key);
        match entry.map(|entry| entry.grown(&mut out)) {
            Some(Entry::Open(connection)) if connection.may_have(&owner) => {
                connection.owner(&owner);
            }
            _ if self.stray_owners.len() < MAX_STRAY_OWNERS => {
                let client = owner.role & role::CLIENT != 0;
                self.stray_owners.insert((owner.key, client), owner);
            }
            _ => self.shared.losses.add(LossReason::OwnerTableFull, 1),
        }
    }

    fn socket_end(&mut self, end: &SocketEnd, listener: &mut dyn Listener) {
        let Some(entry) = self.connections.get_mut(&end.key) else {
            return;
        };
        let mut out = self.shared.output(listener);
        if let Entry::Open(connection) = entry.grown(&mut out) {
            connection.socket_end(end, &mut out);
        }
        settle(entry, end.time, &mut self.restless, &mut out);
    }

    /// Lets time pass up to `now`, before what happens then is told: whoever waits hears of it every
    /// so often, as if somebody had looked at the clock all the while.
    pub fn pass_time(&mut self, now: u64, listener: &mut dyn Listener) {
        let mut looks = 0;
        // A capture's clock may have been set back.
        self.next_tick = self.next_tick.min(now.saturating_add(TICK));
        while self.next_tick <= now {
            let waited_for = !self.restless.are_none() && self.next_tick > 0;
            let at = if waited_for && looks < MAX_LOOKS {
                self.next_tick
            } else {
                now
            };
            self.on_tick(at, listener);
            looks += 1;
        }
    }

    /// Looks at the time: what has waited long enough is told.
    pub fn on_tick(&mut self, now: u64, listener: &mut dyn Listener) {
        self.next_tick = now.saturating_add(TICK);
        let mut out = self.shared.output(listener);
        let Restless { waiting, over, .. } = &mut self.restless;
        waiting.retain(|key| match self.connections.get_mut(key) {
            Some(Entry::Over { .. }) | None => false,
            Some(entry) => {
                let waits = entry.wait(now, &mut out);
                if let Entry::Over { until, .. } = entry {
                    over.push_back((*until, *key));
                }
                waits
            }
        });
        self.forget_over(now);
        self.stray_owners
            .retain(|_, owner| owner.time.saturating_add(LINGER) > now);
        self.leavers.retain(|_, key| {
            let entry = self.connections.get(key);
            matches!(entry, Some(Entry::Open(connection)) if connection.has_left())
        });
        self.sweep(now, listener);
        self.shared.tell_losses(now, listener);
    }

    /// Forgets those that are over when their time has come, and where they are too many.
    fn forget_over(&mut self, now: u64) {
        let Restless { over, let_go, .. } = &mut self.restless;
        for queue in [over, let_go] {
            while let Some(&(until, key)) = queue.front()
                && (until <= now || queue.len() > self.shared.config.max_connections)
            {
                queue.pop_front();
                let entry = self.connections.get(&key);
                if matches!(entry, Some(Entry::Over { until: own, .. }) if *own <= until) {
                    self.connections.remove(&key);
                }
            }
        }
    }

    /// The agent stops, or the capture ended: every connection is told as far as it came.
    pub fn finish(&mut self, now: u64, listener: &mut dyn Listener) {
        let mut open: Vec<_> = self
            .connections
            .drain()
            .filter_map(|(key, entry)| Some((entry.started()?, key, entry)))
            .collect();
        open.sort_by_key(|(started, key, _)| (*started, *key));
        for (_, _, mut entry) in open {
            let mut out = self.shared.output(listener);
            entry.end(now, now, Some(PartialReason::AgentStop), &mut out);
        }
        self.shared.tell_losses(now, listener);
    }
}

/// Whether an event is a side's last word.
const fn is_end(event: &Event) -> bool {
    event.kind == Kind::Fin as u8 || event.kind == Kind::Rst as u8
}

/// Whether an event is a copy of the last one, from elsewhere on the host, or the end once more.
const fn is_end_again(event: &Event, connection: &Connection) -> bool {
    is_end(event) && connection.ends.over() && connection.born != event.born
}
