//! What the programs remember of connections.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData},
};
use tracer_ebpf::{
    event::{Counters, Event},
    flow::{Flow, FlowKey},
    tally::Tally,
};

use super::{StartError, load};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Key(FlowKey);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value(Flow);

// SAFETY: it consists of integers, laid out as the programs have it.
unsafe impl Pod for Key {}
// SAFETY: the same.
unsafe impl Pod for Value {}

/// The connections that the programs know by their addresses, and their requests.
pub(super) struct Flows {
    /// The last one's are those that are seen at interfaces beside sockets.
    tables: [HashMap<MapData, Key, Value>; 2],
    tallies: HashMap<MapData, Key, Kept>,
}

/// A tally as the programs keep it: behind room for the event that it is told with.
#[derive(Clone, Copy)]
#[repr(C)]
struct Kept {
    event: Event,
    tally: Tally,
}

// SAFETY: the same.
unsafe impl Pod for Kept {}

impl Flows {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let flows = load::map(ebpf, "FLOWS")?.try_into();
        let passing = load::map(ebpf, "PASSING")?.try_into();
        let tallies = load::map(ebpf, "TABLE_TALLIES")?.try_into();
        Ok(Self {
            tables: [
                flows.map_err(StartError::map)?,
                passing.map_err(StartError::map)?,
            ],
            tallies: tallies.map_err(StartError::map)?,
        })
    }

    /// When a connection was born, and what both sides have sent since; nothing where the programs do
    /// not know it. Under the same addresses sockets and interfaces may know one each.
    pub(super) fn carried(&self, key: FlowKey) -> impl Iterator<Item = (u64, [Counters; 2])> {
        self.tables.iter().filter_map(move |flows| {
            let Value(flow) = flows.get(&Key(key), 0).ok()?;
            Some((flow.born, [flow.client().sent, flow.server().sent]))
        })
    }

    /// The requests of a connection; `None` where the programs do not count them.
    pub(super) fn tally(&self, key: FlowKey) -> Option<Tally> {
        let Kept { tally, .. } = self.tallies.get(&Key(key), 0).ok()?;
        Some(tally)
    }
}
