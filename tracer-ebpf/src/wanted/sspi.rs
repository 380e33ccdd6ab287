//! SSPI messages: what names their mechanism, and NTLM's names (MS-NLMP §2.2.1).

use super::{Wanted, field, mechanism::NTLMSSP, mechanism::mechanism_bytes};
use crate::{bytes::Bytes, seq::Span};

const CHALLENGE: u32 = 2;
const AUTHENTICATE: u32 = 3;
/// The challenge, and what follows it up to where the names are described (MS-NLMP §2.2.1.2).
const CHALLENGE_AT: u32 = 24;
const BEHIND_CHALLENGE: u32 = 32;
const CHALLENGE_FIXED: u32 = 48;
/// What is fixed of an AUTHENTICATE message, without version and code (MS-NLMP §2.2.1.3).
const AUTHENTICATE_FIXED: u32 = 64;
/// How far into a message an NTLM token is looked for: behind SPNEGO's wrapping (RFC 4178 §4.2.2).
const MAX_WRAPPING: u32 = 40;
const SIGNATURE: u32 = NTLMSSP.len() as u32;

/// An NTLM message: where it lies in the packet; where the SSPI message around it lies behind the packet's
/// header, and it in that; bytes up to the end of that.
struct Token {
    at: u32,
    from: u32,
    offset: u32,
    left: u32,
}

/// Where a field of an NTLM message lies, from its length, room and offset (MS-NLMP §2.2.1.3).
#[inline(always)]
fn place<B: Bytes + ?Sized>(packet: &B, at: u32) -> Option<(u32, u32)> {
    let described = u64::from_le_bytes(packet.load(at)?);
    let offset = (described >> 32) as u32;
    Some((offset.min(0xFFFF), (described & 0xFFFF) as u32))
}

/// Whether two fields share a byte.
#[inline(always)]
const fn overlap((one, one_len): (u32, u32), (other, other_len): (u32, u32)) -> bool {
    one_len != 0 && other_len != 0 && one < other + other_len && other < one + one_len
}

impl Wanted {
    /// Reads the SSPI message that the next field is, where its beginning is at hand.
    #[inline(never)]
    pub fn sspi<B: Bytes + ?Sized>(&mut self, packet: &B, at: u32, readable: u32, whole: u32) {
        let from = self.next.since(self.base).cast_unsigned();
        let whole = if self.field == field::SSPI_REPLY {
            let token = Span {
                from: self.next,
                to: self.until,
            };
            self.next = self.until;
            self.field = field::TOKEN;
            token.len()
        } else {
            self.field = field::NOTHING;
            whole
        };
        let readable = readable.min(whole);
        let Some(offset) = ntlm(packet, at, readable) else {
            let named = mechanism_bytes(packet, at).min(whole);
            // What is not at hand may yet be NTLM's.
            let is_short = readable < MAX_WRAPPING + SIGNATURE;
            let told = if is_short { named.min(readable) } else { named };
            self.part(9, from, told);
            return;
        };
        let token = Token {
            at: at + offset,
            from,
            offset,
            left: whole - offset,
        };
        let _unreadable = match packet.load(token.at + SIGNATURE).map(u32::from_le_bytes) {
            Some(CHALLENGE) => self.challenge(packet, &token),
            Some(AUTHENTICATE) => self.authenticate(packet, &token),
            _ => {
                let named = mechanism_bytes(packet, token.at);
                self.part(9, from, (offset + named).min(whole));
                None
            }
        };
    }

    /// The server's names, without its challenge.
    #[inline(never)]
    fn challenge<B: Bytes + ?Sized>(&mut self, packet: &B, token: &Token) -> Option<()> {
        self.part(1, token.from, token.offset + CHALLENGE_AT);
        let behind = token.from + token.offset + BEHIND_CHALLENGE;
        self.part(2, behind, CHALLENGE_FIXED - BEHIND_CHALLENGE);
        self.name(3, token, place(packet, token.at + 12)?, CHALLENGE_FIXED);
        self.name(4, token, place(packet, token.at + 40)?, CHALLENGE_FIXED);
        Some(())
    }

    /// The client's names, without its responses and its key.
    #[inline(never)]
    fn authenticate<B: Bytes + ?Sized>(&mut self, packet: &B, token: &Token) -> Option<()> {
        let lm = place(packet, token.at + 12)?;
        let nt = place(packet, token.at + 20)?;
        let key = place(packet, token.at + 52)?;
        self.part(1, token.from, token.offset + AUTHENTICATE_FIXED);
        for (part, described) in [(2, 28), (3, 36), (4, 44)] {
            let name = place(packet, token.at + described)?;
            if !(overlap(name, lm) | overlap(name, nt) | overlap(name, key)) {
                self.name(part, token, name, AUTHENTICATE_FIXED);
            }
        }
        Some(())
    }

    /// A name, which lies behind what is fixed and within the message.
    #[inline(always)]
    fn name(&mut self, part: usize, token: &Token, (at, len): (u32, u32), fixed: u32) {
        if at >= fixed && at + len <= token.left {
            self.part(part, token.from + token.offset + at, len);
        }
    }
}

/// Where an NTLM message begins in a token.
#[inline(never)]
fn ntlm<B: Bytes + ?Sized>(packet: &B, at: u32, readable: u32) -> Option<u32> {
    for offset in 0..MAX_WRAPPING {
        if offset + SIGNATURE > readable {
            break;
        }
        if let Some(bytes) = packet.load(at + offset)
            && u64::from_le_bytes(bytes) == u64::from_le_bytes(NTLMSSP)
        {
            return Some(offset);
        }
    }
    None
}
