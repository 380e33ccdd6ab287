//! Processes that are watched by name or id: what they try without a packet, and that they try nothing.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use procfs::process::{Process, all_processes};
use tracer_ebpf::{
    event::{Owner, role},
    tries::{Tried, Try, call},
};

use super::owners::Owners;
use crate::{
    host::{self, Witness},
    probe::Probe,
    session::{self, Hindrance, SocketOwner, Untried},
};

/// Processes watched at once, as many as the kernel's table holds.
const MOST: usize = 64;
/// Seconds between two looks for processes of a name.
const LOOK: u32 = 5;
/// Bytes of a process's name that the kernel knows.
const NAME: usize = 15;
/// What comes from others, by packets that are told (`errno(3)`).
const OF_OTHERS: [u32; 4] = [ECONNRESET, ETIMEDOUT, ECONNREFUSED, EISCONN];
const ECONNRESET: u32 = 104;
const EISCONN: u32 = 106;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
/// May be the host's own word, or another's.
const EHOSTUNREACH: u32 = 113;

/// Which process is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That of this id.
    Id(u32),
    /// All of this name.
    Name(String),
}

/// The watched processes.
pub(super) struct Named {
    wanted: Vec<Wanted>,
    /// How long one may try nothing, nanoseconds.
    patience: u64,
    known: HashMap<u32, Seen>,
    ticks: u32,
}

/// What was seen of a process.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it tried something last, or when it was seen first.
    active: u64,
    /// Names that it asked for since.
    asked: u32,
    /// That it tries nothing was told.
    told: bool,
}

impl Named {
    pub(super) fn new(wanted: Vec<Wanted>, patience: u64) -> Self {
        Self {
            wanted,
            patience,
            known: HashMap::new(),
            ticks: 0,
        }
    }

    /// From now on one may try nothing for so long, nanoseconds.
    pub(super) fn set_patience(&mut self, patience: u64) {
        self.patience = patience;
    }

    /// Begins with those that there are.
    pub(super) fn begin(&mut self, probe: &mut Probe) {
        for wanted in &self.wanted {
            if let Wanted::Name(name) = wanted {
                probe.watch(None, Some(name));
            }
        }
        self.look(probe, probe.now());
    }

    /// A process opens a connection.
    pub(super) fn connects(&mut self, owner: &SocketOwner) {
        if owner.role & role::CLIENT != 0
            && let Some(seen) = self.known.get_mut(&owner.process.pid)
        {
            seen.acts(owner.time);
        }
    }

    /// A process asks for a name, or for an instance.
    pub(super) fn asks(&mut self, pid: u32) {
        if let Some(seen) = self.known.get_mut(&pid) {
            seen.asked = seen.asked.saturating_add(1);
        }
    }

    /// A second has passed: what the watched processes did in vain, on these ports, or that they did nothing.
    pub(super) fn tick(
        &mut self,
        probe: &mut Probe,
        owners: &mut Owners,
        witness: &mut Witness,
        ports: &BTreeSet<u16>,
    ) -> Vec<Untried> {
        if self.wanted.is_empty() {
            return Vec::new();
        }
        let now = probe.now();
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(LOOK) {
            self.look(probe, now);
        }
        let mut untried = Vec::new();
        for (key, tried) in probe.tries() {
            if let Some((hindrance, server)) = self.tried(&key, &tried, ports) {
                untried.push(Untried {
                    process: owners.processes.of(&owner(&key, &tried)),
                    server,
                    hindrance,
                    count: tried.count,
                    asked: 0,
                    from: tried.first,
                    to: tried.last,
                    net: witness.net(key.pid, tried.first),
                });
            }
        }
        untried.extend(self.silent(now, owners));
        untried
    }

    /// What was in the way of a call, and where it was to go; `None` where packets tell the rest.
    fn tried(
        &mut self,
        key: &Try,
        tried: &Tried,
        ports: &BTreeSet<u16>,
    ) -> Option<(Hindrance, Option<(IpAddr, u16)>)> {
        if key.call == call::CONNECT && !ports.contains(&key.port) {
            return None;
        }
        let before = self.known.get(&key.pid).map_or(0, |seen| seen.active);
        self.meet(key.pid, tried.first).acts(tried.last);
        let has_sent = key.errno == EHOSTUNREACH && before >= tried.first;
        if key.errno == 0 || OF_OTHERS.contains(&key.errno) || has_sent {
            return None;
        }
        if key.call == call::SOCKET {
            return Some((Hindrance::Socket(key.errno), None));
        }
        let server = (session::address(key.address), key.port);
        Some((Hindrance::Connect(key.errno), Some(server)))
    }

    /// Those that have tried nothing for long, each once.
    fn silent(&mut self, now: u64, owners: &mut Owners) -> Vec<Untried> {
        let mut silent = Vec::new();
        for (pid, seen) in &mut self.known {
            if seen.told || now.saturating_sub(seen.active) < self.patience {
                continue;
            }
            seen.told = true;
            let tried = Tried {
                last: now,
                ..Tried::default()
            };
            let key = Try {
                pid: *pid,
                ..Try::default()
            };
            silent.push(Untried {
                process: owners.processes.of(&owner(&key, &tried)),
                server: None,
                hindrance: Hindrance::NothingTried,
                count: 0,
                asked: seen.asked,
                from: seen.active,
                to: now,
                net: session::NetFacts::default(),
            });
        }
        silent
    }

    /// Looks which of them there are.
    fn look(&mut self, probe: &mut Probe, now: u64) {
        let is_there =
            |pid: u32| Process::new(pid.cast_signed()).is_ok_and(|process| process.is_alive());
        self.known.retain(|pid, _| is_there(*pid));
        let mut found: Vec<u32> = Vec::new();
        for wanted in &self.wanted {
            match wanted {
                Wanted::Id(pid) => found.extend(Some(*pid).filter(|pid| is_there(*pid))),
                Wanted::Name(name) => found.extend(of_name(name)),
            }
        }
        for pid in found {
            if !self.known.contains_key(&pid) && self.known.len() < MOST {
                self.meet(pid, now);
                probe.watch(Some(pid), None);
            }
        }
    }

    fn meet(&mut self, pid: u32, now: u64) -> &mut Seen {
        self.known.entry(pid).or_insert(Seen {
            active: now,
            asked: 0,
            told: false,
        })
    }
}

impl Seen {
    fn acts(&mut self, at: u64) {
        *self = Self {
            active: self.active.max(at),
            asked: 0,
            told: false,
        };
    }
}

/// The processes of a name: their own, or their executable's. Of each process of this host no more is read than that takes.
fn of_name(name: &str) -> Vec<u32> {
    let known = name.get(..NAME).unwrap_or(name);
    let is_it = |process: &Process| {
        host::own_name(process).is_some_and(|own| own == known)
            || process.exe().is_ok_and(|path| {
                path.file_name()
                    .is_some_and(|file| file.to_string_lossy() == name)
            })
    };
    let all = all_processes().into_iter().flatten().flatten();
    // One that has ended, and that nobody has taken note of yet, does nothing any more.
    let lives = |process: &Process| process.is_alive();
    let all = all.filter(|one| is_it(one) && lives(one)).take(MOST);
    all.map(|process| process.pid().cast_unsigned()).collect()
}

/// Whose call it was.
fn owner(key: &Try, tried: &Tried) -> Owner {
    Owner {
        pid: key.pid,
        name: tried.name,
        held: tried.last,
        role: role::CLIENT,
        ..Owner::default()
    }
}
