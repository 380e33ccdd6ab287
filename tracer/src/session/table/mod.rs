//! Connections by their addresses: who gets which event, who gives way, and whose time has come.

mod announced;
mod evicted;
mod openings;
mod owners;
mod passing;
mod redirects;
mod rewritten;
mod slot;
mod syns;
mod timers;

use foldhash::{HashMap, fast::RandomState};
use indexmap::IndexMap;
use tracer_ebpf::{
    event::{Direction, Event, Kind, SocketEnd, Translated, mark, role},
    flow::FlowKey,
    short::ShortHeader,
};

use self::{
    announced::Instances,
    evicted::Evicted,
    openings::Openings,
    owners::Owners,
    redirects::Redirects,
    slot::{Slot, is_end},
    syns::Syns,
    timers::Timers,
};
use super::{
    attempts::{Handle, Who},
    connection::Connection,
    exchange::Announced,
    input::{Carried, Checksum, SocketOwner},
    report::{Report, Shared},
    wire::{Identity, LEAST_SYN_PATIENCE},
};
use crate::record::{LossReason, PartialReason};

/// How often silent connections are looked for, in parts of the time they may be silent.
const SWEEPS: u64 = 64;
/// Places for each connection that may be open: those that have ended are remembered for a while.
const PLACES: usize = 2;

/// The table grows by this part of itself.
const GROWTH: usize = 16;
/// The connections.
#[derive(Debug, Default)]
pub(in crate::session) struct Table {
    slots: IndexMap<FlowKey, Slot, RandomState>,
    timers: Timers,
    evicted: Evicted,
    openings: Openings,
    translated: HashMap<FlowKey, Translated>,
    owners: Owners,
    redirects: Redirects,
    instances: Instances,
    /// Where the clock hand stands that looks for the idle.
    hand: usize,
    /// When the silent are looked for next.
    next_sweep: u64,
}

impl Table {
    /// The connections that are open.
    pub(in crate::session) fn open(&self) -> Vec<FlowKey> {
        let slots = self.slots.iter();
        let open = slots.filter(|(_, slot)| slot.started().is_some());
        open.map(|(key, _)| *key).collect()
    }

    /// Something happened to a connection.
    pub(in crate::session) fn event(&mut self, event: &Event, run: &[u8], report: &mut Report<'_>) {
        let late = event.marks & mark::JOINED_LATE != 0;
        if self.is_told_at_sockets(event) {
            return;
        }
        let before = self.passes_here(event);
        if let Some(slot) = self.slots.get_mut(&event.key)
            && before.is_none()
        {
            if slot.takes_syn(event) {
                if event.kind == Kind::Syn as u8 {
                    report.shared.attempts.syn_again(slot.attempt(), event.time);
                }
                self.schedule(event.key, report);
                return;
            }
            match slot.grown(report) {
                Slot::Open(connection) if late && is_end_again(event, connection) => return,
                Slot::Open(connection) if connection.wire.born() == event.born || late => {
                    if connection.wire.born() != event.born {
                        // The kernel's table had forgotten the connection and found it again.
                        connection.renamed(event.born, report);
                    }
                    connection.take(event, run, report);
                    if connection.has_left() {
                        self.redirects.leaves(connection);
                    }
                    self.timers.settle(slot, event.key, event.time, report);
                    return;
                }
                // Port reuse: a SYN of another connection.
                Slot::Open(_) => {
                    let lost = Some(PartialReason::EventsLost);
                    slot.end(event.time, event.time, lost, report);
                }
                Slot::Over(over) if over.born == event.born => return,
                Slot::Over(over) if late && event.time < over.until => return,
                Slot::Same(same) if same.born == event.born || late => return,
                Slot::Over(_) | Slot::Same(_) | Slot::Syns(_) => {}
            }
        }
        self.begin(before, event, run, report);
    }

