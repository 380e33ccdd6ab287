//! Symptoms for the causes' tests, and what holds for all causes.

mod property;

use super::{
    Around, Cause, Ended, Part, Ranked, Symptoms, Typical, causes, ranked, ranked_at_close,
    symptoms::{SECOND, Who},
};
use crate::record::{
    Alert, Auth, AuthKind, Certificate, Nanos, Outcome, PhaseName, Side, Tls, TlsHello, Waited,
    Whom,
};
use crate::session::host::BusyFacts;

const MILLISECOND: u64 = 1_000_000;

/// How well a cause fits, 0 where it does not.
pub(super) fn fits(cause: &Cause, symptoms: &Symptoms<'_>) -> f64 {
    (cause.fits)(symptoms).map_or(0.0, |found| found.confidence)
}

/// Whether a cause does not fit at all.
pub(super) fn misses(cause: &Cause, symptoms: &Symptoms<'_>) -> bool {
    (cause.fits)(symptoms).is_none()
}

pub(super) fn part(name: PhaseName, who: Who, took: u64) -> Part {
    let share = |one| Nanos(if one == who { took } else { 0 });
    Part {
        name,
        duration: took,
        complete: true,
        waited: Some(Waited {
            client_ns: share(Who::Client),
            server_ns: share(Who::Server),
            network_ns: share(Who::Network),
        }),
        resent: 0,
    }
}

/// A login that went well and waited for somebody for five seconds in one phase.
pub(super) fn slow(phase: PhaseName, who: Who) -> Symptoms<'static> {
    let mut parts = vec![part(phase, who, 5 * SECOND)];
    if phase != PhaseName::Handshake {
        parts.insert(0, part(PhaseName::Handshake, Who::Network, MILLISECOND));
    }
    Symptoms {
        outcome: Some(Outcome::Success),
        duration: 5 * SECOND + MILLISECOND,
        parts,
        ..Symptoms::default()
    }
}

/// A login that waited for the server for five seconds in one phase, and ended there.
pub(super) fn ended(outcome: Outcome, phase: PhaseName, by: Side) -> Symptoms<'static> {
    let mut ended = slow(phase, Who::Server);
    if let Some(last) = ended.parts.last_mut() {
        last.complete = false;
    }
    ended.outcome = Some(outcome);
    ended.ended = Some(Ended {
        by,
        reset: outcome == Outcome::Reset,
        foreign: false,
        bare: false,
        after: 0,
    });
    ended
}

/// Who authenticates by NTLM.
pub(super) fn ntlm() -> Auth {
    Auth {
        kind: AuthKind::Ntlm,
        ..Auth::default()
    }
}

/// A certificate that nothing is wrong with.
pub(super) fn certificate() -> Certificate {
    Certificate {
        subject: Some("CN=sql1.lab.test".into()),
        issuer: Some("CN=Lab CA".into()),
        subject_alt_names: vec!["sql1.lab.test".into()],
        ..Certificate::default()
    }
}

/// What a client offers.
pub(super) fn hello(versions: &[&str], bytes: u32) -> TlsHello {
    TlsHello {
        bytes,
        versions: versions.iter().map(|version| (*version).into()).collect(),
        ..TlsHello::default()
    }
}

/// A handshake of TLS that the client left after the certificate.
pub(super) fn left_tls(certificate: Certificate, alert: Option<&str>) -> Tls {
    Tls {
        version: Some("1.2".into()),
        sni: Some("sql1.lab.test".into()),
        hello: Some(hello(&["1.2"], 300)),
        alert: alert.map(|description| Alert {
            from: Side::Client,
            level: None,
            description: Some(description.into()),
        }),
        certificate: Some(certificate),
        ..Tls::default()
    }
}

fn slugs(symptoms: &Symptoms<'_>) -> Vec<&'static str> {
    ranked(symptoms).iter().map(Ranked::slug).collect()
}

#[test]
fn a_login_that_went_well_in_no_more_than_its_time_has_no_cause() {
    let mut quick = slow(PhaseName::Login, Who::Server);
    quick.duration = 2 * MILLISECOND;
    quick.parts[1] = part(PhaseName::Login, Who::Server, MILLISECOND);
    assert!(slugs(&quick).is_empty());
    // However its neighbours fare.
    (quick.around.stalled, quick.around.begun_by_client) = (60, 60);
    (quick.around.same_end, quick.around.syn_again) = (60, 60);
    assert!(slugs(&quick).is_empty());
}

#[test]
fn what_is_slow_for_a_server_that_is_usually_quick_is_told_below_the_limit_too() {
    let mut odd = slow(PhaseName::Login, Who::Server);
    odd.duration = 400 * MILLISECOND;
    odd.parts[1] = part(PhaseName::Login, Who::Server, 399 * MILLISECOND);
    assert!(slugs(&odd).is_empty(), "nobody knows what is usual");
    odd.around = Around::default().with_usual(PhaseName::Login, 2 * MILLISECOND);
    assert_eq!(slugs(&odd), ["server_slow_login"]);
    assert!(
        ranked(&odd)[0].confidence <= 0.5,
        "another would call it healthy"
    );
    odd.around = Around::default().with_usual(PhaseName::Login, 100 * MILLISECOND);
    assert!(slugs(&odd).is_empty(), "four times is not unusual");
}

#[test]
fn where_one_login_in_a_hundred_always_waits_as_long_that_is_not_unusual() {
    let mut odd = slow(PhaseName::Login, Who::Server);
    odd.duration = 400 * MILLISECOND;
    odd.parts[1] = part(PhaseName::Login, Who::Server, 399 * MILLISECOND);
    let mut with = |p99| {
        let typical = Typical {
            p50: 2 * MILLISECOND,
            p99: Some(p99),
        };
        odd.around = Around::default().with_typical(PhaseName::Login, typical);
        ranked(&odd)
    };
    assert!(with(380 * MILLISECOND).is_empty());
    let told = with(20 * MILLISECOND);
    assert_eq!(told[0].slug(), "server_slow_login");
    let evidence = &told[0].evidence;
    let of = |name| {
        evidence
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_u64())
    };
    assert_eq!(of("usual_ns"), Some(Some(2 * MILLISECOND)));
    assert_eq!(of("usual_p99_ns"), Some(Some(20 * MILLISECOND)));
}

