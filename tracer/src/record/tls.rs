//! What was agreed in TLS, and what was offered and shown for it.

use std::hash::{Hash, Hasher};

use serde::Serialize;
use serde_with::skip_serializing_none;

use super::{Calendar, Side, Text};

/// The TLS session's terms.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// What the client offered.
    pub hello: Option<TlsHello>,
    /// The client showed a certificate.
    pub client_certificate: Option<bool>,
    /// The alert that ended the handshake or the connection.
    pub alert: Option<Alert>,
    /// The server's certificate, where it travels in clear (TLS 1.2 and before).
    pub certificate: Option<Certificate>,
}

/// What a client offers in its `ClientHello`, in the order of its wishes. GREASE values (RFC 8701)
/// are left out; what IANA has no name for is written as `0x` and four hex digits.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TlsHello {
    /// Length of the TLS records that carried it, headers included.
    pub bytes: u32,
    /// TCP segments that it came in: large ones, of post-quantum key exchange, are lost on broken
    /// paths.
    pub segments: Option<u32>,
    /// Versions: `1.0` to `1.3`.
    pub versions: Vec<Text>,
    /// Groups for the key exchange (`supported_groups`), at most [`TlsHello::MAX_LISTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Text>,
    /// Signature algorithms, at most [`TlsHello::MAX_LISTED`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signature_algorithms: Vec<Text>,
    /// Its fingerprint, as `FoxIO` defines JA4: the same for every connection of one library in one
    /// configuration.
    pub ja4: Text,
}

/// Those of one fingerprint hardly ever differ in anything else.
impl Hash for TlsHello {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.bytes, &self.ja4).hash(state);
    }
}

impl TlsHello {
    /// More items of a list are not written.
    pub const MAX_LISTED: usize = 32;
}

/// A TLS alert. An encrypted one tells only who sent it.
#[skip_serializing_none]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alert {
    /// Who sent it.
    pub from: Side,
    /// Whether it ends the connection.
    pub level: Option<AlertLevel>,
    /// Its name in RFC 8446 section 6, such as `unknown_ca`; its number where it has no name.
    pub description: Option<Text>,
}

/// RFC 8446 section 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the specification's")]
pub enum AlertLevel {
    Warning,
    Fatal,
}

/// Facts of an X.509 certificate.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Certificate {
    /// Distinguished name of the subject.
    pub subject: Option<Text>,
    /// Distinguished name of the issuer.
    pub issuer: Option<Text>,
    /// The start of its validity.
    pub not_before: Option<Calendar>,
    /// The end of its validity.
    pub not_after: Option<Calendar>,
    /// DNS names and addresses it is for, at most [`Certificate::MAX_NAMES`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<Text>,
    /// Its serial number is negative: RFC 5280 forbids that, and some clients refuse it.
    pub serial_negative: Option<bool>,
    /// How many certificates the server sent, this one included.
    pub chain_length: Option<u32>,
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

/// Those of one name and age hardly ever differ in anything else.
impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.subject, self.not_after).hash(state);
    }
}

impl Certificate {
    /// More names than this are not listed.
    pub const MAX_NAMES: usize = 16;

    /// More hosts than this are not listed.
    pub const MAX_CRL_HOSTS: usize = 8;
}
