//! What can go wrong on purpose. A new fault is a function in one of these files, and its place in the
//! list.

mod client;
mod crowds;
mod identity;
mod names;
mod network;
mod server;
mod tls;

use anyhow::Result;

use crate::drivers::{Driver, Login};
use crate::lab::trial::{Line, Trial, came};

/// Drivers that log in by password, and give up after a time that they are told.
const PATIENT: [Driver; 6] = [
    Driver::Pymssql,
    Driver::Odbc,
    Driver::PythonTds,
    Driver::Tedious,
    Driver::FreetdsOdbc,
    Driver::MssqlTds,
];
/// All drivers that log in by password.
pub(crate) const ALL: [Driver; 8] = [
    Driver::Tsql,
    Driver::Pymssql,
    Driver::Odbc,
    Driver::PythonTds,
    Driver::Tedious,
    Driver::FreetdsOdbc,
    Driver::MssqlTds,
    Driver::Tiberius,
];
/// Drivers that log in by NTLM.
const NTLM: [Driver; 3] = [Driver::Tsql, Driver::Pymssql, Driver::PythonTds];

/// A fault.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Its name.
    pub(crate) name: &'static str,
    /// The causes that are right; the first one is the truth, the others say the same of it.
    pub(crate) causes: &'static [&'static str],
    /// Where the cause is to be found.
    pub(crate) line: Line,
    /// Makes it happen once.
    pub(crate) provoke: fn(&mut Trial<'_>) -> Result<()>,
    /// Whether the short form has it.
    pub(crate) is_quick: bool,
}

impl Fault {
    const fn new(
        name: &'static str,
        causes: &'static [&'static str],
        provoke: fn(&mut Trial<'_>) -> Result<()>,
    ) -> Self {
        Self {
            name,
            causes,
            line: Line::Login,
            provoke,
            is_quick: false,
        }
    }

    const fn at_close(self) -> Self {
        Self {
            line: Line::Close,
            ..self
        }
    }

    const fn of_attempt(self) -> Self {
        Self {
            line: Line::Attempt,
            ..self
        }
    }

    const fn at_server(self) -> Self {
        Self {
            line: Line::AtServer,
            ..self
        }
    }

    const fn quick(self) -> Self {
        Self {
            is_quick: true,
            ..self
        }
    }
}