#[test]
fn where_nothing_fits_the_phase_and_the_side_are_told() {
    let mut odd = slow(PhaseName::Login, Who::Network);
    odd.outcome = Some(Outcome::Unknown);
    let told = ranked(&odd);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].slug(), "unknown");
    let evidence = &told[0].evidence;
    let has = |name, value: &str| evidence.iter().any(|(n, v)| *n == name && v == value);
    assert!(
        has("phase", "login") && has("side", "network"),
        "{evidence:?}"
    );
}

#[test]
fn two_causes_at_once_are_both_told() {
    let mut storm = slow(PhaseName::Prelogin, Who::Server);
    (storm.around.stalled, storm.around.released) = (40, 40);
    storm.around.joined = 30;
    storm.around.begun_by_client = 60;
    assert_eq!(
        slugs(&storm)[..2],
        ["server_threads_exhausted", "login_storm"]
    );
}

#[test]
fn on_a_host_without_a_free_processor_nobody_is_surely_slow_but_who_was_seen_to_wait_for_one() {
    let busy = BusyFacts {
        span: 6 * SECOND,
        waited: 5 * SECOND,
    };
    let mut crowd = slow(PhaseName::Prelogin, Who::Server);
    (crowd.around.stalled, crowd.around.released) = (40, 40);
    crowd.around.joined = 30;
    crowd.around.begun_by_client = 60;
    let before = slugs(&crowd);
    crowd.host.busy = Some(busy);
    assert_eq!(slugs(&crowd), before, "in their order");
    let told = ranked(&crowd);
    assert!(told.iter().all(|told| told.confidence <= 0.5), "{told:?}");
    let evidence = &told[0].evidence;
    assert!(
        evidence.iter().any(|(name, _)| *name == "host_pressure_ns"),
        "{evidence:?}"
    );

    let mut longer = crowd.clone();
    let asked = part(PhaseName::Prelogin, Who::Server, 14 * SECOND);
    longer.parts = vec![asked];
    assert!(ranked(&longer)[0].confidence > 0.8, "too long for that");

    let mut starved = slow(PhaseName::Tls, Who::Client);
    starved.host.busy = Some(busy);
    assert!(ranked(&starved)[0].confidence <= 0.5);
    starved.host.process.span = 6 * SECOND;
    starved.host.process.queued = Some(4 * SECOND);
    let told = ranked(&starved);
    assert_eq!(told[0].slug(), "client_starved");
    assert!(told[0].confidence > 0.8, "that was seen: {told:?}");

    let mut failed = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
    failed.host.busy = Some(busy);
    assert!(ranked(&failed)[0].confidence > 0.5, "nobody answered it");
    crowd.host.busy = Some(BusyFacts {
        waited: SECOND,
        ..busy
    });
    assert!(ranked(&crowd)[0].confidence > 0.8, "it had one mostly");
}

#[test]
fn what_only_the_close_shows_is_added_to_what_is_known() {
    let silent = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
    let known = ranked(&silent);
    let late = Symptoms {
        late_reply: Some(SECOND),
        ..silent
    };
    let told = ranked_at_close(&late, &known);
    let told: Vec<_> = told.iter().map(Ranked::slug).collect();
    assert_eq!(told, ["late_reply", "server_silent"]);
}

#[test]
fn each_cause_is_for_somebody_but_those_that_nobody_need_mend() {
    let nobodys: Vec<_> = causes::ALL
        .iter()
        .filter(|cause| cause.whom.is_none())
        .map(|cause| cause.slug)
        .collect();
    assert_eq!(nobodys, ["not_sql_server", "probe"]);
    let of_host = causes::ALL
        .iter()
        .any(|cause| cause.whom == Some(Whom::Host));
    assert!(of_host);
}

#[test]
fn where_nobody_knows_who_was_waited_for_the_longest_phase_is_named() {
    let mut cut = slow(PhaseName::Tls, Who::Server);
    cut.parts
        .push(part(PhaseName::Login, Who::Server, MILLISECOND));
    for part in &mut cut.parts {
        part.waited = None;
    }
    cut.partial = true;
    let told = ranked(&cut);
    assert_eq!(told[0].slug(), "unknown");
    let phase = told[0].evidence.iter().find(|(name, _)| *name == "phase");
    assert_eq!(phase.expect("a phase").1, "tls");
}
