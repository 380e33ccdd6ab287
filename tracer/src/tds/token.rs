//! The token stream of a reply (MS-TDS 2.2.7), as far as it can be walked without its columns.

use std::ops::Range;

use super::{fedauth::FedAuthInfo, reader::Reader, version::TdsVersion};

mod envchange;

pub use envchange::{Collation, EnvChange, Routing};

/// One token of a reply. Texts of messages are never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// LOGINACK: the login was accepted.
    LoginAck(LoginAck),
    /// ERROR.
    Error(Message),
    /// INFO.
    Info(Message),
    /// ENVCHANGE.
    EnvChange(EnvChange),
    /// SSPI: where its message lies in the body, as far as it was copied. Never kept.
    Sspi(Range<usize>),
    /// FEDAUTHINFO.
    FedAuthInfo(FedAuthInfo),
    /// FEATUREEXTACK: ids of the features the server acknowledges.
    FeatureExtAck(Vec<u8>),
    /// SESSIONSTATE: whether the session can be recovered on another connection.
    SessionState(Option<bool>),
    /// DONE, DONEPROC or DONEINPROC.
    Done(Done),
    /// A token that has no meaning here and was skipped.
    Other(u8),
    /// A token whose length depends on columns, or an unknown one: the walk ends.
    Unwalkable(u8),
    /// The body ends inside a token: the walk ends. The id, as far as it goes.
    Incomplete(u8),
}

/// What LOGINACK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginAck {
    /// Interface: 1 is Transact-SQL.
    pub interface: u8,
    /// TDS version the server settled on.
    pub tds_version: TdsVersion,
    /// Name of the server program; empty when cut off.
    pub program_name: String,
    /// Its version (major, minor, build high, build low), unless cut off.
    pub version: Option<[u8; 4]>,
}

/// The numbers of an ERROR or INFO token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Error number, as in `sys.messages`.
    pub number: u32,
    /// State: which place raised it.
    pub state: u8,
    /// Class, which is the severity.
    pub class: u8,
}

/// What a DONE token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Which of the three it is.
    pub kind: DoneKind,
    /// Its status bits.
    pub status: DoneStatus,
    /// Rows, when the status says the count is valid.
    pub rows: Option<u64>,
}

/// Which token ended a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DoneKind {
    /// DONE: a statement of a batch.
    Done,
    /// DONEPROC: a stored procedure.
    Proc,
    /// DONEINPROC: a statement inside a stored procedure.
    InProc,
}

/// The status bits of a DONE token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoneStatus(pub u16);

