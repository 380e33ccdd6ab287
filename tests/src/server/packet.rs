//! TDS packets and the messages they make up (MS-TDS 2.2.3).

use std::io::{self, Read};
use std::time::Duration;

/// Packet types (MS-TDS 2.2.3.1.1).
pub mod kind {
    /// SQL batch.
    pub const BATCH: u8 = 0x01;
    /// Remote procedure call.
    pub const RPC: u8 = 0x03;
    /// Whatever a server answers.
    pub const REPLY: u8 = 0x04;
    /// Cancels the running request.
    pub const ATTENTION: u8 = 0x06;
    /// Rows of a bulk load.
    pub const BULK: u8 = 0x07;
    /// A federated authentication token.
    pub const FEDAUTH: u8 = 0x08;
    /// Transaction manager request.
    pub const TRANSACTION: u8 = 0x0E;
    /// LOGIN7.
    pub const LOGIN7: u8 = 0x10;
    /// SSPI token that follows a LOGIN7.
    pub const SSPI: u8 = 0x11;
    /// PRELOGIN, and TLS handshake bytes.
    pub const PRELOGIN: u8 = 0x12;
}

/// Length of a packet header, in bytes.
pub const HEADER_LEN: usize = 8;
/// Payload of a full packet before another size is negotiated, in bytes.
pub const PAYLOAD_MAX: usize = 4096 - HEADER_LEN;
const END_OF_MESSAGE: u8 = 0x01;

/// One packet, its header taken off.
pub struct Packet {
    /// Packet type, see [`kind`].
    pub kind: u8,
    /// Whether the message ends here.
    pub last: bool,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// One message, put together from its packets.
pub struct Message {
    /// Packet type, see [`kind`].
    pub kind: u8,
    /// The payloads of all packets.
    pub payload: Vec<u8>,
}

/// Two ways of carrying messages: the connection itself, or an SMP session.
pub trait Link {
    /// Sends one message.
    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()>;
    /// Waits for one message.
    fn receive(&mut self) -> io::Result<Message>;
    /// Waits until the peer has sent something more, for `wait` at most.
    fn readable(&mut self, wait: Duration) -> io::Result<bool>;
}

/// Reads one packet.
pub fn read_packet(from: &mut impl Read) -> io::Result<Packet> {
    let mut header = [0; HEADER_LEN];
    from.read_exact(&mut header)?;
    let [kind, status, high, low, ..] = header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let Some(length) = length.checked_sub(HEADER_LEN) else {
        return Err(invalid("packet shorter than its header"));
    };
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Packet {
        kind,
        last: status & END_OF_MESSAGE != 0,
        payload,
    })
}

/// Reads the packets of one message, the first of which may be there already.
pub fn read_message(from: &mut impl Read, first: Option<Packet>) -> io::Result<Message> {
    let mut packet = match first {
        Some(packet) => packet,
        None => read_packet(from)?,
    };
    let mut message = Message {
        kind: packet.kind,
        payload: Vec::new(),
    };
    loop {
        message.payload.append(&mut packet.payload);
        if packet.last {
            return Ok(message);
        }
        packet = read_packet(from)?;
    }
}

/// The packets of one message, as bytes to send one after the other.
pub fn packets(kind: u8, payload: &[u8], spid: u16) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(PAYLOAD_MAX).max(1);
    (0..count)
        .map(|index| {
            let start = index * PAYLOAD_MAX;
            let chunk = &payload[start..payload.len().min(start + PAYLOAD_MAX)];
            let status = if index + 1 == count {
                END_OF_MESSAGE
            } else {
                0
            };
            let mut packet = vec![kind, status];
            packet.extend(((chunk.len() + HEADER_LEN) as u16).to_be_bytes());
            packet.extend(spid.to_be_bytes());
            packet.extend([(index + 1) as u8, 0]);
            packet.extend(chunk);
            packet
        })
        .collect()
}

/// What the peer sent makes no sense here.
pub fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
