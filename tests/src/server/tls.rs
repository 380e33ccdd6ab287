//! Certificates, and the TLS side of the scenario server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{
    AlpnError, SslAcceptor, SslMethod, SslOptions, SslVerifyMode, SslVersion, select_next_proto,
};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use crate::net::{SERVER_V4, SERVER_V6};

/// A self-signed certificate and its key, made for one run.
pub struct Certificate {
    certificate: X509,
    key: PKey<Private>,
}

impl Certificate {
    /// Makes a certificate for `name`, for both loopback addresses and for
    /// those of the server's host, valid for `days` days from now. RSA, because TLS 1.0 clients know no other.
    pub fn self_signed(name: &str, days: u32) -> Result<Self> {
        let key = PKey::from_rsa(Rsa::generate(2048)?)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_text("CN", name)?;
        let subject = subject.build();
        let mut serial = BigNum::new()?;
        serial.rand(128, MsbOption::MAYBE_ZERO, false)?;
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&*serial.to_asn1_integer()?)?;
        builder.set_subject_name(&subject)?;
        builder.set_issuer_name(&subject)?;
        builder.set_pubkey(&key)?;
        builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
        builder.set_not_after(&*Asn1Time::days_from_now(days)?)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        let names = SubjectAlternativeName::new()
            .dns(name)
            .ip(&IpAddr::V4(Ipv4Addr::LOCALHOST).to_string())
            .ip(&IpAddr::V6(Ipv6Addr::LOCALHOST).to_string())
            .ip(SERVER_V4)
            .ip(SERVER_V6)
            .build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self {
            certificate: builder.build(),
            key,
        })
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> Result<Vec<u8>> {
        Ok(self.certificate.to_pem()?)
    }

    /// The private key in PEM (PKCS #8).
    pub fn key_pem(&self) -> Result<Vec<u8>> {
        Ok(self.key.private_key_to_pem_pkcs8()?)
    }
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
    builder.set_num_tickets(policy.tickets)?;
    builder.set_session_id_context(b"scenario")?;
    builder.set_certificate(&certificate.certificate)?;
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
