//! Clients that others wrote, driven from outside.

mod freetds;
mod install;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use self::freetds::Freetds;
use self::install::node_modules;
pub use self::install::{ensure_clickhouse, ensure_node, ensure_python, python};
use crate::kdc::{self, Environment, Kdc};
use crate::net::Namespace;
use crate::peer::{program, workspace};
use crate::process::run;

/// Packages of the Python clients, of the strict reader of OTLP, and of a collector that takes it, in the versions the
/// tests were written for.
pub const PYTHON_PACKAGES: [&str; 9] = [
    "mssql-python-odbc==18.6.2.2",
    "pyodbc==5.5.0",
    "pymssql==2.4.6",
    "python-tds==1.17.1",
    "pyOpenSSL==26.4.0",
    "pyspnego==0.12.4",
    "opentelemetry-proto==1.45.0",
    "grpcio==1.85.3",
    "rotel==0.0.1a15",
];

/// ClickHouse's engine as a library. What it names beside it is for data frames.
pub const CLICKHOUSE_PACKAGE: &str = "chdb-core==26.9.0";

/// The client that Node.js loads, in the version the tests were written for.
pub const NODE_PACKAGE: &str = "tedious@19.2.2";
/// Where Debian's tdsodbc puts the driver.
const FREETDS_ODBC: &str = "/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so";

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The command line client of `FreeTDS` (Debian: freetds-bin), with `GnuTLS`.
    Tsql,
    /// `FreeTDS` inside a Python module, with `OpenSSL`.
    Pymssql,
    /// A client in pure Python.
    PythonTds,
    /// Microsoft's ODBC driver 18.
    Odbc,
    /// The ODBC driver of `FreeTDS` (Debian: tdsodbc), with `GnuTLS`.
    FreetdsOdbc,
    /// The bulk loader of `FreeTDS` (Debian: freetds-bin), which loads two rows and asks nothing.
    Freebcp,
    /// Microsoft's client in Rust.
    MssqlTds,
    /// The community's client in Rust.
    Tiberius,
    /// The community's client in JavaScript.
    Tedious,
}

/// Encryption as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypt {
    /// Cannot encrypt.
    None,
    /// Would rather not.
    Off,
    /// Wants it.
    On,
    /// TDS 8.0.
    Strict,
}

impl Encrypt {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Off => "off",
            Self::On => "on",
            Self::Strict => "strict",
        }
    }
}

/// What a client does between its login and its query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// Nothing.
    #[default]
    Query,
    /// Asks for something slow, and takes it back after a second.
    TimeOut,
    /// Loads rows in bulk.
    BulkLoad,
    /// Asks nothing at all, and leaves.
    Leave,
    /// Asks nothing for two seconds, and leaves.
    Stay,
    /// Asks, asks nothing for more than a minute, and asks again; of the clients in Python only.
    Idle,
}

impl Errand {
    fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::TimeOut => "time-out",
            Self::BulkLoad => "bulk-load",
            Self::Leave => "leave",
            Self::Stay => "stay",
            Self::Idle => "idle",
        }
    }
}

/// What a client asks of the server's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Whatever the test at hand is about.
    #[default]
    AsEver,
    /// That it is valid, and of the authority of [`Login::certificate`].
    Issuer,
    /// That it is for the server's name, too.
    Name,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::AsEver => "as-ever",
            Self::Issuer => "issuer",
            Self::Name => "name",
        }
    }
}

/// The password or token of every login, which an agent must never keep.
pub const PASSWORD: &str = "S3cret!pw";

