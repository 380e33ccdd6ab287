//! LOGIN7 (MS-TDS 2.2.6.4): who asks for what. Passwords are never read.

use std::ops::Range;

use super::{
    Malformed,
    reader::{Reader, slice, utf16},
    version::TdsVersion,
};

/// What a LOGIN7 message says. A text that was not sent, or not seen, is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login7 {
    /// TDS version the client asks for. TDS 8.0 clients may put anything here.
    pub tds_version: TdsVersion,
    /// Packet size the client asks for, in bytes.
    pub packet_size: u32,
    /// The client program's version, as the driver packs it.
    pub client_prog_ver: u32,
    /// Process id of the client on its own host.
    pub client_pid: u32,
    /// Integrated security: the login goes through SSPI.
    pub integrated_security: bool,
    /// `ApplicationIntent=ReadOnly`.
    pub read_only_intent: bool,
    /// The client changes its password with this login.
    pub change_password: bool,
    /// Feature extensions follow.
    pub extension: bool,
    /// Name of the client's host. Identifies a person's machine.
    pub host_name: Option<String>,
    /// SQL login name. Identifies a person.
    pub user_name: Option<String>,
    /// Name of the application.
    pub app_name: Option<String>,
    /// The server, as the client spelt it.
    pub server_name: Option<String>,
    /// `CltIntName`: the driver's name for itself.
    pub library: Option<String>,
    /// Language asked for.
    pub language: Option<String>,
    /// Database asked for.
    pub database: Option<String>,
    /// Declared length of the SSPI message, in bytes; zero when there is none.
    pub sspi_len: u32,
    /// Where the SSPI message lies in the body, as far as it was copied. Never kept, only looked
    /// at for its mechanism: see [`super::spnego`].
    pub sspi: Option<Range<usize>>,
    /// Feature extension ids in the order sent (MS-TDS 2.2.6.4, `FeatureOpt`).
    pub features: Vec<u8>,
    /// The FEDAUTH feature, if sent.
    pub fedauth: Option<FedAuth>,
    /// The message was cut short: texts and features may be missing.
    pub truncated: bool,
}

/// The FEDAUTH feature's option byte, taken apart. The token behind it is never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FedAuth {
    /// How the client gets its token; `None` when withheld, cut off or undefined.
    pub library: Option<FedAuthLibrary>,
    /// The client echoes the server's FEDAUTHREQUIRED.
    pub echo: bool,
}

/// `bFedAuthLibrary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FedAuthLibrary {
    /// The token comes with LOGIN7.
    SecurityToken,
    /// The client fetches a token when the server says from where (ADAL, MSAL).
    Adal,
}

