//! The interfaces of several files, numbered as those of one host.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashSet};
use tracer_ebpf::flow::Point;

use super::{link::NetworkLayer, reader::Packet, sighted::Sighted};

/// Numbers from here on are of names; those of link headers and of a file's own count are below.
const NAMED: u32 = 1 << 24;

/// Every file counts its interfaces from 0. What has a name is the same interface in whatever file,
/// so that a connection goes on where a file of a rotated capture ends.
#[derive(Debug, Default)]
pub struct Interfaces {
    by_name: BTreeMap<String, u32>,
    /// By file and the file's own number.
    by_place: HashMap<(usize, u32), u32>,
    told: HashSet<u32>,
}

impl Interfaces {
    /// Where a packet of a file was captured, and the interface's name when it is first heard.
    pub fn point<'a>(
        &mut self,
        file: usize,
        packet: &Packet<'a>,
        layer: &NetworkLayer,
    ) -> (Point, Option<&'a str>) {
        let number = match packet.interface_name {
            Some(name) if layer.interface_index.is_none() => {
                let by_name = &mut self.by_name;
                *self
                    .by_place
                    .entry((file, packet.interface))
                    .or_insert_with(|| numbered(by_name, name))
            }
            _ => packet.interface,
        };
        let point = Sighted::point(layer, number);
        let name = packet.interface_name;
        (point, name.filter(|_| self.told.insert(point.ifindex())))
    }
}

fn numbered(by_name: &mut BTreeMap<String, u32>, name: &str) -> u32 {
    let next = NAMED + by_name.len() as u32;
    *by_name.entry(name.to_owned()).or_insert(next)
}
