//! What must be nowhere: looked for in all that an agent says, in all of its memory, the ring that it shares
//! with the kernel included, and in its programs' maps.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use memchr::memmem::Finder;
use serde_json::Value;

use crate::capture::Segment;

const NTLMSSP: &[u8] = b"NTLMSSP\0";
/// How the kernel's list of mappings names a ring that is mapped.
const RING: &str = "anon_inode:bpf-map";
/// Read at once.
const CHUNK: usize = 1 << 20;

/// Bytes to look for, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    what: String,
    bytes: Vec<u8>,
}

impl Needle {
    /// A text as it is.
    pub fn plain(text: &str) -> Self {
        Self {
            what: "plain".to_owned(),
            bytes: text.as_bytes().to_vec(),
        }
    }

    /// A text in UTF-16, as TDS writes it.
    pub fn utf16(text: &str) -> Self {
        Self {
            what: "UTF-16".to_owned(),
            bytes: text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        }
    }

    /// A password as LOGIN7 writes it (MS-TDS §2.2.6.4): nibbles swapped, then XOR 0xA5.
    pub fn obfuscated(password: &str) -> Self {
        let clear = Self::utf16(password).bytes;
        Self {
            what: "as in LOGIN7".to_owned(),
            bytes: clear
                .iter()
                .map(|byte| byte.rotate_left(4) ^ 0xA5)
                .collect(),
        }
    }

    /// A password or token in every form in which it could be left behind.
    pub fn of(secret: &str) -> Vec<Self> {
        vec![
            Self::plain(secret),
            Self::utf16(secret),
            Self::obfuscated(secret),
        ]
    }
}

/// The challenges and responses of NTLM (MS-NLMP §2.2.1) in captured segments.
pub fn ntlm(segments: &[Segment]) -> Vec<Needle> {
    segments
        .iter()
        .filter_map(|segment| {
            let at = Finder::new(NTLMSSP).find(&segment.payload)?;
            let message = &segment.payload[at..];
            let word = |at: usize| {
                let bytes = message.get(at..at + 4)?.first_chunk()?;
                Some(u32::from_le_bytes(*bytes) as usize)
            };
            let (what, from, len) = match word(8)? {
                2 => ("NTLM challenge", 24, 8),
                // The first part of NTLMv2's response is its proof.
                3 => ("NTLM response", word(24)?, 16),
                _ => return None,
            };
            Some(Needle {
                what: what.to_owned(),
                bytes: message.get(from..from + len)?.to_vec(),
            })
        })
        .collect()
}

/// What is encrypted in Kerberos tokens: tickets, authenticators and the answers to them
/// (`EncryptedData.cipher`, RFC 4120 §5.2.9). Of each its beginning, its end, and parts between.
pub fn kerberos(tokens: &[Vec<u8>]) -> Vec<Needle> {
    const PART: usize = 16;
    const EVERY: usize = 256;
    let ciphers = tokens.iter().flat_map(|token| ciphers(token));
    let parts = ciphers.flat_map(|cipher| {
        let starts = cipher.chunks(EVERY).filter_map(<[u8]>::first_chunk::<PART>);
        starts.chain(cipher.last_chunk())
    });
    parts
        .map(|part| Needle {
            what: "Kerberos".to_owned(),
            bytes: part.to_vec(),
        })
        .collect()
}

/// The innermost octet strings that are a field of their own with the number 2, which SPNEGO's
/// wrapping is too.
fn ciphers(token: &[u8]) -> Vec<&[u8]> {
    let mut found: Vec<&[u8]> = Vec::new();
    for at in (0..token.len()).rev() {
        let field = der(&token[at..], 0xA2).and_then(|field| {
            let cipher = der(field, 0x04)?;
            field.ends_with(cipher).then_some(cipher)
        });
        let Some(cipher) = field else { continue };
        let inner = |inner: &&[u8]| cipher.as_ptr_range().contains(&inner.as_ptr());
        if !found.iter().any(inner) {
            found.push(cipher);
        }
    }
    found
}

/// The content of an element with this tag (X.690, lengths of up to two octets).
fn der(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (len, content) = match *bytes.strip_prefix(&[tag])? {
        [len @ ..=0x7F, ref content @ ..] | [0x81, len, ref content @ ..] => {
            (usize::from(len), content)
        }
        [0x82, high, low, ref content @ ..] => (u16::from_be_bytes([high, low]).into(), content),
        _ => return None,
    };
    content.get(..len)
}

/// Which of the needles are in these bytes.
pub fn found<'a>(needles: &'a [Needle], bytes: &[u8]) -> Vec<&'a str> {
    needles
        .iter()
        .filter(|needle| Finder::new(&needle.bytes).find(bytes).is_some())
        .map(|needle| needle.what.as_str())
        .collect()
}

/// A part of a process's memory.
pub struct Part {
    /// Its place, and what the kernel calls it.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Part {
    /// Whether it is a ring shared with the kernel.
    pub fn is_ring(&self) -> bool {
        self.name.contains(RING)
    }
}

