//! pcap and pcapng, read as a stream.

use std::io::{self, Read};

use pcap_parser::{
    LegacyPcapBlock, PcapError, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};
use thiserror::Error;

use self::section::Section;
use super::{link::LinkType, window::Window};

mod section;

/// The longest packet record believed. Capture tools stop at 256 KiB; a longer one is damage, and
/// believing it would let a file choose how much memory is used.
pub const MAX_RECORD: usize = 4 * 1024 * 1024;

const PCAP_HEADER: usize = 24;
const SECTION_HEADER_BLOCK: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
const PCAP_MAGICS: [[u8; 4]; 5] = [
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0x4D, 0x3C, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
    [0x34, 0xCD, 0xB2, 0xA1],
];

/// Why a capture cannot be read, or not any further.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not a single byte.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are neither pcap's nor pcapng's.
    #[error("not a capture: neither pcap nor pcapng")]
    NotACapture,
    /// It begins like a capture and ends before its header does.
    #[error("the capture ends inside its own header")]
    TruncatedHeader,
    /// A record contradicts itself; nothing after it can be found.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the record begins, in bytes of the decompressed stream.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file cannot be opened or read, or its compression is damaged.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One captured packet; the bytes are borrowed from the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured, in nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// That is not known: the time is that of the packet before it.
    pub untimed: bool,
    /// What its first header is.
    pub link: LinkType,
    /// Number of the interface in the file, counted over all sections from 0.
    pub interface: u32,
    /// Name of the interface, where the file gives one.
    pub interface_name: Option<&'a str>,
    /// Length on the wire in bytes; more than `data` holds when the snap length cut it.
    pub orig_len: u32,
    /// What was captured, from the link header on.
    pub data: &'a [u8],
}

/// What was odd about a capture that could still be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// The file ends inside a record, which begins at this byte of the decompressed stream.
    pub truncated_at: Option<u64>,
    /// Packets without a time of their own (pcapng's simple packets): they have that of the packet
    /// before them.
    pub untimed: u64,
    /// Packets whose time is off from those of the packets around them: they have that of the packet
    /// before them. A [`CaptureReader`] takes times as they are.
    pub off: u64,
    /// Packets that name an interface the file does not describe; they were skipped.
    pub orphans: u64,
}

/// Reads one capture, packet by packet, in the order of the file.
#[derive(Debug)]
pub struct CaptureReader<R> {
    window: Window<R>,
    format: Format,
    record: Option<Record>,
    oddities: Oddities,
    last_time_ns: u64,
}

/// Where the current packet lies in the window, and what is known of it.
#[derive(Debug, Clone, Copy)]
struct Record {
    time_ns: u64,
    untimed: bool,
    link: LinkType,
    interface: u32,
    orig_len: u32,
    data_at: usize,
    data_len: usize,
    length: usize,
}

#[derive(Debug)]
enum Format {
    Pcap(Pcap),
    PcapNg(Section),
}

type FrameParser = for<'a> fn(
    &'a [u8],
) -> Result<
    (&'a [u8], LegacyPcapBlock<'a>),
    pcap_parser::nom::Err<PcapError<&'a [u8]>>,
>;