    /// A header of a connection that is known; of another one it is not enough to go by.
    pub(in crate::session) fn header(&mut self, header: &ShortHeader, report: &mut Report<'_>) {
        let event = match self.slots.get(&header.key) {
            Some(Slot::Open(connection)) if !connection.is_undecided() => {
                connection.wire.header(header)
            }
            // It is told already, or by others.
            Some(Slot::Over(over)) if over.born as u32 == header.born => return,
            Some(Slot::Same(same)) if same.born as u32 == header.born => return,
            _ => None,
        };
        match event {
            Some(event) => self.event(&event, &[], report),
            None => report.events_missing(1),
        }
    }

    /// A connection is met; `before` is the same, where it was seen at interfaces.
    fn begin(
        &mut self,
        before: Option<FlowKey>,
        event: &Event,
        run: &[u8],
        report: &mut Report<'_>,
    ) {
        let late = event.marks & mark::JOINED_LATE != 0;
        let tells = is_end(event) || event.kind == Kind::Ack as u8;
        if self.evicted.covers(event) || !passing::may_open(event) {
            return;
        }
        // Stragglers of a connection that is forgotten already.
        let was_told = event.time.saturating_sub(event.born) >= LEAST_SYN_PATIENCE;
        let straggles = event.number > 1 || (was_told && !late);
        if tells && straggles || event.kind == Kind::Ack as u8 {
            return;
        }
        if tells && late && !report.shared.allow_end(event.time) {
            return;
        }
        self.make_room(event.time, report);
        let before = self.passed_before(event).or(before);
        if let Some(before) = before
            && self.is_nearer(&before, event)
        {
            self.pass_on(before, event, report);
            return;
        }
        report.shared.standing.opens(late);
        let owners = self.owners.take(&event.key);
        let translation = self.translation(&event.key);
        if !late {
            self.follow(event, &owners, report);
        }
        let ends = Identity::of(&event.key, event.client_is_a != 0);
        let attempt = self.attempt(event, &ends, &owners, before, report);
        let instance = self.instances.of(&ends);
        if owners.is_empty()
            && translation.is_none()
            && before.is_none()
            && instance.is_none()
            && let Some(mut syns) = Syns::of(event)
        {
            syns.attempt = attempt;
            self.insert(event.key, Slot::Syns(Box::new(syns)));
            self.schedule(event.key, report);
            return;
        }
        let mut connection = Box::new(Connection::new(event));
        connection.is_part_of(attempt);
        if let Some(instance) = instance {
            connection.is_to(instance);
        }
        for owner in &owners {
            connection.owner(owner, report);
        }
        if let Some(translation) = translation {
            connection.wire.passes_as(translation);
        }
        if let Some(before) = before {
            self.replace(before, &mut connection, report);
        }
        connection.take(event, run, report);
        self.insert(event.key, Slot::Open(connection));
        self.settle(event.key, event.time, report);
    }

    /// How the attempt that a connection is part of knows it; as before where it has passed before.
    fn attempt(
        &self,
        event: &Event,
        ends: &Identity,
        owners: &[SocketOwner],
        before: Option<FlowKey>,
        report: &mut Report<'_>,
    ) -> Handle {
        let before = before.and_then(|key| self.slots.get(&key));
        if let Some(before) = before {
            return before.attempt();
        }
        let late = event.marks & mark::JOINED_LATE != 0;
        if late || !report.shared.config.attempts {
            return 0;
        }
        let mut clients = owners.iter().filter(|owner| owner.role & role::CLIENT != 0);
        let client = ends.client.address;
        let who = Who::of(client, clients.next().map(|owner| &owner.process));
        let Shared {
            attempts,
            resolutions,
            services,
            ..
        } = &mut *report.shared;
        let resolved = resolutions.followed(who, ends.server.address, event.born);
        let handle = attempts.opens(who, client, ends.server, event.born, resolved);
        let from = attempts.start_of(who, handle).unwrap_or(event.born);
        services.followed(who, handle, from);
        handle
    }

    /// Takes a connection in. The table grows by a little at a time: twice as much room as is needed is
    /// most of what an idle connection would take in it.
    fn insert(&mut self, key: FlowKey, slot: Slot) {
        let count = self.slots.len();
        if count == self.slots.capacity() {
            self.slots.reserve_exact(count / GROWTH + 16);
        }
        self.slots.insert(key, slot);
    }

    /// A client is told where an instance listens.
    pub(in crate::session) fn announced(&mut self, announced: Announced, now: u64) {
        self.instances.learn(announced, now);
    }

