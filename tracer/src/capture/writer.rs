//! pcapng, written: one section, an interface for each place that packets were captured at, and packets with comments.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use foldhash::HashMap;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, Linktype, OptionCode, PcapNGOption,
    SectionHeaderBlock, ToVec,
};

use super::link::LinkType;

/// Times are in units of ten to the minus so many seconds.
const NANOSECONDS: u8 = 9;
/// A longer comment is cut.
const MOST_COMMENT: usize = 4096;

/// Where packets were captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// What packets begin with.
    pub link: LinkType,
    /// The interface's name, where it is known.
    pub name: Option<String>,
    /// Tells apart what has no name.
    pub number: u32,
}

/// A packet to write.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// From the link header on.
    pub data: &'a [u8],
    /// Bytes on the wire.
    pub orig_len: u32,
    /// What there is to say of it.
    pub comment: &'a str,
}

/// Writes one section.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    places: HashMap<Place, u32>,
}

impl<W: Write> Writer<W> {
    /// Begins the section, with a comment on it.
    pub fn new(mut to: W, comment: &str) -> io::Result<Self> {
        let application = concat!("tds-tracer ", env!("CARGO_PKG_VERSION"));
        let options = vec![
            text(OptionCode::Comment, comment),
            text(OptionCode::ShbUserAppl, application),
        ];
        let block = SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 1,
            minor_version: 0,
            section_len: -1,
            options,
            block_len2: 0,
        };
        put(&mut to, block)?;
        Ok(Self {
            to,
            places: HashMap::default(),
        })
    }

    /// Writes a packet.
    pub fn packet(&mut self, place: &Place, packet: &Written<'_>) -> io::Result<()> {
        let interface = self.interface(place)?;
        let options = if packet.comment.is_empty() {
            Vec::new()
        } else {
            vec![text(OptionCode::Comment, packet.comment)]
        };
        let block = EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: interface,
            ts_high: (packet.time_ns >> 32) as u32,
            ts_low: packet.time_ns as u32,
            caplen: packet.data.len() as u32,
            origlen: packet.orig_len,
            data: packet.data,
            options,
            block_len2: 0,
        };
        put(&mut self.to, block)
    }

    /// Hands over what is written.
    pub fn finish(mut self) -> io::Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }

    /// The interface's number, which is described before its first packet.
    fn interface(&mut self, place: &Place) -> io::Result<u32> {
        if let Some(known) = self.places.get(place) {
            return Ok(*known);
        }
        let number = self.places.len() as u32;
        let resolution = PcapNGOption {
            code: OptionCode::IfTsresol,
            len: 1,
            value: Cow::Owned(vec![NANOSECONDS]),
        };
        let offset = PcapNGOption {
            code: OptionCode::IfTsoffset,
            len: 8,
            value: Cow::Owned(vec![0; 8]),
        };
        let mut options = vec![resolution, offset];
        if let Some(name) = &place.name {
            options.insert(0, text(OptionCode::IfName, name));
        }
        let block = InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: Linktype(place.link.number().into()),
            reserved: 0,
            snaplen: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
            options,
            block_len2: 0,
        };
        put(&mut self.to, block)?;
        self.places.insert(place.clone(), number);
        Ok(number)
    }
}

fn text(code: OptionCode, text: &str) -> PcapNGOption<'_> {
    let value = &text.as_bytes()[..text.floor_char_boundary(MOST_COMMENT)];
    PcapNGOption {
        code,
        len: value.len() as u16,
        value: Cow::Borrowed(value),
    }
}

fn put(to: &mut impl Write, mut block: impl ToVec) -> io::Result<()> {
    let bytes = block.to_vec().map_err(io::Error::other)?;
    to.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{reader::CaptureReader, test_files::packets};

    fn place(link: LinkType, name: Option<&str>) -> Place {
        Place {
            link,
            name: name.map(str::to_owned),
            number: 0,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::new(Vec::new(), "of a test").unwrap();
        let places = [
            place(LinkType::Ethernet, Some("eth0")),
            place(LinkType::LinuxSll2, None),
        ];
        for (number, length) in [0_usize, 1, 2, 3, 4, 1500].into_iter().enumerate() {
            let packet = Written {
                time_ns: 1_700_000_000_123_456_789 + number as u64,
                data: &vec![number as u8; length],
                orig_len: 9000,
                comment: &"ä".repeat(number * 1000),
            };
            writer.packet(&places[number % 2], &packet).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = CaptureReader::new(&bytes[..]).unwrap();
        let mut number = 0;
        while reader.advance().unwrap() {
            let packet = reader.current().unwrap();
            assert_eq!(packet.time_ns, 1_700_000_000_123_456_789 + number);
            assert_eq!(packet.orig_len, 9000);
            assert!(packet.data.iter().all(|byte| u64::from(*byte) == number));
            let place = &places[number as usize % 2];
            assert_eq!(
                (packet.link, packet.interface_name),
                (place.link, place.name.as_deref())
            );
            number += 1;
        }
        assert_eq!(number, 6);
        let (_, oddities) = packets(CaptureReader::new(&bytes[..]).unwrap());
        assert_eq!(oddities.truncated_at, None);
    }
}
