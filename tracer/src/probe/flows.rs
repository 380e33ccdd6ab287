//! What the programs remember of connections.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData},
};
use tracer_ebpf::{
    event::Counters,
    flow::{Flow, FlowKey},
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

/// The connections that the programs know.
pub(super) struct Flows(HashMap<MapData, Key, Value>);

impl Flows {
    pub(super) fn of(ebpf: &mut Ebpf) -> Result<Self, StartError> {
        let flows = load::map(ebpf, "FLOWS")?;
        flows.try_into().map(Self).map_err(StartError::map)
    }

    /// When a connection was born, and what both sides have sent since; `None` where the programs do
    /// not know it.
    pub(super) fn carried(&self, key: FlowKey) -> Option<(u64, [Counters; 2])> {
        let Value(flow) = self.0.get(&Key(key), 0).ok()?;
        Some((flow.born, [flow.client().sent, flow.server().sent]))
    }
}
