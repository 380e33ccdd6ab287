//! The two hellos of a handshake.

use tls_parser::{
    SNIType, TlsCipherSuite, TlsClientHelloContents, TlsExtension, TlsExtensionType,
    TlsServerHelloContents, parse_tls_client_hello_extensions, parse_tls_server_hello_extensions,
};

/// What a `ClientHello` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The version field, which stops at 1.2.
    pub legacy_version: u16,
    /// The highest version offered, as a number: see [`version_name`].
    pub max_version: u16,
    /// Number of cipher suites offered, GREASE and signalling values included.
    pub ciphers: usize,
    /// Server name asked for.
    pub sni: Option<String>,
    /// Application protocols offered. ODBC offers `tds/8.0` in TDS 7.4 as well.
    pub alpn: Vec<String>,
    /// Session id.
    pub session_id: Vec<u8>,
    /// Whether a session ticket was sent (TLS 1.2 and before).
    pub has_ticket: bool,
    /// Whether a pre-shared key was offered (TLS 1.3).
    pub has_psk: bool,
}

/// What a `ServerHello` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHello {
    /// The version chosen, as a number: see [`version_name`].
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
}

/// The name of a TLS version: `1.0` to `1.3`.
pub fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 => "1.3",
        _ => return None,
    })
}

impl ClientHello {
    pub(super) fn new(hello: &TlsClientHelloContents<'_>) -> Self {
        let mut client = Self {
            legacy_version: hello.version.0,
            max_version: hello.version.0,
            ciphers: hello.ciphers.len(),
            session_id: hello.session_id.unwrap_or_default().to_vec(),
            ..Self::default()
        };
        let extensions = parse_tls_client_hello_extensions(hello.ext.unwrap_or_default());
        for extension in extensions.map(|(_, list)| list).unwrap_or_default() {
            client.extension(&extension);
        }
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
            TlsExtension::ALPN(protocols) => {
                self.alpn = protocols
                    .iter()
                    .take(MAX_ALPN)
                    .map(|name| text(name))
                    .collect();
            }
            TlsExtension::SupportedVersions(versions) => {
                let known = versions.iter().map(|version| version.0);
                let highest = known
                    .filter(|&version| version_name(version).is_some())
                    .max();
                self.max_version = highest.unwrap_or(self.max_version);
            }
            TlsExtension::SessionTicket(ticket) => self.has_ticket = !ticket.is_empty(),
            TlsExtension::PreSharedKey(_) => self.has_psk = true,
            _ => {}
        }
    }
}

impl ServerHello {
    pub(super) fn new(hello: &TlsServerHelloContents<'_>) -> Self {
        let mut server = Self {
            version: hello.version.0,
            cipher: hello.cipher.0,
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
        TlsCipherSuite::from_id(self.cipher).map(|suite| suite.name)
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
