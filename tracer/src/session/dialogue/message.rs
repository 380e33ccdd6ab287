//! A message put together from its packets.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::session::{input::Side, stream::Unit};

/// Bytes kept of each side's message while its packets come: a LOGIN7 is at most 128 KiB, and a reply
/// to one has a few.
const MAX_BODY: [usize; 2] = [128 * 1024, 64 * 1024];

/// A message being put together from its packets.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The parts of the body that were withheld or lost, ascending.
    pub(super) unseen: Vec<Range<usize>>,
    pub(super) spid: u16,
}

impl Message {
    /// One more of its packets.
    pub(super) fn append(&mut self, side: Side, unit: &Unit) {
        let before = self.body.len();
        let most = MAX_BODY[side as usize];
        let room = most.saturating_sub(before).min(unit.body.len());
        let kept = unit.unseen.iter().filter(|part| part.start < room);
        let unseen = kept.map(|part| part.start + before..part.end + before);
        self.unseen.extend(unseen);
        // A message is no larger than its packets: doubling would take up to twice that.
        self.body.reserve_exact(room);
        self.body.extend_from_slice(&unit.body[..room]);
        let spid = u16::from_be_bytes([unit.prefix[4], unit.prefix[5]]);
        if self.spid == 0 {
            self.spid = spid;
        }
    }

    /// Its body up to the first byte that was not seen.
    pub(super) fn seen(&self) -> &[u8] {
        let end = self.unseen.first().map_or(usize::MAX, |part| part.start);
        &self.body[..end.min(self.body.len())]
    }

    /// The body with other bytes in place of those that were not seen: what reads differently
    /// there is not known.
    pub(super) fn otherwise(&self) -> Zeroizing<Vec<u8>> {
        let mut body = self.body.clone();
        for part in &self.unseen {
            if let Some(bytes) = body.get_mut(part.clone()) {
                bytes.fill(0xFF);
            }
        }
        body
    }
}
