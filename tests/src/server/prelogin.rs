//! PRELOGIN: what the client asks for, and what it is told (MS-TDS 2.2.6.5).

use std::io;

use clap::ValueEnum;

use super::packet::invalid;

const VERSION: u8 = 0x00;
const ENCRYPTION: u8 = 0x01;
const INSTANCE: u8 = 0x02;
const THREAD_ID: u8 = 0x03;
const MARS: u8 = 0x04;
const FEDAUTH_REQUIRED: u8 = 0x06;
const NONCE: u8 = 0x07;
const TERMINATOR: u8 = 0xFF;
const ENTRY_LEN: usize = 5;

/// Version of the server as it says it: 16.0.4139.
pub const SERVER_VERSION: [u8; 6] = [16, 0, 0x10, 0x2B, 0, 0];

/// Values of the encryption option.
pub mod encryption {
    /// Encrypt the login only.
    pub const OFF: u8 = 0;
    /// Encrypt everything.
    pub const ON: u8 = 1;
    /// Encryption is not supported.
    pub const NOT_SUP: u8 = 2;
    /// Encryption is required.
    pub const REQ: u8 = 3;
}

/// What the server is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encrypt {
    /// Encrypts the login, and the rest when the client wants it.
    Off,
    /// Encrypts everything.
    On,
    /// Cannot encrypt.
    NotSup,
    /// Insists on encrypting everything.
    Req,
    /// TDS 8.0: TLS before anything else.
    Strict,
}

/// A client's PRELOGIN, as far as it matters here.
#[derive(Debug, Default)]
pub struct Prelogin {
    /// Encryption option, without its flags.
    pub encryption: Option<u8>,
    /// Whether the client wants MARS.
    pub mars: bool,
    /// Whether the client can authenticate by token.
    pub fedauth: Option<u8>,
    /// Whether the client sent a nonce to be signed.
    pub nonce: bool,
}

impl Prelogin {
    /// Reads the options.
    pub fn parse(payload: &[u8]) -> io::Result<Self> {
        let mut prelogin = Self::default();
        let mut at = 0;
        loop {
            match payload.get(at) {
                Some(&TERMINATOR) => return Ok(prelogin),
                None => return Err(invalid("prelogin without end")),
                Some(_) => {}
            }
            let Some(&[token, offset_high, offset_low, length_high, length_low]) =
                payload.get(at..at + ENTRY_LEN)
            else {
                return Err(invalid("prelogin entry cut short"));
            };
            let offset = usize::from(u16::from_be_bytes([offset_high, offset_low]));
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            let value = payload
                .get(offset..offset + length)
                .ok_or_else(|| invalid("prelogin option outside its packet"))?;
            let first = value.first().copied();
            match token {
                ENCRYPTION => prelogin.encryption = first.map(|value| value & 0x0F),
                MARS => prelogin.mars = first == Some(1),
                FEDAUTH_REQUIRED => prelogin.fedauth = first,
                NONCE => prelogin.nonce = true,
                _ => {}
            }
            at += ENTRY_LEN;
        }
    }

    /// What a server set to `setting` answers to the client's encryption.
    pub fn encryption_answer(&self, setting: Encrypt) -> u8 {
        use encryption::{NOT_SUP, OFF, ON, REQ};
        let asked = self.encryption.unwrap_or(NOT_SUP);
        match (setting, asked) {
            (Encrypt::Off, OFF) => OFF,
            (Encrypt::NotSup, _) | (Encrypt::Off, NOT_SUP) => NOT_SUP,
            (Encrypt::Strict | Encrypt::Off, _) | (_, ON | REQ) => ON,
            _ => REQ,
        }
    }

    /// The server's answer.
    pub fn answer(&self, encryption: u8, mars: bool, fedauth: bool) -> Vec<u8> {
        let mut options: Vec<(u8, Vec<u8>)> = vec![
            (VERSION, SERVER_VERSION.to_vec()),
            (ENCRYPTION, vec![encryption]),
            (INSTANCE, vec![0]),
            (THREAD_ID, vec![]),
            (MARS, vec![u8::from(mars && self.mars)]),
        ];
        if let Some(asked) = self.fedauth {
            options.push((FEDAUTH_REQUIRED, vec![if fedauth { asked } else { 0 }]));
            if fedauth && self.nonce {
                options.push((NONCE, vec![0x5A; 32]));
            }
        }
        let mut entries = Vec::new();
        let mut values = Vec::new();
        let start = options.len() * ENTRY_LEN + 1;
        for (token, value) in options {
            entries.push(token);
            entries.extend(((start + values.len()) as u16).to_be_bytes());
            entries.extend((value.len() as u16).to_be_bytes());
            values.extend(value);
        }
        entries.push(TERMINATOR);
        entries.extend(values);
        entries
    }
}
