//! LOGIN7 (MS-TDS §2.2.6.4): what is fixed, and the names that it points to.

use super::{Wanted, field, mechanism::mechanism_bytes};
use crate::{bytes::Bytes, framing::TDS_HEADER};

/// The part of it that is fixed.
const FIXED: u32 = 94;
/// The same before TDS 7.2, which has neither a new password nor long tokens: jTDS, `FreeTDS`.
const SHORT: u32 = 86;
/// The first byte of the last version of TDS whose fixed part is short.
const LAST_SHORT: u8 = 0x71;
/// The highest last byte of a version: that of TDS 7.4.
const LAST_LOW: u8 = 0x04;
/// `fExtension` in its third flag byte.
const HAS_EXTENSION: u8 = 0x10;

/// Whether a packet of LOGIN7's type holds a token instead: python-tds answers a challenge so.
/// LOGIN7 begins with a length below 128 KiB and its version, which no NTLM and no DER does: where the
/// length could be LOGIN7's, another tag stands at the version's place.
#[inline(always)]
pub fn is_token<B: Bytes + ?Sized>(packet: &B, at: u32) -> bool {
    let Some([_, _, middle, high, version]) = packet.load::<5>(at) else {
        return false;
    };
    high != 0 || middle > 1 || version > LAST_LOW
}

/// Where the fields read so far end. They lie in the order in which they are described, as every
/// client writes them: so none that is told can be a part of one that is not.
#[derive(Clone, Copy)]
struct Order(u32);

impl Order {
    const BROKEN: u32 = u32::MAX;

    /// The next field.
    #[inline(always)]
    const fn pass(&mut self, at: u32, len: u32) {
        if len != 0 {
            self.0 = if at < self.0 {
                Self::BROKEN
            } else {
                at.saturating_add(len)
            };
        }
    }

    /// The same of one that is described in characters.
    #[inline(always)]
    const fn pass_text(&mut self, (at, characters): (u32, u32)) {
        self.pass(at, 2 * characters);
    }
}

/// Offset and length of a field, as LOGIN7 describes it.
#[inline(always)]
const fn place(described: u64, shift: u32) -> (u32, u32) {
    let place = (described >> shift) as u32;
    (place & 0xFFFF, place >> 16)
}

impl Wanted {
    /// Reads a LOGIN7, of whose body `readable` bytes are at hand from `at` on.
    #[inline(never)]
    pub fn login7<B: Bytes + ?Sized>(&mut self, packet: &B, at: u32, readable: u32, whole: u32) {
        self.field = field::NOTHING;
        if readable < FIXED && readable < whole {
            // Where its fields are is not at hand.
            return;
        }
        let _unreadable = self.fields(packet, at, whole);
    }

    #[inline(always)]
    fn fields<B: Bytes + ?Sized>(&mut self, packet: &B, at: u32, whole: u32) -> Option<()> {
        // In few pieces: for the kernel each is a call.
        let [_, _, _, version, rest @ ..] = packet.load::<24>(at + 4)?;
        let [.., flags] = rest;
        let places: [u8; 36] = packet.load(at + 36)?;
        let two = |place: usize| {
            places[8 * place..]
                .first_chunk()
                .copied()
                .map(u64::from_le_bytes)
        };
        let (host_user, password_app) = (two(0)?, two(1)?);
        let (server_extension, library_language) = (two(2)?, two(3)?);
        let database = u32::from_le_bytes(*places[32..].first_chunk()?);
        let two = |offset: u32| packet.load(at + offset).map(u64::from_le_bytes);
        let token_file = two(78)?;
        let is_long = version > LAST_SHORT || place(host_user, 0).0 != SHORT;
        let fixed = if is_long { FIXED } else { SHORT };
        let new_password = if is_long { two(86)? } else { 0 };
        self.whole(TDS_HEADER + fixed);

        let mut order = Order(fixed);
        let (token, mut token_len) = place(token_file, 0);
        if is_long && token_len == 0xFFFF {
            token_len = token_len.max((new_password >> 32) as u32);
        }
        let extension = if flags & HAS_EXTENSION != 0 { 4 } else { 0 };
        // One after the other: from a list the kernel's stack would be too small.
        self.text(1, &mut order, place(host_user, 0));
        self.text(2, &mut order, place(host_user, 32));
        order.pass_text(place(password_app, 0));
        self.text(3, &mut order, place(password_app, 32));
        self.text(4, &mut order, place(server_extension, 0));
        let pointer = place(server_extension, 32).0;
        order.pass(pointer, extension);
        self.part(5, TDS_HEADER + pointer, extension);
        self.text(6, &mut order, place(library_language, 0));
        self.text(7, &mut order, place(library_language, 32));
        self.text(8, &mut order, place(u64::from(database), 0));
        order.pass(token, token_len);
        order.pass_text(place(token_file, 32));
        order.pass_text(place(new_password, 0));
        if order.0 == Order::BROKEN {
            for part in 1..9 {
                self.part(part, 0, 0);
            }
            return None;
        }
        if token_len != 0 {
            let named = mechanism_bytes(packet, at + token).min(token_len);
            self.part(9, TDS_HEADER + token, named);
        }
        if extension != 0 {
            let first = u32::from_le_bytes(packet.load(at + pointer)?);
            if first >= order.0 && first < whole {
                self.next = self.base.add(TDS_HEADER + first);
                self.field = field::FEATURE;
            }
        }
        Some(())
    }

    /// The next field, which is a text that is told.
    #[inline(always)]
    fn text(&mut self, part: usize, order: &mut Order, (at, characters): (u32, u32)) {
        order.pass_text((at, characters));
        self.part(part, TDS_HEADER + at, 2 * characters);
    }
}
