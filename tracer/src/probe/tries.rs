//! Calls of watched processes that fail before any packet.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData, MapError},
    programs::TracePoint,
};
use tracer_ebpf::tries::{Tried, Try};

use super::load::{self, chain};

/// The programs, and the trace events of system calls at which they run.
const PROGRAMS: [(&str, &str); 2] = [
    ("tds_connected", "sys_exit_connect"),
    ("tds_socket_made", "sys_exit_socket"),
];

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Key(Try);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value(Tried);

// SAFETY: it consists of integers, laid out as the programs have it.
unsafe impl Pod for Key {}
// SAFETY: the same.
unsafe impl Pod for Value {}

/// The watched processes, and what they have tried.
pub(super) struct Tries {
    pids: HashMap<MapData, u32, u32>,
    names: HashMap<MapData, [u8; 16], u32>,
    made: HashMap<MapData, Key, Value>,
}

impl Tries {
    /// Attaches what sees the calls' ends; why not, where that cannot be had.
    pub(super) fn watch(ebpf: &mut Ebpf) -> Result<Self, String> {
        for (name, event) in PROGRAMS {
            let program = ebpf.program_mut(name);
            let program: &mut TracePoint = program
                .and_then(|program| program.try_into().ok())
                .ok_or_else(|| format!("{name} is not in the object"))?;
            let attached = program
                .load()
                .and_then(|()| program.attach("syscalls", event));
            attached.map_err(|error| format!("syscalls/{event}: {}", chain(&error)))?;
        }
        let map = |ebpf: &mut Ebpf, name| load::map(ebpf, name).map_err(|error| error.to_string());
        let refused = |error: MapError| error.to_string();
        Ok(Self {
            pids: map(ebpf, "WATCHED")?.try_into().map_err(refused)?,
            names: map(ebpf, "WATCHED_NAMES")?.try_into().map_err(refused)?,
            made: map(ebpf, "TRIES")?.try_into().map_err(refused)?,
        })
    }

    /// Watches a process, and others of this name.
    pub(super) fn add(&mut self, pid: Option<u32>, name: Option<&str>) -> Result<(), MapError> {
        if let Some(pid) = pid {
            self.pids.insert(pid, 1, 0)?;
        }
        if let Some(name) = name {
            // The kernel knows fifteen bytes of it.
            let mut bytes = [0; 16];
            for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
                *to = from;
            }
            self.names.insert(bytes, 1, 0)?;
        }
        Ok(())
    }

    /// What was tried since the last call.
    pub(super) fn take(&mut self) -> Vec<(Try, Tried)> {
        let all: Vec<_> = self.made.iter().flatten().collect();
        for (key, _) in &all {
            // One that was counted once more meanwhile is not counted twice for it.
            self.made.remove(key).ok();
        }
        all.into_iter()
            .map(|(Key(key), Value(value))| (key, value))
            .collect()
    }
}
