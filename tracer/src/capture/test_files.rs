//! Captures written for the tests of this module.

use std::io::{self, Read};

use super::{
    link::LinkType,
    reader::{CaptureReader, Oddities},
};

/// A pcap file in the making.
pub(super) struct Pcap {
    pub(super) bytes: Vec<u8>,
    big_endian: bool,
    fractions_per_second: u64,
}

impl Pcap {
    /// Little-endian, nanoseconds, Ethernet.
    pub(super) fn nanoseconds() -> Self {
        Self::new(false, 1_000_000_000, 1)
    }

    pub(super) fn new(big_endian: bool, fractions_per_second: u64, link: u32) -> Self {
        let mut pcap = Self {
            bytes: Vec::new(),
            big_endian,
            fractions_per_second,
        };
        pcap.word(if fractions_per_second == 1_000_000 {
            0xA1B2_C3D4
        } else {
            0xA1B2_3C4D
        });
        // Version 2.4, major first.
        let version = if big_endian { 0x0002_0004 } else { 0x0004_0002 };
        for word in [version, 0, 0, 262_144, link] {
            pcap.word(word);
        }
        pcap
    }

    pub(super) fn packet(&mut self, time_ns: u64, data: &[u8]) {
        self.cut_packet(time_ns, data, data.len() as u32);
    }

    pub(super) fn cut_packet(&mut self, time_ns: u64, data: &[u8], orig_len: u32) {
        let ns_per_fraction = 1_000_000_000 / self.fractions_per_second;
        self.word((time_ns / 1_000_000_000) as u32);
        self.word((time_ns % 1_000_000_000 / ns_per_fraction) as u32);
        self.word(data.len() as u32);
        self.word(orig_len);
        self.bytes.extend(data);
    }

    fn word(&mut self, word: u32) {
        put(&mut self.bytes, word, self.big_endian);
    }
}

/// A pcapng file in the making.
#[derive(Default)]
pub(super) struct PcapNg {
    pub(super) bytes: Vec<u8>,
    big_endian: bool,
}

impl PcapNg {
    pub(super) fn section(&mut self, big_endian: bool) {
        self.big_endian = big_endian;
        let version = if big_endian { 0x0001_0000 } else { 0x0000_0001 };
        self.block(
            0x0A0D_0D0A,
            &[0x1A2B_3C4D, version, u32::MAX, u32::MAX],
            &[],
        );
    }

    /// `options` are pairs of code and value.
    pub(super) fn interface(&mut self, link: u16, snap_len: u32, options: &[(u16, &[u8])]) {
        let link = if self.big_endian {
            u32::from(link) << 16
        } else {
            u32::from(link)
        };
        let mut tail = Vec::new();
        for (code, value) in options {
            let (code, length) = if self.big_endian {
                (code.to_be_bytes(), (value.len() as u16).to_be_bytes())
            } else {
                (code.to_le_bytes(), (value.len() as u16).to_le_bytes())
            };
            tail.extend([code, length].concat());
            tail.extend(*value);
            tail.resize(tail.len().next_multiple_of(4), 0);
        }
        tail.extend([0; 4]);
        self.block(1, &[link, snap_len], &tail);
    }

    pub(super) fn enhanced(&mut self, interface: u32, units: u64, data: &[u8]) {
        let length = data.len() as u32;
        let header = [
            interface,
            (units >> 32) as u32,
            units as u32,
            length,
            length,
        ];
        self.block(6, &header, data);
    }

    pub(super) fn simple(&mut self, data: &[u8], orig_len: u32) {
        self.block(3, &[orig_len], data);
    }

    pub(super) fn obsolete(&mut self, interface: u16, units: u64, data: &[u8]) {
        let drops = 7;
        let first = if self.big_endian {
            u32::from(interface) << 16 | drops
        } else {
            drops << 16 | u32::from(interface)
        };
        let length = data.len() as u32;
        let header = [first, (units >> 32) as u32, units as u32, length, length];
        self.block(2, &header, data);
    }

    pub(super) fn block(&mut self, kind: u32, header: &[u32], data: &[u8]) {
        let padded = data.len().next_multiple_of(4);
        let length = (12 + 4 * header.len() + padded) as u32;
        let big_endian = self.big_endian;
        for word in [&[kind, length], header].concat() {
            put(&mut self.bytes, word, big_endian);
        }
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len() + padded - data.len(), 0);
        put(&mut self.bytes, length, big_endian);
    }
}

fn put(bytes: &mut Vec<u8>, word: u32, big_endian: bool) {
    bytes.extend(if big_endian {
        word.to_be_bytes()
    } else {
        word.to_le_bytes()
    });
}

/// A packet that outlives its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) time_ns: u64,
    pub(super) link: LinkType,
    pub(super) interface: u32,
    pub(super) name: Option<String>,
    pub(super) orig_len: u32,
    pub(super) data: Vec<u8>,
}

/// All packets of a capture that has no error.
pub(super) fn packets<R: Read>(mut reader: CaptureReader<R>) -> (Vec<Owned>, Oddities) {
    let mut packets = Vec::new();
    while let Some(packet) = reader.next().unwrap() {
        packets.push(Owned {
            time_ns: packet.time_ns,
            link: packet.link,
            interface: packet.interface,
            name: packet.interface_name.map(str::to_owned),
            orig_len: packet.orig_len,
            data: packet.data.to_vec(),
        });
    }
    (packets, reader.oddities())
}

/// A source that hands out a few bytes at a time, as a pipe may.
pub(super) fn in_trickles(bytes: Vec<u8>) -> impl Read + Send + 'static {
    struct Trickle(io::Cursor<Vec<u8>>);
    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let few = buffer.len().min(3);
            self.0.read(&mut buffer[..few])
        }
    }
    Trickle(io::Cursor::new(bytes))
}
