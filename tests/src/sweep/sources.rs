//! The connections that are varied: of every capture at hand.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tracer::capture::{link::network_layer, reader::CaptureReader, tracker::Sighted};

use super::{
    packet::{ACK, End, FIN, Packet, RST, SYN, Side},
    scenarios,
    truth::{self, Truth},
};
use crate::replay::captures;

/// A connection that was captured from its SYN on.
#[derive(Debug)]
pub struct Connection {
    /// The capture's name and the connection's number in it.
    pub name: String,
    /// The server's port.
    pub port: u16,
    /// In the order of the capture.
    pub packets: Vec<Packet>,
    /// What its bytes say.
    pub truth: Truth,
}

/// More connections of one capture say nothing new.
const MAX_OF_ONE_CAPTURE: usize = 4;
/// A connection of more packets is a transfer, not a login.
const MAX_PACKETS: usize = 300;

/// The connections of all captures whose name contains this.
pub fn connections(wanted: &str) -> Result<Vec<Connection>> {
    let mut all = Vec::new();
    for path in files()? {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.contains(wanted) && !scenarios::is_of_strangers(&name) {
            let found = of_capture(&path, &name).with_context(|| path.display().to_string())?;
            all.extend(found.into_iter().take(MAX_OF_ONE_CAPTURE));
        }
    }
    Ok(all)
}

/// The connections of one capture of the project's own, by its path below `fixtures`.
pub fn fixture(capture: &str) -> Result<Vec<Connection>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let path = fixtures.join(format!("{capture}.pcap"));
    let name = capture.rsplit('/').next().unwrap_or_default();
    of_capture(&path, name).with_context(|| path.display().to_string())
}

/// Capture files, each name once: the project's own, those of real drivers, those of cases.
fn files() -> Result<Vec<PathBuf>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let given = captures();
    let cases = given.parent().map(|beside| beside.join("cases"));
    let own =
        ["captures", "drivers", "rows", "sequences", "cases"].map(|folder| fixtures.join(folder));
    let folders = [given]
        .into_iter()
        .chain(own)
        .chain(cases.filter(|cases| cases.is_dir()));
    let mut files = BTreeMap::new();
    for folder in folders {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "pcap")
            {
                files
                    .entry(path.file_name().map(ToOwned::to_owned))
                    .or_insert(path);
            }
        }
    }
    Ok(files.into_values().collect())
}

fn of_capture(path: &Path, name: &str) -> Result<Vec<Connection>> {
    let mut reader = CaptureReader::new(File::open(path)?)?;
    let mut open = BTreeMap::<[End; 2], usize>::new();
    let mut found: Vec<(u16, Vec<Packet>)> = Vec::new();
    while let Some(raw) = reader.next()? {
        let Ok(layer) = network_layer(raw.link, raw.data) else {
            continue;
        };
        let point = Sighted::point(&layer, raw.interface);
        let network = &raw.data[layer.offset..];
        let Some((mut packet, [from, to])) =
            Packet::read(raw.time_ns, point, layer.ethertype, network)
        else {
            continue;
        };
        let there = [from.clone(), to.clone()];
        let back = [to, from];
        if packet.flags & (SYN | ACK) == SYN && !is_same_syn(&packet, open.get(&there), &found) {
            open.insert(there.clone(), found.len());
            found.push((there[1].1, Vec::new()));
        }
        let (index, side) = match (open.get(&there), open.get(&back)) {
            (Some(index), _) => (*index, Side::Client),
            (None, Some(index)) => (*index, Side::Server),
            (None, None) => continue,
        };
        packet.side = side;
        found[index].1.push(packet);
    }
    let numbered = found.into_iter().enumerate();
    let usable =
        numbered.filter(|(_, (_, packets))| packets.len() <= MAX_PACKETS && !is_doubled(packets));
    Ok(usable
        .map(|(number, (port, packets))| {
            let rounds = scenarios::rounds(name, number);
            let truth = truth::read(&packets, &rounds);
            Connection {
                name: format!("{name}#{number}"),
                port,
                packets,
                truth,
            }
        })
        .collect())
}

/// Whether a SYN is one more of the connection that is open already.
fn is_same_syn(packet: &Packet, open: Option<&usize>, found: &[(u16, Vec<Packet>)]) -> bool {
    open.and_then(|index| found[*index].1.first())
        .is_some_and(|first| first.seq == packet.seq)
}

/// Whether packets were captured twice: what is left out or moved is then still there.
fn is_doubled(packets: &[Packet]) -> bool {
    let near = |(index, packet): (usize, &Packet)| {
        let later = packets[index + 1..].iter().take(4);
        let mut later = later.filter(|later| later.identification().is_some_and(|id| id != 0));
        !packet.payload().is_empty() && later.any(|later| later.is_copy_of(packet))
    };
    packets.iter().enumerate().any(near)
}

impl Connection {
    /// Where somebody ends it first, if somebody does.
    pub fn first_end(&self) -> Option<usize> {
        self.packets.iter().position(|packet| packet.has(FIN | RST))
    }

    /// The time that a packet takes there and back, or more: what may be the network's of a wait.
    pub fn round_trip(&self) -> u64 {
        let syn = self
            .packets
            .iter()
            .rev()
            .find(|packet| packet.flags & (SYN | ACK) == SYN);
        let is_last =
            |packet: &&Packet| packet.side == Side::Client && packet.flags & (SYN | ACK) == ACK;
        let ack = self.packets.iter().find(is_last);
        syn.zip(ack)
            .map_or(0, |(syn, ack)| ack.time_ns.saturating_sub(syn.time_ns))
    }
}
