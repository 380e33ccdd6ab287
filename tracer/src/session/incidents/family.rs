//! Which causes are one trouble, and whose.
//!
//! A server without workers is told of the first login that it keeps waiting as slow, of the next ones as
//! short of workers, and of those that leave as silent: one incident.

use std::net::IpAddr;

use crate::{
    record::{IncidentScope, Text, Whom},
    session::diagnosis::slugs,
};

/// Where a trouble sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At a server, or on the way to it.
    Server,
    /// At a client.
    Client,
    /// Behind several servers or clients: a domain controller, a token host.
    Behind,
}

/// What the logins of an incident have in common besides the cause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::session) enum Scope {
    /// Their server.
    Server(IpAddr, u16),
    /// Their client, and the process there where it is known.
    Client(IpAddr, Option<Text>),
    /// Nothing.
    Cause,
}

impl Scope {
    /// As it is told.
    pub(in crate::session) const fn told(&self) -> IncidentScope {
        match self {
            Self::Server(..) => IncidentScope::Server,
            Self::Client(..) => IncidentScope::Client,
            Self::Cause => IncidentScope::Cause,
        }
    }
}

/// The trouble that a cause is a sign of, and where that sits.
pub(super) fn of(slug: &'static str, whom: Option<Whom>) -> (&'static str, Place) {
    match slug {
        "server_threads_exhausted"
        | "server_slow_accept"
        | "server_slow_prelogin"
        | "server_slow_tls"
        | "server_slow_login"
        | "server_silent"
        | "password_hash_cost"
        | "attempt_slice_expired"
        | "late_reply" => ("server_stalls", Place::Server),
        "port_closed" | "syn_unanswered" | "listen_backlog" | "snat_suspected" => {
            ("unreachable", Place::Server)
        }
        "packet_loss" | "path_mtu" | "network_slow" | "middlebox_reset" | "client_hello_lost" => {
            ("way", Place::Server)
        }
        "certificate_rejected"
        | "certificate_expired"
        | "certificate_name_mismatch"
        | "certificate_negative_serial" => ("certificate", Place::Server),
        "tls_version_mismatch"
        | "tls_no_common_cipher"
        | "tls_no_common_signature"
        | "client_hello_refused"
        | "strict_without_certificate"
        | "not_strict_server" => ("tls", Place::Server),
        "database_resuming" | "initial_database" => ("database", Place::Server),
        "domain_controller_slow"
        | "domain_controller_far"
        | "domain_controller_queue"
        | "domain_controller_unreachable"
        | "kerberos_fallback" => ("domain_controller", Place::Behind),
        "spn_unknown" | "spn_malformed" | "kdc_slow" | "clock_skew" => ("kerberos", Place::Behind),
        "federated_token_slow" | "imds_slow" => ("token", Place::Behind),
        "name_resolution"
        | "dns_twin_query_lost"
        | "dns_search_list"
        | "reverse_lookup_before_connect" => ("names", Place::Behind),
        other => match whom {
            Some(Whom::Application | Whom::Host) => (other, Place::Client),
            _ => (other, Place::Server),
        },
    }
}

/// The trouble of that name.
pub(super) fn named(name: &str) -> Option<&'static str> {
    let mut all = slugs().map(|slug| of(slug, None).0);
    all.find(|family| *family == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stalled_server_is_told_for_is_one_trouble_at_that_server() {
        let whom = Some(Whom::Database);
        let stalls = ("server_stalls", Place::Server);
        assert_eq!(of("server_silent", whom), stalls);
        assert_eq!(of("server_threads_exhausted", whom), stalls);
        assert_ne!(of("login_rejected", whom).0, stalls.0);
    }

    #[test]
    fn what_is_known_by_its_name_only_sits_where_its_team_works() {
        let application = Some(Whom::Application);
        assert_eq!(of("client_slow", application).1, Place::Client);
        assert_eq!(of("login_rejected", Some(Whom::Identity)).1, Place::Server);
        assert_eq!(of("unknown", None).1, Place::Server);
    }
}
