//! Messages of a client whose secrets are all made of one byte that occurs nowhere else in them.

use crate::framing::packet_type;

/// What every secret is made of.
pub(crate) const SECRET: u8 = 0xA5;

const FIXED: usize = 94;
const HEADER: usize = 8;

/// How many secret bytes there are.
pub(crate) fn count_secret(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == SECRET).count() - 1
}

/// A TDS packet.
pub(crate) fn tds(kind: u8, status: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len() + HEADER).unwrap();
    let mut packet = vec![kind, status];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(body);
    packet
}

/// A client's PRELOGIN with a version and nothing else.
pub(crate) fn prelogin() -> Vec<u8> {
    let body = [0, 0, 6, 0, 6, 0xFF, 9, 0, 0, 0, 0, 0];
    tds(packet_type::PRELOGIN, 1, &body)
}

/// What a LOGIN7 holds; lengths of secrets in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Login7 {
    pub(crate) password: usize,
    pub(crate) new_password: usize,
    /// Behind the mechanism, which is no secret.
    pub(crate) sspi: usize,
    pub(crate) federated: usize,
}

impl Login7 {
    /// The body: MS-TDS 2.2.6.4.
    pub(crate) fn body(self) -> Vec<u8> {
        let mut body = vec![0; FIXED];
        let user = append(&mut body, &[b'u', 0, b's', 0]);
        field(&mut body, 40, user, 2);
        let password = append(&mut body, &vec![SECRET; self.password]);
        field(&mut body, 44, password, self.password / 2);
        let app = append(&mut body, &[b'a', 0, b'p', 0, b'p', 0]);
        field(&mut body, 48, app, 3);
        let mut pointer = 0;
        if self.federated > 0 {
            body[27] |= 0x10;
            pointer = append(&mut body, &[0; 4]);
            field(&mut body, 56, pointer, 4);
        }
        let database = append(&mut body, &[b'd', 0]);
        field(&mut body, 68, database, 1);
        if self.sspi > 0 {
            let token = append(&mut body, &offer());
            append(&mut body, &vec![SECRET; self.sspi]);
            let len = body.len() - token;
            field(&mut body, 78, token, len);
        }
        let new_password = append(&mut body, &vec![SECRET; self.new_password]);
        field(&mut body, 86, new_password, self.new_password / 2);
        if self.federated > 0 {
            self.extend(&mut body, pointer);
        }
        let len = u32::try_from(body.len()).unwrap();
        body[..4].copy_from_slice(&len.to_le_bytes());
        body
    }

    /// The packet.
    pub(crate) fn packet(self) -> Vec<u8> {
        tds(packet_type::LOGIN7, 1, &self.body())
    }

    /// A feature extension of two features: one of whose data nothing is wanted, then the token.
    fn extend(self, body: &mut Vec<u8>, pointer: usize) {
        let features = u32::try_from(body.len()).unwrap();
        body[pointer..pointer + 4].copy_from_slice(&features.to_le_bytes());
        body.extend([0x0A, 1, 0, 0, 0, SECRET]);
        let len = u32::try_from(self.federated + 1).unwrap();
        body.push(0x02);
        body.extend(len.to_le_bytes());
        body.push(0x03);
        body.extend(vec![SECRET; self.federated]);
        body.push(0xFF);
    }
}

/// The part of a client's SPNEGO offer that names mechanisms: RFC 4178 4.2.1.
pub(crate) fn offer() -> Vec<u8> {
    let mut offer = vec![0x60, 0x82, 2, 0, 6, 6, 0x2B, 6, 1, 5, 5, 2];
    offer.resize(80, 0);
    offer
}

/// An NTLM AUTHENTICATE message: MS-NLMP 2.2.1.3.
pub(crate) fn ntlm_authenticate() -> Vec<u8> {
    let mut token = b"NTLMSSP\0\x03\0\0\0".to_vec();
    token.resize(64, 0);
    for (at, bytes) in [
        (28, &[b'D', 0][..]),
        (36, &[b'u', 0]),
        (44, &[b'w', 0]),
        (12, &[SECRET; 24]),
        (20, &[SECRET; 60]),
        (52, &[SECRET; 16]),
    ] {
        let offset = u32::try_from(append(&mut token, bytes)).unwrap();
        let len = u16::try_from(bytes.len()).unwrap().to_le_bytes();
        token[at..at + 2].copy_from_slice(&len);
        token[at + 2..at + 4].copy_from_slice(&len);
        token[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
    }
    token
}

fn append(body: &mut Vec<u8>, bytes: &[u8]) -> usize {
    let at = body.len();
    body.extend(bytes);
    at
}

fn field(body: &mut [u8], at: usize, offset: usize, len: usize) {
    let offset = u16::try_from(offset).unwrap().to_le_bytes();
    let len = u16::try_from(len).unwrap().to_le_bytes();
    body[at..at + 2].copy_from_slice(&offset);
    body[at + 2..at + 4].copy_from_slice(&len);
}
