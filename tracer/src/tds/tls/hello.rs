//! The two hellos of a handshake.

use std::sync::Arc;

use tls_parser::{
    SNIType, TlsCipherSuite, TlsClientHelloContents, TlsExtension, TlsExtensionType,
    TlsServerHelloContents, parse_tls_client_hello_extension, parse_tls_server_hello_extensions,
};

use super::{
    ja4::{Fingerprints, Offer, is_grease},
    slice,
};
use crate::tds::reader::Reader;

/// What a `ClientHello` says. Of its lists GREASE values (RFC 8701) are left out, and what lies
/// beyond [`ClientHello::MAX_LISTED`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// Length of the records that carried it, their headers included, in bytes.
    pub bytes: u32,
    /// The version field, which stops at 1.2.
    pub legacy_version: u16,
    /// Versions offered, the preferred one first, as numbers: see [`version_name`](super::version_name).
    pub versions: Vec<u16>,
    /// Number of cipher suites offered, GREASE and signalling values included.
    pub ciphers: usize,
    /// Groups offered for the key exchange: see [`group_name`](super::group_name).
    pub groups: Vec<u16>,
    /// Signature algorithms offered: see
    /// [`signature_algorithm_name`](super::signature_algorithm_name).
    pub signature_algorithms: Vec<u16>,
    /// Its fingerprint, as `FoxIO` defines JA4.
    pub ja4: Arc<str>,
    /// Server name asked for.
    pub sni: Option<String>,
    /// Application protocols offered. ODBC offers `tds/8.0` in TDS 7.4 as well.
    pub alpn: Vec<String>,
    /// Session id.
    pub session_id: Vec<u8>,
    /// Whether a session ticket was sent (TLS 1.2 and before).
    pub has_ticket: bool,
}

/// What a `ServerHello` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// The version chosen, as a number: see [`version_name`](super::version_name).
    pub version: u16,
    /// The cipher suite chosen, as a number.
    pub cipher: u16,
    /// Application protocol chosen, when told in clear (TLS 1.2 and before).
    pub alpn: Option<String>,
    /// Session id; the client's, when its session is resumed, and always in TLS 1.3.
    pub session_id: Vec<u8>,
    /// The offered pre-shared key was taken: a resumption in TLS 1.3.
    pub psk_selected: bool,
    /// The MAC of a block cipher is of what is encrypted (RFC 7366).
    pub encrypt_then_mac: bool,
    /// What is known of the cipher suite.
    pub(super) suite: Option<&'static TlsCipherSuite>,
}

impl ClientHello {
    /// More items of a list are not kept.
    pub const MAX_LISTED: usize = 32;

    pub(super) fn new(
        hello: &TlsClientHelloContents<'_>,
        bytes: u32,
        fingerprints: &mut Fingerprints,
    ) -> Self {
        let mut client = Self {
            bytes,
            legacy_version: hello.version.0,
            versions: vec![hello.version.0],
            ciphers: hello.ciphers.len(),
            session_id: hello.session_id.unwrap_or_default().to_vec(),
            ..Self::default()
        };
        let mut offer = Offer {
            ciphers: hello.ciphers.iter().map(|cipher| cipher.0).collect(),
            ..Offer::default()
        };
        for (kind, raw) in extensions(hello.ext.unwrap_or_default()) {
            offer.extensions.push(kind);
            let Ok((_, extension)) = parse_tls_client_hello_extension(raw) else {
                continue;
            };
            match extension {
                TlsExtension::ALPN(protocols) => {
                    offer.alpn = protocols.first().map(|name| name.to_vec());
                    client.alpn = protocols
                        .iter()
                        .take(MAX_ALPN)
                        .map(|name| text(name))
                        .collect();
                }
                TlsExtension::SignatureAlgorithms(ids) => offer.signature_algorithms = ids,
                extension => client.extension(&extension),
            }
        }
        client.signature_algorithms = listed(offer.signature_algorithms.iter().copied());
        offer.version = client.versions.iter().copied().max().unwrap_or_default();
        client.ja4 = fingerprints.of(offer);
        client
    }

    fn extension(&mut self, extension: &TlsExtension<'_>) {
        match extension {
            TlsExtension::SNI(names) => {
                self.sni = names
                    .iter()
                    .find(|(kind, _)| *kind == SNIType::HostName)
                    .map(|(_, name)| text(name));
            }
            TlsExtension::SupportedVersions(versions) => {
                self.versions = listed(versions.iter().map(|version| version.0));
            }
            TlsExtension::EllipticCurves(groups) => {
                self.groups = listed(groups.iter().map(|group| group.0));
            }
            TlsExtension::SessionTicket(ticket) => self.has_ticket = !ticket.is_empty(),
            _ => {}
        }
    }
}

/// The extensions' types, and each of them with its type and length.
fn extensions(block: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut reader = Reader::new(block);
    std::iter::from_fn(move || {
        let start = reader.at();
        let (kind, len) = (reader.u16_be()?, reader.u16_be()?);
        reader.take(len.into())?;
        Some((kind, slice(block, start, reader.at() - start)?))
    })
}

fn listed(ids: impl Iterator<Item = u16>) -> Vec<u16> {
    ids.filter(|id| !is_grease(*id))
        .take(ClientHello::MAX_LISTED)
        .collect()
}

impl ServerHello {
    pub(super) fn new(hello: &TlsServerHelloContents<'_>) -> Self {
        let mut server = Self {
            version: hello.version.0,
            cipher: hello.cipher.0,
            suite: TlsCipherSuite::from_id(hello.cipher.0),
            session_id: hello.session_id.unwrap_or_default().to_vec(),
            ..Self::default()
        };
        let extensions = parse_tls_server_hello_extensions(hello.ext.unwrap_or_default());
        for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
            match extension {
                TlsExtension::SupportedVersions(versions) => {
                    server.version = versions.first().map_or(server.version, |chosen| chosen.0);
                }
                TlsExtension::ALPN(protocols) => {
                    server.alpn = protocols.first().map(|name| text(name));
                }
                TlsExtension::PreSharedKey(_) => server.psk_selected = true,
                // tls-parser 0.12 does not know its number in a ServerHello.
                TlsExtension::Unknown(TlsExtensionType::EncryptThenMac, _) => {
                    server.encrypt_then_mac = true;
                }
                _ => {}
            }
        }
        server
    }

    /// The cipher suite's name in the IANA registry.
    pub fn cipher_name(&self) -> Option<&'static str> {
        self.suite.map(|suite| suite.name)
    }
}

/// A `HelloRetryRequest` is a `ServerHello` with this random (RFC 8446 section 4.1.3).
pub(super) fn is_retry(hello: &TlsServerHelloContents<'_>) -> bool {
    hello.random == RETRY_RANDOM
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MAX_ALPN: usize = 8;
const RETRY_RANDOM: &[u8] = b"\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\
      \xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";
