//! What of a login message may leave the kernel.
//!
//! Passwords, SSPI tokens, NTLM challenges and responses, and federated tokens are never copied: the bytes around
//! them are told, and they are left out. Where a message's layout cannot be read, its whole body is.

mod mechanism;

use crate::{
    bytes::Bytes,
    framing::packet_type,
    seq::{Seq, Span},
};
use mechanism::{OFFER_BYTES, mechanism_bytes};

/// The fixed part of LOGIN7 (MS-TDS §2.2.6.4).
pub const LOGIN7_FIXED: u32 = 94;
/// The same before TDS 7.2, which has neither a new password nor long tokens: jTDS, `FreeTDS`.
pub const LOGIN7_SHORT: u32 = 86;
/// The first byte of the last version of TDS whose fixed part is short.
pub const LAST_SHORT: u8 = 0x71;
/// The highest last byte of a version: that of TDS 7.4.
const LAST_LOW: u8 = 0x04;
/// Feature extensions looked through for the federated token.
const MAX_FEATURES: usize = 16;
/// The federated authentication feature (MS-TDS §2.2.6.4).
const FEATURE_FEDAUTH: u8 = 0x02;
const FEATURE_END: u8 = 0xFF;
/// `fExtension` in LOGIN7's third flag byte.
const HAS_EXTENSION: u8 = 0x10;
const NTLMSSP: [u8; 8] = *b"NTLMSSP\0";
const NTLM_CHALLENGE: u32 = 2;
const NTLM_AUTHENTICATE: u32 = 3;
/// Where the challenge lies in its message, and how long it is (MS-NLMP §2.2.1.2).
const CHALLENGE_AT: u32 = 24;
const CHALLENGE_LEN: u32 = 8;
/// The SSPI token of a reply, and the length behind it (MS-TDS §2.2.7.22).
const TOKEN_SSPI: u8 = 0xED;
const TOKEN_HEADER: u32 = 3;
/// Tokens that tell their length so, and may come before it (MS-TDS §2.2.7).
const TOKEN_ERROR: u8 = 0xAA;
const TOKEN_INFO: u8 = 0xAB;
const TOKEN_LOGINACK: u8 = 0xAD;
const TOKEN_ENVCHANGE: u8 = 0xE3;
/// Tokens looked through for it.
const MAX_TOKENS: usize = 16;
/// How far into a message an NTLM token is looked for: behind SPNEGO's wrapping (RFC 4178 §4.2.2).
const MAX_WRAPPING: u32 = 40;

/// Up to four parts of a message that may not be told, in ascending order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Withheld {
    /// The parts; empty ones mean nothing.
    pub spans: [Span; 4],
}

impl Withheld {
    /// Nothing is withheld.
    pub const NOTHING: Self = Self {
        spans: [Span {
            from: Seq(0),
            to: Seq(0),
        }; 4],
    };

    /// Nothing is withheld any more. The zero is one that the compiler does not know: for the
    /// kernel it would make a loop over bytes of it.
    #[inline(always)]
    pub fn clear(&mut self) {
        let zero = Seq(core::hint::black_box(0));
        let nothing = Span {
            from: zero,
            to: zero,
        };
        self.spans[0] = nothing;
        self.spans[1] = nothing;
        self.spans[2] = nothing;
        self.spans[3] = nothing;
    }

    /// One part.
    #[inline(always)]
    #[must_use]
    pub const fn one(from: Seq, to: Seq) -> Self {
        let mut withheld = Self::NOTHING;
        withheld.spans[0] = Span { from, to };
        withheld
    }

    /// Sorts by position, seen from `base`: the message's start.
    #[inline(always)]
    const fn sort(&mut self, base: Seq) {
        // A sorting network for four.
        self.order(0, 1, base);
        self.order(2, 3, base);
        self.order(0, 2, base);
        self.order(1, 3, base);
        self.order(1, 2, base);
    }

