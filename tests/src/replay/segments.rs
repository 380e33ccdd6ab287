//! The TCP segments of a capture that carry data, for judging what is said about their times.

use std::{
    fs::File,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result};
use tracer::capture::{
    link::{ETHERTYPE_IPV4, network_layer},
    reader::CaptureReader,
};

const TCP: u8 = 6;

/// A segment with data.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it was sent to.
    pub destination: SocketAddr,
}

/// All segments with data, in the order of the capture.
pub fn segments(path: &Path) -> Result<Vec<Segment>> {
    let mut reader = CaptureReader::new(File::open(path)?)?;
    let mut segments = Vec::new();
    while let Some(packet) = reader.next()? {
        let Ok(layer) = network_layer(packet.link, packet.data) else {
            continue;
        };
        let network = &packet.data[layer.offset..];
        if let Some((source, destination)) = with_data(layer.ethertype, network) {
            segments.push(Segment {
                time_ns: packet.time_ns,
                source,
                destination,
            });
        }
    }
    Ok(segments)
}

/// Whether a segment that ends at `later_ns` may belong to the message that `sooner_ns` ends or
/// begins: nothing but the same side's data lies between the two.
pub fn is_same_message(segments: &[Segment], sooner_ns: u64, later_ns: u64) -> bool {
    let mut between = segments
        .iter()
        .filter(|segment| (sooner_ns..=later_ns).contains(&segment.time_ns));
    let Some(first) = between.next() else {
        return false;
    };
    first.time_ns == sooner_ns
        && between
            .clone()
            .all(|segment| segment.source == first.source)
        && between
            .next_back()
            .is_some_and(|last| last.time_ns == later_ns)
}

/// Addresses of a packet that is TCP, whole and has data. The captures have no fragments and no
/// extension headers.
fn with_data(ethertype: u16, network: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let byte = |at: usize| network.get(at).map(|byte| usize::from(*byte));
    let (header, length, protocol, addresses) = if ethertype == ETHERTYPE_IPV4 {
        let header = (byte(0)? & 0x0F) * 4;
        (header, byte(2)? << 8 | byte(3)?, byte(9)?, 12..20)
    } else {
        (40, 40 + (byte(4)? << 8 | byte(5)?), byte(6)?, 8..40)
    };
    let data_offset = (byte(header + 12)? >> 4) * 4;
    if protocol != usize::from(TCP) || length <= header + data_offset {
        return None;
    }
    let addresses = network.get(addresses)?;
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    let port = |at: usize| Some((byte(at)? << 8 | byte(at + 1)?) as u16);
    let socket = |octets: &[u8], port| address(octets).map(|ip| SocketAddr::new(ip, port)).ok();
    Some((
        socket(source, port(header)?)?,
        socket(destination, port(header + 2)?)?,
    ))
}

fn address(octets: &[u8]) -> Result<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return Ok(four.into());
    }
    let sixteen = <[u8; 16]>::try_from(octets).context("an address is 4 or 16 bytes")?;
    Ok(sixteen.into())
}