impl DoneStatus {
    /// `DONE_MORE`: another DONE follows.
    pub fn more(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// `DONE_ERROR`: the statement failed.
    pub fn error(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// `DONE_COUNT`: the row count is valid.
    pub fn count(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// `DONE_ATTN`: acknowledges an attention.
    pub fn attention(self) -> bool {
        self.0 & 0x20 != 0
    }
}

/// Walks the tokens of one reply.
///
/// The TDS version decides how wide a DONE token is. When it is not known it is inferred from
/// LOGINACK and from the lengths of messages seen on the way, and taken for 7.2 or later otherwise.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    body: &'a [u8],
    at: usize,
    wide: Option<bool>,
    cut: Option<u8>,
    ended: bool,
}

impl<'a> Tokens<'a> {
    /// A walk over the body of a reply, with the TDS version as far as it is known.
    pub fn new(body: &'a [u8], version: Option<TdsVersion>) -> Self {
        Self {
            body,
            at: 0,
            wide: version.map(TdsVersion::is_wide),
            cut: None,
            ended: false,
        }
    }

    fn token(&mut self, id: u8, reader: &mut Reader<'a>) -> Option<Token> {
        Some(match id {
            DONE | DONE_PROC | DONE_IN_PROC => Token::Done(self.done(id, reader)?),
            ERROR => Token::Error(self.message(id, reader)?),
            INFO => Token::Info(self.message(id, reader)?),
            LOGIN_ACK => {
                let value = self.short_value(id, reader)?;
                let ack = LoginAck::decode(value);
                self.wide = ack
                    .as_ref()
                    .map(|ack| ack.tds_version.is_wide())
                    .or(self.wide);
                self.or_skipped(id, ack.map(Token::LoginAck))?
            }
            ENV_CHANGE => {
                let value = self.short_value(id, reader)?;
                let change = EnvChange::decode(value).map(Token::EnvChange);
                self.or_skipped(id, change)?
            }
            SSPI => {
                let value = self.short_value(id, reader)?;
                let end = reader.at();
                Token::Sspi(end - value.len()..end)
            }
            FED_AUTH_INFO => {
                let value = self.long_value(id, reader)?;
                let info = FedAuthInfo::decode(value).map(Token::FedAuthInfo);
                self.or_skipped(id, info)?
            }
            FEATURE_EXT_ACK => self.feature_ext_ack(reader)?,
            SESSION_STATE => {
                let value = self.long_value(id, reader)?;
                Token::SessionState(value.get(SESSION_STATUS).map(|status| status & 1 != 0))
            }
            RETURN_STATUS | OFFSET => {
                reader.take(4)?;
                Token::Other(id)
            }
            ORDER | TAB_NAME | COL_INFO => {
                self.short_value(id, reader)?;
                Token::Other(id)
            }
            _ => {
                self.ended = true;
                Token::Unwalkable(id)
            }
        })
    }

    fn short_value(&mut self, id: u8, reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        let len = reader.u16()?;
        Some(self.value(id, reader, len.into()))
    }

    fn long_value(&mut self, id: u8, reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        let len = reader.u32()?;
        Some(self.value(id, reader, len as usize))
    }

    /// A token's value, clipped to what arrived; the walk ends after a clipped one.
    fn value(&mut self, id: u8, reader: &mut Reader<'a>, len: usize) -> &'a [u8] {
        if len > reader.remaining() {
            self.cut = Some(id);
        }
        reader.take(len.min(reader.remaining())).unwrap_or_default()
    }

    /// A value that makes no sense is skipped when whole; when clipped, that is all there is to say.
    fn or_skipped(&self, id: u8, token: Option<Token>) -> Option<Token> {
        token.or_else(|| self.cut.is_none().then_some(Token::Other(id)))
    }

    fn done(&mut self, id: u8, reader: &mut Reader<'a>) -> Option<Done> {
        let status = DoneStatus(reader.u16()?);
        let _command = reader.u16()?;
        // A last DONE of exactly the narrow length cannot be a wide one.
        let narrow_and_last = reader.remaining() == 4 && !status.more();
        let wide = self.wide.unwrap_or(!narrow_and_last);
        let rows = if wide {
            reader.u64()?
        } else {
            reader.u32()?.into()
        };
        Some(Done {
            kind: match id {
                DONE => DoneKind::Done,
                DONE_PROC => DoneKind::Proc,
                _ => DoneKind::InProc,
            },
            status,
            rows: status.count().then_some(rows),
        })
    }

    fn message(&mut self, id: u8, reader: &mut Reader<'a>) -> Option<Message> {
        let len = usize::from(reader.u16()?);
        let start = reader.at();
        let message = Message {
            number: reader.u32()?,
            state: reader.u8()?,
            class: reader.u8()?,
        };
        let end = match end_of_texts(reader) {
            Some(texts) => self.end_of_message(texts, start + len),
            None => start + len,
        };
        *reader = Reader::starting_at(self.body, start);
        self.value(id, reader, end - start);
        Some(message)
    }

    /// Where a message ends whose texts end at `texts` and whose length points to `declared`.
    ///
    /// Honeypots get the length wrong. When it leads to nothing that is a token and the end of the
    /// line number leads to a DONE, the latter is right.
    fn end_of_message(&mut self, texts: usize, declared: usize) -> usize {
        let done_at =
            |at: usize| matches!(self.body.get(at), Some(&(DONE | DONE_PROC | DONE_IN_PROC)));
        let (wide, end) = match declared.checked_sub(texts) {
            Some(4) => (Some(true), declared),
            Some(2) => (Some(false), declared),
            _ if done_at(declared) || declared == self.body.len() => (None, declared),
            _ if done_at(texts + 4) => (Some(true), texts + 4),
            _ if done_at(texts + 2) => (Some(false), texts + 2),
            _ => (None, declared),
        };
        self.wide = self.wide.or(wide);
        end
    }

    fn feature_ext_ack(&mut self, reader: &mut Reader<'a>) -> Option<Token> {
        let mut ids = Vec::new();
        loop {
            match reader.u8() {
                Some(FEATURE_END) => return Some(Token::FeatureExtAck(ids)),
                Some(id) if ids.len() < MAX_FEATURES => {
                    ids.push(id);
                    let len = reader.u32();
                    if len.and_then(|len| reader.take(len as usize)).is_some() {
                        continue;
                    }
                }
                _ => {}
            }
            self.cut = Some(FEATURE_EXT_ACK);
            return (!ids.is_empty()).then_some(Token::FeatureExtAck(ids));
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.ended {
            return None;
        }
        if let Some(id) = self.cut {
            self.ended = true;
            return Some(Token::Incomplete(id));
        }
        let mut reader = Reader::starting_at(self.body, self.at);
        let id = reader.u8()?;
        let token = self.token(id, &mut reader);
        self.at = reader.at();
        self.ended |= token.is_none();
        Some(token.unwrap_or(Token::Incomplete(id)))
    }
}

impl LoginAck {
    // A clipped value still tells that the login was accepted, and with which version.
    fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        Some(Self {
            interface: reader.u8()?,
            tds_version: TdsVersion(reader.u32_be()?),
            program_name: reader.b_varchar().unwrap_or_default(),
            version: reader.array(),
        })
    }
}

/// Steps over message, server and procedure: their lengths only.
fn end_of_texts(reader: &mut Reader<'_>) -> Option<usize> {
    let text = reader.u16()?;
    reader.take(2 * usize::from(text))?;
    for _server_and_procedure in 0..2 {
        let name = reader.u8()?;
        reader.take(2 * usize::from(name))?;
    }
    Some(reader.at())
}

// Ids are one byte and each may come once.
const MAX_FEATURES: usize = 255;
const FEATURE_END: u8 = 0xFF;

const OFFSET: u8 = 0x78;
const RETURN_STATUS: u8 = 0x79;
const TAB_NAME: u8 = 0xA4;
const COL_INFO: u8 = 0xA5;
const ORDER: u8 = 0xA9;
const ERROR: u8 = 0xAA;
const INFO: u8 = 0xAB;
const LOGIN_ACK: u8 = 0xAD;
const FEATURE_EXT_ACK: u8 = 0xAE;
const ENV_CHANGE: u8 = 0xE3;
const SESSION_STATE: u8 = 0xE4;
/// Where the status is in SESSIONSTATE, behind its sequence number (MS-TDS 2.2.7.21).
const SESSION_STATUS: usize = 4;
/// An SSPI message of the server (§2.2.7.22).
pub const SSPI: u8 = 0xED;
const FED_AUTH_INFO: u8 = 0xEE;
const DONE: u8 = 0xFD;
const DONE_PROC: u8 = 0xFE;
const DONE_IN_PROC: u8 = 0xFF;

#[cfg(test)]
mod tests;
