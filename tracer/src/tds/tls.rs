//! One direction of a TLS handshake (RFC 5246, RFC 8446), whatever it is wrapped in.

mod alert;
mod hello;
mod ja4;
mod names;
mod sealing;
mod server_name;

use tls_parser::{TlsMessage, TlsMessageHandshake, parse_tls_message_handshake};

use super::reader::{Reader, slice};

pub use alert::Alert;
pub use hello::{ClientHello, ServerHello};
pub use ja4::Fingerprints;
pub use names::{group_name, signature_algorithm_name, version_name};
pub use server_name::server_name;

/// The content types of TLS records.
pub mod content_type {
    /// `change_cipher_spec`.
    pub const CHANGE_CIPHER_SPEC: u8 = 0x14;
    /// `alert`.
    pub const ALERT: u8 = 0x15;
    /// `handshake`.
    pub const HANDSHAKE: u8 = 0x16;
    /// `application_data`.
    pub const APPLICATION_DATA: u8 = 0x17;
}

/// What one direction of a connection has said in TLS so far.
///
/// Feed it with [`TlsSide::extend`].
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a message, not a state"
)]
#[derive(Debug, Clone, Default)]
pub struct TlsSide {
    /// Records seen, of any type.
    pub records: u32,
    /// Application data records seen. In TLS 1.3 some of them carry the handshake.
    pub application_records: u32,
    /// The client's first message; after a `HelloRetryRequest` still the first, which says more.
    pub client_hello: Option<ClientHello>,
    /// The server's first message.
    pub server_hello: Option<ServerHello>,
    /// The server asked for another hello first (TLS 1.3).
    pub hello_retry: bool,
    /// A Certificate message came in clear (TLS 1.2 and before), and was not empty: a client that
    /// has none sends an empty one.
    pub certificate_seen: bool,
    /// Its first certificate, in DER; see [`super::certificate`].
    pub certificate: Option<Vec<u8>>,
    /// How many certificates came with it and itself, where the message is whole.
    pub chain_length: Option<u32>,
    /// `ServerKeyExchange` came.
    pub server_key_exchange: bool,
    /// `CertificateRequest` came: the server wants a client certificate.
    pub certificate_request: bool,
    /// `ServerHelloDone` came.
    pub server_hello_done: bool,
    /// `ClientKeyExchange` came.
    pub client_key_exchange: bool,
    /// `NewSessionTicket` came in clear (TLS 1.2 and before).
    pub new_session_ticket: bool,
    /// `ChangeCipherSpec` came. In TLS 1.3 it means nothing.
    pub change_cipher_spec: bool,
    /// An encrypted handshake record came after `ChangeCipherSpec`: Finished of TLS 1.2 and before.
    pub finished: bool,
    /// The last alert that came in clear.
    pub alert: Option<Alert>,
    /// Alerts that came encrypted. One right before the end is most likely a `close_notify`.
    pub encrypted_alerts: u32,
    /// Bytes were missing, or made no sense, and messages may have been missed.
    pub truncated: bool,
    framing: Framing,
    handshake: Vec<u8>,
}

/// Where in a record the stream stands.
#[derive(Debug, Clone, Default)]
struct Framing {
    header: [u8; RECORD_HEADER_LEN],
    header_len: usize,
    /// Bytes of the current record still to come.
    body_left: usize,
    /// Not on a record boundary any more: the rest cannot be read.
    lost: bool,
    /// The current record's content is encrypted.
    sealed: bool,
    /// First byte of an alert whose second is still to come.
    alert_level: Option<u8>,
    /// Bytes of handshake messages are missing: where the next one starts is unknown.
    handshake_lost: bool,
    /// Length of the handshake records so far, until the client's hello is whole.
    hello_bytes: u32,
}

impl TlsSide {
    /// Takes the next bytes of this direction: whole records, or any pieces of them.
    pub fn extend(&mut self, mut bytes: &[u8], fingerprints: &mut Fingerprints) {
        while !bytes.is_empty() && !self.framing.lost {
            if self.framing.header_len < RECORD_HEADER_LEN {
                bytes = self.read_header(bytes);
                continue;
            }
            let len = self.framing.body_left.min(bytes.len());
            let (body, rest) = bytes.split_at(len);
            self.content(self.framing.header[0], body, fingerprints);
            self.framing.body_left -= len;
            if self.framing.body_left == 0 {
                self.framing.header_len = 0;
            }
            bytes = rest;
        }
    }

    /// Whether the bytes so far end inside a record.
    pub fn is_inside_record(&self) -> bool {
        self.framing.header_len > 0 && !self.framing.lost
    }

