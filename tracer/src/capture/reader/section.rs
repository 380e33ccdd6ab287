//! pcapng: sections, their interfaces, and the three kinds of packet block.

use std::io::Read;

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, parse_enhancedpacketblock_be,
    parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le,
};

use super::{MAX_RECORD, Oddities, ReadError, Record, damaged, note_end, read_u32};
use crate::capture::{link::LinkType, window::Window};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
/// The obsolete packet block, written by some tools until 2012.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// Type and length before the body, length again after it.
const BLOCK_OVERHEAD: usize = 12;
const PACKET_HEADER: usize = 28;
const SIMPLE_PACKET_HEADER: usize = 12;
/// More interfaces than any host has; a file may not choose how much memory is used.
const MAX_INTERFACES: usize = 65_536;

/// The section being read: its byte order and the interfaces described so far.
#[derive(Debug, Default)]
pub(super) struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Interfaces of the sections before this one.
    earlier: u32,
}

#[derive(Debug)]
struct Interface {
    link: LinkType,
    snap_len: u32,
    name: Option<String>,
    resolution: Resolution,
    offset_s: i64,
}

/// How many nanoseconds a unit of an interface's time is: `10^-n` or `2^-n` seconds.
#[derive(Debug, Clone, Copy)]
enum Resolution {
    Decimal(u8),
    Binary(u8),
}

enum Step {
    Packet(Record),
    Skip,
}

impl Section {
    pub(super) fn open<R: Read>(window: &mut Window<R>) -> Result<Self, ReadError> {
        // Type, length and byte-order magic.
        if !window.fill(12)? {
            return Err(ReadError::TruncatedHeader);
        }
        let mut section = Self::default();
        let length = section.begin(window)?;
        if !window.skip(length as u64)? {
            return Err(ReadError::TruncatedHeader);
        }
        Ok(section)
    }

    pub(super) fn interface_name(&self, interface: u32) -> Option<&str> {
        let index = interface.checked_sub(self.earlier)? as usize;
        self.interfaces.get(index)?.name.as_deref()
    }

    pub(super) fn record<R: Read>(
        &mut self,
        window: &mut Window<R>,
        oddities: &mut Oddities,
        last_time_ns: u64,
    ) -> Result<Option<Record>, ReadError> {
        loop {
            if !window.fill(BLOCK_OVERHEAD)? {
                note_end(window, oddities);
                return Ok(None);
            }
            let kind = read_u32(window.bytes(), 0, self.big_endian);
            let length = if kind == SECTION_HEADER {
                self.begin(window)?
            } else {
                self.block_len(window)?
            };
            let needed = matches!(
                kind,
                INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET
            );
            if !needed {
                let begins_at = window.offset();
                if !window.skip(length as u64)? {
                    oddities.truncated_at = Some(begins_at);
                    return Ok(None);
                }
                continue;
            }
            if length > MAX_RECORD {
                return Err(damaged(window, "a block longer than any tool writes"));
            }
            if !window.fill(length)? {
                note_end(window, oddities);
                return Ok(None);
            }
            if read_u32(window.bytes(), length - 4, self.big_endian) as usize != length {
                return Err(damaged(window, "a block whose two lengths differ"));
            }
            match self.step(kind, length, window, oddities, last_time_ns)? {
                Step::Packet(record) => return Ok(Some(record)),
                Step::Skip => window.consume(length),
            }
        }
    }

    /// Begins the section whose header is at hand, and returns that header's length.
    fn begin<R: Read>(&mut self, window: &Window<R>) -> Result<usize, ReadError> {
        self.big_endian = match read_u32(window.bytes(), 8, true) {
            BYTE_ORDER_MAGIC => true,
            magic if magic.swap_bytes() == BYTE_ORDER_MAGIC => false,
            _ => return Err(damaged(window, "a section without a byte order")),
        };
        self.earlier = self.earlier.saturating_add(self.interfaces.len() as u32);
        self.interfaces.clear();
        self.block_len(window)
    }

    fn block_len<R: Read>(&self, window: &Window<R>) -> Result<usize, ReadError> {
        let length = read_u32(window.bytes(), 4, self.big_endian) as usize;
        if length < BLOCK_OVERHEAD {
            return Err(damaged(window, "a block shorter than its own frame"));
        }
        // Some writers forget the padding; the next block still begins at the length they gave.
        Ok(length)
    }

    fn step<R: Read>(
        &mut self,
        kind: u32,
        length: usize,
        window: &Window<R>,
        oddities: &mut Oddities,
        last_time_ns: u64,
    ) -> Result<Step, ReadError> {
        let block = &window.bytes()[..length];
        let record = match kind {
            INTERFACE_DESCRIPTION => {
                self.describe(block)
                    .ok_or_else(|| damaged(window, "an unreadable interface description"))?;
                return Ok(Step::Skip);
            }
            ENHANCED_PACKET => self.enhanced(block),
            PACKET => self.obsolete(block),
            _ => {
                oddities.untimed += 1;
                self.simple(block, last_time_ns)
            }
        };
        match record {
            Ok(Some(record)) => Ok(Step::Packet(record)),
            Ok(None) => {
                oddities.orphans += 1;
                Ok(Step::Skip)
            }
            Err(what) => Err(damaged(window, what)),
        }
    }

