//! How the server is set, as its command line says it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use openssl::ssl::SslVersion;

use super::faults::Faults;
use super::packet::kind;
use super::prelogin::Encrypt;
use super::refusal::Refusal;
use super::tls::{Policy, Wanted};
use super::token::Route;

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TlsVersion {
    /// TLS 1.0.
    #[value(name = "1.0")]
    V1_0,
    /// TLS 1.1.
    #[value(name = "1.1")]
    V1_1,
    /// TLS 1.2.
    #[value(name = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[value(name = "1.3")]
    V1_3,
}

impl TlsVersion {
    fn openssl(self) -> SslVersion {
        match self {
            Self::V1_0 => SslVersion::TLS1,
            Self::V1_1 => SslVersion::TLS1_1,
            Self::V1_2 => SslVersion::TLS1_2,
            Self::V1_3 => SslVersion::TLS1_3,
        }
    }
}

/// Ways to log in that the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// User name and password.
    Sql,
    /// NTLM, bare or in SPNEGO.
    Ntlm,
    /// Kerberos, bare or in SPNEGO, by the key that `KRB5_KTNAME` names.
    #[cfg(feature = "peers")]
    Kerberos,
    /// A federated token, at once or on demand.
    Fedauth,
}

/// Everything the server can be told.
#[derive(Args, Clone, Debug)]
pub struct Scenario {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: String,
    /// The server's encryption setting.
    #[arg(long, value_enum, default_value = "off")]
    pub encrypt: Encrypt,
    /// Oldest TLS version to accept.
    #[arg(long, value_enum, default_value = "1.2")]
    pub tls_min: TlsVersion,
    /// Newest TLS version to accept; 1.2, or 1.3 with `--encrypt strict`,
    /// where it is not given.
    #[arg(long, value_enum)]
    pub tls_max: Option<TlsVersion>,
    /// Cipher suites up to TLS 1.2, as OpenSSL lists them.
    #[arg(long, default_value = "ALL:!aNULL")]
    pub ciphers: String,
    /// Groups that it agrees to, as OpenSSL lists them; its own choice where they are not given.
    #[arg(long)]
    pub groups: Option<String>,
    /// Signatures that it makes, as OpenSSL lists them; its own choice where they are not given.
    #[arg(long)]
    pub signatures: Option<String>,
    /// Connections that may wait to be accepted; as many as the kernel allows where it is not given.
    #[arg(long)]
    pub backlog: Option<u16>,
    /// Session tickets after a TLS 1.3 handshake; 0, or 2 with
    /// `--encrypt strict`, where it is not given.
    #[arg(long)]
    pub tls_tickets: Option<usize>,
    /// Does not answer ALPN.
    #[arg(long)]
    pub no_alpn: bool,
    /// Asks clients for a certificate.
    #[arg(long)]
    pub ask_client_certificate: bool,
    /// Packet type around the server's TLS handshake: 18, or 4 as some do.
    #[arg(long, default_value_t = kind::PRELOGIN, value_parser = clap::value_parser!(u8).range(1..=18))]
    pub wrap_reply_type: u8,
    /// Its certificate.
    #[command(flatten)]
    pub certificate: Wanted,
    /// What logins have to bring.
    #[arg(long, value_enum, default_value = "sql")]
    pub auth: Auth,
    /// The only password that is right; any is where it is not given.
    #[arg(long)]
    pub password: Option<String>,
    /// Writes every Kerberos token, of either side, here, a line for each.
    #[arg(long, value_name = "FILE")]
    pub tokens_out: Option<PathBuf>,
    /// Whom it turns away.
    #[command(flatten)]
    pub refusal: Refusal,
    /// Names this partner of a mirrored database.
    #[arg(long, value_name = "NAME")]
    pub partner: Option<String>,
    /// Sends every client on to this place.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_route)]
    pub route: Option<Route>,
    /// With `--route`: to this database, by enhanced routing (type 21).
    #[arg(long, requires = "route")]
    pub route_database: Option<String>,
    /// Offers MARS.
    #[arg(long)]
    pub mars: bool,
    /// Packets of a MARS session that the server takes unacknowledged: not fewer than the 4 that
    /// each side takes to begin with (MC-SMP), for no window may shrink.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(4..))]
    pub mars_window: u32,
    /// Rows in the answer to a batch that says BIGRESULT.
    #[arg(long, default_value_t = 4000)]
    pub big: i32,
    /// What goes wrong.
    #[command(flatten)]
    pub faults: Faults,
}

impl Scenario {
    /// The same where nothing goes wrong after the handshake of TLS.
    #[must_use]
    pub fn healthy(&self) -> Self {
        let faults = Faults {
            say_steps: self.faults.say_steps,
            ..Faults::default()
        };
        Self {
            refusal: Refusal {
                fail_login: None,
                ..self.refusal
            },
            route: None,
            faults,
            ..self.clone()
        }
    }

    /// Whether TLS comes before TDS.
    pub fn strict(&self) -> bool {
        self.encrypt == Encrypt::Strict
    }

    /// What the TLS side offers. Inside TDS 7.x real servers stop at TLS 1.2,
    /// and no ticket may follow the handshake.
    pub fn tls_policy(&self) -> Policy<'_> {
        let max = if self.strict() {
            TlsVersion::V1_3
        } else {
            TlsVersion::V1_2
        };
        let max = self.tls_max.unwrap_or(max);
        Policy {
            min: self.tls_min.min(max).openssl(),
            max: max.openssl(),
            ciphers: &self.ciphers,
            groups: self.groups.as_deref(),
            signatures: self.signatures.as_deref(),
            tickets: self
                .tls_tickets
                .unwrap_or(if self.strict() { 2 } else { 0 }),
            alpn: self.strict() && !self.no_alpn,
            ask_client_certificate: self.ask_client_certificate,
        }
    }

    /// Where clients are sent on to, if they are.
    pub fn route(&self) -> Option<Route> {
        let route = self.route.clone()?;
        Some(Route {
            database: self.route_database.clone(),
            ..route
        })
    }
}

fn parse_route(text: &str) -> Result<Route, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let port = port.parse().map_err(|error| format!("{port}: {error}"))?;
    Ok(Route {
        host: host.to_owned(),
        port,
        database: None,
    })
}
