//! The facts of a server certificate (RFC 5280) that explain a slow or refused login.

use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    objects::{oid_registry, oid2sn},
    prelude::FromDer,
    public_key::PublicKey,
};

use super::Malformed;

/// What a certificate says of itself. Nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Subject, as a distinguished name.
    pub subject: String,
    /// Issuer, as a distinguished name.
    pub issuer: String,
    /// Start of validity, in seconds since the Unix epoch.
    pub not_before: i64,
    /// End of validity, in seconds since the Unix epoch.
    pub not_after: i64,
    /// Signature algorithm by its registered name, or its object identifier.
    pub signature_algorithm: String,
    /// Size of the public key, in bits, where the algorithm has one.
    pub key_bits: Option<usize>,
    /// Whether it names itself as its issuer.
    pub self_signed: bool,
    /// Hosts a client may contact to check it: revocation lists, OCSP, issuers' certificates.
    pub crl_hosts: Vec<String>,
}

impl Certificate {
    /// Decodes a certificate from DER.
    pub fn decode(der: &[u8]) -> Result<Self, Malformed> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_error| Malformed {
            at: 0,
            what: "not an X.509 certificate",
        })?;
        Ok(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            signature_algorithm: algorithm_name(&certificate),
            key_bits: key_bits(&certificate),
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            crl_hosts: crl_hosts(&certificate),
        })
    }
}

fn algorithm_name(certificate: &X509Certificate<'_>) -> String {
    let oid = certificate.signature_algorithm.oid();
    oid2sn(oid, oid_registry()).map_or_else(|_unnamed| oid.to_id_string(), str::to_owned)
}

fn key_bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(significant_bits(key.modulus)),
        // The size counts whole bytes of a coordinate, and P-521 does not fill them.
        PublicKey::EC(point) => Some(match point.key_size() {
            528 => 521,
            bits => bits,
        }),
        PublicKey::DSA(y) => Some(significant_bits(y)),
        _ => None,
    }
    .filter(|&bits| bits > 0)
}

fn significant_bits(number: &[u8]) -> usize {
    let Some(first) = number.iter().position(|&byte| byte != 0) else {
        return 0;
    };
    (number.len() - first) * 8 - number[first].leading_zeros() as usize
}

fn crl_hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::CRLDistributionPoints(points) => {
                for point in points.iter() {
                    if let Some(DistributionPointName::FullName(names)) = &point.distribution_point
                    {
                        names.iter().for_each(|name| push_host(&mut hosts, name));
                    }
                }
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                access
                    .iter()
                    .for_each(|access| push_host(&mut hosts, &access.access_location));
            }
            _ => {}
        }
    }
    hosts
}

fn push_host(hosts: &mut Vec<String>, name: &GeneralName<'_>) {
    let GeneralName::URI(uri) = name else {
        return;
    };
    let Some(host) = uri_host(uri) else {
        return;
    };
    if hosts.len() < MAX_HOSTS && !hosts.iter().any(|known| known == host) {
        hosts.push(host.to_owned());
    }
}

/// The host of `scheme://user@host:port/path`, or `None` when it names none (`ldap:///CN=…`).
fn uri_host(uri: &str) -> Option<&str> {
    let (_scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

// Real certificates name two or three.
const MAX_HOSTS: usize = 8;
