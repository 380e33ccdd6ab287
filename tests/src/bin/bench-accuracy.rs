//! How often the outcome of a sealed login is said rightly, by driver and mode: every driver logs in
//! and is turned away in every way that the scenario server knows, captured and replayed. Needs root.

use std::{
    collections::BTreeMap,
    env,
    fmt::{self, Display},
    path::PathBuf,
};

use anyhow::{Context, Result};
use clap::Parser;
use harness::{
    agent::of,
    capture::Capture,
    drivers::{Driver, Encrypt, Errand, Login},
    kdc::{Environment, Kdc, Key},
    net::{INTERFACE, Network, SERVER_V4},
    peer::Peer,
    replay::events,
    root::is_root,
};
use serde_json::Value;

const PORT: u16 = 1433;
/// Characters of a federated token; those of Entra have more rather than less.
const TOKEN: usize = 1500;

#[derive(Parser)]
struct Args {
    /// Logins of each kind
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Only drivers whose names contain this
    #[arg(long, default_value = "")]
    driver: String,
}

/// What the server does, and the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Case {
    /// Let in, the client asks something.
    Request,
    /// Let in, it leaves at once.
    Leave,
    /// Let in, it stays for two seconds, and leaves.
    Stay,
    /// Turned away with 18456.
    Plain,
    /// With 4060 before that.
    Database,
    /// With 17892, after two notices.
    Trigger,
    /// With 40615.
    Firewall,
    /// The same, by a server that leaves it to the client to close.
    Lingers,
}

impl Case {
    const ALL: [Self; 8] = [
        Self::Request,
        Self::Leave,
        Self::Stay,
        Self::Plain,
        Self::Database,
        Self::Trigger,
        Self::Firewall,
        Self::Lingers,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Leave => "leave",
            Self::Stay => "stay",
            Self::Plain => "18456",
            Self::Database => "4060",
            Self::Trigger => "17892",
            Self::Firewall => "40615",
            Self::Lingers => "lingers",
        }
    }

    /// How the server is to treat the client.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Request | Self::Leave | Self::Stay => &[],
            Self::Plain => &["--fail-login", "8"],
            Self::Database => &["--fail-login", "1", "--fail-as", "database"],
            Self::Trigger => &["--fail-login", "1", "--fail-as", "trigger"],
            Self::Firewall => &["--fail-login", "1", "--fail-as", "firewall"],
            Self::Lingers => &[
                "--fail-login",
                "1",
                "--fail-as",
                "firewall",
                "--fail-lingers",
            ],
        }
    }

    fn errand(self) -> Errand {
        match self {
            Self::Leave => Errand::Leave,
            Self::Stay => Errand::Stay,
            _ => Errand::Query,
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Request | Self::Leave | Self::Stay => "success",
            _ => "failed",
        }
    }

    fn suits(self, driver: Driver) -> bool {
        match self {
            // It has no command that waits.
            Self::Stay => driver != Driver::Tsql,
            _ => true,
        }
    }
}

/// What encrypts all of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Full12,
    Full13,
    Strict12,
    Strict13,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Full12, Self::Full13, Self::Strict12, Self::Strict13];

    fn encrypt(self) -> Encrypt {
        match self {
            Self::Full12 | Self::Full13 => Encrypt::On,
            Self::Strict12 | Self::Strict13 => Encrypt::Strict,
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Full12 => &["--encrypt", "on", "--tls-max", "1.2"],
            Self::Full13 => &["--encrypt", "on", "--tls-max", "1.3"],
            Self::Strict12 => &["--encrypt", "strict", "--tls-max", "1.2"],
            Self::Strict13 => &["--encrypt", "strict", "--tls-max", "1.3"],
        }
    }

    fn suits(self, driver: Driver) -> bool {
        match self {
            Self::Full12 => true,
            Self::Full13 => matches!(driver, Driver::Odbc | Driver::Pymssql),
            Self::Strict12 | Self::Strict13 => !matches!(
                driver,
                Driver::Tsql | Driver::FreetdsOdbc | Driver::PythonTds
            ),
        }
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full12 => "full, TLS 1.2",
            Self::Full13 => "full, TLS 1.3",
            Self::Strict12 => "strict, TLS 1.2",
            Self::Strict13 => "strict, TLS 1.3",
        })
    }
}

/// Ways to log in, and the drivers that know them.
const AUTHENTICATIONS: [(&str, &[Driver]); 5] = [
    ("sql", &DRIVERS),
    ("ntlm", &[Driver::Tsql, Driver::Pymssql, Driver::PythonTds]),
    ("kerberos", &[Driver::Tsql, Driver::Odbc]),
    (
        "token",
        &[
            Driver::Odbc,
            Driver::MssqlTds,
            Driver::Tiberius,
            Driver::Tedious,
        ],
    ),
    ("token-on-demand", &[Driver::MssqlTds, Driver::Tedious]),
];

const DRIVERS: [Driver; 8] = [
    Driver::Odbc,
    Driver::MssqlTds,
    Driver::Tiberius,
    Driver::Tedious,
    Driver::Pymssql,
    Driver::Tsql,
    Driver::FreetdsOdbc,
    Driver::PythonTds,
];

/// Right and all.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: usize,
    all: usize,
}

impl Score {
    fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.all += 1;
    }
}

