//! Messages in clear: PRELOGIN, LOGIN7, tokens of authentication, and replies.

mod auth;
mod login;
mod prelogin;
mod reply;

pub(in crate::session) use self::auth::{AuthEvidence, SealedAuth};
use crate::{
    record::{Encryption, SqlError, Stranger, Text},
    tds::{
        login7::Login7,
        prelogin::{Prelogin, TraceId},
        tls::TlsSide,
        token::{Collation, LoginAck, Routing},
        version::TdsVersion,
    },
};

/// What the messages of a login said, as far as they were read.
#[derive(Debug, Default)]
pub(in crate::session) struct Contents {
    /// The instance that listens there, by what SQL Browser has told the client.
    pub(in crate::session) announced: Option<Text>,
    /// The client's PRELOGIN.
    pub(in crate::session) asked: Option<Prelogin>,
    /// The server's answer to it.
    pub(in crate::session) answered: Option<Prelogin>,
    /// What became of the two.
    pub(in crate::session) encryption: Option<Encryption>,
    /// TLS, by side.
    pub(in crate::session) tls: [TlsSide; 2],
    pub(in crate::session) login7: Option<Box<Login7>>,
    /// The version that the client asked for.
    pub(in crate::session) version: Option<TdsVersion>,
    pub(in crate::session) auth: AuthEvidence,
    pub(in crate::session) reply: Reply,
    /// A message was seen that only a login has.
    pub(in crate::session) saw_login_message: bool,
    /// The client took its login back.
    pub(in crate::session) attention: bool,
    /// What the client speaks where it is not TDS 7 or later.
    pub(in crate::session) stranger: Option<Stranger>,
}

/// What the server's replies to the login said.
#[derive(Debug, Default)]
pub(in crate::session) struct Reply {
    pub(in crate::session) spid: Option<u16>,
    pub(in crate::session) ack: Option<LoginAck>,
    /// Errors of the last reply.
    pub(in crate::session) errors: Vec<SqlError>,
    pub(in crate::session) routing: Option<Routing>,
    pub(in crate::session) database: Option<String>,
    pub(in crate::session) language: Option<String>,
    pub(in crate::session) packet_size: Option<u32>,
    pub(in crate::session) mirror_partner: Option<String>,
    pub(in crate::session) collation: Option<Collation>,
    pub(in crate::session) session_recoverable: Option<bool>,
    pub(in crate::session) features: Vec<u8>,
    /// The last one was seen whole.
    pub(in crate::session) was_seen: bool,
}

impl Contents {
    /// Whether both sides agreed on MARS.
    pub(in crate::session) fn mars(&self) -> Option<bool> {
        let asked = self.asked.as_ref()?.mars?;
        let answered = self.answered.as_ref()?;
        Some(asked && answered.mars == Some(true))
    }

    /// How the client names its connection in the traces of both sides.
    pub(in crate::session) fn trace(&self) -> Option<TraceId> {
        self.asked.as_ref()?.trace_id
    }
}