    #[inline(always)]
    const fn order(&mut self, low: usize, high: usize, base: Seq) {
        if self.spans[low].from.since(base) > self.spans[high].from.since(base) {
            let low_span = self.spans[low];
            self.spans[low] = self.spans[high];
            self.spans[high] = low_span;
        }
    }
}

/// What is known of a message when its body is about to pass.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// TDS packet type.
    pub kind: u8,
    /// Whether the server sent it.
    pub reply: bool,
    /// Whether this is the first packet of its message.
    pub first: bool,
    /// Whether the client has sent sealed records: then the message that began in them goes on.
    pub sealed: bool,
    /// Position of the body: after the packet header.
    pub body: Seq,
    /// Position after the packet.
    pub end: Seq,
}

/// What is known of a message's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// These parts.
    Known(Withheld),
    /// They will be known from the body's first bytes; until then it is withheld whole.
    InBody,
}

/// What of a TDS packet may not be told.
///
/// `at` is the body's offset in `packet`; `readable` says how many body bytes this packet holds.
#[inline]
pub fn of_packet<B: Bytes + ?Sized>(
    message: &Message,
    packet: &B,
    at: u32,
    readable: u32,
) -> Secrets {
    let mut withheld = Withheld::NOTHING;
    if find(message, packet, at, readable, &mut withheld) {
        Secrets::Known(withheld)
    } else {
        Secrets::InBody
    }
}

/// The same as [`of_packet`], written where it is to stay: `false`, and the whole body, where the
/// secrets are known only from the body's first bytes.
#[inline(never)]
pub fn find<B: Bytes + ?Sized>(
    message: &Message,
    packet: &B,
    at: u32,
    readable: u32,
    withheld: &mut Withheld,
) -> bool {
    *withheld = Withheld::one(message.body, message.end);
    let in_kind = if message.reply {
        in_reply(message.kind, message.first)
    } else {
        in_kind(message.kind, message.first, message.sealed)
    };
    match in_kind {
        InKind::None => *withheld = Withheld::NOTHING,
        InKind::All => {}
        InKind::Some if message.reply => return reply(message, packet, at, readable, withheld),
        InKind::Some if message.kind == packet_type::LOGIN7 && !is_token(packet, at) => {
            return login7(message, packet, at, readable, withheld);
        }
        InKind::Some => return sspi(message, packet, at, readable, withheld),
    }
    true
}

/// Whether a packet of LOGIN7's type holds a token instead: python-tds answers a challenge so.
/// LOGIN7 begins with a length below 128 KiB and its version (MS-TDS §2.2.6.4), which no NTLM and no
/// DER does: where the length could be LOGIN7's, another tag stands at the version's place.
#[inline(always)]
fn is_token<B: Bytes + ?Sized>(packet: &B, at: u32) -> bool {
    let Some([_, _, middle, high, version]) = packet.load::<5>(at) else {
        return false;
    };
    high != 0 || middle > 1 || version > LAST_LOW
}

/// What a packet's type alone says of its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InKind {
    /// It holds none.
    None,
    /// It holds some, at places that it tells.
    Some,
    /// All of it may be secret.
    All,
}

/// See [`InKind`]; for a client's TDS packet.
#[inline(always)]
pub const fn in_kind(kind: u8, first: bool, sealed: bool) -> InKind {
    match kind {
        packet_type::PRELOGIN => InKind::None,
        packet_type::LOGIN7 if first && !sealed => InKind::Some,
        packet_type::SSPI if first => InKind::Some,
        _ => InKind::All,
    }
}

/// The same for a server's: its SSPI token, with NTLM's challenge or the answer to a ticket.
#[inline(always)]
pub const fn in_reply(kind: u8, first: bool) -> InKind {
    if kind == packet_type::TABULAR_RESULT && first {
        InKind::Some
    } else {
        InKind::None
    }
}