impl Login7 {
    /// Decodes the body of a LOGIN7 message.
    ///
    /// Fails when less than the numbers at its start arrived, or when the declared length could
    /// not even hold them.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let short = Malformed {
            at: body.len(),
            what: "LOGIN7 cut short inside its fixed part",
        };
        let mut reader = Reader::new(body);
        let length = reader.u32().ok_or(short)?;
        if (length as usize) < TEXTS || length > MAX_LEN {
            return Err(Malformed {
                at: 0,
                what: "LOGIN7 with an impossible length",
            });
        }
        let mut login = Self::fixed(&mut reader).ok_or(short)?;
        login.truncated = body.len() < length as usize;
        login.read_texts(body);
        login.locate_sspi(body);
        login.read_features(body);
        Ok(login)
    }

    fn fixed(reader: &mut Reader<'_>) -> Option<Self> {
        let tds_version = TdsVersion(reader.u32()?);
        let packet_size = reader.u32()?;
        let client_prog_ver = reader.u32()?;
        let client_pid = reader.u32()?;
        let _connection_id = reader.u32()?;
        let [_flags1, flags2, type_flags, flags3] = reader.array()?;
        let _time_zone_and_lcid = reader.u64()?;
        Some(Self {
            tds_version,
            packet_size,
            client_prog_ver,
            client_pid,
            integrated_security: flags2 & 0x80 != 0,
            read_only_intent: type_flags & 0x20 != 0,
            change_password: flags3 & 0x01 != 0,
            extension: flags3 & 0x10 != 0,
            host_name: None,
            user_name: None,
            app_name: None,
            server_name: None,
            library: None,
            language: None,
            database: None,
            sspi_len: 0,
            sspi: None,
            features: Vec::new(),
            fedauth: None,
            truncated: false,
        })
    }

    fn read_texts(&mut self, body: &[u8]) {
        let mut cut = false;
        let mut text = |at| match field(body, at) {
            None => {
                cut = true;
                None
            }
            Some((_, 0)) => None,
            Some((offset, chars)) => {
                let bytes = slice(body, offset, 2 * chars);
                cut |= bytes.is_none();
                bytes.map(utf16)
            }
        };
        self.host_name = text(HOST_NAME);
        self.user_name = text(USER_NAME);
        self.app_name = text(APP_NAME);
        self.server_name = text(SERVER_NAME);
        self.library = text(CLT_INT_NAME);
        self.language = text(LANGUAGE);
        self.database = text(DATABASE);
        self.truncated |= cut;
    }

    fn locate_sspi(&mut self, body: &[u8]) {
        let Some((offset, len)) = field(body, SSPI) else {
            return;
        };
        // 0xFFFF says the length did not fit and stands in cbSSPILong, which came with TDS 7.2.
        let has_long = len == 0xFFFF && fixed_len(body) >= SSPI_LONG + 4;
        let long = || Reader::starting_at(body, SSPI_LONG).u32();
        self.sspi_len = match has_long.then(long).flatten() {
            Some(long) if long > 0 => long,
            _ => len as u32,
        };
        if self.sspi_len == 0 {
            return;
        }
        let end = offset.saturating_add(self.sspi_len as usize);
        self.truncated |= end > body.len();
        let end = end.min(body.len());
        self.sspi = (offset < end).then_some(offset..end);
    }

    fn read_features(&mut self, body: &[u8]) {
        if !self.extension {
            return;
        }
        if self.walk_features(body).is_none() {
            self.truncated = true;
        }
    }

    fn walk_features(&mut self, body: &[u8]) -> Option<()> {
        let (pointer, _) = field(body, EXTENSION)?;
        let start = Reader::starting_at(body, pointer).u32()?;
        let mut reader = Reader::starting_at(body, start as usize);
        loop {
            let id = reader.u8()?;
            if id == FEATURE_END {
                return Some(());
            }
            if self.features.len() == MAX_FEATURES {
                return None;
            }
            self.features.push(id);
            if id == FEATURE_FEDAUTH {
                self.fedauth = Some(FedAuth {
                    library: None,
                    echo: false,
                });
            }
            let len = reader.u32()? as usize;
            if id == FEATURE_FEDAUTH && len > 0 {
                self.fedauth = Some(fedauth(Reader::starting_at(body, reader.at()).u8()?));
            }
            reader.take(len)?;
        }
    }
}

// 0 is Live ID, which nobody uses, and also what a withheld byte looks like.
fn fedauth(options: u8) -> FedAuth {
    FedAuth {
        library: match options >> 1 {
            0x01 => Some(FedAuthLibrary::SecurityToken),
            0x02 => Some(FedAuthLibrary::Adal),
            _ => None,
        },
        echo: options & 1 != 0,
    }
}

/// Offset in bytes and length (in characters for texts) of a variable field.
fn field(body: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut reader = Reader::starting_at(body, at);
    Some((reader.u16()?.into(), reader.u16()?.into()))
}

// The data begins with the host name, so its offset is the length of what is fixed: 94 bytes from
// TDS 7.2 on, 86 before.
fn fixed_len(body: &[u8]) -> usize {
    field(body, HOST_NAME).map_or(0, |(offset, _)| offset)
}

const TEXTS: usize = 36;
// MS-TDS: a LOGIN7 message is at most 128 KiB - 1.
const MAX_LEN: u32 = 128 * 1024 - 1;
// Ids are one byte and each may come once.
const MAX_FEATURES: usize = 255;

const HOST_NAME: usize = 36;
const USER_NAME: usize = 40;
const APP_NAME: usize = 48;
const SERVER_NAME: usize = 52;
const EXTENSION: usize = 56;
const CLT_INT_NAME: usize = 60;
const LANGUAGE: usize = 64;
const DATABASE: usize = 68;
const SSPI: usize = 78;
const SSPI_LONG: usize = 90;

const FEATURE_FEDAUTH: u8 = 0x02;
const FEATURE_END: u8 = 0xFF;
