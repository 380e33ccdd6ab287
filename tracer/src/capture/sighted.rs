//! A packet of a capture, and where it was captured.

use tracer_ebpf::flow::Point;

use super::{
    link::{self, NetworkLayer},
    tunnel::Network,
};

/// A packet of a capture, from its network header on.
#[derive(Debug, Clone, Copy)]
pub struct Sighted<'a> {
    /// Ethertype and bytes.
    pub network: Network<'a>,
    /// Bytes there were on the wire, from the network header on.
    pub wire_len: u32,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// That is not known: the time is that of the packet before it.
    pub untimed: bool,
    /// Where it was captured.
    pub point: Point,
}

impl Sighted<'_> {
    /// The point a packet was captured at: the interface the link header names, else the number of
    /// the interface in the file, counted from 1.
    pub fn point(layer: &NetworkLayer, interface: u32) -> Point {
        let index = layer.interface_index.unwrap_or(interface + 1);
        let incoming = layer.direction == Some(link::Direction::Incoming);
        Point::new(index, incoming)
    }
}
