//! The real server and client of the demo. Nobody here wrote them.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    netns::Namespace,
    process::{cargo, command, output, run, target},
    setup::say,
};

const MOCK_SERVER: &str = "mssql-mock-tds";
const MOCK_SERVER_VERSION: &str = "0.3.0";

/// How the server answers the client's question about encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// Everything in clear.
    None,
    /// TLS wrapped in TDS, offered and taken.
    Full,
}

/// Microsoft's mock server, serving one port.
pub(crate) struct MockServer(Child);

impl MockServer {
    /// Starts it in that namespace and waits until it listens.
    pub(crate) fn start(
        namespace: &Namespace,
        address: SocketAddr,
        encryption: Encryption,
    ) -> Result<Self> {
        let mode = match encryption {
            Encryption::None => "none",
            Encryption::Full => "optional",
        };
        let (certificate, key) = certificate()?;
        let log = File::create(target().join(format!("peers/server-{}.log", address.port())))?;
        let child = namespace
            .command(mock_server())
            .args(["--tls-mode", mode])
            .args(["--host", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .arg("--cert")
            .arg(certificate)
            .arg("--key")
            .arg(key)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start the mock server")?;
        let server = Self(child);
        namespace.wait_for_listener(address.port())?;
        Ok(server)
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        // It holds nothing worth a farewell.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Builds the mock server under `target/peers` unless it is there; returns the number of steps.
pub(crate) fn ensure_mock_server() -> Result<usize> {
    if mock_server().is_file() {
        return Ok(0);
    }
    say("building Microsoft's mock server for tests (two minutes)");
    run(
        cargo(["install", MOCK_SERVER, "--version", MOCK_SERVER_VERSION])
            .args(["--locked", "--root"])
            .arg(target().join("peers")),
    )?;
    Ok(1)
}

/// A self-signed certificate and its key, made when they are not there yet.
fn certificate() -> Result<(PathBuf, PathBuf)> {
    let folder = target().join("peers");
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    if !certificate.is_file() {
        let mut make = command("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        make.args(["-days", "3650", "-subj", "/CN=sql.example", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        output(&mut make)?;
    }
    Ok((certificate, key))
}

fn mock_server() -> PathBuf {
    target().join("peers/bin").join(MOCK_SERVER)
}

/// One login by `tsql`.
pub(crate) fn tsql_login(namespace: &Namespace, server: SocketAddr) -> Result<()> {
    let mut command = namespace.command("tsql");
    command
        .args(["-H", &server.ip().to_string()])
        .args(["-p", &server.port().to_string()])
        .args(["-U", "sa", "-P", "not-a-secret"])
        .env("TDSVER", "7.4")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().context("cannot start tsql")?;
    // Dropped at once: the end of its input ends tsql after the login.
    drop(child.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("tsql did not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
