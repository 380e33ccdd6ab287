//! Who there is: hosts of clients, servers, applications, how their clocks go, and what goes wrong with whom.

use std::net::{IpAddr, Ipv4Addr};

use tracer::record::AuthKind;

use super::random::number;

/// Hosts on which applications run, each with an agent.
pub const CLIENT_HOSTS: u64 = 950;
/// Servers, each on a host of its own with an agent of its own.
pub const SERVERS: u64 = 50;
/// Applications; host `h` runs application `h` modulo this.
pub const APPLICATIONS: u64 = 20;

/// The server that sends each login on to another port.
pub const GATEWAY: u64 = 30;
/// The port it sends them to.
pub const BEHIND_GATEWAY: u16 = 11_037;
/// The server that has no free worker for a while.
pub const BUSY_SERVER: u64 = 21;
/// The server that a firewall hides from [`HIDDEN_FROM`] for a while.
pub const HIDDEN_SERVER: u64 = 46;
/// The hosts behind that firewall.
pub const HIDDEN_FROM: std::ops::Range<u64> = 100..400;
/// The server whose certificate ends ten days after the fleet's day.
pub const OLD_CERTIFICATE: u64 = 35;
/// The server that comes late in the day.
pub const NEW_SERVER: u64 = SERVERS - 1;

/// The application whose password was changed.
pub const REJECTED: u64 = 5;
/// The application that gets a new version in the middle.
pub const DEPLOYED: u64 = 7;
/// The application whose driver offers TLS 1.0 only.
pub const OLD_TLS: u64 = 16;
/// The application that opens a connection for each request.
pub const THRASHING: u64 = 11;
/// The application whose idle connections a firewall forgets.
pub const FORGOTTEN: u64 = 12;
/// The application whose name server answers the second question only.
pub const SLOW_NAMES: u64 = 15;

/// The application that is started anew on all hosts at once.
pub const RESTARTED: u64 = 8;
/// The hosts between which and any server packets are lost.
pub const LOSSY: std::ops::Range<u64> = 500..505;

/// The host whose agent lost records.
pub const LOSING_HOST: u64 = 42;
/// The host whose agent falls silent.
pub const SILENT_HOST: u64 = 77;
/// The host some of whose lines are lost on the way to the database.
pub const LEAKING_HOST: u64 = 200;

/// A host's clock is wrong by at most this.
const MOST_SKEW_NS: u64 = 40_000_000;
const SEED: u64 = 0x7d5;

/// An application and how it logs in.
pub struct Application {
    /// As its LOGIN7 says.
    pub name: String,
    /// The name of its process.
    pub process: &'static str,
    /// As its driver names itself.
    pub driver: &'static str,
    /// The driver's version.
    pub driver_version: &'static str,
    /// How it proves who it is.
    pub auth: AuthKind,
    /// The version of TLS that it gets.
    pub tls: &'static str,
    /// The server that takes its logins.
    pub home: u64,
}

impl Application {
    /// Number `number`, before its new version or, `deployed`, after.
    pub fn new(number: u64, deployed: bool) -> Self {
        let (process, driver) = match number % 4 {
            0 => ("dotnet", "Microsoft SqlClient"),
            1 => ("java", "Microsoft JDBC Driver"),
            2 => ("python3", "MS-ODBC"),
            _ => ("node", "tedious"),
        };
        let auth = match number % 5 {
            0 | 1 => AuthKind::Sql,
            2 => AuthKind::Kerberos,
            3 => AuthKind::Ntlm,
            _ => AuthKind::Entra,
        };
        let version = if deployed && number == DEPLOYED {
            "6.1.0"
        } else {
            "5.2.2"
        };
        Self {
            name: format!("shop-{number:02}"),
            process,
            driver,
            driver_version: version,
            auth,
            tls: if number == OLD_TLS { "1.0" } else { "1.2" },
            home: number * 5 % NEW_SERVER,
        }
    }
}

/// The name of client host `number`.
pub fn client_host(number: u64) -> String {
    format!("app{number:03}")
}

/// The name of server `number`'s host.
pub fn server_host(number: u64) -> String {
    format!("sql{number:02}")
}

/// The address of client host `number`.
pub fn client_address(number: u64) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 20, high, low))
}

/// The address of server `number`.
pub fn server_address(number: u64) -> IpAddr {
    let [.., low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 30, 0, low))
}

/// How far the clock of a host is ahead of the true time, in nanoseconds.
pub fn clock_ahead_ns(host: &str) -> i64 {
    let seed = host
        .bytes()
        .fold(SEED, |seed, byte| number(seed, byte.into()));
    let skew = number(seed, 1) % (2 * MOST_SKEW_NS);
    skew.cast_signed() - MOST_SKEW_NS.cast_signed()
}

/// What a packet takes at least between a client's host and a server, in either direction.
pub fn one_way_ns(host: u64, server: u64) -> u64 {
    let near = 80_000 + number(SEED, host * SERVERS + server) % 150_000;
    // One host in eight stands at another site.
    if host.is_multiple_of(8) {
        near + 12_000_000
    } else {
        near
    }
}
