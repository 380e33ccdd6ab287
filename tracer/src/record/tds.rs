//! What was agreed before the login: TDS and the kind of authentication.

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Nanos, Text};

/// The TDS session's terms.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tds {
    /// `7.4`, `8.0`: as the server acknowledged it, else as the client asked.
    pub version: Option<Text>,
    /// What came of the negotiation.
    pub encryption: Option<Encryption>,
    /// The client's PRELOGIN ENCRYPTION value.
    pub encryption_asked: Option<EncryptionOption>,
    /// The server's PRELOGIN ENCRYPTION value.
    pub encryption_answered: Option<EncryptionOption>,
    /// Multiple active result sets: both sides said yes.
    pub mars: Option<bool>,
    /// The server's session id.
    pub spid: Option<u16>,
    /// TDS packet size in bytes, as negotiated.
    pub packet_size: Option<u32>,
    /// The client library's version.
    pub client_version: Option<Text>,
    /// The server's version, from its prelogin or LOGINACK.
    pub server_version: Option<Text>,
    /// The server program's name in LOGINACK.
    pub server_program: Option<Text>,
    /// PRELOGIN TRACEID, first half: joins with the driver's and the server's own traces.
    pub connection_guid: Option<Text>,
    /// PRELOGIN TRACEID, second half.
    pub activity_guid: Option<Text>,
    /// PRELOGIN TRACEID, the activity's sequence number.
    pub activity_sequence: Option<u32>,
    /// PRELOGIN FEDAUTHREQUIRED, as the server answered it.
    pub fedauth_required: Option<bool>,
    /// The server said that the instance name is not its own (PRELOGIN INSTOPT).
    pub instance_mismatch: Option<bool>,
    /// LOGIN7 asked for a readable secondary.
    pub read_only_intent: Option<bool>,
    /// LOGIN7 feature extensions asked for, by their MS-TDS names in `snake_case`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Text>,
    /// Feature extensions that the server acknowledged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features_acknowledged: Vec<Text>,
    /// What the driver says of itself (LOGIN7 feature 0x10).
    pub user_agent: Option<UserAgent>,
    /// Database mirroring partner that the server named.
    pub mirror_partner: Option<Text>,
    /// The collation that the server set.
    pub collation: Option<Collation>,
    /// The server said whether the session can be recovered on another connection.
    pub session_recoverable: Option<bool>,
}

/// What Microsoft's drivers say of themselves and of where they run.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserAgent {
    /// The driver's name, such as `MS-ODBC`.
    pub driver: Option<Text>,
    /// The driver's version.
    pub version: Option<Text>,
    /// Processor architecture.
    pub architecture: Option<Text>,
    /// Operating system.
    pub os: Option<Text>,
    /// What the driver runs in, such as a Java virtual machine.
    pub runtime: Option<Text>,
}

/// A collation (MS-TDS 2.2.5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Collation {
    /// Windows' locale identifier.
    pub lcid: u32,
    /// SQL Server's sort order; 0 where the locale says it.
    pub sort_id: u8,
}

/// What of the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Nothing.
    None,
    /// The first packet of LOGIN7 only.
    LoginOnly,
    /// Everything after PRELOGIN.
    Full,
    /// TDS 8.0: everything, PRELOGIN too.
    Strict,
    /// The two sides' settings exclude each other.
    Refused,
}

/// PRELOGIN ENCRYPTION values, by their MS-TDS 2.2.6.5 names without `ENCRYPT_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum EncryptionOption {
    Off,
    On,
    NotSup,
    Req,
    ClientCertOff,
    ClientCertOn,
    ClientCertNotSup,
    ClientCertReq,
    /// A value that the specification does not name.
    Other,
}

/// How the client proves who it is.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Auth {
    /// The kind that was used in the end.
    pub kind: AuthKind,
    /// How often the server asked for more after the login packet.
    pub rounds: Option<u32>,
    /// Mechanisms that the client offered in SPNEGO, most wanted first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mechanisms: Vec<AuthKind>,
    /// The mechanism tried first where another was used.
    pub fallback_from: Option<AuthKind>,
    /// The wait for the reply after the client's last token: the domain controller's, mostly.
    pub controller_ns: Option<Nanos>,
    /// What NTLM showed.
    pub ntlm: Option<Ntlm>,
    /// What federated authentication showed.
    pub entra: Option<Entra>,
}

/// Kinds of authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// User and password in LOGIN7.
    Sql,
    /// NTLM, bare or in SPNEGO.
    Ntlm,
    /// Kerberos, bare or in SPNEGO.
    Kerberos,
    /// SPNEGO whose mechanism was not seen.
    Spnego,
    /// Federated authentication.
    Entra,
    /// Encrypted, or not reached.
    #[default]
    Unknown,
}

/// What NTLM messages say in clear. Every name is subject to the identity policy; challenges and
/// responses are never kept.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ntlm {
    /// 1 or 2: the version of the client's response.
    pub version: Option<u8>,
    /// The client gave neither user nor domain.
    pub null_credentials: Option<bool>,
    /// The client's domain.
    pub domain: Option<Text>,
    /// The user.
    pub user: Option<Text>,
    /// The client's computer.
    pub workstation: Option<Text>,
    /// The server's domain, from the challenge.
    pub target_domain: Option<Text>,
    /// The server's computer, from the challenge.
    pub target_computer: Option<Text>,
}

/// What federated authentication says in clear. Tokens are never kept.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entra {
    /// From the server's FEDAUTHINFO to the client's token: the client fetching it.
    pub token_fetch_ns: Option<Nanos>,
    /// Host of the security token service that the server named.
    pub sts_host: Option<Text>,
    /// Service principal name that the server named.
    pub spn: Option<Text>,
    /// A nonce was exchanged.
    pub nonce: Option<bool>,
}