#[derive(Debug)]
struct Pcap {
    link: LinkType,
    ns_per_fraction: u64,
    header_len: usize,
    big_endian: bool,
    parse: FrameParser,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the header. `source` is decompressed already; see [`super::open`].
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut window = Window::new(source);
        window.fill(4)?;
        let format = match window.bytes().first_chunk::<4>() {
            Some(&SECTION_HEADER_BLOCK) => Format::PcapNg(Section::open(&mut window)?),
            Some(magic) if PCAP_MAGICS.contains(magic) => Format::Pcap(Pcap::open(&mut window)?),
            None if window.bytes().is_empty() && !window.cut_short() => {
                return Err(ReadError::Empty);
            }
            None if could_begin_a_capture(window.bytes()) => {
                return Err(ReadError::TruncatedHeader);
            }
            _ => return Err(ReadError::NotACapture),
        };
        Ok(Self {
            window,
            format,
            record: None,
            oddities: Oddities::default(),
            last_time_ns: 0,
        })
    }

    /// The next packet, `None` at the end. A file that ends inside a record ends before that record,
    /// and [`Self::oddities`] says so.
    #[expect(
        clippy::should_implement_trait,
        reason = "the packet borrows from the reader, which an `Iterator` cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, ReadError> {
        self.advance()?;
        Ok(self.current())
    }

    /// Moves to the next packet; false at the end.
    pub fn advance(&mut self) -> Result<bool, ReadError> {
        if let Some(record) = self.record.take() {
            self.window.consume(record.length);
        }
        self.record = match &mut self.format {
            Format::Pcap(pcap) => pcap.record(&mut self.window, &mut self.oddities)?,
            Format::PcapNg(section) => {
                section.record(&mut self.window, &mut self.oddities, self.last_time_ns)?
            }
        };
        if let Some(record) = self.record {
            self.last_time_ns = record.time_ns;
        }
        Ok(self.record.is_some())
    }

    /// When the packet was sent that [`Self::advance`] moved to.
    pub(super) fn time_ns(&self) -> Option<u64> {
        self.record.map(|record| record.time_ns)
    }

    /// The packet [`Self::advance`] moved to.
    pub fn current(&self) -> Option<Packet<'_>> {
        let record = self.record?;
        let interface_name = match &self.format {
            Format::Pcap(_) => None,
            Format::PcapNg(section) => section.interface_name(record.interface),
        };
        Some(Packet {
            time_ns: record.time_ns,
            untimed: record.untimed,
            link: record.link,
            interface: record.interface,
            interface_name,
            orig_len: record.orig_len,
            data: &self.window.bytes()[record.data_at..record.data_at + record.data_len],
        })
    }

    /// What was odd so far.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }
}

impl Pcap {
    fn open<R: Read>(window: &mut Window<R>) -> Result<Self, ReadError> {
        if !window.fill(PCAP_HEADER)? {
            return Err(ReadError::TruncatedHeader);
        }
        let Ok((_, header)) = parse_pcap_header(window.bytes()) else {
            return Err(ReadError::NotACapture);
        };
        window.consume(PCAP_HEADER);
        let big_endian = header.is_bigendian();
        let (header_len, parse): (usize, FrameParser) = if header.is_modified_format() {
            (24, parse_pcap_frame_modified)
        } else if big_endian {
            (16, parse_pcap_frame_be)
        } else {
            (16, parse_pcap_frame)
        };
        Ok(Self {
            link: LinkType::from_number(header.network.0),
            ns_per_fraction: if header.is_nanosecond_precision() {
                1
            } else {
                1000
            },
            header_len,
            big_endian,
            parse,
        })
    }

    fn record<R: Read>(
        &self,
        window: &mut Window<R>,
        oddities: &mut Oddities,
    ) -> Result<Option<Record>, ReadError> {
        if !window.fill(self.header_len)? {
            note_end(window, oddities);
            return Ok(None);
        }
        let captured = read_u32(window.bytes(), 8, self.big_endian) as usize;
        let length = captured.saturating_add(self.header_len);
        if length > MAX_RECORD {
            return Err(damaged(window, "a packet longer than any tool captures"));
        }
        if !window.fill(length)? {
            note_end(window, oddities);
            return Ok(None);
        }
        let Ok((_, frame)) = (self.parse)(window.bytes()) else {
            return Err(damaged(window, "an unreadable packet header"));
        };
        let fraction_ns = u64::from(frame.ts_usec) * self.ns_per_fraction;
        Ok(Some(Record {
            time_ns: u64::from(frame.ts_sec) * 1_000_000_000 + fraction_ns,
            untimed: false,
            link: self.link,
            interface: 0,
            orig_len: frame.origlen,
            data_at: self.header_len,
            data_len: captured,
            length,
        }))
    }
}

fn could_begin_a_capture(bytes: &[u8]) -> bool {
    let mut magics = PCAP_MAGICS.iter().chain([&SECTION_HEADER_BLOCK]);
    magics.any(|magic| magic.starts_with(bytes))
}

/// Notes that the stream ended inside a record, if it did.
fn note_end<R: Read>(window: &Window<R>, oddities: &mut Oddities) {
    if !window.bytes().is_empty() || window.cut_short() {
        oddities.truncated_at = Some(window.offset());
    }
}

fn damaged<R: Read>(window: &Window<R>, what: &'static str) -> ReadError {
    ReadError::Damaged {
        offset: window.offset(),
        what,
    }
}

/// Reads a 32-bit number of a header whose presence the caller has made sure of.
fn read_u32(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let field = bytes
        .get(at..at + 4)
        .and_then(|field| field.first_chunk::<4>())
        .copied()
        .unwrap_or_default();
    if big_endian {
        u32::from_be_bytes(field)
    } else {
        u32::from_le_bytes(field)
    }
}

#[cfg(test)]
mod tests;
