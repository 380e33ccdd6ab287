//! Kerberos: MIT's KDC with one user and one SQL Server, on loopback and in a directory of its own.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::drivers::PASSWORD;
use crate::net::Namespace;
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
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let kdc = Self::create(None, (own, own), user, &[SPN])?;
        // Fetched here, for hosts of the tests do not reach the KDC.
        kdc.directory.run("kvno", &[SPN], "")?;
        Ok(kdc)
    }

    /// Starts it on a host where it listens at the first address and is asked at the second, knowing these services.
    /// [`USER`] has no ticket for any of them yet.
    pub fn start_on(
        host: &Namespace,
        places: (SocketAddr, SocketAddr),
        services: &[&str],
    ) -> Result<Self> {
        Self::create(Some(host), places, USER, services)
    }

    fn create(
        host: Option<&Namespace>,
        (listens, asked): (SocketAddr, SocketAddr),
        user: &str,
        services: &[&str],
    ) -> Result<Self> {
        let mut directory = Directory::new()?;
        directory.write("krb5.conf", &configuration(asked))?;
        directory.write("kdc.conf", &kdc_configuration(directory.path(), listens))?;
        let create = ["create", "-s", "-r", REALM, "-P", "master"];
        directory.run("kdb5_util", &create, "")?;
        let keytabs = [Key::Former, Key::Current].map(|key| directory.file(key.file()));
        let mut requests = vec![vec!["add_principal", "-pw", PASSWORD, user]];
        for service in services {
            requests.push(vec!["add_principal", "-randkey", service]);
            // Each takes a new key.
            requests.extend(
                keytabs
                    .each_ref()
                    .map(|to| vec!["ktadd", "-k", to, service]),
            );
        }
        for request in requests {
            let arguments = [&["-r", REALM], &request[..]].concat();
            directory.run("kadmin.local", &arguments, "")?;
        }
        directory.host = host.map(|host| {
            let enter = host.command("env");
            let before = enter.get_args().map(OsStr::to_os_string);
            (enter.get_program().to_os_string(), before.collect())
        });
        let running = Running::start(directory.command("krb5kdc").arg("-n"))?;
        if !running.wait_errors("commencing operation", LIMIT) {
            bail!("the KDC does not start: {}", running.errors());
        }
        directory.run("kinit", &[user], &format!("{PASSWORD}\n"))?;
        Ok(Self {
            _running: running,
            directory,
        })
    }

    /// What a client needs: the user's tickets.
    pub fn client(&self) -> Environment {
        self.directory.environment()
    }

    /// The same of a client whose clock is so many seconds behind the KDC's: to what its tickets' file says of that
    /// (MIT's format of such files, version 4, tag 1) the client sets its clock.
    pub fn client_behind(&self, seconds: i32) -> Result<Environment> {
        let path = self.directory.file("tickets");
        let mut bytes = std::fs::read(&path)?;
        let offset = bytes.get_mut(8..12).context("no file of tickets")?;
        offset.copy_from_slice(&(-seconds).to_be_bytes());
        std::fs::write(&path, bytes)?;
        Ok(self.client())
    }

    /// The same of a client that asks for tickets at another address.
    pub fn client_asking(&self, other: SocketAddr) -> Result<Environment> {
        self.directory.write("krb5.conf", &configuration(other))?;
        Ok(self.client())
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
fn configuration(asked: SocketAddr) -> String {
    format!(
        "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\n\
         dns_lookup_realm = false\ndns_canonicalize_hostname = false\nrdns = false\n\
         udp_preference_limit = 1\n\n\
         [realms]\n{REALM} = {{\nkdc = {asked}\n}}\n"
    )
}

fn kdc_configuration(directory: &Path, listens: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "[kdcdefaults]\nkdc_listen = {listens}\nkdc_tcp_listen = {listens}\n\n\
         [realms]\n{REALM} = {{\ndatabase_name = {directory}/principal\n\
         key_stash_file = {directory}/stash\n}}\n\n[logging]\nkdc = STDERR\n"
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
struct Directory {
    path: PathBuf,
    /// Where it runs, if not on this host.
    host: Option<Enter>,
}

/// How a command gets onto a host: the program, and what comes before the command.
type Enter = (OsString, Vec<OsString>);

impl Directory {
    fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tds-tracer-{}-{count}.kdc", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, host: None })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.path.join(name), text)?)
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
        let mut command = match &self.host {
            Some((enter, before)) => {
                let mut command = Command::new(enter);
                command.args(before).arg(program);
                command
            }
            None => Command::new(program),
        };
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
        std::fs::remove_dir_all(&self.path).ok();
    }
}
