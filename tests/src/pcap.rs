//! Capture files read whole, changed, and written again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tracer::capture::{link::network_layer, reader::CaptureReader};

/// Link types by the numbers of <https://www.tcpdump.org/linktypes.html>.
pub mod link {
    /// BSD loopback: the address family in the host's byte order.
    pub const NULL: u32 = 0;
    /// Ethernet.
    pub const ETHERNET: u32 = 1;
    /// No link header.
    pub const RAW: u32 = 101;
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: u32 = 108;
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: u32 = 113;
    /// No link header, and IPv4.
    pub const IPV4: u32 = 228;
    /// No link header, and IPv6.
    pub const IPV6: u32 = 229;
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: u32 = 276;
}

/// One packet from its network header on.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// `EtherType` of the network layer.
    pub ethertype: u16,
    /// The bytes, and after [`framed`] the link header before them.
    pub bytes: Vec<u8>,
}

/// TCP over IPv4.
impl Packet {
    fn tcp_at(&self) -> usize {
        usize::from(self.bytes[0] & 0x0F) * 4
    }

    fn payload_at(&self) -> usize {
        let at = self.tcp_at();
        at + usize::from(self.bytes[at + 12] >> 4) * 4
    }

    /// Its source port, as it is on the wire.
    pub fn source_port(&mut self) -> &mut [u8] {
        let at = self.tcp_at();
        &mut self.bytes[at..at + 2]
    }

    /// Its destination port, as it is on the wire.
    pub fn destination_port(&mut self) -> &mut [u8] {
        let at = self.tcp_at();
        &mut self.bytes[at + 2..at + 4]
    }

    /// Its flags.
    pub fn flags(&mut self) -> &mut u8 {
        let at = self.tcp_at() + 13;
        &mut self.bytes[at]
    }

    /// Its receive window, as it is on the wire.
    pub fn window(&mut self) -> &mut [u8] {
        let at = self.tcp_at() + 14;
        &mut self.bytes[at..at + 2]
    }

    /// Its time to live.
    pub fn time_to_live(&mut self) -> &mut u8 {
        &mut self.bytes[8]
    }

    /// What it carries.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at()..]
    }

    /// The same with other flags and another payload, later and further on in the stream.
    #[must_use]
    pub fn with(&self, flags: u8, payload: &[u8], later_ns: u64, further: i32) -> Self {
        let mut other = self.clone();
        other.time_ns += later_ns;
        other.bytes.truncate(self.payload_at());
        other.bytes.extend(payload);
        let len = (other.bytes.len() as u16).to_be_bytes();
        other.bytes[2..4].copy_from_slice(&len);
        *other.flags() = flags;
        other.advance(4, further);
        other
    }

    /// The same, acknowledging more of the other side's stream.
    #[must_use]
    pub fn acknowledging(mut self, further: i32) -> Self {
        self.advance(8, further);
        self
    }

    /// Moves a position in the TCP header on.
    fn advance(&mut self, at: usize, further: i32) {
        let at = self.tcp_at() + at;
        if let Some(bytes) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *bytes = u32::from_be_bytes(*bytes)
                .wrapping_add_signed(further)
                .to_be_bytes();
        }
    }
}

/// The IP packets of a capture, without their link headers.
pub fn packets(capture: &Path) -> Result<Vec<Packet>> {
    let file = File::open(capture).with_context(|| capture.display().to_string())?;
    let mut reader = CaptureReader::new(file)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next()? {
        if let Ok(layer) = network_layer(packet.link, packet.data) {
            packets.push(Packet {
                time_ns: packet.time_ns,
                ethertype: layer.ethertype,
                bytes: packet.data[layer.offset..].to_vec(),
            });
        }
    }
    Ok(packets)
}

/// Packets each behind the link header that `header` makes for it.
pub fn framed(packets: &[Packet], header: impl Fn(&Packet) -> Vec<u8>) -> Vec<Packet> {
    let framed = packets.iter().map(|packet| Packet {
        bytes: [header(packet), packet.bytes.clone()].concat(),
        ..*packet
    });
    framed.collect()
}

/// An Ethernet header with these VLAN tags, each its own `EtherType` and number.
pub fn ethernet(packet: &Packet, tags: &[(u16, u16)]) -> Vec<u8> {
    let mut header = [[2; 6], [4; 6]].concat();
    for (ethertype, number) in tags {
        header.extend(ethertype.to_be_bytes());
        header.extend(number.to_be_bytes());
    }
    header.extend(packet.ethertype.to_be_bytes());
    header
}

/// A capture file of packets with their link headers: pcap, nanoseconds, little-endian.
pub fn file(link: u32, packets: &[Packet]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut put = |word: u32| file.extend(word.to_le_bytes());
    for word in [0xA1B2_3C4D, 0x0004_0002, 0, 0, 262_144, link] {
        put(word);
    }
    for packet in packets {
        let (seconds, fraction) = (
            packet.time_ns / 1_000_000_000,
            packet.time_ns % 1_000_000_000,
        );
        let len = packet.bytes.len() as u32;
        for word in [seconds as u32, fraction as u32, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet.bytes);
    }
    file
}

/// The same as pcapng, of one interface with this name.
pub fn named(interface: &str, link: u32, packets: &[Packet]) -> Vec<u8> {
    // Its name, and times in nanoseconds.
    let mut options = vec![2, 0, interface.len() as u8, 0];
    options.extend(interface.bytes());
    options.resize(options.len().next_multiple_of(4), 0);
    options.extend([9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    let mut file = section(link, &options);
    for packet in packets {
        let (time, len) = (packet.time_ns, packet.bytes.len() as u32);
        let header = [0, (time >> 32) as u32, time as u32, len, len];
        block(&mut file, 6, &header, &packet.bytes);
    }
    file
}

/// The same as pcapng's simple packets, which have no times.
pub fn untimed(link: u32, packets: &[Packet]) -> Vec<u8> {
    let mut file = section(link, &[]);
    for packet in packets {
        block(&mut file, 3, &[packet.bytes.len() as u32], &packet.bytes);
    }
    file
}

/// The head of a pcapng file of one interface with these options.
fn section(link: u32, options: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let header = [0x1A2B_3C4D, 1, u32::MAX, u32::MAX];
    block(&mut file, 0x0A0D_0D0A, &header, &[]);
    block(&mut file, 1, &[link, 262_144], options);
    file
}

fn block(file: &mut Vec<u8>, kind: u32, header: &[u32], data: &[u8]) {
    let padded = data.len().next_multiple_of(4);
    let length = (12 + 4 * header.len() + padded) as u32;
    for word in [&[kind, length], header].concat() {
        file.extend(word.to_le_bytes());
    }
    file.extend(data);
    file.resize(file.len() + padded - data.len(), 0);
    file.extend(length.to_le_bytes());
}

/// A file in the folder for temporary files; removed with this.
pub struct Temporary(PathBuf);

impl Temporary {
    /// Writes it under a name of this process's own.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("tds-tracer-{id}-{count}-{name}"));
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody is left to tell when a test is over.
        std::fs::remove_file(&self.0).ok();
    }
}
