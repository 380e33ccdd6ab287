//! One side's bytes in their order, and the TDS packets and TLS records that they make.

use std::collections::BTreeMap;

use super::super::packet::{Packet, SYN, be16};

/// The first bytes of TDS packets.
const TDS: [u8; 11] = [1, 2, 3, 4, 6, 7, 8, 0x0E, 0x10, 0x11, 0x12];
const RECORDS: std::ops::RangeInclusive<u8> = 0x14..=0x17;
const SMP: u8 = 0x53;
const TDS_HEADER: usize = 8;
const RECORD_HEADER: usize = 5;

/// What a side says.
#[derive(Debug)]
pub(super) enum Unit {
    /// A TDS packet: its type, whether it is its message's last, and its body.
    Tds(u8, bool, Vec<u8>),
    /// A TLS record: its type and its body.
    Record(u8, Vec<u8>),
    /// A MARS header and what follows.
    Smp,
    /// Neither.
    Strange,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    first: Option<u32>,
    /// Bytes taken so far.
    taken: u32,
    /// Behind a hole.
    waiting: BTreeMap<u32, Vec<u8>>,
    buffer: Vec<u8>,
    /// The packet in which the unit at hand begins.
    pub(super) begun_in: usize,
}

impl Half {
    /// Takes a packet's bytes.
    pub(super) fn take(&mut self, index: usize, packet: &Packet) {
        let opens = u32::from(packet.has(SYN));
        let first = *self.first.get_or_insert(packet.seq.wrapping_add(opens));
        if packet.payload().is_empty() {
            return;
        }
        let offset = packet.seq.wrapping_add(opens).wrapping_sub(first);
        if offset > u32::MAX / 2 {
            // A keep-alive's byte before the first.
            return;
        }
        if self.buffer.is_empty() {
            self.begun_in = index;
        }
        self.waiting
            .entry(offset)
            .or_insert_with(|| packet.payload().to_vec());
        while let Some((offset, bytes)) = self
            .waiting
            .first_key_value()
            .map(|(at, bytes)| (*at, bytes.clone()))
        {
            if offset > self.taken {
                break;
            }
            self.waiting.pop_first();
            let known = (self.taken - offset) as usize;
            if let Some(new) = bytes.get(known..) {
                self.buffer.extend(new);
                self.taken += new.len() as u32;
            }
        }
    }

    /// Whether something before what has passed is missing.
    pub(super) fn has_hole(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a unit has begun and is not whole.
    pub(super) fn is_inside(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next unit that is whole.
    pub(super) fn next(&mut self, index: usize) -> Option<Unit> {
        let kind = *self.buffer.first()?;
        let (header, length) =
            if RECORDS.contains(&kind) && self.buffer.get(1).is_none_or(|major| *major == 3) {
                (
                    RECORD_HEADER,
                    usize::from(be16(&self.buffer, 3)?) + RECORD_HEADER,
                )
            } else if TDS.contains(&kind) {
                (TDS_HEADER, usize::from(be16(&self.buffer, 2)?))
            } else {
                self.buffer.clear();
                return Some(if kind == SMP {
                    Unit::Smp
                } else {
                    Unit::Strange
                });
            };
        if length < header {
            return Some(Unit::Strange);
        }
        if self.buffer.len() < length {
            return None;
        }
        let unit: Vec<u8> = self.buffer.drain(..length).collect();
        let body = unit[header..].to_vec();
        self.begun_in = if self.buffer.is_empty() {
            self.begun_in
        } else {
            index
        };
        Some(if header == RECORD_HEADER {
            Unit::Record(kind, body)
        } else {
            Unit::Tds(kind, unit[1] & 1 != 0, body)
        })
    }
}

/// TLS records inside TDS packets.
pub(super) fn record(buffer: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let length = usize::from(be16(buffer, 3)?) + RECORD_HEADER;
    if buffer.len() < length {
        return None;
    }
    let record: Vec<u8> = buffer.drain(..length).collect();
    Some((record[0], record[RECORD_HEADER..].to_vec()))
}

/// Whether bytes begin like a TLS record.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| RECORDS.contains(first))
}
