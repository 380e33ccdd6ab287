//! One run of one fault: servers, healthy logins, and the login that goes wrong.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::drivers::{Driver, Encrypt, Errand, Login};
use crate::lab::client::Client;
use crate::lab::draw::Draw;
use crate::lab::resolver::Resolver;
use crate::lab::site::{PORT, Place, Site};
use crate::peer::{Peer, workspace};
use crate::process::Running;

/// How long anything may take that comes by itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// What the server says of a client that it has accepted, after its port.
const ACCEPTED: &str = "at accept";
/// Drivers whose healthy logins go along.
const HEALTHY: [Driver; 7] = [
    Driver::Tsql,
    Driver::Pymssql,
    Driver::PythonTds,
    Driver::Odbc,
    Driver::FreetdsOdbc,
    Driver::MssqlTds,
    Driver::Tedious,
];

/// The line in which a cause is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Of the login.
    Login,
    /// Of the connection's end.
    Close,
    /// Of the attempt that it is part of.
    Attempt,
    /// Of the login, as told by the agent on the server's host.
    AtServer,
}

impl Line {
    /// Name of the event.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Login | Self::AtServer => "login",
            Self::Close => "close",
            Self::Attempt => "attempt",
        }
    }
}

/// A login whose truth is known.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The process that made it.
    pub(crate) process: u32,
    /// Address of the server.
    pub(crate) server: String,
    /// Who made it.
    pub(crate) driver: String,
    /// Whether it went wrong.
    pub(crate) faulty: bool,
    /// How its client fared, for whoever looks into it.
    pub(crate) output: String,
}

/// A run, while it goes on.
pub(crate) struct Trial<'a> {
    /// Where it happens.
    pub(crate) site: &'a Site,
    /// Its addresses.
    pub(crate) place: Place,
    /// What is left to chance.
    pub(crate) draw: Draw,
    /// Number of the run, from 0: each has another driver.
    pub(crate) number: u64,
    /// The logins whose truth is known so far.
    pub(crate) known: Vec<Known>,
    /// The name server that its clients ask, where they do.
    pub(crate) resolver: Option<Resolver>,
}

