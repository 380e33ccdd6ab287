//! Certificates that were read: a server shows the same one at every login.

use foldhash::HashMap;

use crate::{
    record::{Calendar, Certificate, Text},
    tds::certificate,
};

/// Certificates remembered: of more servers than most hosts talk to.
const MAX_REMEMBERED: usize = 32;

/// What the last certificates said, by their DER.
#[derive(Debug, Default)]
pub(super) struct Certificates(HashMap<Vec<u8>, Option<Certificate>>);

impl Certificates {
    /// What a certificate says; nothing where it is unreadable.
    pub(super) fn read(&mut self, der: &[u8]) -> Option<Certificate> {
        if let Some(known) = self.0.get(der) {
            return known.clone();
        }
        let read = certificate::Certificate::decode(der).ok();
        let read = read.as_ref().map(describe);
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(der.to_vec(), read.clone());
        read
    }
}

fn describe(certificate: &certificate::Certificate) -> Certificate {
    Certificate {
        subject: Some(Text::from(certificate.subject.as_str())),
        issuer: Some(Text::from(certificate.issuer.as_str())),
        not_before: Calendar::from_unix_seconds(certificate.not_before),
        not_after: Calendar::from_unix_seconds(certificate.not_after),
        signature_algorithm: Some(Text::from(certificate.signature_algorithm.as_str())),
        key_bits: certificate
            .key_bits
            .and_then(|bits| u32::try_from(bits).ok()),
        self_signed: Some(certificate.self_signed),
        subject_alt_names: certificate
            .subject_alt_names
            .iter()
            .take(Certificate::MAX_NAMES)
            .map(|name| Text::from(name.as_str()))
            .collect(),
        serial_negative: Some(certificate.serial_negative),
        // Not the certificate's own: of the message that it came in.
        chain_length: None,
        crl_hosts: certificate
            .crl_hosts
            .iter()
            .take(Certificate::MAX_CRL_HOSTS)
            .map(|host| Text::from(host.as_str()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &[u8] = include_bytes!("../../tds/samples/certificate_ec_self_signed.bin");

    #[test]
    fn a_certificate_says_the_same_when_it_is_shown_again() {
        let mut certificates = Certificates::default();
        let first = certificates.read(EC);
        assert!(first.is_some());
        assert_eq!(certificates.read(EC), first);
        assert_eq!(certificates.read(&EC[..100]), None);
        assert_eq!(certificates.0.len(), 2);
    }

    #[test]
    fn no_more_than_a_few_are_remembered() {
        let mut certificates = Certificates::default();
        for number in 0..1000_u32 {
            certificates.read(&number.to_be_bytes());
            assert!(certificates.0.len() <= MAX_REMEMBERED);
        }
        assert!(certificates.read(EC).is_some());
    }
}