    /// Says that the next bytes are missing: as long as they are of one record, the next one is found.
    pub fn pass(&mut self, len: usize) {
        let framing = &mut self.framing;
        let in_record = framing.header_len == RECORD_HEADER_LEN && len <= framing.body_left;
        if !in_record || framing.lost {
            self.gap();
            return;
        }
        framing.body_left -= len;
        if framing.body_left == 0 {
            framing.header_len = 0;
        }
        if framing.header[0] == content_type::HANDSHAKE && !framing.sealed {
            self.truncated = true;
            self.give_up_on_handshake();
        }
    }

    /// Says that bytes of this direction are missing from here on.
    ///
    /// Inside a record its boundary is lost, and nothing more is read.
    pub fn gap(&mut self) {
        self.truncated = true;
        if self.framing.header_len > 0 {
            self.framing.lost = true;
        }
        self.give_up_on_handshake();
    }

    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let framing = &mut self.framing;
        let (head, rest) = bytes.split_at(bytes.len().min(RECORD_HEADER_LEN - framing.header_len));
        framing.header[framing.header_len..][..head.len()].copy_from_slice(head);
        framing.header_len += head.len();
        if framing.header_len < RECORD_HEADER_LEN {
            return rest;
        }
        let [content_type, major, _minor, high, low] = framing.header;
        let len = usize::from(u16::from_be_bytes([high, low]));
        if !(0x14..=0x18).contains(&content_type) || major != 3 || len > MAX_RECORD {
            framing.lost = true;
            self.truncated = true;
            return rest;
        }
        framing.body_left = len;
        if len == 0 {
            framing.header_len = 0;
        }
        self.begin(content_type, len);
        rest
    }

    /// A record starts.
    fn begin(&mut self, content_type: u8, len: usize) {
        self.records = self.records.saturating_add(1);
        self.framing.sealed = self.is_sealed(content_type, len);
        match content_type {
            content_type::CHANGE_CIPHER_SPEC => self.change_cipher_spec = true,
            content_type::APPLICATION_DATA => {
                self.application_records = self.application_records.saturating_add(1);
            }
            content_type::HANDSHAKE if self.framing.sealed => self.finished = true,
            content_type::HANDSHAKE if self.client_hello.is_none() => {
                // A record has at most 18 KiB, and 64 KiB of messages are read.
                let record = u32::try_from(RECORD_HEADER_LEN + len).unwrap_or(u32::MAX);
                self.framing.hello_bytes = self.framing.hello_bytes.saturating_add(record);
            }
            content_type::ALERT if self.framing.sealed => {
                self.encrypted_alerts = self.encrypted_alerts.saturating_add(1);
            }
            _ => {}
        }
    }

    fn is_sealed(&self, content_type: u8, len: usize) -> bool {
        match content_type {
            // No cipher suite fits an alert's two bytes into two bytes.
            content_type::ALERT => len != ALERT_LEN,
            // After a HelloRetryRequest, TLS 1.3 sends its compatibility ChangeCipherSpec before
            // the second hello, which is in clear: the server's is known to be still owed, and
            // the client's is longer than any Finished.
            content_type::HANDSHAKE if self.change_cipher_spec => {
                let owes_hello = self.hello_retry && self.server_hello.is_none();
                let is_second_hello = self.client_hello.is_some() && len > MAX_FINISHED;
                !owes_hello && !is_second_hello
            }
            _ => false,
        }
    }

    fn content(&mut self, content_type: u8, bytes: &[u8], fingerprints: &mut Fingerprints) {
        if self.framing.sealed {
            return;
        }
        match content_type {
            content_type::HANDSHAKE => self.handshake_bytes(bytes, fingerprints),
            content_type::ALERT => self.alert_bytes(bytes),
            _ => {}
        }
    }

    fn alert_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.framing.alert_level.take() {
                None => self.framing.alert_level = Some(byte),
                Some(level) => self.alert = Some(Alert::new(level, byte)),
            }
        }
    }

    fn handshake_bytes(&mut self, bytes: &[u8], fingerprints: &mut Fingerprints) {
        if self.framing.handshake_lost {
            return;
        }
        let room = MAX_HANDSHAKE - self.handshake.len();
        self.handshake
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        let buffered = std::mem::take(&mut self.handshake);
        let mut at = 0;
        while let Some(message) = whole_message(&buffered[at..]) {
            self.handshake_message(message, fingerprints);
            at += message.len();
        }
        // Most messages come whole: no memory is kept for the next one.
        if at < buffered.len() {
            self.handshake = buffered;
            self.handshake.drain(..at);
        }
        if bytes.len() > room {
            self.truncated = true;
            self.give_up_on_handshake();
        }
    }

    fn handshake_message(&mut self, message: &[u8], fingerprints: &mut Fingerprints) {
        if message[0] == CERTIFICATE {
            self.certificate_message(&message[HANDSHAKE_HEADER_LEN..]);
            return;
        }
        let Ok((_, TlsMessage::Handshake(parsed))) = parse_tls_message_handshake(message) else {
            self.truncated = true;
            return;
        };
        match parsed {
            TlsMessageHandshake::ClientHello(hello) if self.client_hello.is_none() => {
                let bytes = self.framing.hello_bytes;
                self.client_hello = Some(ClientHello::new(&hello, bytes, fingerprints));
            }
            TlsMessageHandshake::ServerHello(hello) if hello::is_retry(&hello) => {
                self.hello_retry = true;
            }
            TlsMessageHandshake::ServerHello(hello) => {
                self.server_hello = Some(ServerHello::new(&hello));
            }
            TlsMessageHandshake::ServerKeyExchange(_) => self.server_key_exchange = true,
            TlsMessageHandshake::CertificateRequest(_) => self.certificate_request = true,
            TlsMessageHandshake::ServerDone(_) => self.server_hello_done = true,
            TlsMessageHandshake::ClientKeyExchange(_) => self.client_key_exchange = true,
            TlsMessageHandshake::NewSessionTicket(_) => self.new_session_ticket = true,
            _ => {}
        }
    }

    /// The first certificate of the chain, which may be whole even when the chain is not.
    fn certificate_message(&mut self, body: &[u8]) {
        let mut reader = Reader::new(body);
        let chain_len = reader.array::<3>().map(u24);
        self.certificate_seen = chain_len.is_some_and(|len| len > 0);
        let first = reader
            .array::<3>()
            .map(u24)
            .and_then(|len| reader.take(len));
        self.certificate = first.map(<[u8]>::to_vec);
        self.chain_length = certificates(body);
    }

    fn give_up_on_handshake(&mut self) {
        self.framing.handshake_lost = true;
        let buffered = std::mem::take(&mut self.handshake);
        if buffered.first() == Some(&CERTIFICATE) {
            self.certificate_message(buffered.get(HANDSHAKE_HEADER_LEN..).unwrap_or_default());
        }
    }
}