impl Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all == 0 {
            return Ok(());
        }
        write!(f, "{}/{}", self.right, self.all)
    }
}

/// One kind of login.
struct Kind {
    driver: Driver,
    mode: Mode,
    authentication: &'static str,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} | {} | {}",
            self.driver, self.mode, self.authentication
        )
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    anyhow::ensure!(is_root(), "needs root, for hosts of its own");
    let kdc = Kdc::start()?;
    let mut rows: Vec<(Kind, BTreeMap<Case, Score>)> = Vec::new();
    let mut by_confidence: BTreeMap<String, Score> = BTreeMap::new();
    for kind in kinds(&args.driver) {
        let mut scores: BTreeMap<Case, Score> = BTreeMap::new();
        for case in Case::ALL {
            if !case.suits(kind.driver) {
                continue;
            }
            for _ in 0..args.rounds {
                let login =
                    login(&kdc, &kind, case).with_context(|| format!("{kind}, {case:?}"))?;
                let said = &login["login"];
                let right = said["outcome"] == case.outcome();
                let basis = said["confidence"].as_f64().map_or_else(
                    || "observed".to_owned(),
                    |confidence| confidence.to_string(),
                );
                if !right {
                    eprintln!(
                        "{kind} | {}: {} at {basis}",
                        case.heading(),
                        said["outcome"]
                    );
                }
                scores.entry(case).or_default().add(right);
                by_confidence.entry(basis).or_default().add(right);
            }
        }
        eprintln!("{kind}: {}", line(&scores));
        rows.push((kind, scores));
    }
    print(&rows, &by_confidence);
    Ok(())
}

/// All kinds of logins by the drivers whose names contain this.
fn kinds(name: &str) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for driver in DRIVERS {
        if !format!("{driver:?}")
            .to_lowercase()
            .contains(&name.to_lowercase())
        {
            continue;
        }
        for mode in Mode::ALL.into_iter().filter(|mode| mode.suits(driver)) {
            let known = AUTHENTICATIONS.into_iter();
            for (authentication, _) in known.filter(|(_, drivers)| drivers.contains(&driver)) {
                kinds.push(Kind {
                    driver,
                    mode,
                    authentication,
                });
            }
        }
    }
    kinds
}

/// The `login` that replay says of one login.
fn login(kdc: &Kdc, kind: &Kind, case: Case) -> Result<Value> {
    let network = Network::new()?;
    let certificate = Certificate::new();
    let path = certificate.0.display().to_string();
    let listen = format!("{SERVER_V4}:{PORT}");
    let takes = match kind.authentication {
        "token" | "token-on-demand" => "fedauth",
        other => other,
    };
    let arguments = [
        &[
            "--listen",
            &listen,
            "--certificate-out",
            &path,
            "--auth",
            takes,
        ],
        kind.mode.arguments(),
        case.arguments(),
    ]
    .concat();
    let environment = match takes {
        "kerberos" => kdc.server(Key::Current),
        _ => Environment::new(),
    };
    let _peer = Peer::scenario_with(Some(&network.server), &arguments, environment)?;
    let capture = Capture::start(&network.client, INTERFACE, PORT)?;
    let mut login = Login::to(SERVER_V4, PORT, kind.mode.encrypt());
    login.errand = case.errand();
    login.auth = kind.authentication;
    match kind.authentication {
        "kerberos" => login.by_ticket(kdc),
        "ntlm" => r"LAB\alice".clone_into(&mut login.user),
        "token" | "token-on-demand" => login.password = "t".repeat(TOKEN),
        _ => {}
    }
    if kind.mode.encrypt() == Encrypt::Strict {
        login.certificate = Some(certificate.0.clone());
    }
    login.timeout = 5;
    let fared = kind.driver.run(Some(&network.client), &login)?;
    let captured = capture.stop()?;
    let events = events(captured.file())?;
    // A client may try again before the line of its first try is told.
    let logins = of(&events, "login").into_iter();
    let first = logins.min_by_key(|login| login["connection"]["start"].to_string());
    first.with_context(|| format!("no login: {}", fared.output))
}

/// Where the server writes its certificate; removed with this.
struct Certificate(PathBuf);

impl Certificate {
    fn new() -> Self {
        let name = format!("tds-tracer-accuracy-{}.pem", std::process::id());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

fn line(scores: &BTreeMap<Case, Score>) -> String {
    let cells = Case::ALL.map(|case| scores.get(&case).copied().unwrap_or_default().to_string());
    cells.join(" | ")
}

/// The table by kind, and that by confidence, in Markdown.
fn print(rows: &[(Kind, BTreeMap<Case, Score>)], by_confidence: &BTreeMap<String, Score>) {
    let headings = Case::ALL.map(Case::heading).join(" | ");
    println!("| driver | mode | authentication | {headings} |");
    println!("|{}", "---|".repeat(3 + Case::ALL.len()));
    let mut all: BTreeMap<Case, Score> = BTreeMap::new();
    for (kind, scores) in rows {
        println!("| {kind} | {} |", line(scores));
        for (case, score) in scores {
            let sum = all.entry(*case).or_default();
            sum.right += score.right;
            sum.all += score.all;
        }
    }
    println!("| **all** | | | {} |\n", line(&all));
    println!("| confidence | right |\n|---|---|");
    for (confidence, score) in by_confidence {
        println!("| {confidence} | {score} |");
    }
}
