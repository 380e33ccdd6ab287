//! What of a login's messages is wanted. Only that leaves the kernel: of what is not known here the
//! header is told and nothing else.
//!
//! A message is walked field by field ([`Field`]), each of which says how many of its bytes are told and
//! where the next one begins. The walk's state is kept, so it does not matter where segments are cut.

mod login;
mod mechanism;
mod sspi;

pub use login::is_token;

use crate::{
    framing::{TDS_HEADER, content_type},
    seq::{Seq, Span},
};

/// Parts of a packet that are told: its header first, the field at hand last.
pub const PARTS: usize = 12;
const LAST: usize = PARTS - 1;
/// As far as a part may reach.
const MOST: u32 = u16::MAX as u32;
/// The longest field by what its length says: longer than any message.
const MAX_FIELD: u32 = 0x00FF_FFFF;

/// What the next bytes of a message are.
pub mod field {
    /// Nothing that is wanted, up to the packet's end.
    pub const NOTHING: u8 = 0;
    /// The first of a PRELOGIN, or of TLS wrapped like one.
    pub const PRELOGIN: u8 = 1;
    /// The first of the server's first message: it answers PRELOGIN, or is a reply.
    pub const ANSWER: u8 = 2;
    /// An option of PRELOGIN (MS-TDS §2.2.6.5).
    pub const OPTION: u8 = 3;
    /// A TLS record in TDS packets.
    pub const RECORD: u8 = 4;
    /// A token of a reply (MS-TDS §2.2.7).
    pub const TOKEN: u8 = 5;
    /// A feature that the server acknowledges (MS-TDS §2.2.7.11).
    pub const ACKNOWLEDGED: u8 = 6;
    /// A feature extension of LOGIN7 (MS-TDS §2.2.6.4).
    pub const FEATURE: u8 = 7;
    /// LOGIN7, from its beginning.
    pub const LOGIN7: u8 = 8;
    /// A client's SSPI message.
    pub const SSPI: u8 = 9;
    /// A server's.
    pub const SSPI_REPLY: u8 = 10;
}

/// Tokens of a reply (MS-TDS §2.2.7).
mod token {
    pub(super) const OFFSET: u8 = 0x78;
    pub(super) const RETURN_STATUS: u8 = 0x79;
    pub(super) const TAB_NAME: u8 = 0xA4;
    pub(super) const COL_INFO: u8 = 0xA5;
    pub(super) const ORDER: u8 = 0xA9;
    pub(super) const ERROR: u8 = 0xAA;
    pub(super) const INFO: u8 = 0xAB;
    pub(super) const LOGIN_ACK: u8 = 0xAD;
    pub(super) const FEATURE_EXT_ACK: u8 = 0xAE;
    pub(super) const ENV_CHANGE: u8 = 0xE3;
    pub(super) const SESSION_STATE: u8 = 0xE4;
    pub(super) const SSPI: u8 = 0xED;
    pub(super) const FED_AUTH_INFO: u8 = 0xEE;
    pub(super) const DONE: u8 = 0xFD;
    pub(super) const DONE_PROC: u8 = 0xFE;
    pub(super) const DONE_IN_PROC: u8 = 0xFF;
}

/// The last option, feature or acknowledgement.
const TERMINATOR: u8 = 0xFF;
/// The last option of PRELOGIN whose value is told: those behind are nonces, and what is not known.
const LAST_OPTION: u8 = 0x06;
/// An option beyond is none.
const MAX_OPTION: u8 = 0x0F;
/// Federated authentication (MS-TDS §2.2.6.4).
const FEATURE_FEDAUTH: u8 = 0x02;
/// What the driver says of itself.
const FEATURE_USER_AGENT: u8 = 0x10;
/// As much as is told of it, and of what has one more name in it than is needed.
const MAX_TEXT: u32 = 1024;
/// LOGINACK: an interface, two versions and a name of at most 255 characters.
const MAX_LOGIN_ACK: u32 = 3 + 10 + 2 * 255;
/// DONE of TDS 7.2 and later; before that it is shorter, and mostly the last of its message.
const DONE_LEN: u32 = 13;

/// A part of a packet, counted from its header.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Part {
    at: u16,
    len: u16,
}

/// What of the packet at hand is told, and how far it is known.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Wanted {
    /// The packet's header.
    base: Seq,
    /// The next field.
    pub next: Seq,
    /// The end of the field at hand, where others are within it; in PRELOGIN, of what may be told.
    until: Seq,
    parts: [Part; PARTS],
    /// What the next field is: see [`field`].
    pub field: u8,
    /// 1: there are parts between the first and the last.
    many: u8,
    /// Fills up.
    reserved: [u8; 2],
}

/// What a field's first bytes say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// So many of them must be known.
    pub need: u32,
    /// So many bytes of it are told.
    pub tell: u32,
    /// So long it is.
    pub len: u32,
    /// What follows it.
    pub then: u8,
}