#[inline(always)]
fn reply<B: Bytes + ?Sized>(
    message: &Message,
    packet: &B,
    at: u32,
    readable: u32,
    withheld: &mut Withheld,
) -> bool {
    *withheld = Withheld::one(message.body, message.body);
    if readable == 0 {
        return false;
    }
    let behind = sspi_token(packet, at, readable);
    if behind >= readable {
        withheld.clear();
        return true;
    }
    let (at, readable, body) = (at + behind, readable - behind, message.body.add(behind));
    let end = if readable < TOKEN_HEADER {
        None
    } else {
        packet.load(at + 1)
    }
    .map_or(message.end, |len| {
        let len = u32::from(u16::from_le_bytes(len));
        body.add(TOKEN_HEADER + len)
    });
    *withheld = if let Some(offset) = ntlm_offset(packet, at, TOKEN_HEADER, readable) {
        let token = body.add(offset);
        let challenge = token.add(CHALLENGE_AT);
        match packet.load(at + offset + 8).map(u32::from_le_bytes) {
            Some(NTLM_CHALLENGE) => Withheld::one(challenge, challenge.add(CHALLENGE_LEN)),
            _ => Withheld::one(token.add(NTLMSSP.len() as u32), end),
        }
    } else {
        let named = TOKEN_HEADER + mechanism_bytes(packet, at + TOKEN_HEADER);
        // It may yet be NTLM's.
        let short = readable < TOKEN_HEADER + MAX_WRAPPING + NTLMSSP.len() as u32;
        let told = if short { named.min(readable) } else { named };
        Withheld::one(body.add(told), end)
    };
    true
}

/// Where a reply's SSPI token lies, from its body on: first of all, or behind what acknowledges the
/// login. `readable`, the bytes at hand, where there is none among them.
#[inline(never)]
pub fn sspi_token<B: Bytes + ?Sized>(packet: &B, at: u32, readable: u32) -> u32 {
    let mut offset = 0;
    for _ in 0..MAX_TOKENS {
        if offset >= readable {
            break;
        }
        match packet.load(at + offset) {
            Some([TOKEN_SSPI]) => return offset,
            Some([TOKEN_ERROR | TOKEN_INFO | TOKEN_LOGINACK | TOKEN_ENVCHANGE]) => {
                let Some(len) = packet.load(at + offset + 1) else {
                    break;
                };
                offset += TOKEN_HEADER + u32::from(u16::from_le_bytes(len));
            }
            _ => break,
        }
    }
    readable
}

#[inline(always)]
fn login7<B: Bytes + ?Sized>(
    message: &Message,
    packet: &B,
    at: u32,
    readable: u32,
    withheld: &mut Withheld,
) -> bool {
    let whole = message.end.since(message.body).cast_unsigned();
    if readable < LOGIN7_FIXED && readable < whole {
        return readable != 0;
    }
    let mut read = || -> Option<()> {
        let password = characters(message.body, packet.load(at + 44)?);
        let [.., version] = packet.load::<4>(at + 4)?;
        let first_data = u32::from(u16::from_le_bytes(packet.load(at + 36)?));
        let long = version > LAST_SHORT || first_data != LOGIN7_SHORT;
        let mut new_password = Span::default();
        if long {
            new_password = characters(message.body, packet.load(at + 86)?);
        }
        let [offset_low, offset_high, len_low, len_high]: [u8; 4] = packet.load(at + 78)?;
        let offset = u32::from(u16::from_le_bytes([offset_low, offset_high]));
        let token = message.body.add(offset);
        let mut token_len = u32::from(u16::from_le_bytes([len_low, len_high]));
        if long && token_len == u32::from(u16::MAX) {
            token_len = token_len.max(u32::from_le_bytes(packet.load(at + 90)?));
        }
        let [flags]: [u8; 1] = packet.load(at + 27)?;
        let mut token_span = Span::default();
        let named = mechanism_bytes(packet, at + offset);
        if token_len > named {
            token_span = Span {
                from: token.add(named),
                to: token.add(token_len),
            };
        }
        let mut federated = Span::default();
        if flags & HAS_EXTENSION != 0 {
            federated = federated_token(message, packet, at)?;
        }
        withheld.spans = [password, new_password, token_span, federated];
        withheld.sort(message.body);
        Some(())
    };
    // Where it cannot be read, the whole body stays withheld.
    let _ = read();
    true
}

