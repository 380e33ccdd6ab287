//! The facts of a server certificate (RFC 5280) that explain a slow or refused login.

use std::net::IpAddr;

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
    /// DNS names and addresses it is for, besides the subject; at most [`Certificate::MAX_NAMES`].
    pub subject_alt_names: Vec<String>,
    /// Its serial number is negative, which RFC 5280 section 4.1.2.2 forbids and some clients refuse.
    pub serial_negative: bool,
    /// Hosts a client may contact to check it: revocation lists, OCSP, issuers' certificates.
    pub crl_hosts: Vec<String>,
}

impl Certificate {
    /// More names are not listed.
    pub const MAX_NAMES: usize = 16;

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
            subject_alt_names: subject_alt_names(&certificate),
            serial_negative: certificate
                .raw_serial()
                .first()
                .is_some_and(|byte| byte & 0x80 != 0),
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

fn subject_alt_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    // Two such extensions, or one that does not parse, name nothing.
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
            _ => None,
        });
    names.take(Certificate::MAX_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn crl_hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::CRLDistributionPoints(points) => {
                for point in points.iter() {
                    if let Some(DistributionPointName::FullName(names)) = &point.distribution_point
                    {
                        for name in names {
                            push_host(&mut hosts, name);
                        }
                    }
                }
            }
            ParsedExtension::AuthorityInfoAccess(access) => {
                for access in access.iter() {
                    push_host(&mut hosts, &access.access_location);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &[u8] = include_bytes!("samples/certificate_ec_self_signed.bin");
    const RSA: &[u8] = include_bytes!("samples/certificate_rsa_issued.bin");

    #[test]
    fn a_self_signed_certificate_tells_all_its_facts() {
        let certificate = Certificate::decode(EC).unwrap();
        assert_eq!(certificate.subject, "CN=sql1.lab.test, O=Lab");
        assert_eq!(certificate.issuer, certificate.subject);
        assert!(certificate.self_signed);
        assert_eq!(certificate.signature_algorithm, "ecdsa-with-SHA256");
        assert_eq!(certificate.key_bits, Some(521));
        assert_eq!(certificate.not_before, 1_795_380_547);
        assert_eq!(
            certificate.not_after - certificate.not_before,
            3650 * 86_400
        );
        assert_eq!(
            certificate.crl_hosts,
            ["crl.lab.test", "crl2.lab.test", "ocsp.lab.test"]
        );
    }

    #[test]
    fn an_issued_certificate_is_not_self_signed() {
        let certificate = Certificate::decode(RSA).unwrap();
        assert_eq!(certificate.subject, "CN=sql2.lab.test");
        assert!(!certificate.self_signed);
        assert_eq!(certificate.key_bits, Some(2048));
        assert!(certificate.crl_hosts.is_empty());
        assert!(!certificate.serial_negative);
    }

    #[test]
    fn a_certificate_lists_the_names_it_is_for() {
        let certificate = Certificate::decode(EC).unwrap();
        assert_eq!(certificate.subject_alt_names, ["sql1.lab.test"]);
    }

    #[test]
    fn a_negative_serial_number_is_told() {
        let mut der = EC.to_vec();
        let (_, certificate) = X509Certificate::from_der(EC).unwrap();
        let serial = certificate.raw_serial().as_ptr() as usize - EC.as_ptr() as usize;
        der[serial] |= 0x80;
        assert!(Certificate::decode(&der).unwrap().serial_negative);
    }

    #[test]
    fn addresses_have_four_or_sixteen_bytes() {
        assert_eq!(address(&[10, 0, 0, 1]), Some(IpAddr::from([10, 0, 0, 1])));
        assert!(address(&[0; 16]).is_some_and(|address| address.is_ipv6()));
        assert_eq!(address(&[1, 2, 3]), None);
    }

    #[test]
    fn a_certificate_cut_short_is_malformed() {
        for len in [0, 1, 4, EC.len() / 2, EC.len() - 1] {
            assert!(Certificate::decode(&EC[..len]).is_err());
        }
    }

    #[test]
    fn hosts_come_without_scheme_port_user_or_brackets() {
        for (uri, host) in [
            ("http://crl.example/a.crl", Some("crl.example")),
            ("http://user@crl.example:8080?q", Some("crl.example")),
            ("http://[2001:db8::1]:80/a", Some("2001:db8::1")),
            ("ldap:///CN=ca", None),
            ("crl.example", None),
        ] {
            assert_eq!(uri_host(uri), host);
        }
    }
}