/// All of them; those that take the longest come first.
pub(crate) const FAULTS: &[Fault] = &[
    Fault::new(
        "an idle connection cut on the way",
        &["idle_drop"],
        network::idle_drop,
    )
    .at_close(),
    Fault::new(
        "an idle connection forgotten on the way",
        &["idle_drop"],
        network::idle_forgotten,
    )
    .at_close(),
    Fault::new(
        "no way for large packets of the client",
        &["path_mtu"],
        network::path_mtu_up,
    ),
    Fault::new(
        "no way for large packets of the server",
        &["path_mtu"],
        network::path_mtu_down,
    ),
    Fault::new(
        "few workers, released in steps",
        &["server_threads_exhausted"],
        crowds::few_workers,
    ),
    Fault::new(
        "no workers, released at once",
        &["server_threads_exhausted"],
        crowds::no_workers,
    )
    .quick(),
    Fault::new(
        "an authenticator that takes one at a time",
        &["domain_controller_queue"],
        crowds::queue,
    ),
    Fault::new(
        "a slow authenticator",
        &["domain_controller_slow"],
        crowds::slow_authenticator,
    ),
    Fault::new(
        "a distant authenticator",
        &["domain_controller_far"],
        crowds::far_authenticator,
    ),
    Fault::new(
        "a dead authenticator",
        &["domain_controller_unreachable"],
        crowds::dead_authenticator,
    ),
    Fault::new(
        "more connections than allowed",
        &["connection_limit"],
        crowds::connection_limit,
    ),
    Fault::new(
        "silent after accept",
        &["server_silent"],
        server::silent_accept,
    ),
    Fault::new(
        "silent at PRELOGIN",
        &["server_silent"],
        server::silent_prelogin,
    )
    .quick(),
    Fault::new("silent in TLS", &["server_silent"], server::silent_tls),
    Fault::new("silent at LOGIN7", &["server_silent"], server::silent_login),
    Fault::new(
        "slow at PRELOGIN",
        &["server_slow_prelogin"],
        server::slow_prelogin,
    )
    .quick(),
    Fault::new("slow in TLS", &["server_slow_tls"], server::slow_tls).quick(),
    Fault::new("slow at LOGIN7", &["server_slow_login"], server::slow_login).quick(),
    Fault::new(
        "an answer after the client has left",
        &["late_reply"],
        server::late_reply,
    )
    .at_close(),
    Fault::new(
        "dropped after accept",
        &["connection_limit"],
        server::dropped_at_accept,
    )
    .quick(),
    Fault::new(
        "dropped at LOGIN7",
        &["closed_without_error"],
        server::dropped_at_login,
    ),
    Fault::new("refused by error", &["login_rejected"], server::rejected).quick(),
    Fault::new(
        "a database that is not there",
        &["initial_database"],
        server::no_database,
    )
    .quick(),
    Fault::new(
        "a database that resumes",
        &["database_resuming"],
        server::resuming,
    ),
    Fault::new(
        "sent on to nowhere",
        &["redirect_blocked"],
        server::sent_to_nowhere,
    ),
    Fault::new(
        "sent on to nowhere inside TLS",
        &["redirect_blocked", "port_closed", "syn_unanswered"],
        server::sent_in_secret,
    ),
    Fault::new(
        "something else on the port",
        &["not_sql_server"],
        server::stranger,
    ),
    Fault::new(
        "a port that nobody listens on",
        &["port_closed"],
        network::port_closed,
    )
    .quick(),
    Fault::new("a black hole", &["syn_unanswered"], network::black_hole),
    Fault::new(
        "one of two addresses dead",
        &["syn_unanswered", "parallel_race_lost"],
        network::one_of_two,
    ),
    Fault::new("reset on the way", &["middlebox_reset"], network::cut).quick(),
    Fault::new(
        "lost packets of the client",
        &["packet_loss"],
        network::loss,
    ),
    Fault::new(
        "lost packets of the server, as its host sees it",
        &["packet_loss"],
        network::loss_of_answers,
    )
    .at_server(),
    Fault::new(
        "a hello of which a segment is lost",
        &["client_hello_lost"],
        network::hello_lost,
    ),
    Fault::new(
        "a hello of which the rest is lost",
        &["client_hello_lost"],
        network::rest_of_hello_lost,
    ),
    Fault::new(
        "a firewall of the client's own host",
        &["syn_dropped_here"],
        network::own_firewall,
    ),
    Fault::new(
        "a firewall of the client's own host, later",
        &["packet_loss"],
        network::own_firewall_later,
    ),
    Fault::new(
        "a proxy on the client's host that is slow",
        &["proxy_in_path"],
        network::proxy,
    )
    .of_attempt(),
    Fault::new(
        "a full queue of connections",
        &["listen_backlog", "server_slow_accept"],
        crowds::backlog,
    )
    .at_server(),
    Fault::new(
        "a name server that thinks",
        &["name_resolution"],
        names::slow,
    )
    .of_attempt(),
    Fault::new(
        "a name server of whose two answers one is lost",
        &["dns_twin_query_lost"],
        names::twin_lost,
    )
    .of_attempt(),
    Fault::new(
        "a name server that is silent about one family",
        &["dns_twin_query_lost", "name_resolution"],
        names::silent,
    )
    .of_attempt(),
    Fault::new(
        "a search list of names that are none",
        &["dns_search_list"],
        names::search_list,
    )
    .of_attempt(),
    Fault::new(
        "a name server that lies",
        &["port_closed", "syn_unanswered"],
        names::lies,
    ),
    Fault::new(
        "a SQL Browser that is wrong",
        &["stale_instance_answer"],
        names::stale_browser,
    )
    .of_attempt(),
    Fault::new("a slow KDC", &["kdc_slow"], identity::slow_kdc).of_attempt(),
    Fault::new(
        "a KDC that can not be reached",
        &["domain_controller_unreachable"],
        identity::no_kdc,
    )
    .of_attempt(),
    Fault::new(
        "a KDC that does not know the server",
        &["spn_unknown"],
        identity::no_such_name,
    )
    .of_attempt(),
    Fault::new(
        "a ticket that the server can not use",
        &["kerberos_rejected"],
        identity::refused_ticket,
    ),
    Fault::new(
        "a clock that is wrong",
        &["clock_skew"],
        identity::wrong_clock,
    )
    .of_attempt(),
    Fault::new(
        "a token that comes late",
        &["imds_slow", "federated_token_slow"],
        identity::slow_token,
    )
    .of_attempt(),
    Fault::new(
        "a host of revocation lists that is silent",
        &["revocation_check_blocked"],
        identity::blocked_revocation,
    )
    .of_attempt(),
    Fault::new(
        "no TLS version in common",
        &["tls_version_mismatch"],
        tls::version,
    ),
    Fault::new(
        "no cipher in common",
        &["tls_no_common_cipher"],
        tls::cipher,
    )
    .quick(),
    Fault::new("no group in common", &["tls_no_common_cipher"], tls::group),
    Fault::new(
        "no signature in common",
        &["tls_no_common_signature", "tls_no_common_cipher"],
        tls::signature,
    ),
    Fault::new(
        "an issuer that is not trusted",
        &["certificate_rejected"],
        tls::untrusted,
    )
    .quick(),
    Fault::new(
        "an expired certificate",
        &["certificate_expired"],
        tls::expired,
    ),
    Fault::new(
        "a certificate for another name",
        &["certificate_name_mismatch"],
        tls::other_name,
    ),
    Fault::new(
        "a certificate with a serial number below zero",
        &["certificate_negative_serial"],
        tls::negative_serial,
    ),
    Fault::new(
        "TDS 8.0 to a server without it",
        &["not_strict_server"],
        tls::not_strict,
    ),
    Fault::new(
        "TDS 7 to a server of TDS 8.0 only",
        &["strict_only_server"],
        tls::only_strict,
    ),
    Fault::new(
        "a stopped client",
        &["client_starved", "client_slow"],
        client::stopped,
    )
    .quick(),
    Fault::new(
        "a client stopped before PRELOGIN",
        &["client_starved", "client_slow"],
        client::stopped_before_prelogin,
    ),
    Fault::new(
        "a client whose control group has no time left",
        &["client_starved"],
        client::throttled,
    ),
    Fault::new(
        "a starved client",
        &["client_starved", "client_slow"],
        client::starved,
    ),
    Fault::new(
        "a network that became slow",
        &["network_slow"],
        network::slow,
    ),
    Fault::new(
        "a window that is shut for a while",
        &["zero_window"],
        network::shut_window,
    ),
    Fault::new(
        "a server that restarts under a pool",
        &["port_closed"],
        server::restarts,
    ),
    Fault::new(
        "a SQL Browser that thinks",
        &["instance_lookup"],
        names::slow_browser,
    )
    .of_attempt(),
    Fault::new("a client that leaves", &["client_gave_up"], client::leaves),
];

/// What goes well, and must be told no cause.
pub(crate) const HEALTHY: &[Fault] = &[
    Fault::new("healthy logins", &[], server::healthy).quick(),
    Fault::new("sent on to where a server is", &[], server::sent_on),
    Fault::new("packets that come twice", &[], network::twice),
    Fault::new("packets out of order", &[], network::disordered),
    Fault::new(
        "a serial number below zero that nobody minds",
        &[],
        tls::negative_serial_taken,
    ),
];

/// One login goes wrong at a server, among healthy ones before and perhaps meanwhile.
fn at_server(trial: &mut Trial<'_>, options: &[&str], driver: Driver, login: &Login) -> Result<()> {
    let before = trial.draw.number(0..=2);
    let spare = before.to_string();
    let those = ["--spare", &spare, "--faulty", "1"];
    let mut server = trial.server(&[options, &those].concat())?;
    trial.healthy(before)?;
    let client = trial.start(driver, login)?;
    let process = client.pid();
    if trial.draw.percent(50) {
        came(&mut server, "at accept", before as usize + 1)?;
        trial.healthy(1)?;
    }
    let output = client.ends()?;
    trial.keep(process, driver, true, &output);
    Ok(())
}