/// One login and one query.
#[derive(Clone, Debug)]
pub struct Login {
    /// Name or address of the server.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// The instance that is asked for by name, in place of the port.
    pub instance: Option<String>,
    /// Encryption asked for.
    pub encrypt: Encrypt,
    /// `sql`, `ntlm`, `kerberos`, `token` or `token-on-demand`.
    pub auth: &'static str,
    /// User name; for NTLM with its domain before a backslash.
    pub user: String,
    /// Password or token.
    pub password: String,
    /// Who is asked for the token, by HTTP: of [`Driver::Odbc`] before it connects, of others once the server
    /// wants one.
    pub token_from: Option<String>,
    /// The password that `password` is to replace; of [`Driver::Odbc`] only.
    pub old_password: Option<String>,
    /// Where the client finds its ticket, and whatever else it is told.
    pub environment: Environment,
    /// The server's certificate, which some clients insist on in TDS 8.0; or that of the authority
    /// that has to have issued it.
    pub certificate: Option<PathBuf>,
    /// What the client asks of the server's certificate.
    pub check: Check,
    /// What to ask once logged in.
    pub query: String,
    /// What to do before that.
    pub errand: Errand,
    /// Whether to ask over MARS, in two sessions.
    pub mars: bool,
    /// Whether to try all addresses of a name at once; of [`Driver::Odbc`] only.
    pub several: bool,
    /// Login timeout in seconds.
    pub timeout: u32,
    /// How often to log in, one after the other; of the clients in Python only.
    pub times: u64,
}

impl Login {
    /// A login by password that asks `SELECT 1`.
    pub fn to(host: impl Into<String>, port: u16, encrypt: Encrypt) -> Self {
        Self {
            host: host.into(),
            port,
            instance: None,
            encrypt,
            auth: "sql",
            user: "sa".to_owned(),
            password: PASSWORD.to_owned(),
            token_from: None,
            old_password: None,
            environment: Environment::new(),
            certificate: None,
            check: Check::default(),
            query: "SELECT 1".to_owned(),
            errand: Errand::Query,
            mars: false,
            several: false,
            timeout: 10,
            times: 1,
        }
    }

    /// Logs in by the ticket that the KDC gave, without name or password.
    pub fn by_ticket(&mut self, kdc: &Kdc) {
        self.auth = "kerberos";
        self.user = String::new();
        self.environment = kdc.client();
    }
}

/// How a client fared.
#[derive(Debug)]
pub struct Fared {
    /// Whether it logged in and had its answer.
    pub ok: bool,
    /// What it wrote.
    pub output: String,
}