/// The part a field of UTF-16 characters takes, from its offset and length in LOGIN7.
#[inline(always)]
const fn characters(body: Seq, field: [u8; 4]) -> Span {
    let from = body.add(u16::from_le_bytes([field[0], field[1]]) as u32);
    let to = from.add(u16::from_le_bytes([field[2], field[3]]) as u32 * 2);
    Span { from, to }
}

/// The federated token among LOGIN7's feature extensions. Where they cannot be read to the end,
/// everything from there on.
#[inline(always)]
fn federated_token<B: Bytes + ?Sized>(message: &Message, packet: &B, at: u32) -> Option<Span> {
    let pointer = u32::from(u16::from_le_bytes(packet.load(at + 56)?));
    let whole = message.end.since(message.body).cast_unsigned();
    let Some(first) = packet.load(at + pointer) else {
        return Some(Span {
            from: message.body.add(pointer),
            to: message.end,
        });
    };
    let mut feature = u32::from_le_bytes(first);
    for _ in 0..MAX_FEATURES {
        if feature >= whole {
            break;
        }
        let Some([id]) = packet.load(at + feature) else {
            break;
        };
        if id == FEATURE_END {
            return Some(Span::default());
        }
        let Some(len) = packet.load(at + feature + 1) else {
            break;
        };
        let len = u32::from_le_bytes(len);
        let data = feature + 5;
        if id == FEATURE_FEDAUTH {
            // The option byte behind the length is no secret: it names the library.
            return Some(Span {
                from: message.body.add(data + 1),
                to: message.body.add(data.saturating_add(len)),
            });
        }
        feature = data.saturating_add(len);
    }
    Some(Span {
        from: message.body.add(feature.min(whole)),
        to: message.end,
    })
}

#[inline(always)]
fn sspi<B: Bytes + ?Sized>(
    message: &Message,
    packet: &B,
    at: u32,
    readable: u32,
    withheld: &mut Withheld,
) -> bool {
    if readable == 0 {
        return false;
    }
    let Some(offset) = ntlm_offset(packet, at, 0, readable) else {
        let whole = message.end.since(message.body).cast_unsigned();
        if readable < MAX_WRAPPING + NTLMSSP.len() as u32 && readable < whole {
            // It may yet be one.
            return true;
        }
        // Without an NTLM message that can be read, only the wrapping is told.
        let named = mechanism_bytes(packet, at);
        *withheld = Withheld::one(message.body.add(named), message.end);
        return true;
    };
    let token = message.body.add(offset);
    let start = at + offset;
    let mut read = || -> Option<()> {
        if u32::from_le_bytes(packet.load(start + 8)?) != NTLM_AUTHENTICATE {
            *withheld = Withheld::one(message.body.add(OFFER_BYTES), message.end);
            return Some(());
        }
        let lm = field(token, packet.load(start + 12)?);
        let nt = field(token, packet.load(start + 20)?);
        let key = field(token, packet.load(start + 52)?);
        withheld.spans = [lm, nt, key, Span::default()];
        withheld.sort(message.body);
        Some(())
    };
    // Where it cannot be read, the whole body stays withheld.
    let _ = read();
    true
}

/// The part an NTLM field takes, from its length, room and offset (MS-NLMP §2.2.1.3).
#[inline(always)]
const fn field(token: Seq, field: [u8; 8]) -> Span {
    let len = u16::from_le_bytes([field[0], field[1]]) as u32;
    let from = token.add(u32::from_le_bytes([field[4], field[5], field[6], field[7]]));
    Span {
        from,
        to: from.add(len),
    }
}

#[inline(always)]
fn ntlm_offset<B: Bytes + ?Sized>(packet: &B, at: u32, from: u32, readable: u32) -> Option<u32> {
    for offset in from..from + MAX_WRAPPING {
        if offset + 8 > readable {
            break;
        }
        if packet.load(at + offset) == Some(NTLMSSP) {
            return Some(offset);
        }
    }
    None
}

#[cfg(test)]
mod tests;