    /// A connection that opens may be where its process was sent by the reply it has just left with.
    fn follow(&mut self, event: &Event, owners: &[SocketOwner], report: &mut Report<'_>) {
        let Some(key) = self.redirects.followed_by(event, owners) else {
            return;
        };
        let server = Identity::of(&event.key, event.client_is_a != 0).server;
        if let Some(Slot::Open(connection)) = self.slots.get_mut(&key)
            && connection.is_followed((event.time, server), report)
        {
            self.settle(key, event.time, report);
        }
    }

    /// A connection's socket is on this host.
    pub(in crate::session) fn owner(&mut self, owner: SocketOwner, report: &mut Report<'_>) {
        let mut key = self.told_by(owner.key);
        if let Some([client_isn, _]) = owner.isns
            && !self.slots.contains_key(&key)
            && let Some(opened) = self.openings.of(client_isn)
        {
            key = self.told_by(opened);
        }
        let rewritten = key != self.told_by(owner.key);
        let slot = self.slots.get_mut(&key);
        match slot.map(|slot| slot.grown(report)) {
            Some(Slot::Open(connection)) if connection.may_have(&owner) => {
                connection.owner(&owner, report);
                if rewritten && owner.role & role::CLIENT == 0 {
                    connection.wire.ends_at(&owner.key);
                } else if rewritten && connection.is_untold() {
                    connection.wire.is_known_as(&owner.key);
                }
            }
            // An established connection's packets are known, or nobody watches them.
            _ if owner.isns.is_some() => {}
            _ => {
                if !self.owners.keep(owner) {
                    report.shared.lose(LossReason::OwnerTableFull, 1);
                }
            }
        }
    }

    /// A socket closed.
    pub(in crate::session) fn socket_end(&mut self, end: &SocketEnd, report: &mut Report<'_>) {
        let key = self.told_by(end.key);
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if let Slot::Open(connection) = slot.grown(report) {
            connection.socket_end(end, report);
        }
        self.settle(key, end.time, report);
    }

    /// A packet's checksum was looked at.
    pub(in crate::session) fn checksum(
        &mut self,
        key: &FlowKey,
        direction: Direction,
        checksum: Checksum,
    ) {
        match self.slots.get_mut(key) {
            Some(Slot::Syns(syns)) => syns.checksum(direction, checksum),
            Some(Slot::Open(connection)) => connection.wire.evidence.checksum(direction, checksum),
            Some(Slot::Over(_) | Slot::Same(_)) | None => {}
        }
    }

    /// The snap length cut a message header off.
    pub(in crate::session) fn cut(&mut self, key: &FlowKey) {
        if let Some(Slot::Open(connection)) = self.slots.get_mut(key) {
            connection.about.partial.insert(PartialReason::Gap);
        }
    }

    /// What a connection has carried in the end.
    pub(in crate::session) fn counted(
        &mut self,
        key: &FlowKey,
        born: u64,
        carried: &Carried,
        report: &mut Report<'_>,
    ) {
        if let Some(Slot::Open(connection)) = self.slots.get_mut(key)
            && connection.wire.born() == born
        {
            connection.counted(carried, report);
        }
    }

    /// The snap length cut a login.
    pub(in crate::session) fn cut_login(&mut self, key: &FlowKey) {
        if let Some(Slot::Open(connection)) = self.slots.get_mut(key) {
            connection.cut_login();
        }
    }

    /// Lets go of a connection that has closed, and sees to it that time is looked at for another.
    fn settle(&mut self, key: FlowKey, now: u64, report: &mut Report<'_>) {
        if let Some(slot) = self.slots.get_mut(&key) {
            self.timers.settle(slot, key, now, report);
        }
    }

    fn schedule(&mut self, key: FlowKey, report: &Report<'_>) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        self.timers.schedule(slot, key, report);
    }