impl Field {
    const fn new(need: u32, tell: u32, len: u32, then: u8) -> Self {
        Self {
            need,
            tell,
            len,
            then,
        }
    }
}

impl Wanted {
    /// Of the packet at `position` its header is told; what follows is a `field` with this many bytes
    /// up to the packet's end.
    #[inline(always)]
    pub fn open(&mut self, position: Seq, header: u32, body: u32, field: u8) {
        self.base = position;
        self.next = position.add(header);
        self.until = self.next.add(body);
        self.field = field;
        self.clear();
        self.parts[0].len = header as u16;
    }

    /// The same of a packet that goes on with the message before.
    #[inline(always)]
    pub fn go_on(&mut self, position: Seq) {
        let last = self.span(LAST);
        let left = Span {
            from: position,
            to: last.to,
        };
        self.base = position;
        self.next = self.next.add(TDS_HEADER);
        self.clear();
        self.parts[0].len = TDS_HEADER as u16;
        self.part(LAST, TDS_HEADER, left.len());
    }

    /// Its body is told too.
    #[inline(always)]
    pub const fn whole(&mut self, len: u32) {
        self.parts[0].len = len as u16;
    }

    /// Whether a packet of the same message at `position` may go on with a field.
    #[inline(always)]
    pub const fn goes_on_at(&self, position: Seq) -> bool {
        matches!(
            self.field,
            field::RECORD | field::TOKEN | field::ACKNOWLEDGED | field::FEATURE
        ) && self.next.at_or_after(position)
    }

    /// Whether it takes more than a few bytes to read the next field.
    #[inline(always)]
    pub const fn is_large(&self) -> bool {
        self.field >= field::LOGIN7
    }

    /// A part of the stream that is told; an empty one is none.
    #[inline(always)]
    pub fn span(&self, index: usize) -> Span {
        let part = self.parts.get(index).copied().unwrap_or_default();
        let from = self.base.add(u32::from(part.at));
        Span {
            from,
            to: from.add(u32::from(part.len)),
        }
    }

    /// Whether there are parts between the first and the last.
    #[inline(always)]
    pub const fn has_many(&self) -> bool {
        self.many != 0
    }

    /// Sets a part of `len` bytes, `at` bytes behind the start of the packet's header.
    #[inline(always)]
    fn part(&mut self, index: usize, at: u32, len: u32) {
        if index != 0 && index != LAST {
            self.many = 1;
        }
        let Some(part) = self.parts.get_mut(index) else {
            return;
        };
        let len = if at > MOST { 0 } else { len };
        part.at = at as u16;
        part.len = if len > MOST { u16::MAX } else { len as u16 };
    }

    /// The zero is one that the compiler does not know: for the kernel it would make a loop over bytes of
    /// it.
    #[inline(always)]
    fn clear(&mut self) {
        let nothing = Part {
            at: core::hint::black_box(0),
            len: core::hint::black_box(0),
        };
        self.parts[0] = nothing;
        self.parts[LAST] = nothing;
        if self.many != 0 {
            self.many = 0;
            for part in &mut self.parts[1..LAST] {
                *part = nothing;
            }
        }
    }

    /// Passes a field at `position` whose first bytes are these, at most 8; `None` where more must be
    /// known.
    #[inline(always)]
    pub fn pass(&mut self, position: Seq, prefix: &[u8; 8], known: u32, end: Seq) -> Option<Span> {
        let mut read = read(self.field, prefix);
        let left = end.since(position).max(0).cast_unsigned();
        if read.need > left {
            // The packet ends within it.
            read = Field::new(0, 0, left, field::NOTHING);
        }
        if read.need > known {
            return None;
        }
        if self.field == field::ANSWER || self.field == field::PRELOGIN {
            self.field = read.then;
        }
        if self.field == field::OPTION {
            self.option(position, prefix, &mut read);
        }
        if read.then == field::SSPI_REPLY {
            self.until = position.add(3 + short(prefix));
        }
        self.part(LAST, position.since(self.base).cast_unsigned(), read.tell);
        self.next = position.add(read.len);
        self.field = read.then;
        Some(self.span(LAST))
    }

    /// The values of PRELOGIN's options are told as far as the first one that is not.
    #[inline(always)]
    fn option(&mut self, position: Seq, prefix: &[u8; 8], read: &mut Field) {
        let [id, at_high, at_low, len_high, len_low, ..] = *prefix;
        if id == TERMINATOR {
            read.tell = self.until.since(position).max(1).cast_unsigned();
        } else if id > LAST_OPTION && len_high | len_low != 0 {
            let at = u32::from(u16::from_be_bytes([at_high, at_low]));
            self.until = self.until.min(self.base.add(TDS_HEADER + at));
        }
    }
}

