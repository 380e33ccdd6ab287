//! The server and the client of the demo, which others wrote: the mock server that the tests'
//! package wraps, and `tsql`.

use std::{
    fs::File,
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    netns::Namespace,
    process::{cargo, run, target},
};

/// Under which the tests' package builds the peers that others wrote.
pub(crate) const FEATURE: &str = "tds-tracer-tests/peers";

/// How the server answers the client's question about encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// Everything in clear.
    None,
    /// TLS wrapped in TDS, offered and taken.
    Full,
}

/// A mock server, serving one port until it is dropped.
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
        let log = File::create(target().join(format!("demo-server-{}.log", address.port())))?;
        let child = namespace
            .command(target().join("debug/mock-server"))
            .args(["--mode", mode, "--listen", &address.to_string()])
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

/// Builds all programs of the workspace. In one selection: another one would unify the features of
/// the dependencies in another way, and build them again.
pub(crate) fn build_all() -> Result<()> {
    run(&mut cargo(["build", "--workspace", "--features", FEATURE]))
}

/// Builds what the demo shows: the agent and the server.
pub(crate) fn build_demo() -> Result<()> {
    let mut build = cargo([
        "build",
        "--package",
        "tracer",
        "--package",
        "tds-tracer-tests",
    ]);
    build.args(["--features", "tds-tracer-tests/mock"]);
    run(build.args(["--bin", "tds-tracer", "--bin", "mock-server"]))
}

/// Installs the clients that neither Debian nor cargo's registry has; says what it does.
pub(crate) fn install_clients() -> Result<()> {
    build_all()?;
    run(&mut Command::new(target().join("debug/install-peers")))
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
    // A request proves also under TLS that the login succeeded.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(b"select 1\ngo\nexit\n")?;
    }
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
