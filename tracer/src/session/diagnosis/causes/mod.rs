//! The causes, a file each. A new one is a file, declared here, and its place in the list: where that is
//! forgotten, the compiler says so.

mod attempt_slice_expired;
mod certificate_expired;
mod certificate_name_mismatch;
mod certificate_negative_serial;
mod certificate_rejected;
mod client_gave_up;
mod client_hello_lost;
mod client_hello_refused;
mod client_slow;
mod client_starved;
mod clock_skew;
mod closed_without_error;
mod connect_refused_here;
mod connection_limit;
mod conntrack_full;
mod database_resuming;
mod dns_search_list;
mod dns_twin_query_lost;
mod domain_controller_far;
mod domain_controller_queue;
mod domain_controller_slow;
mod domain_controller_unreachable;
mod encryption_downgraded;
mod ephemeral_ports;
mod failover_partner_unreachable;
mod federated_token_slow;
mod idle_drop;
mod imds_slow;
mod initial_database;
mod instance_lookup;
mod kdc_slow;
mod kerberos_fallback;
mod kerberos_rejected;
mod late_reply;
mod listen_backlog;
mod login_rejected;
mod login_storm;
mod middlebox_reset;
mod name_resolution;
mod network_slow;
mod no_attempt;
mod not_sql_server;
mod not_strict_server;
mod packet_loss;
mod parallel_race_lost;
mod parallel_race_won_by_dead_backend;
mod password_hash_cost;
mod path_mtu;
mod port_closed;
mod probe;
mod proxy_in_path;
mod redirect_blocked;
mod reverse_lookup_before_connect;
mod revocation_check_blocked;
mod sequential_dead_address;
mod serial_open;
mod server_silent;
mod server_slow_accept;
mod server_slow_login;
mod server_slow_prelogin;
mod server_slow_tls;
mod server_threads_exhausted;
mod snat_suspected;
mod spn_malformed;
mod spn_unknown;
mod stale_instance_answer;
mod strict_only_server;
mod strict_without_certificate;
mod syn_dropped_here;
mod syn_unanswered;
mod tls_no_common_cipher;
mod tls_no_common_signature;
mod tls_version_mismatch;
mod unexplained_time;
mod unknown;
mod zero_window;

use super::{Cause, Found, whole::Whole};
use crate::session::host::Untried;

/// All that are looked for; of those that are equally likely the first is told first.
pub(super) const ALL: &[&Cause] = &[
    &port_closed::CAUSE,
    &syn_unanswered::CAUSE,
    &listen_backlog::CAUSE,
    &syn_dropped_here::CAUSE,
    &conntrack_full::CAUSE,
    &snat_suspected::CAUSE,
    &redirect_blocked::CAUSE,
    &server_slow_accept::CAUSE,
    &server_threads_exhausted::CAUSE,
    &server_slow_prelogin::CAUSE,
    &server_slow_tls::CAUSE,
    &server_slow_login::CAUSE,
    &server_silent::CAUSE,
    &strict_only_server::CAUSE,
    &connection_limit::CAUSE,
    &password_hash_cost::CAUSE,
    &database_resuming::CAUSE,
    &initial_database::CAUSE,
    &login_rejected::CAUSE,
    &kerberos_rejected::CAUSE,
    &closed_without_error::CAUSE,
    &domain_controller_slow::CAUSE,
    &domain_controller_far::CAUSE,
    &domain_controller_queue::CAUSE,
    &domain_controller_unreachable::CAUSE,
    &clock_skew::CAUSE,
    &spn_unknown::CAUSE,
    &spn_malformed::CAUSE,
    &kdc_slow::CAUSE,
    &kerberos_fallback::CAUSE,
    &imds_slow::CAUSE,
    &federated_token_slow::CAUSE,
    &certificate_rejected::CAUSE,
    &certificate_expired::CAUSE,
    &certificate_name_mismatch::CAUSE,
    &certificate_negative_serial::CAUSE,
    &revocation_check_blocked::CAUSE,
    &tls_version_mismatch::CAUSE,
    &tls_no_common_cipher::CAUSE,
    &tls_no_common_signature::CAUSE,
    &client_hello_refused::CAUSE,
    &client_hello_lost::CAUSE,
    &not_strict_server::CAUSE,
    &strict_without_certificate::CAUSE,
    &encryption_downgraded::CAUSE,
    &client_starved::CAUSE,
    &client_slow::CAUSE,
    &client_gave_up::CAUSE,
    &attempt_slice_expired::CAUSE,
    &late_reply::CAUSE,
    &packet_loss::CAUSE,
    &path_mtu::CAUSE,
    &network_slow::CAUSE,
    &middlebox_reset::CAUSE,
    &idle_drop::CAUSE,
    &zero_window::CAUSE,
    &serial_open::CAUSE,
    &login_storm::CAUSE,
    &not_sql_server::CAUSE,
    &probe::CAUSE,
    &parallel_race_lost::CAUSE,
    &parallel_race_won_by_dead_backend::CAUSE,
    &sequential_dead_address::CAUSE,
    &failover_partner_unreachable::CAUSE,
    &proxy_in_path::CAUSE,
    &dns_twin_query_lost::CAUSE,
    &dns_search_list::CAUSE,
    &reverse_lookup_before_connect::CAUSE,
    &name_resolution::CAUSE,
    &instance_lookup::CAUSE,
    &stale_instance_answer::CAUSE,
    &unexplained_time::CAUSE,
    &ephemeral_ports::CAUSE,
    &connect_refused_here::CAUSE,
    &no_attempt::CAUSE,
];

