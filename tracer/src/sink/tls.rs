//! TLS towards receivers: whom is trusted, and who the agent says that it is.

use std::{io, path::PathBuf, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// As it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of those who are trusted; whom this host trusts where it is not given.
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate that the agent shows, and those that have signed it.
    pub certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Reads the files. `protocols` are offered by ALPN.
    pub(super) fn open(&self, protocols: &[&[u8]]) -> io::Result<Arc<ClientConfig>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(self.trusted()?);
        let mut config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, &error))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(io::Error::other)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(io::Error::other("`cert` and `key` go together")),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn trusted(&self) -> io::Result<RootCertStore> {
        let mut trusted = RootCertStore::empty();
        let certificates = match &self.ca {
            Some(path) => certificates(path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        // One that can not be read is not trusted.
        let (added, _) = trusted.add_parsable_certificates(certificates);
        if added == 0 {
            let from = match &self.ca {
                Some(path) => path.display().to_string(),
                None => "this host".to_owned(),
            };
            let complaint = format!("{from} has no certificate that could be trusted");
            return Err(io::Error::other(complaint));
        }
        Ok(trusted)
    }
}

fn certificates(path: &PathBuf) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| of(path, &error))
}

fn of(path: &std::path::Path, error: &dyn std::error::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
