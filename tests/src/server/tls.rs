//! Certificates, and the TLS side of the scenario server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    AlpnError, SslAcceptor, SslMethod, SslOptions, SslVerifyMode, SslVersion, select_next_proto,
};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name, X509NameBuilder};

use crate::net::{SERVER_V4, SERVER_V6};

/// Names in a long certificate, more than fit into a packet.
const LONG: u32 = 60;

/// What the server's certificate is to be.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// Name in the certificate.
    #[arg(long, default_value = "localhost")]
    pub name: String,
    /// Days until the certificate expires; negative: since it did.
    #[arg(long, default_value_t = 30, allow_negative_numbers = true)]
    pub days: i32,
    /// Puts so many names into the certificate that it does not fit into a packet.
    #[arg(long)]
    pub long_certificate: bool,
    /// Has an authority issue it, instead of signing it itself.
    #[arg(long)]
    pub issued: bool,
    /// Gives the certificate a serial number below zero, as SQL Server's self-made ones have by chance.
    #[arg(long)]
    pub negative_serial: bool,
    /// Writes the certificate, or that of its authority, here, in PEM.
    #[arg(long, value_name = "FILE")]
    pub certificate_out: Option<PathBuf>,
}

/// A certificate and its key, made for one run.
pub struct Certificate {
    own: X509,
    key: PKey<Private>,
    /// Of whoever has issued it.
    authority: X509,
}

impl Certificate {
    /// Makes one for `name` that signs itself, valid for `days` days from now.
    pub fn self_signed(name: &str, days: i32) -> Result<Self> {
        Self::make(&Wanted {
            name: name.to_owned(),
            days,
            long_certificate: false,
            issued: false,
            negative_serial: false,
            certificate_out: None,
        })
    }

    /// Makes one, and whatever authority issues it.
    pub fn make(wanted: &Wanted) -> Result<Self> {
        let key = key()?;
        if wanted.issued {
            let name = "Authority of the tests";
            let authority = Self::self_signed(name, 30)?;
            let own = certificate(wanted, &key, name, &authority.key)?;
            let authority = authority.own;
            return Ok(Self {
                own,
                key,
                authority,
            });
        }
        let own = certificate(wanted, &key, &wanted.name, &key)?;
        Ok(Self {
            authority: own.clone(),
            own,
            key,
        })
    }

    /// The authority's certificate in PEM, its own where it signs itself.
    pub fn authority_pem(&self) -> Result<Vec<u8>> {
        Ok(self.authority.to_pem()?)
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> Result<Vec<u8>> {
        Ok(self.own.to_pem()?)
    }

    /// The private key in PEM (PKCS #8).
    pub fn key_pem(&self) -> Result<Vec<u8>> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }
}

/// RSA, because TLS 1.0 clients know no other.
fn key() -> Result<PKey<Private>> {
    Ok(PKey::from_rsa(Rsa::generate(2048)?)?)
}

fn common_name(name: &str) -> Result<X509Name> {
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", name)?;
    Ok(subject.build())
}

fn certificate(
    wanted: &Wanted,
    key: &PKey<Private>,
    issuer: &str,
    issuers: &PKey<Private>,
) -> Result<X509> {
    let mut serial = BigNum::new()?;
    serial.rand(128, MsbOption::MAYBE_ZERO, false)?;
    serial.set_negative(wanted.negative_serial);
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&*common_name(&wanted.name)?)?;
    builder.set_issuer_name(&*common_name(issuer)?)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*in_days(wanted.days.min(0) - 30)?)?;
    builder.set_not_after(&*in_days(wanted.days)?)?;
    if wanted.name == issuer {
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    }
    let mut names = SubjectAlternativeName::new();
    for number in 0..if wanted.long_certificate { LONG } else { 0 } {
        names.dns(&format!("instance-{number:02}.of-a-server-farm.example"));
    }
    let names = names
        .dns(&wanted.name)
        .ip(&IpAddr::V4(Ipv4Addr::LOCALHOST).to_string())
        .ip(&IpAddr::V6(Ipv6Addr::LOCALHOST).to_string())
        .ip(SERVER_V4)
        .ip(SERVER_V6)
        .build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(issuers, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// That many days from now.
fn in_days(days: i32) -> Result<Asn1Time> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let at = i64::try_from(now)? + i64::from(days) * 24 * 60 * 60;
    Ok(Asn1Time::from_unix(at)?)
}

/// What the server offers in a TLS handshake.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Oldest version accepted.
    pub min: SslVersion,
    /// Newest version accepted.
    pub max: SslVersion,
    /// Cipher suites up to TLS 1.2, as OpenSSL lists them.
    pub ciphers: &'a str,
    /// Groups, as OpenSSL lists them.
    pub groups: Option<&'a str>,
    /// Signatures, as OpenSSL lists them.
    pub signatures: Option<&'a str>,
    /// Session tickets sent after a TLS 1.3 handshake.
    pub tickets: usize,
    /// Selects ALPN `tds/8.0` where the client offers it.
    pub alpn: bool,
    /// Asks the client for a certificate, and takes any, or none.
    pub ask_client_certificate: bool,
}

/// Prepares the server side of handshakes.
pub fn acceptor(certificate: &Certificate, policy: Policy<'_>) -> Result<SslAcceptor> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1 | SslOptions::NO_TLSV1_3);
    builder.set_min_proto_version(Some(policy.min))?;
    builder.set_max_proto_version(Some(policy.max))?;
    // Level 0, for TLS 1.0 and 1.1 sign their key exchange with SHA-1.
    builder.set_cipher_list(&format!("{}:@SECLEVEL=0", policy.ciphers))?;
    if let Some(groups) = policy.groups {
        builder.set_groups_list(groups)?;
    }
    if let Some(signatures) = policy.signatures {
        builder.set_sigalgs_list(signatures)?;
    }
    builder.set_num_tickets(policy.tickets)?;
    builder.set_session_id_context(b"scenario")?;
    builder.set_certificate(&certificate.own)?;
    builder.set_private_key(&certificate.key)?;
    if policy.alpn {
        builder.set_alpn_select_callback(|_, offered| {
            select_next_proto(b"\x07tds/8.0", offered).ok_or(AlpnError::NOACK)
        });
    }
    if policy.ask_client_certificate {
        builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    }
    Ok(builder.build())
}