    /// Lets time pass up to `now`: whoever has waited long enough hears of it, at its own time.
    pub(in crate::session) fn pass_time(&mut self, now: u64, report: &mut Report<'_>) {
        while let Some((at, key)) = self.timers.next_up_to(now) {
            report.shared.now = at;
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            if let Slot::Over(over) = slot {
                if over.until <= at {
                    self.slots.swap_remove(&key);
                }
                continue;
            }
            if let Slot::Same(same) = slot {
                if same.until <= at {
                    self.look_after_same(key, at);
                }
                continue;
            }
            let Some(scheduled) = slot.scheduled().filter(|scheduled| **scheduled == at) else {
                continue;
            };
            *scheduled = u64::MAX;
            slot.wait(at, report);
            self.schedule(key, report);
        }
    }

    /// Looks after what need not be done at once.
    pub(in crate::session) fn tidy(&mut self, now: u64, report: &mut Report<'_>) {
        self.openings.forget(now);
        self.forget_translated(now);
        self.owners.forget(now);
        self.redirects.forget(now);
        self.instances.forget(now);
        self.sweep(now, report);
    }

    /// Makes room for one more connection: the clock hand takes one that was idle since it last
    /// passed, or only the memory of one that has ended where no more than those are too many.
    fn make_room(&mut self, now: u64, report: &mut Report<'_>) {
        let most = report.shared.config.max_connections;
        loop {
            let is_full = report.shared.standing.open >= most as u64;
            if !is_full && self.slots.len() < most.saturating_mul(PLACES) {
                return;
            }
            self.hand = if self.hand < self.slots.len() {
                self.hand
            } else {
                0
            };
            let Some((key, slot)) = self.slots.get_index_mut(self.hand) else {
                return;
            };
            let is_over = matches!(slot, Slot::Over(_) | Slot::Same(_));
            if !is_over && (!is_full || !slot.was_idle()) {
                self.hand += 1;
                continue;
            }
            let key = *key;
            if let Some(mut slot) = self.slots.swap_remove(&key) {
                self.let_go(key, &mut slot, now, report);
            }
        }
    }

    /// Lets go of connections that have been silent for too long. One whose socket is on this host
    /// is not among them: it says itself when it ends.
    fn sweep(&mut self, now: u64, report: &mut Report<'_>) {
        let patience = report.shared.config.idle_patience;
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.saturating_add(patience / SWEEPS);
        let then = now.saturating_sub(patience);
        let is_silent = |slot: &Slot| match slot {
            Slot::Open(connection) => connection.is_silent_since(then),
            Slot::Syns(_) | Slot::Over(_) | Slot::Same(_) => false,
        };
        let mut silent: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(key, slot)| is_silent(slot).then_some(*key))
            .collect();
        silent.sort_unstable();
        for key in silent {
            if let Some(mut slot) = self.slots.swap_remove(&key) {
                self.let_go(key, &mut slot, now, report);
            }
        }
    }

    /// Tells the end of a connection that is not watched any more. What it may say yet is of no other
    /// connection.
    fn let_go(&mut self, key: FlowKey, slot: &mut Slot, now: u64, report: &mut Report<'_>) {
        if matches!(slot, Slot::Over(_) | Slot::Same(_)) {
            return;
        }
        report.shared.lose(LossReason::ConnectionEvicted, 1);
        slot.end(now, now, Some(PartialReason::Evicted), report);
        if let Slot::Over(over) = slot {
            let most = report.shared.config.max_connections;
            self.evicted.remember(key, over.born, most);
        }
    }

    /// Nobody watches any more: every connection is told as far as it came.
    pub(in crate::session) fn finish(&mut self, now: u64, report: &mut Report<'_>) {
        let mut open: Vec<_> = self
            .slots
            .drain(..)
            .filter_map(|(key, slot)| Some((slot.started()?, key, slot)))
            .collect();
        open.sort_by_key(|(started, key, _)| (*started, *key));
        for (_, _, mut slot) in open {
            slot.end(now, now, Some(PartialReason::AgentStop), report);
        }
    }
}

/// Whether an event is a copy of the last one, from elsewhere on the host, or the end once more.
fn is_end_again(event: &Event, connection: &Connection) -> bool {
    let ends = &connection.wire.ends;
    let is_over = ends.are_orderly() || ends.reset().is_some();
    is_end(event) && is_over && connection.wire.born() != event.born
}
