//! Records in a segment's bytes: each with its length and a checksum, so that what was torn is not taken for a record.
//!
//! ```text
//! "TDSSPL01"                                   the segment
//! length u32 │ CRC-32 u32 │ event u8 │ severity u8 │ time u64 │ line      each record, little-endian
//! ```
//!
//! The length is that of all behind the checksum, and the checksum that of the length and all behind it.

use crate::{
    record::{Event, MAX_LINE, Severity, Timestamp},
    sink::Line,
};

/// What a segment begins with.
pub(super) const MAGIC: &[u8; 8] = b"TDSSPL01";
/// Length and checksum.
const HEAD: usize = 8;
/// Event, severity and time.
const FIXED: usize = 10;

/// Appends a record.
pub(super) fn append(line: &Line, out: &mut Vec<u8>) {
    let length = ((FIXED + line.bytes.len()) as u32).to_le_bytes();
    out.extend(length);
    let crc_at = out.len();
    out.extend([0; 4]);
    let from = out.len();
    out.push(line.event as u8);
    out.push(line.severity as u8);
    out.extend(line.at.0.to_le_bytes());
    out.extend(&line.bytes);
    let crc = checksum(length, &out[from..]);
    out[crc_at..from].copy_from_slice(&crc.to_le_bytes());
}

/// The record that begins these bytes, and how many of them it takes; `None` where no whole one does.
pub(super) fn first(bytes: &[u8]) -> Option<(Line, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let size = u32::from_le_bytes(*length) as usize;
    if !(FIXED..=FIXED + MAX_LINE).contains(&size) {
        return None;
    }
    let content = rest.get(..size)?;
    if checksum(*length, content) != u32::from_le_bytes(*crc) {
        return None;
    }
    let [event, severity, content @ ..] = content else {
        return None;
    };
    let (at, line) = content.split_first_chunk()?;
    let line = Line {
        event: *Event::ALL.get(usize::from(*event))?,
        severity: *Severity::ALL.get(usize::from(*severity))?,
        at: Timestamp(u64::from_le_bytes(*at)),
        bytes: line.to_vec(),
    };
    Some((line, HEAD + size))
}

/// The records of a whole segment up to where it is torn or damaged, and how many of its bytes they take.
pub fn records(segment: &[u8]) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    if !segment.starts_with(MAGIC) {
        return (lines, 0);
    }
    let mut read = MAGIC.len();
    while let Some((line, size)) = first(&segment[read..]) {
        lines.push(line);
        read += size;
    }
    (lines, read)
}

fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(content);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(event: u8, severity: u8, at: u64, bytes: Vec<u8>) -> Line {
        Line {
            event: Event::ALL[usize::from(event)],
            severity: Severity::ALL[usize::from(severity)],
            at: Timestamp(at),
            bytes,
        }
    }

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..80);
        let one = (0..11_u8, 0..3_u8, any::<u64>(), bytes);
        prop::collection::vec(one.prop_map(|(e, s, at, b)| line(e, s, at, b)), 0..8)
    }

    fn segment(lines: &[Line]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = MAGIC.to_vec();
        let mut ends = Vec::new();
        for line in lines {
            append(line, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    proptest! {
        #[test]
        fn cut_at_any_byte_every_record_before_it_is_read_and_no_other(lines in lines()) {
            let (bytes, ends) = segment(&lines);
            for cut in 0..=bytes.len() {
                let (read, taken) = records(&bytes[..cut]);
                let whole = ends.iter().filter(|end| **end <= cut).count();
                prop_assert_eq!(&read[..], &lines[..whole]);
                prop_assert!(taken <= cut);
            }
        }

        #[test]
        fn a_byte_that_is_another_ends_what_is_read_before_its_record(
            lines in lines(), at in any::<prop::sample::Index>(), other in 1..=255_u8,
        ) {
            let (mut bytes, ends) = segment(&lines);
            let at = at.index(bytes.len());
            bytes[at] ^= other;
            let whole = ends.iter().filter(|end| **end <= at).count();
            let (read, _) = records(&bytes);
            prop_assert_eq!(&read[..], &lines[..if at < MAGIC.len() { 0 } else { whole }]);
        }
    }
}