/// Whether the handshake resumed an earlier session, once that is decided.
pub fn resumed(client: &TlsSide, server: &TlsSide) -> Option<bool> {
    let hello = server.server_hello.as_ref()?;
    if hello.version >= TLS_1_3 {
        return Some(hello.psk_selected);
    }
    if server.certificate_seen || server.server_key_exchange || server.server_hello_done {
        return Some(false);
    }
    // An abbreviated handshake goes from ServerHello straight to ChangeCipherSpec.
    if !server.change_cipher_spec || server.truncated {
        return None;
    }
    let echoed = |hello: &ClientHello| !hello.session_id.is_empty();
    let offered = client
        .client_hello
        .as_ref()
        .is_none_or(|client| client.has_ticket || echoed(client));
    Some(offered)
}

/// How many certificates a Certificate message holds, where all of it is there.
fn certificates(body: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(body);
    let len = reader.array().map(u24)?;
    let mut chain = Reader::new(reader.take(len)?);
    let mut count = 0;
    while chain.remaining() > 0 {
        let len = chain.array().map(u24)?;
        chain.take(len)?;
        count += 1;
    }
    Some(count)
}

/// The first handshake message of `bytes`, header included, when all of it is there.
fn whole_message(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let _kind = reader.u8()?;
    let len = reader.array().map(u24)?;
    slice(bytes, 0, HANDSHAKE_HEADER_LEN + len)
}

fn u24([high, middle, low]: [u8; 3]) -> usize {
    u32::from_be_bytes([0, high, middle, low]) as usize
}

const RECORD_HEADER_LEN: usize = 5;
// RFC 5246 section 6.2.3: 2^14 plus what compression and encryption may add.
const MAX_RECORD: usize = (1 << 14) + 2048;
const HANDSHAKE_HEADER_LEN: usize = 4;
// Real flights are under 10 KiB, certificate chains included.
const MAX_HANDSHAKE: usize = 64 * 1024;
// An encrypted Finished takes 40 to 96 bytes, by cipher suite.
const MAX_FINISHED: usize = 128;
const ALERT_LEN: usize = 2;
const CERTIFICATE: u8 = 0x0B;
const TLS_1_3: u16 = 0x0304;

#[cfg(test)]
mod tests;
