//! One recorded connection, to be repeated.

use std::{fs::File, path::PathBuf};

use anyhow::{Context, Result, ensure};
use tracer::capture::reader::CaptureReader;

const ETHERNET: usize = 14;
const IPV4: usize = ETHERNET;
const TCP: usize = IPV4 + 20;
/// Source and destination in the IPv4 header.
const ADDRESSES: [usize; 2] = [IPV4 + 12, IPV4 + 16];
const FIN: u8 = 1;
const SYN: u8 = 2;

/// A connection between one client and one server.
pub(super) struct Template {
    pub(super) frames: Vec<Frame>,
}

/// One packet: TCP in IPv4 without options in Ethernet.
#[derive(Clone)]
pub(super) struct Frame {
    /// Since the first packet.
    pub(super) after_ns: u64,
    pub(super) from_client: bool,
    pub(super) bytes: Vec<u8>,
}

impl Template {
    /// Loads `fixtures/captures/NAME.pcap`.
    pub(super) fn load(name: &str) -> Result<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/captures")
            .join(name)
            .with_extension("pcap");
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        let mut reader = CaptureReader::new(file)?;
        let mut frames: Vec<Frame> = Vec::new();
        let (mut first_ns, mut client) = (None, None);
        while let Some(packet) = reader.next()? {
            let bytes = packet.data.to_vec();
            ensure!(
                bytes.len() >= TCP + 20 && bytes[12..14] == [8, 0] && bytes[IPV4] == 0x45,
                "{name}: not TCP in plain IPv4 in Ethernet"
            );
            let sender = (bytes[ADDRESSES[0]..ADDRESSES[1]].to_vec(), port(&bytes, 0));
            let client = client.get_or_insert_with(|| sender.clone());
            frames.push(Frame {
                after_ns: packet.time_ns - *first_ns.get_or_insert(packet.time_ns),
                from_client: *client == sender,
                bytes,
            });
        }
        ensure!(
            frames.first().is_some_and(|frame| frame.flags() == SYN),
            "{name} does not begin with a SYN"
        );
        Ok(Self { frames })
    }

    /// The handshake alone, and an acknowledgement of the server's behind it.
    pub(super) fn into_handshake(mut self) -> Self {
        const SEGMENTS: usize = 3;
        let said = self.frames.remove(SEGMENTS).payload().len() as u32;
        self.frames.truncate(SEGMENTS + 1);
        if let Some(acknowledgement) = self.frames.last_mut() {
            acknowledgement.shift(0, said.wrapping_neg());
        }
        self
    }

    /// The SYN and its answer alone.
    pub(super) fn into_attempt(mut self) -> Self {
        self.frames.truncate(2);
        self
    }

    /// The last packet with data of the server before either side closes.
    pub(super) fn last_response(&self) -> Option<usize> {
        let mut frames = self.frames.iter();
        let close = frames.position(|frame| frame.flags() & FIN != 0)?;
        self.frames[..close]
            .iter()
            .rposition(|frame| !frame.from_client && !frame.payload().is_empty())
    }
}

impl Frame {
    pub(super) fn flags(&self) -> u8 {
        self.bytes[TCP + 13]
    }

    pub(super) fn set_flags(&mut self, flags: u8) {
        self.bytes[TCP + 13] = flags;
    }

    /// Offset of the payload.
    fn payload_at(&self) -> usize {
        TCP + usize::from(self.bytes[TCP + 12] >> 4) * 4
    }

    /// What the IP packet holds of it: Ethernet may have padded.
    pub(super) fn payload(&self) -> &[u8] {
        let total = usize::from(u16::from_be_bytes([
            self.bytes[IPV4 + 2],
            self.bytes[IPV4 + 3],
        ]));
        &self.bytes[self.payload_at()..IPV4 + total]
    }

    pub(super) fn set_payload(&mut self, payload: &[u8]) {
        self.bytes.truncate(self.payload_at());
        self.bytes.extend_from_slice(payload);
        let total = (self.bytes.len() - IPV4) as u16;
        self.bytes[IPV4 + 2..IPV4 + 4].copy_from_slice(&total.to_be_bytes());
    }

    /// Adds to the sequence and the acknowledgement number.
    pub(super) fn shift(&mut self, seq: u32, ack: u32) {
        self.add(TCP + 4, seq);
        self.add(TCP + 8, ack);
    }

    fn add(&mut self, at: usize, shift: u32) {
        let field = &mut self.bytes[at..at + 4];
        let number = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
        field.copy_from_slice(&number.wrapping_add(shift).to_be_bytes());
    }

    /// Puts other ends in: address and port, the client's first.
    pub(super) fn readdress(&mut self, ends: [([u8; 4], u16); 2]) {
        let [source, destination] = if self.from_client {
            ends
        } else {
            [ends[1], ends[0]]
        };
        for (side, (address, port)) in [source, destination].into_iter().enumerate() {
            let at = ADDRESSES[side];
            self.bytes[at..at + 4].copy_from_slice(&address);
            let at = TCP + side * 2;
            self.bytes[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
    }
}

fn port(bytes: &[u8], side: usize) -> u16 {
    let at = TCP + side * 2;
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