    fn describe(&mut self, block: &[u8]) -> Option<()> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return None;
        }
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, description) = parsed.ok()?;
        self.interfaces
            .push(Interface::new(&description, self.big_endian));
        Some(())
    }

    /// `Ok(None)` for a packet of an interface that was never described.
    fn enhanced(&self, block: &[u8]) -> Result<Option<Record>, &'static str> {
        let parsed = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let Ok((_, packet)) = parsed else {
            return Err("an unreadable enhanced packet");
        };
        let EnhancedPacketBlock {
            if_id,
            ts_high,
            ts_low,
            caplen,
            origlen,
            ..
        } = packet;
        self.timed(block, if_id, (ts_high, ts_low), (caplen, origlen))
    }

    fn obsolete(&self, block: &[u8]) -> Result<Option<Record>, &'static str> {
        if block.len() < PACKET_HEADER + 4 {
            return Err("an unreadable packet");
        }
        let field = |at| read_u32(block, at, self.big_endian);
        // The first word holds the interface and a count of drops, 16 bits each.
        let interface = if self.big_endian {
            field(8) >> 16
        } else {
            field(8) & 0xFFFF
        };
        self.timed(
            block,
            interface,
            (field(12), field(16)),
            (field(20), field(24)),
        )
    }

    fn timed(
        &self,
        block: &[u8],
        interface: u32,
        (high, low): (u32, u32),
        (captured, orig_len): (u32, u32),
    ) -> Result<Option<Record>, &'static str> {
        let data_len = captured as usize;
        if data_len > block.len() - PACKET_HEADER - 4 {
            return Err("a packet longer than its block");
        }
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Ok(None);
        };
        Ok(Some(Record {
            time_ns: described.time_ns(u64::from(high) << 32 | u64::from(low)),
            untimed: false,
            link: described.link,
            interface: self.earlier.saturating_add(interface),
            orig_len,
            data_at: PACKET_HEADER,
            data_len,
            length: block.len(),
        }))
    }

    fn simple(&self, block: &[u8], time_ns: u64) -> Result<Option<Record>, &'static str> {
        if block.len() < SIMPLE_PACKET_HEADER + 4 {
            return Err("an unreadable simple packet");
        }
        let Some(described) = self.interfaces.first() else {
            return Ok(None);
        };
        let orig_len = read_u32(block, 8, self.big_endian);
        let snap_len = match described.snap_len {
            0 => u32::MAX,
            limit => limit,
        };
        let room = block.len() - SIMPLE_PACKET_HEADER - 4;
        Ok(Some(Record {
            time_ns,
            untimed: true,
            link: described.link,
            interface: self.earlier,
            orig_len,
            data_at: SIMPLE_PACKET_HEADER,
            data_len: (orig_len.min(snap_len) as usize).min(room),
            length: block.len(),
        }))
    }
}

impl Interface {
    fn new(description: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let option = |code| {
            let mut options = description.options.iter();
            options.find(|option| option.code == code)
        };
        // The parser reads this option as little-endian in either byte order.
        let offset_s = option(OptionCode::IfTsoffset)
            .and_then(|option| option.value.first_chunk::<8>().copied())
            .map_or(0, |bytes| {
                if big_endian {
                    i64::from_be_bytes(bytes)
                } else {
                    i64::from_le_bytes(bytes)
                }
            });
        Self {
            link: LinkType::from_number(description.linktype.0),
            snap_len: description.snaplen,
            name: match description.if_name() {
                Some(Ok(name)) if !name.is_empty() => Some(name.to_owned()),
                _ => None,
            },
            resolution: Resolution::new(description.if_tsresol),
            offset_s,
        }
    }

    fn time_ns(&self, units: u64) -> u64 {
        let ns =
            i128::from(self.resolution.to_ns(units)) + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

impl Resolution {
    fn new(option: u8) -> Self {
        match option & 0x7F {
            exponent if option & 0x80 != 0 => Self::Binary(exponent),
            exponent => Self::Decimal(exponent),
        }
    }

    /// Whole nanoseconds, rounded down; finer units than a nanosecond lose their rest.
    fn to_ns(self, units: u64) -> u64 {
        match self {
            Self::Decimal(9) => units,
            Self::Decimal(exponent @ 0..9) => {
                units.saturating_mul(10u64.pow(9 - u32::from(exponent)))
            }
            Self::Decimal(exponent) => 10u64
                .checked_pow(u32::from(exponent) - 9)
                .map_or(0, |divisor| units / divisor),
            Self::Binary(exponent) => {
                let ns = (u128::from(units) * 1_000_000_000) >> exponent;
                u64::try_from(ns).unwrap_or(u64::MAX)
            }
        }
    }
}
