//! LOGIN7: who logs in, from where, and how (MS-TDS 2.2.6.4).

use std::io;

use super::packet::invalid;

const OPTION_FLAGS_3: usize = 27;
const EXTENSION_FLAG: u8 = 0x10;
const USER: usize = 40;
const PASSWORD: usize = 44;
const APP: usize = 48;
const EXTENSION: usize = 56;
const DATABASE: usize = 68;
const SSPI: usize = 78;
const SSPI_LONG: usize = 90;
const FEATURES_END: u8 = 0xFF;

/// Feature ids of the extension block.
pub mod feature {
    /// Federated authentication.
    pub const FEDAUTH: u8 = 0x02;
    /// Enhanced routing.
    pub const ENHANCED_ROUTING: u8 = 0x0F;
}

/// The fields that decide what the server answers.
#[derive(Default)]
pub struct Login7 {
    /// TDS version as the client wrote it, most significant byte first.
    pub version: u32,
    /// User name.
    pub user: String,
    /// Password in clear: only to be compared, never to be printed.
    pub password: String,
    /// Application name.
    pub app: String,
    /// Database asked for.
    pub database: String,
    /// SSPI token; empty where there is none.
    pub sspi: Vec<u8>,
    /// Features and their data.
    pub features: Vec<(u8, Vec<u8>)>,
}

impl Login7 {
    /// Reads a login packet.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut login = Self {
            version: u32_at(bytes, 4)?,
            user: text(bytes, USER)?,
            password: reveal(field(bytes, PASSWORD, 2)?),
            app: text(bytes, APP)?,
            database: text(bytes, DATABASE)?,
            ..Self::default()
        };
        let (offset, mut length) = (
            usize::from(u16_at(bytes, SSPI)?),
            usize::from(u16_at(bytes, SSPI + 2)?),
        );
        if length == usize::from(u16::MAX) {
            length = usize::try_from(u32_at(bytes, SSPI_LONG)?)
                .unwrap_or(usize::MAX)
                .max(length);
        }
        login.sspi = slice(bytes, offset, length)?.to_vec();
        if byte_at(bytes, OPTION_FLAGS_3)? & EXTENSION_FLAG != 0 {
            let pointer = field(bytes, EXTENSION, 1)?;
            login.features = features(bytes, u32_at(pointer, 0)? as usize)?;
        }
        Ok(login)
    }

    /// Whether lengths of rows, errors and counts have their TDS 7.2 widths.
    pub fn wide(&self) -> bool {
        self.version >> 24 >= 0x72 || self.version >> 24 == 0x08
    }

    /// The data of a feature, where the client sent it.
    pub fn feature(&self, id: u8) -> Option<&[u8]> {
        self.features
            .iter()
            .find(|(found, _)| *found == id)
            .map(|(_, data)| data.as_slice())
    }
}

fn features(bytes: &[u8], mut at: usize) -> io::Result<Vec<(u8, Vec<u8>)>> {
    let mut features = Vec::new();
    loop {
        let id = byte_at(bytes, at)?;
        if id == FEATURES_END {
            return Ok(features);
        }
        let length = u32_at(bytes, at + 1)? as usize;
        features.push((id, slice(bytes, at + 5, length)?.to_vec()));
        at += 5 + length;
    }
}

/// Undoes the password's disguise: XOR 0xA5, then the halves of each byte
/// swapped.
fn reveal(disguised: &[u8]) -> String {
    let clear: Vec<u8> = disguised
        .iter()
        .map(|byte| (byte ^ 0xA5).rotate_left(4))
        .collect();
    utf16(&clear)
}

fn text(bytes: &[u8], at: usize) -> io::Result<String> {
    field(bytes, at, 2).map(utf16)
}

fn field(bytes: &[u8], at: usize, unit: usize) -> io::Result<&[u8]> {
    slice(
        bytes,
        u16_at(bytes, at)?.into(),
        usize::from(u16_at(bytes, at + 2)?) * unit,
    )
}

/// UTF-16LE as text, whatever is wrong in it replaced.
pub fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16_lossy(&units)
}

/// A little-endian u16 at an offset.
pub fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    Ok(u16::from_le_bytes([
        byte_at(bytes, at)?,
        byte_at(bytes, at + 1)?,
    ]))
}

/// A little-endian u32 at an offset.
pub fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    Ok(u32::from(u16_at(bytes, at)?) | u32::from(u16_at(bytes, at + 2)?) << 16)
}

/// `length` bytes at an offset. Of an empty field the offset says nothing.
pub fn slice(bytes: &[u8], at: usize, length: usize) -> io::Result<&[u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    at.checked_add(length)
        .and_then(|end| bytes.get(at..end))
        .ok_or_else(|| invalid("field outside its message"))
}

fn byte_at(bytes: &[u8], at: usize) -> io::Result<u8> {
    bytes
        .get(at)
        .copied()
        .ok_or_else(|| invalid("message cut short"))
}