/// Every readable part of a process's memory, one after the other.
pub fn memory(pid: u32) -> Result<impl Iterator<Item = Part>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("no such process")?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut ranges = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').context("a mapping without a range")?;
        let (from, to) = range.split_once('-').context("a range without an end")?;
        let from = u64::from_str_radix(from, 16)?;
        let to = u64::from_str_radix(to, 16)?;
        if rest.starts_with('r') {
            ranges.push((from, to, line.to_owned()));
        }
    }
    Ok(ranges.into_iter().map(move |(from, to, name)| Part {
        name,
        bytes: read(&memory, from, to),
    }))
}

/// What of a range may be read; the kernel's own pages may not.
fn read(memory: &File, from: u64, to: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to {
        let mut chunk = vec![0; CHUNK.min((to - at) as usize)];
        match memory.read_at(&mut chunk, at) {
            Ok(len) if len > 0 => {
                bytes.extend(&chunk[..len]);
                at += len as u64;
            }
            _ => break,
        }
    }
    bytes
}

/// Panics where one of the needles is in the memory of an agent, or where its ring, which has told
/// of a connection, could not be read.
pub fn assert_not_in_memory(pid: u32, needles: &[Needle]) {
    let mut told = false;
    for part in memory(pid).unwrap() {
        let found = found(needles, &part.bytes);
        assert!(found.is_empty(), "{found:?} in {}", part.name);
        told |= part.is_ring() && part.bytes.iter().any(|byte| *byte != 0);
    }
    assert!(told, "no ring of process {pid} was read");
}

/// Panics where one of the needles is in a map of an agent's kernel programs, or where these have none in which
/// there is anything. Maps that are shared by its processors have a value for each.
pub fn assert_not_in_maps(pid: u32, needles: &[Needle]) {
    let mut told = false;
    for map in maps(pid).unwrap() {
        // A ring cannot be dumped; it is in the agent's memory.
        let Ok(dumped) = bpftool(&["map", "dump", "id", &map.to_string()]) else {
            continue;
        };
        let mut bytes = Vec::new();
        numbers(&dumped, &mut bytes);
        let found = found(needles, &bytes);
        assert!(found.is_empty(), "{found:?} in map {map}");
        told |= bytes.iter().any(|byte| *byte != 0);
    }
    assert!(told, "no map of process {pid} was read");
}

/// The maps of the programs that a process holds.
fn maps(pid: u32) -> Result<BTreeSet<u64>> {
    let mut maps = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let info = fs::read_to_string(entry?.path()).unwrap_or_default();
        for line in info.lines() {
            let Some((name, id)) = line.split_once(':') else {
                continue;
            };
            match name {
                "map_id" => maps.extend(id.trim().parse::<u64>()),
                "prog_id" => {
                    let program = bpftool(&["prog", "show", "id", id.trim()])?;
                    let used = program["map_ids"].as_array().into_iter().flatten();
                    maps.extend(used.filter_map(Value::as_u64));
                }
                _ => {}
            }
        }
    }
    Ok(maps)
}

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let output = Command::new("bpftool").arg("-j").args(arguments).output()?;
    ensure!(output.status.success(), "bpftool {arguments:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The bytes in a dump: each is a text of its own, in hexadecimal.
fn numbers(dumped: &Value, bytes: &mut Vec<u8>) {
    match dumped {
        Value::Array(values) => values.iter().for_each(|value| numbers(value, bytes)),
        Value::Object(fields) => fields.values().for_each(|value| numbers(value, bytes)),
        Value::String(text) => {
            let digits = text.strip_prefix("0x").unwrap_or_default();
            bytes.extend(u8::from_str_radix(digits, 16));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_in_each_of_its_forms() {
        let needles = Needle::of("S3cret");
        assert_eq!(found(&needles, b"..S3cret.."), ["plain"]);
        assert_eq!(found(&needles, b"S\x003\0c\0r\0e\0t\0"), ["UTF-16"]);
        // From MS-TDS: `S` is 0x53, hence 0x35, hence 0x90; a zero becomes 0xA5.
        let obfuscated = [
            0x90, 0xA5, 0x96, 0xA5, 0x93, 0xA5, 0x82, 0xA5, 0xF3, 0xA5, 0xE2, 0xA5,
        ];
        assert_eq!(found(&needles, &obfuscated), ["as in LOGIN7"]);
    }

    #[test]
    fn of_a_kerberos_token_what_is_encrypted_is_looked_for_inside_spnego_too() {
        let cipher: Vec<u8> = (0..40).collect();
        // EncryptedData of an AP-REP (RFC 4120), then NegTokenResp.responseToken (RFC 4178).
        let encrypted = [&[0x30, 49, 0xA0, 3, 2, 1, 18, 0xA2, 42, 4, 40][..], &cipher].concat();
        let wrapped = [&[0xA2, 53, 4, 51][..], &encrypted].concat();
        for token in [encrypted, wrapped] {
            let needles = kerberos(&[token]);
            let parts: Vec<_> = needles.iter().map(|needle| &needle.bytes[..]).collect();
            assert_eq!(parts, [&cipher[..16], &cipher[24..]]);
        }
    }

    #[test]
    fn a_secret_in_memory_is_found() {
        let secret = std::hint::black_box(format!("a secret of {}", std::process::id()));
        let needles = [Needle::plain(&secret)];
        assert!(
            memory(std::process::id())
                .unwrap()
                .any(|part| !found(&needles, &part.bytes).is_empty())
        );
    }
}