#[inline(always)]
const fn short(prefix: &[u8; 8]) -> u32 {
    u16::from_le_bytes([prefix[1], prefix[2]]) as u32
}

/// What the first bytes of a field say; unknown ones are 0.
#[inline(always)]
const fn read(kind: u8, prefix: &[u8; 8]) -> Field {
    let id = prefix[0];
    let long = u32::from_le_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    let long = 5 + if long > MAX_FIELD { MAX_FIELD } else { long };
    let is_record = content_type::CHANGE_CIPHER_SPEC <= id && id <= content_type::APPLICATION_DATA;
    match kind {
        field::RECORD => record(prefix),
        field::PRELOGIN | field::ANSWER if is_record => record(prefix),
        field::PRELOGIN | field::OPTION => option(id),
        // VERSION comes first.
        field::ANSWER if id == 0 => option(id),
        field::ANSWER | field::TOKEN => token(prefix, long),
        field::ACKNOWLEDGED if id == TERMINATOR => Field::new(1, 1, 1, field::TOKEN),
        field::ACKNOWLEDGED => Field::new(5, 5, long, field::ACKNOWLEDGED),
        field::FEATURE if id == TERMINATOR => Field::new(1, 1, 1, field::NOTHING),
        field::FEATURE => {
            let tell = match id {
                // Behind the length there is an option byte, which names the library.
                FEATURE_FEDAUTH => 6,
                FEATURE_USER_AGENT => MAX_TEXT,
                _ => 5,
            };
            Field::new(5, least(tell, long), long, field::FEATURE)
        }
        _ => Field::new(0, 0, 0, field::NOTHING),
    }
}

/// TLS: what is not sealed is told.
#[inline(always)]
const fn record(prefix: &[u8; 8]) -> Field {
    let len = 5 + u16::from_be_bytes([prefix[3], prefix[4]]) as u32;
    let is_clear =
        content_type::CHANGE_CIPHER_SPEC <= prefix[0] && prefix[0] <= content_type::HANDSHAKE;
    if prefix[1] == 3 {
        Field::new(5, if is_clear { len } else { 5 }, len, field::RECORD)
    } else {
        Field::new(5, 2, len, field::NOTHING)
    }
}

#[inline(always)]
const fn option(id: u8) -> Field {
    if id <= MAX_OPTION {
        Field::new(5, 5, 5, field::OPTION)
    } else {
        Field::new(1, 1, 1, field::NOTHING)
    }
}

/// A token: its numbers and the names that are told, and no text of a message.
#[inline(always)]
const fn token(prefix: &[u8; 8], long: u32) -> Field {
    let short = 3 + short(prefix);
    let next = field::TOKEN;
    match prefix[0] {
        // Number, state and class.
        token::ERROR | token::INFO => Field::new(3, least(9, short), short, next),
        token::LOGIN_ACK => Field::new(3, least(MAX_LOGIN_ACK, short), short, next),
        token::ENV_CHANGE => {
            let (need, tell) = change(prefix);
            Field::new(need, least(tell, short), short, next)
        }
        token::SSPI => Field::new(3, 3, 3, field::SSPI_REPLY),
        token::FEATURE_EXT_ACK => Field::new(1, 1, 1, field::ACKNOWLEDGED),
        token::FED_AUTH_INFO => Field::new(5, least(MAX_TEXT, long), long, next),
        // A sequence number and a status.
        token::SESSION_STATE => Field::new(5, least(10, long), long, next),
        token::DONE if prefix[1] & 1 == 0 => Field::new(3, DONE_LEN, DONE_LEN, field::NOTHING),
        token::DONE | token::DONE_PROC | token::DONE_IN_PROC => {
            Field::new(3, DONE_LEN, DONE_LEN, next)
        }
        token::RETURN_STATUS | token::OFFSET => Field::new(1, 1, 5, next),
        token::ORDER | token::TAB_NAME | token::COL_INFO => Field::new(3, 3, short, next),
        // Rows, and what is not known.
        _ => Field::new(1, 1, 1, field::NOTHING),
    }
}

/// Of a change of the environment: its type and the new value, where that is told (MS-TDS §2.2.7.9). How
/// much of it must be known, and how much is told.
#[inline(always)]
const fn change(prefix: &[u8; 8]) -> (u32, u32) {
    let len = prefix[4] as u32;
    match prefix[3] {
        // Database, language, packet size, mirroring partner.
        1 | 2 | 4 | 13 => (5, 5 + 2 * len),
        // Collation.
        7 => (5, 5 + len),
        // Where to log in instead.
        20 | 21 => (6, 6 + u16::from_le_bytes([prefix[4], prefix[5]]) as u32),
        _ => (4, 4),
    }
}

#[inline(always)]
const fn least(one: u32, other: u32) -> u32 {
    if one < other { one } else { other }
}
