//! ENVCHANGE (MS-TDS 2.2.7.9): what changed in the session's environment.

use crate::tds::reader::Reader;

/// A change of the session's environment. Old values are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvChange {
    /// The current database.
    Database(String),
    /// The language.
    Language(String),
    /// The packet size, in bytes.
    PacketSize(u32),
    /// The collation, unless it is given up.
    Collation(Option<Collation>),
    /// The server's mirroring partner.
    MirrorPartner(String),
    /// Log in elsewhere.
    Routing(Routing),
    /// Log in elsewhere, to a named database.
    EnhancedRouting(Routing),
    /// The reset of a pooled connection was done.
    ResetAck,
    /// Any other type, by number: character set, transactions, user instance.
    Other(u8),
}

/// A collation (MS-TDS 2.2.5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collation {
    /// Windows' locale identifier.
    pub lcid: u32,
    /// SQL Server's sort order; 0 where the locale says it.
    pub sort_id: u8,
}

impl Collation {
    const LCID: u32 = 0x000F_FFFF;

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            lcid: reader.u32()? & Self::LCID,
            sort_id: reader.u8()?,
        })
    }
}

/// Where a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Protocol: 0 is TCP, the only one defined.
    pub protocol: u8,
    /// TCP port.
    pub port: u16,
    /// Host, as the server names it.
    pub host: String,
    /// Database, in enhanced routing only.
    pub database: Option<String>,
}

impl EnvChange {
    /// Decodes the token's value: what follows its 16-bit length.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        Some(match reader.u8()? {
            1 => Self::Database(reader.b_varchar()?),
            2 => Self::Language(reader.b_varchar()?),
            4 => Self::PacketSize(reader.b_varchar()?.parse().ok()?),
            // Its value is empty where it is given up.
            7 => Self::Collation(match reader.u8()? {
                0 => None,
                _ => Some(Collation::decode(&mut reader)?),
            }),
            13 => Self::MirrorPartner(reader.b_varchar()?),
            18 => Self::ResetAck,
            20 => Self::Routing(routing(&mut reader, false)?),
            21 => Self::EnhancedRouting(routing(&mut reader, true)?),
            other => Self::Other(other),
        })
    }
}

fn routing(reader: &mut Reader<'_>, enhanced: bool) -> Option<Routing> {
    let _value_len = reader.u16()?;
    Some(Routing {
        protocol: reader.u8()?,
        port: reader.u16()?,
        host: reader.us_varchar()?,
        database: if enhanced {
            Some(reader.us_varchar()?)
        } else {
            None
        },
    })
}
