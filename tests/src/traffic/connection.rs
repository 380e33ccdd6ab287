//! One connection of a generated capture.

use super::template::{Frame, Template};

const ACK: u8 = 0x10;
/// Payload of a full segment with timestamps.
const SEGMENT: usize = 1448;
/// Bytes of one TDS packet or TLS record of a long response, header included.
const UNIT: usize = 4096;
const TDS_RESPONSE: [u8; 8] = [4, 0, 0x10, 0, 0, 51, 1, 0];
const TLS_DATA: [u8; 5] = [0x17, 3, 3, 0x0F, 0xFB];
/// Between two segments of a long response.
const PACE_NS: u64 = 100_000;

/// Where a template is put.
#[derive(Clone, Copy)]
pub(super) struct Connection {
    /// Makes it unlike all others.
    pub(super) number: u32,
    pub(super) start_ns: u64,
    pub(super) server: [u8; 4],
    pub(super) server_port: u16,
    pub(super) bulk: Option<Bulk>,
    /// Between the last response and what follows it, in addition.
    pub(super) stays_ns: u64,
}

/// Data the server sends in addition.
#[derive(Clone, Copy)]
pub(super) struct Bulk {
    /// Before this frame.
    before: usize,
    /// Like this frame.
    like: usize,
    /// Framed by this header; none where nobody looks.
    header: &'static [u8],
    bytes: usize,
}

impl Bulk {
    /// More of a template's last response: whole packets or records before those it ends with.
    pub(super) fn of(template: &Template, bytes: u32) -> Option<Self> {
        let last = template.last_response()?;
        let header: &[u8] = match template.frames[last].payload()[0] {
            4 => &TDS_RESPONSE,
            0x17 => &TLS_DATA,
            _ => return None,
        };
        Some(Self {
            before: last,
            like: last,
            header,
            bytes: (bytes as usize).next_multiple_of(UNIT),
        })
    }

    /// Data of no known protocol after a handshake.
    pub(super) fn after(handshake: &Template, bytes: u32) -> Self {
        Self {
            before: handshake.frames.len(),
            like: handshake.frames.len() - 1,
            header: &[],
            bytes: bytes as usize,
        }
    }

    fn stream(&self) -> Vec<u8> {
        let mut stream = vec![0xA5; self.bytes];
        for unit in stream.chunks_mut(UNIT) {
            unit[..self.header.len()].copy_from_slice(self.header);
        }
        stream
    }
}

impl Connection {
    /// The packets in the order of their times.
    pub(super) fn packets(&self, template: &Template, mut add: impl FnMut(u64, Vec<u8>)) {
        let mut at_ns = self.start_ns;
        let mut added = 0;
        let last = template.last_response();
        for (index, frame) in template.frames.iter().enumerate() {
            if let Some(bulk) = self.bulk.filter(|bulk| bulk.before == index) {
                added = self.bulk(template, &bulk, &mut at_ns, &mut add);
            }
            let before = index
                .checked_sub(1)
                .map_or(0, |i| template.frames[i].after_ns);
            at_ns += frame.after_ns - before;
            if last.is_some_and(|last| index == last + 1) {
                at_ns += self.stays_ns;
            }
            add(at_ns, self.placed(frame.clone(), added));
        }
        if let Some(bulk) = self
            .bulk
            .filter(|bulk| bulk.before == template.frames.len())
        {
            self.bulk(template, &bulk, &mut at_ns, &mut add);
        }
    }

    /// A long response, acknowledged every second segment; its length.
    fn bulk(
        &self,
        template: &Template,
        bulk: &Bulk,
        at_ns: &mut u64,
        add: &mut impl FnMut(u64, Vec<u8>),
    ) -> u32 {
        let stream = bulk.stream();
        let acknowledges = template.frames[..bulk.before]
            .iter()
            .rfind(|frame| frame.from_client && frame.flags() & ACK != 0);
        let mut sent = 0;
        for (number, segment) in stream.chunks(SEGMENT).enumerate() {
            *at_ns += PACE_NS;
            let mut data = template.frames[bulk.like].clone();
            data.set_flags(ACK);
            data.set_payload(segment);
            add(*at_ns, self.placed(data, sent));
            sent += segment.len() as u32;
            if let Some(last) = acknowledges.filter(|_| number % 2 == 1) {
                let mut ack = last.clone();
                ack.shift(last.payload().len() as u32, 0);
                ack.set_payload(&[]);
                ack.set_flags(ACK);
                add(*at_ns + PACE_NS / 2, self.placed(ack, sent));
            }
        }
        sent
    }

    /// A frame with this connection's addresses and numbers, after the server has sent so many
    /// bytes more than recorded.
    fn placed(&self, mut frame: Frame, added: u32) -> Vec<u8> {
        let spread = self.number.wrapping_mul(0x9E37_79B1);
        let (client, server) = (spread, spread.rotate_left(16));
        if frame.from_client {
            let acknowledges = frame.flags() & ACK != 0;
            let ack = if acknowledges {
                server.wrapping_add(added)
            } else {
                0
            };
            frame.shift(client, ack);
        } else {
            frame.shift(server.wrapping_add(added), client);
        }
        let [.., high, middle, low] =
            (self.number / 50_000 * 251 + self.number % 251).to_be_bytes();
        let port = 10_000 + (self.number % 50_000) as u16;
        let client = [10, high.wrapping_add(16), middle, low];
        frame.readdress([(client, port), (self.server, self.server_port)]);
        frame.bytes
    }
}