impl Driver {
    /// Name the kernel knows its process by.
    pub fn process_name(self) -> &'static str {
        match self {
            Self::Tsql => "tsql",
            Self::MssqlTds | Self::Tiberius => "rust-client",
            Self::Freebcp => "freebcp",
            Self::Pymssql | Self::PythonTds | Self::Odbc | Self::FreetdsOdbc => "python",
            Self::Tedious => "node",
        }
    }

    /// Whether the client is installed or built.
    pub fn available(self) -> bool {
        match self {
            // Of the same package.
            Self::Tsql | Self::Freebcp => {
                run(Command::new("tsql").arg("-C"), "", Duration::from_secs(10))
                    .is_ok_and(|(status, _)| status.success())
            }
            Self::MssqlTds | Self::Tiberius => program("rust-client").is_ok(),
            Self::FreetdsOdbc => python().exists() && Path::new(FREETDS_ODBC).exists(),
            Self::Pymssql | Self::PythonTds | Self::Odbc => python().exists(),
            Self::Tedious => node_modules().join("tedious").exists(),
        }
    }

    /// Whether the client is not there; if so, says so, or fails where
    /// skipping is a failure.
    pub fn missing(self) -> bool {
        let missing = !self.available();
        if missing {
            crate::root::skip("cargo xtask setup", &format!("{self:?}"));
        }
        missing
    }

    /// Logs in from a namespace, or from where the test runs.
    pub fn run(self, host: Option<&Namespace>, login: &Login) -> Result<Fared> {
        let mut ready = self.ready(login, |program| {
            host.map_or_else(|| Command::new(program), |host| host.command(program))
        })?;
        let limit = Duration::from_secs(u64::from(login.timeout) + 20);
        let (status, output) = run(&mut ready.command, &ready.input, limit)?;
        Ok(Fared {
            ok: self.is_answered(status.success(), &output),
            output,
        })
    }

    /// Whether a client that ended so, and wrote this, had its answer.
    pub fn is_answered(self, success: bool, output: &str) -> bool {
        // tsql ends with success whatever the server said.
        success && (self != Self::Tsql || output.contains(" affected)"))
    }

    /// All that it takes to log in, by programs that `start` makes commands of.
    pub fn ready(self, login: &Login, start: impl Fn(&Path) -> Command) -> Result<Ready> {
        let start = |program: &Path| {
            let mut command = start(program);
            command.envs(login.environment.iter().cloned());
            command
        };
        let mut ready = match self {
            Self::Tsql | Self::Freebcp | Self::Pymssql | Self::FreetdsOdbc => {
                let configuration = Freetds::write(login)?;
                let mut ready = Ready::new(start(&self.program()?));
                ready.command.env("FREETDSCONF", &configuration.0);
                ready.files.push(configuration);
                ready
            }
            _ => Ready::new(start(&self.program()?)),
        };
        let command = &mut ready.command;
        match self {
            Self::Tsql => {
                command.args(["-S", "scenario"]);
                // Without a name FreeTDS logs in by Kerberos.
                if login.auth != "kerberos" {
                    command.args(["-U", &login.user, "-P", &login.password]);
                }
                ready.input = match login.errand {
                    Errand::Leave => "exit\n".to_owned(),
                    _ => format!("{}\ngo\nexit\n", login.query),
                };
            }
            Self::Freebcp => {
                let rows = ready.files[0].beside("rows", "1\n2\n")?;
                command.arg("target").arg("in").arg(&rows.0).arg("-c");
                command.args(["-S", "scenario"]);
                command.args(["-U", &login.user, "-P", &login.password]);
                ready.files.push(rows);
            }
            Self::MssqlTds | Self::Tiberius => {
                let name = if self == Self::MssqlTds {
                    "mssql-tds"
                } else {
                    "tiberius"
                };
                command.args(["--driver", name]).args(arguments(login));
                command.args(["--timeout", &login.timeout.to_string()]);
            }
            Self::Pymssql | Self::PythonTds | Self::Odbc | Self::FreetdsOdbc => {
                let name = match self {
                    Self::Pymssql => "pymssql",
                    Self::PythonTds => "python-tds",
                    Self::FreetdsOdbc => "freetds-odbc",
                    _ => "odbc",
                };
                command
                    .arg(workspace().join("tests/drivers/login.py"))
                    .args(["--driver", name]);
                command.args(["--timeout", &login.timeout.to_string()]);
                command.args(["--spn", kdc::SPN]);
                command.args(["--times", &login.times.to_string()]);
                if login.mars {
                    command.arg("--mars");
                }
                if login.several {
                    command.arg("--multi-subnet-failover");
                }
                command.args(arguments(login));
            }
            Self::Tedious => {
                command.env("NODE_PATH", node_modules());
                command.arg(workspace().join("tests/drivers/login.js"));
                command.args(["--timeout", &login.timeout.to_string()]);
                command.args(arguments(login));
            }
        }
        Ok(ready)
    }

    fn program(self) -> Result<PathBuf> {
        Ok(match self {
            Self::Tsql => "tsql".into(),
            Self::Freebcp => "freebcp".into(),
            Self::MssqlTds | Self::Tiberius => program("rust-client")?,
            Self::Pymssql | Self::PythonTds | Self::Odbc | Self::FreetdsOdbc => python(),
            Self::Tedious => "node".into(),
        })
    }
}

/// A client that need only be started.
pub struct Ready {
    /// How it is started.
    pub command: Command,
    /// What it reads.
    pub input: String,
    files: Vec<Freetds>,
}

impl Ready {
    fn new(command: Command) -> Self {
        Self {
            command,
            input: String::new(),
            files: Vec::new(),
        }
    }
}

fn arguments(login: &Login) -> Vec<String> {
    let port = login.port.to_string();
    let certificate = login
        .certificate
        .as_ref()
        .map(|path| path.display().to_string());
    [
        ("--host", login.host.as_str()),
        ("--port", &port),
        ("--encrypt", login.encrypt.name()),
        ("--auth", login.auth),
        ("--user", &login.user),
        ("--password", &login.password),
        ("--query", &login.query),
        ("--errand", login.errand.name()),
        ("--check", login.check.name()),
    ]
    .into_iter()
    .chain(
        login
            .instance
            .as_deref()
            .map(|instance| ("--instance", instance)),
    )
    .chain(
        login
            .token_from
            .as_deref()
            .map(|from| ("--token-from", from)),
    )
    .chain(certificate.as_deref().map(|path| ("--certificate", path)))
    .chain(
        login
            .old_password
            .as_deref()
            .map(|old| ("--old-password", old)),
    )
    .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
    .collect()
}