/// Those that are worth telling of a login that went well too, in the same order: the only ones that are looked for there.
pub(super) const OF_GOOD_LOGINS: &[&Cause] = &[
    &clock_skew::CAUSE,
    &spn_unknown::CAUSE,
    &kerberos_fallback::CAUSE,
    &encryption_downgraded::CAUSE,
    &late_reply::CAUSE,
    &middlebox_reset::CAUSE,
    &idle_drop::CAUSE,
];

/// How well a cause fits an attempt; `None` where it does not.
type FitsAttempt = fn(&Whole<'_>) -> Option<Found>;

/// Those that no login shows alone: of an attempt, which has several parts.
pub(super) const OF_ATTEMPTS: &[(&Cause, FitsAttempt)] = &[
    (
        &parallel_race_won_by_dead_backend::CAUSE,
        parallel_race_won_by_dead_backend::fits,
    ),
    (
        &sequential_dead_address::CAUSE,
        sequential_dead_address::fits,
    ),
    (
        &failover_partner_unreachable::CAUSE,
        failover_partner_unreachable::fits,
    ),
    (
        &attempt_slice_expired::CAUSE,
        attempt_slice_expired::fits_attempt,
    ),
    (&proxy_in_path::CAUSE, proxy_in_path::fits),
    (&dns_twin_query_lost::CAUSE, dns_twin_query_lost::fits),
    (&dns_search_list::CAUSE, dns_search_list::fits),
    (
        &reverse_lookup_before_connect::CAUSE,
        reverse_lookup_before_connect::fits,
    ),
    (&name_resolution::CAUSE, name_resolution::fits),
    (&kdc_slow::CAUSE, kdc_slow::fits_attempt),
    (&imds_slow::CAUSE, imds_slow::fits_attempt),
    (
        &federated_token_slow::CAUSE,
        federated_token_slow::fits_attempt,
    ),
    (
        &domain_controller_unreachable::CAUSE,
        domain_controller_unreachable::fits_attempt,
    ),
    (&instance_lookup::CAUSE, instance_lookup::fits),
    (&stale_instance_answer::CAUSE, stale_instance_answer::fits),
    (&unexplained_time::CAUSE, unexplained_time::fits),
];

/// How well a cause fits what a watched process did without a packet; `None` where it does not.
type FitsUntried = fn(&Untried) -> Option<Found>;

/// Those that no packet shows.
pub(super) const OF_UNTRIED: &[(&Cause, FitsUntried)] = &[
    (&ephemeral_ports::CAUSE, ephemeral_ports::fits),
    (&connect_refused_here::CAUSE, connect_refused_here::fits),
    (&no_attempt::CAUSE, no_attempt::fits),
];

/// Told where none of them fits.
pub(super) const UNKNOWN: Cause = unknown::CAUSE;
