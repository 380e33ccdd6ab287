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
        let token = (packet, at + offset);
        let left = whole - offset;
        let _unreadable = match token.0.load(token.1 + SIGNATURE).map(u32::from_le_bytes) {
            Some(CHALLENGE) => self.challenge(token, from, offset, left),
            Some(AUTHENTICATE) => self.authenticate(token, from, offset, left),
            _ => {
                let named = mechanism_bytes(packet, token.1);
                self.part(9, from, (offset + named).min(whole));
                None
            }
        };
    }

    /// The server's names, without its challenge.
    #[inline(always)]
    fn challenge<B: Bytes + ?Sized>(
        &mut self,
        (packet, at): (&B, u32),
        from: u32,
        offset: u32,
        left: u32,
    ) -> Option<()> {
        let (target, info) = (place(packet, at + 12)?, place(packet, at + 40)?);
        self.part(1, from, offset + CHALLENGE_AT);
        let behind = CHALLENGE_FIXED - BEHIND_CHALLENGE;
        self.part(2, from + offset + BEHIND_CHALLENGE, behind);
        for (part, (name, len)) in [(3, target), (4, info)] {
            if name >= CHALLENGE_FIXED && name + len <= left {
                self.part(part, from + offset + name, len);
            }
        }
        Some(())
    }

    /// The client's names, without its responses and its key.
    #[inline(always)]
    fn authenticate<B: Bytes + ?Sized>(
        &mut self,
        (packet, at): (&B, u32),
        from: u32,
        offset: u32,
        left: u32,
    ) -> Option<()> {
        let lm = place(packet, at + 12)?;
        let nt = place(packet, at + 20)?;
        let key = place(packet, at + 52)?;
        self.part(1, from, offset + AUTHENTICATE_FIXED);
        for (part, described) in [(2, 28), (3, 36), (4, 44)] {
            let name = place(packet, at + described)?;
            let is_apart = !overlap(name, lm) & !overlap(name, nt) & !overlap(name, key);
            if is_apart && name.0 >= AUTHENTICATE_FIXED && name.0 + name.1 <= left {
                self.part(part, from + offset + name.0, name.1);
            }
        }
        Some(())
    }
}

/// Where an NTLM message begins in a token.
#[inline(always)]
fn ntlm<B: Bytes + ?Sized>(packet: &B, at: u32, readable: u32) -> Option<u32> {
    for offset in 0..MAX_WRAPPING {
        if offset + SIGNATURE > readable {
            break;
        }
        if packet.load(at + offset) == Some(NTLMSSP) {
            return Some(offset);
        }
    }
    None
}
