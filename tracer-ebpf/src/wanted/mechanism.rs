//! How much of an SSPI token only names its mechanism, and so may be told.

use crate::bytes::Bytes;

/// How every NTLM message begins (MS-NLMP §2.2.1).
pub(super) const NTLMSSP: [u8; 8] = *b"NTLMSSP\0";
/// Its type, behind that, of the first one, which holds nothing secret.
const NEGOTIATE: u32 = 1;
/// Bytes of any other.
const KIND_BYTES: u32 = 12;

/// Bytes of a client's offer: SPNEGO's wrapping and a list of four (RFC 4178 §4.2.1). What is
/// encrypted of a ticket behind the shortest list begins later, after the names in it.
const OFFER_BYTES: u32 = 80;
/// Bytes of any other token: GSS-API's frame or SPNEGO's answer, as far as a mechanism's name
/// (RFC 2743 §3.1, RFC 4178 §4.2.2). The answer to a ticket (RFC 4120 §5.5.2) is encrypted from its
/// 36th byte on at the earliest.
const NAME_BYTES: u32 = 27;
/// SPNEGO's object identifier, 1.3.6.1.5.5.2, in DER.
const SPNEGO: [u8; 8] = [0x06, 0x06, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x02];

/// How many bytes of the token at `at` may be told.
#[inline(never)]
pub(super) fn mechanism_bytes<B: Bytes + ?Sized>(packet: &B, at: u32) -> u32 {
    if packet.load(at) == Some(NTLMSSP) {
        return match packet.load(at + 8).map(u32::from_le_bytes) {
            Some(NEGOTIATE) => OFFER_BYTES,
            _ => KIND_BYTES,
        };
    }
    // Behind the tag the length takes one to three bytes.
    let named = |header| {
        let read = packet.load(at + header).map(u64::from_le_bytes);
        read.is_some_and(|read| read == u64::from_le_bytes(SPNEGO))
    };
    if named(2) || named(3) || named(4) {
        return OFFER_BYTES;
    }
    NAME_BYTES
}
