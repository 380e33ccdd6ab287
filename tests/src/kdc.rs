//! Kerberos: MIT's KDC with one user and one SQL Server, on loopback and in a directory of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::drivers::PASSWORD;
use crate::process::{Running, run};

const REALM: &str = "LAB.TEST";
/// The user that has a ticket.
pub const USER: &str = "alice";
/// The service that the ticket is for. Clients are told it: in a namespace no name resolves.
pub const SPN: &str = "MSSQLSvc/scenario.lab.test:1433";
const LIMIT: Duration = Duration::from_secs(20);

/// Variables of an environment.
pub type Environment = Vec<(&'static str, String)>;

/// The key that a server checks tickets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The one that the KDC makes tickets with.
    Current,
    /// The one before it, as on a server that missed a change of its password.
    Former,
}

impl Key {
    fn file(self) -> &'static str {
        match self {
            Self::Current => "current.keytab",
            Self::Former => "former.keytab",
        }
    }
}

/// A running KDC; its directory is removed with it.
pub struct Kdc {
    _running: Running,
    directory: Directory,
}

impl Kdc {
    /// Starts it for [`USER`], who then has a ticket for [`SPN`].
    pub fn start() -> Result<Self> {
        Self::start_for(USER)
    }

    /// The same for a user of another name, which makes the ticket as long as it is.
    pub fn start_for(user: &str) -> Result<Self> {
        let directory = Directory::new()?;
        let port = free_port()?;
        directory.write("krb5.conf", &configuration(port))?;
        directory.write("kdc.conf", &kdc_configuration(directory.path(), port))?;
        let create = ["create", "-s", "-r", REALM, "-P", "master"];
        directory.run("kdb5_util", &create, "")?;
        let keytabs = [Key::Former, Key::Current].map(|key| directory.file(key.file()));
        for request in [
            &["add_principal", "-pw", PASSWORD, user],
            &["add_principal", "-randkey", SPN][..],
            // Each takes a new key.
            &["ktadd", "-k", &keytabs[0], SPN],
            &["ktadd", "-k", &keytabs[1], SPN],
        ] {
            let arguments = [&["-r", REALM], request].concat();
            directory.run("kadmin.local", &arguments, "")?;
        }
        let running = Running::start(directory.command("krb5kdc").arg("-n"))?;
        if !running.wait_errors("commencing operation", LIMIT) {
            bail!("the KDC does not start: {}", running.errors());
        }
        // Fetched here, for hosts of the tests do not reach the KDC.
        directory.run("kinit", &[user], &format!("{PASSWORD}\n"))?;
        directory.run("kvno", &[SPN], "")?;
        Ok(Self {
            _running: running,
            directory,
        })
    }

    /// What a client needs: the user's tickets.
    pub fn client(&self) -> Environment {
        self.directory.environment()
    }

    /// What a server needs: its key.
    pub fn server(&self, key: Key) -> Environment {
        let mut environment = self.directory.environment();
        environment.push(("KRB5_KTNAME", self.directory.file(key.file())));
        environment
    }

    /// Where a server is to write the tokens it gets and gives.
    pub fn token_file(&self) -> String {
        self.directory.file("tokens")
    }

    /// The tokens written there.
    pub fn tokens(&self) -> Result<Vec<Vec<u8>>> {
        let text = std::fs::read_to_string(self.token_file()).context("no tokens were written")?;
        text.lines().map(crate::capture::hex).collect()
    }
}

/// Whether there is no KDC to start; if so, says so, or fails where skipping is a failure.
pub fn missing() -> bool {
    let there = |program: &&str| {
        path()
            .split(':')
            .any(|at| Path::new(at).join(program).exists())
    };
    let programs = ["krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kvno"];
    // The server that takes tickets is built with the peers.
    let missing = !cfg!(feature = "peers") || !programs.iter().all(there);
    if missing {
        crate::root::skip("cargo xtask setup", "Kerberos");
    }
    missing
}

/// Returns from a test, saying so, unless a KDC can be started.
#[macro_export]
macro_rules! kdc_or_skip {
    () => {
        if $crate::kdc::missing() {
            return;
        }
    };
}

/// What clients and servers know: one realm, and never to ask DNS.
fn configuration(port: u16) -> String {
    format!(
        "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\n\
         dns_lookup_realm = false\ndns_canonicalize_hostname = false\nrdns = false\n\
         udp_preference_limit = 1\n\n\
         [realms]\n{REALM} = {{\nkdc = {}:{port}\n}}\n",
        Ipv4Addr::LOCALHOST
    )
}

fn kdc_configuration(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    format!(
        "[kdcdefaults]\nkdc_listen = \"\"\nkdc_tcp_listen = {}:{port}\n\n\
         [realms]\n{REALM} = {{\ndatabase_name = {directory}/principal\n\
         key_stash_file = {directory}/stash\n}}\n\n[logging]\nkdc = STDERR\n",
        Ipv4Addr::LOCALHOST
    )
}

/// Free at this moment, which is all that can be said: the KDC takes no port 0.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Where programs are, with those that Debian keeps for administrators.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

/// A directory of its own, and what runs with its files.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tds-tracer-{}-{count}.kdc", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.0.join(name), text)?)
    }

    /// Nothing of this host's own Kerberos is read or written.
    fn environment(&self) -> Environment {
        vec![
            ("KRB5_CONFIG", self.file("krb5.conf")),
            ("KRB5_KDC_PROFILE", self.file("kdc.conf")),
            ("KRB5CCNAME", format!("FILE:{}", self.file("tickets"))),
            ("KRB5RCACHENAME", format!("file2:{}", self.file("replays"))),
        ]
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", path()).envs(self.environment());
        command
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<()> {
        let (status, output) = run(self.command(program).args(arguments), input, LIMIT)?;
        if !status.success() {
            bail!("{program}: {output}");
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // In a temporary directory, where what is left behind does no harm.
        std::fs::remove_dir_all(&self.0).ok();
    }
}
