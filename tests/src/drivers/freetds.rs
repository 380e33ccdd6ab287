//! What `FreeTDS` reads of a login from a file.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Check, Encrypt, Login};
use crate::kdc;

/// A configuration file of `FreeTDS` for one login, gone afterwards.
pub(super) struct Freetds(pub(super) PathBuf);

impl Freetds {
    pub(super) fn write(login: &Login) -> Result<Self> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tds-tracer-{}-{count}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        let encryption = match login.encrypt {
            Encrypt::None => "off",
            Encrypt::Off => "request",
            Encrypt::On => "require",
            Encrypt::Strict => "strict",
        };
        let Login {
            host,
            port,
            instance,
            timeout,
            ..
        } = login;
        let place = match instance {
            Some(instance) => format!("instance = {instance}"),
            None => format!("port = {port}"),
        };
        let authority = match &login.certificate {
            Some(path) => format!("ca file = {}\n", path.display()),
            None => String::new(),
        };
        let name = if login.check == Check::Name {
            "yes"
        } else {
            "no"
        };
        let text = format!(
            "[global]\ntds version = 7.4\nconnect timeout = {timeout}\n\n\
             [scenario]\nhost = {host}\n{place}\nencryption = {encryption}\n\
             check certificate hostname = {name}\nspn = {}\n{authority}",
            kdc::SPN
        );
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Another file of the same login.
    pub(super) fn beside(&self, extension: &str, text: &str) -> Result<Self> {
        let path = self.0.with_extension(extension);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Freetds {
    fn drop(&mut self) {
        // In a temporary directory, where a file left behind does no harm.
        std::fs::remove_file(&self.0).ok();
    }
}
