//! What was agreed before the login: TDS, TLS and the kind of authentication.

use schemars::JsonSchema;
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Calendar, Nanos, Side, Text};

/// The TDS session's terms.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
    /// Database mirroring partner that the server named.
    pub mirror_partner: Option<Text>,
    /// The collation that the server set.
    pub collation: Option<Collation>,
    /// The server said whether the session can be recovered on another connection.
    pub session_recoverable: Option<bool>,
}

/// A collation (MS-TDS 2.2.5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Collation {
    /// Windows' locale identifier.
    pub lcid: u32,
    /// SQL Server's sort order; 0 where the locale says it.
    pub sort_id: u8,
}

/// What of the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

/// The TLS session's terms.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Tls {
    /// `1.0` to `1.3`.
    pub version: Option<Text>,
    /// IANA name of the chosen cipher suite.
    pub cipher: Option<Text>,
    /// Server name that the client asked for.
    pub sni: Option<Text>,
    /// The protocol agreed, or asked for where the answer is encrypted.
    pub alpn: Option<Text>,
    /// An earlier session was taken up.
    pub resumed: Option<bool>,
    /// The client showed a certificate.
    pub client_certificate: Option<bool>,
    /// The alert that ended the handshake or the connection.
    pub alert: Option<Alert>,
    /// The server's certificate, where it travels in clear (TLS 1.2 and before).
    pub certificate: Option<Certificate>,
}

/// A TLS alert. An encrypted one tells only who sent it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Alert {
    /// Who sent it.
    pub from: Side,
    /// Whether it ends the connection.
    pub level: Option<AlertLevel>,
    /// Its name in RFC 8446 section 6, such as `unknown_ca`; its number where it has no name.
    pub description: Option<Text>,
}

/// RFC 8446 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum AlertLevel {
    Warning,
    Fatal,
}

/// Facts of an X.509 certificate.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Certificate {
    /// Distinguished name of the subject.
    pub subject: Option<Text>,
    /// Distinguished name of the issuer.
    pub issuer: Option<Text>,
    /// The end of its validity.
    pub not_after: Option<Calendar>,
    /// Name of the signature algorithm, or its OID.
    pub signature_algorithm: Option<Text>,
    /// Size of the public key in bits.
    pub key_bits: Option<u32>,
    /// Subject and issuer are the same.
    pub self_signed: Option<bool>,
    /// Hosts that a client may ask for revocation, at most [`Certificate::MAX_CRL_HOSTS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crl_hosts: Vec<Text>,
}

impl Certificate {
    /// More hosts than this are not listed.
    pub const MAX_CRL_HOSTS: usize = 8;
}

/// How the client proves who it is.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