impl Trial<'_> {
    /// The driver of this run, of those that can meet the fault.
    pub(crate) fn driver(&self, of: &[Driver]) -> Driver {
        of[(self.number % of.len() as u64) as usize]
    }

    /// A server with these options.
    pub(crate) fn server(&self, options: &[&str]) -> Result<Peer> {
        self.server_at(&self.place.server().to_string(), options)
    }

    /// The same at another address.
    pub(crate) fn server_at(&self, address: &str, options: &[&str]) -> Result<Peer> {
        let listen = format!("{address}:{PORT}");
        let name = self.place.name();
        let own = ["--listen", &listen, "--name", &name, "--say-steps"];
        Peer::scenario(Some(self.site.servers()), &[&own[..], options].concat())
    }

    /// A login by name, encrypted in one of the ways that a driver knows.
    pub(crate) fn login(&mut self, driver: Driver) -> Login {
        let ways = encryptions(driver);
        let encrypt = self.draw.one(ways);
        Login::to(self.place.name(), PORT, encrypt)
    }

    /// The same with TLS.
    pub(crate) fn encrypted(&mut self, driver: Driver) -> Login {
        let mut login = self.login(driver);
        if login.encrypt == Encrypt::None {
            login.encrypt = Encrypt::On;
        }
        login
    }

    /// The same by NTLM.
    pub(crate) fn by_ntlm(&mut self, driver: Driver) -> Login {
        let mut login = self.login(driver);
        login.auth = "ntlm";
        r"LAB\alice".clone_into(&mut login.user);
        login
    }

    /// Lets healthy clients log in, one after the other. They make one connection each.
    pub(crate) fn healthy(&mut self, count: u64) -> Result<()> {
        self.healthy_by(count, &HEALTHY, |_| {})
    }

    /// The same of these drivers, and what else they do.
    pub(crate) fn healthy_by(
        &mut self,
        count: u64,
        drivers: &[Driver],
        prepare: impl Fn(&mut Login),
    ) -> Result<()> {
        for _ in 0..count {
            let driver = self.draw.one(drivers);
            let mut login = self.login(driver);
            login.timeout = 60;
            if self.draw.percent(20) {
                login.errand = Errand::Leave;
            }
            prepare(&mut login);
            let client = Client::start(self.site, driver, &login, self.resolver())?;
            let leaves = login.errand == Errand::Leave;
            let process = client.pid();
            let fared = client.fares()?;
            ensure!(
                fared.ok || leaves,
                "a healthy login by {driver:?} failed: {}",
                fared.output
            );
            self.keep(process, driver, false, &fared.output);
        }
        Ok(())
    }

    /// Starts the client that things go wrong for.
    pub(crate) fn start(&self, driver: Driver, login: &Login) -> Result<Client> {
        Client::start(self.site, driver, login, self.resolver())
    }

    /// Another program on the clients' host.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.site.client(Path::new(name), self.resolver())
    }

    /// Lets the tests' own client do at the server what no driver does, and remembers it.
    pub(crate) fn own_client(&mut self, arguments: &[&str]) -> Result<()> {
        let mut client = self.program("python3");
        client.arg(workspace().join("tests/drivers/certificate.py"));
        client.args([&self.place.name(), &PORT.to_string()]);
        let running = Running::start(client.args(arguments))?;
        let process = running.pid();
        running.end(LIMIT)?;
        self.keep(process, "certificate.py", true, "");
        Ok(())
    }

    fn resolver(&self) -> Option<&Path> {
        self.resolver.as_ref().map(Resolver::file)
    }

    /// From now on clients ask a name server, which is told this, and which they use as these words say
    /// (`resolv.conf(5)`).
    pub(crate) fn asks_for_names(&mut self, words: &str, options: &[&str]) -> Result<()> {
        self.is_told(self.place.server(), words, options)
    }

    /// The same, and that the server has another address.
    pub(crate) fn is_told(
        &mut self,
        address: Ipv4Addr,
        words: &str,
        options: &[&str],
    ) -> Result<()> {
        let host = (self.site.servers(), self.place.server());
        let names = [self.place.name(), self.place.alias()];
        let told = (&names[..], address);
        self.resolver = Some(Resolver::new(host, told, words, options)?);
        Ok(())
    }

    /// Lets that client go wrong to its end, and remembers it.
    pub(crate) fn goes_wrong(&mut self, driver: Driver, login: &Login) -> Result<()> {
        let client = self.start(driver, login)?;
        let process = client.pid();
        let output = client.ends()?;
        self.keep(process, driver, true, &output);
        Ok(())
    }

    /// Remembers what a client's login to the usual server was.
    pub(crate) fn keep(&mut self, process: u32, driver: impl Debug, faulty: bool, output: &str) {
        self.known.push(Known {
            process,
            server: self.place.server().to_string(),
            driver: format!("{driver:?}"),
            faulty,
            output: output.to_owned(),
        });
    }
}

/// Waits until so many clients of a server have come to a step, or are past it.
pub(crate) fn came(server: &mut Peer, step: &str, count: usize) -> Result<()> {
    let reached = server.wait(LIMIT, |lines| reached(lines, step) >= count);
    if !reached {
        bail!("fewer than {count} clients {step}: {:#?}", server.lines());
    }
    Ok(())
}

/// Waits for the client that comes after so many others; its port.
pub(crate) fn arrives(server: &mut Peer, before: u64) -> Result<String> {
    came(server, ACCEPTED, before as usize + 1)?;
    let lines = server.lines();
    let mut ports = lines.iter().filter_map(|line| {
        let port = line.strip_suffix(ACCEPTED)?.strip_prefix("port ")?;
        Some(port.trim().to_owned())
    });
    ports.nth(before as usize).context("a client without port")
}

/// Waits until the server says exactly this.
pub(crate) fn says(server: &mut Peer, line: &str) -> Result<()> {
    let said = server.wait(LIMIT, |lines| lines.iter().any(|said| said == line));
    ensure!(
        said,
        "the server does not say {line:?}: {:#?}",
        server.lines()
    );
    Ok(())
}

/// How many clients have come to a step, such as `at login` or `past login`.
fn reached(lines: &[String], step: &str) -> usize {
    lines
        .iter()
        .filter(|line| line.starts_with("port ") && line.ends_with(step))
        .count()
}

/// Waits for something that others do.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while !done() {
        if Instant::now() > end {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How a driver can ask for encryption inside TDS 7.
fn encryptions(driver: Driver) -> &'static [Encrypt] {
    use Encrypt::{None, Off, On};
    match driver {
        Driver::Odbc | Driver::MssqlTds => &[Off, On],
        Driver::Tedious => &[None, On],
        _ => &[None, Off, On],
    }
}
