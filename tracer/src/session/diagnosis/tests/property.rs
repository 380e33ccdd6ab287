//! What holds whatever was seen.

use proptest::prelude::*;

use super::{
    super::{
        Around, Closing, Ended, Lost, Part, Ranked, Spread, Symptoms, ranked, ranked_at_close,
        symptoms::SECOND,
    },
    certificate, hello,
};
use crate::record::{
    Alert, Auth, AuthKind, Certificate, Encryption, EncryptionOption, Entra, Nanos, Outcome,
    PhaseName, Side, Sides, SqlError, Stranger, Tcp, Tds, Timestamp, Tls, Waited,
};

fn outcomes() -> impl Strategy<Value = Option<Outcome>> {
    use Outcome as O;
    let all = [
        O::Redirected,
        O::Success,
        O::Failed,
        O::Refused,
        O::Unreachable,
        O::Timeout,
        O::TlsFailed,
        O::Reset,
        O::Closed,
        O::Aborted,
        O::Unknown,
    ];
    prop::option::weighted(0.9, prop::sample::select(all.to_vec()))
}

/// Nanoseconds of every size.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..SECOND, 0..100 * SECOND, any::<u64>(),]
}

fn few() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, 0..100_u32, any::<u32>()]
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Client), Just(Side::Server)]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let one = (
        0..PhaseName::LOGIN.len(),
        time(),
        time(),
        time(),
        any::<[bool; 2]>(),
        few(),
    );
    let one = one.prop_map(
        |(name, client, server, network, [complete, seen], resent)| Part {
            name: PhaseName::LOGIN[name],
            duration: client.saturating_add(server).saturating_add(network),
            complete,
            waited: seen.then_some(Waited {
                client_ns: Nanos(client),
                server_ns: Nanos(server),
                network_ns: Nanos(network),
            }),
            resent,
        },
    );
    prop::collection::vec(one, 0..6)
}

fn spreads() -> impl Strategy<Value = Spread> {
    (few(), time(), time()).prop_map(|(count, one, other)| Spread {
        count,
        least: one.min(other),
        most: one.max(other),
    })
}

fn arounds() -> impl Strategy<Value = Around> {
    let counts = prop::collection::vec(few(), 16);
    (counts, spreads(), spreads(), time(), any::<bool>()).prop_map(
        |(counts, alike, alone, usual, sent)| Around {
            in_flight: counts[0],
            stalled: counts[1],
            released: counts[2],
            steps: counts[3],
            passed: counts[4],
            ahead: counts[5],
            alike,
            alone,
            same_end: counts[6],
            good: counts[7],
            syn_again: counts[8],
            begun_by_client: counts[9],
            in_flight_of_client: counts[10],
            one_after_the_other: counts[11],
            joined: counts[12],
            own_pace: counts[13],
            good_between: counts[14],
            resent: counts[15],
            was_sent_here: sent,
            usual_round_trip: Some(usual),
            ..Around::default().with_usual(PhaseName::Login, usual)
        },
    )
}

fn lots() -> impl Strategy<Value = Lost> {
    let by = prop::option::of(sides());
    (time(), few(), by, few(), few(), any::<bool>()).prop_map(
        |(time, copies, by, length, shortest, for_good)| Lost {
            time,
            copies,
            by,
            length,
            shortest,
            for_good,
        },
    )
}

fn ends() -> impl Strategy<Value = (Option<Ended>, Option<Closing>)> {
    let ended = (sides(), any::<[bool; 3]>(), time());
    let ended = ended.prop_map(|(by, [reset, foreign, bare], after)| Ended {
        by,
        reset,
        foreign,
        bare,
        after,
    });
    let closing = (any::<[bool; 3]>(), time(), few(), few(), few());
    let closing = closing.prop_map(
        |([abnormal, reset, foreign], idle, probes, copies, in_flight)| Closing {
            abnormal,
            reset,
            foreign,
            idle,
            probes,
            copies,
            in_flight,
        },
    );
    (prop::option::of(ended), prop::option::of(closing))
}

/// What may have been said: owned, for symptoms only look at it.
fn said() -> impl Strategy<Value = (Option<Tds>, Option<Tls>, Option<Auth>, Vec<SqlError>)> {
    use EncryptionOption::{NotSup, Off, On};
    let options = || prop::sample::select(vec![Off, On, NotSup]);
    let kinds = [
        AuthKind::Sql,
        AuthKind::Ntlm,
        AuthKind::Kerberos,
        AuthKind::Spnego,
        AuthKind::Entra,
        AuthKind::Unknown,
    ];
    let encryptions = [
        Encryption::None,
        Encryption::LoginOnly,
        Encryption::Full,
        Encryption::Strict,
        Encryption::Refused,
    ];
    let tds = (
        options(),
        options(),
        prop::sample::select(encryptions.to_vec()),
        "[0-9x.]{0,6}",
    );
    let tds = tds.prop_map(|(asked, answered, encryption, version)| Tds {
        encryption: Some(encryption),
        encryption_asked: Some(asked),
        encryption_answered: Some(answered),
        server_version: Some(version.as_str().into()),
        ..Tds::default()
    });
    let alerts = [
        "",
        "unknown_ca",
        "protocol_version",
        "handshake_failure",
        "certificate_expired",
    ];
    let tls = (
        few(),
        prop::option::of(sides()),
        prop::sample::select(alerts.to_vec()),
        any::<[bool; 4]>(),
    );
    let tls = tls.prop_map(
        |(bytes, from, name, [answered, shown, negative, signed])| Tls {
            version: answered.then(|| "1.2".into()),
            sni: Some("sql1.lab.test".into()),
            hello: Some(hello(&["1.2", "1.3"], bytes)),
            alert: from.map(|from| Alert {
                from,
                level: None,
                description: Some(name).filter(|name| !name.is_empty()).map(Into::into),
            }),
            certificate: shown.then(|| Certificate {
                serial_negative: Some(negative),
                self_signed: Some(signed),
                ..certificate()
            }),
            ..Tls::default()
        },
    );
    let auth = (prop::sample::select(kinds.to_vec()), time(), any::<bool>());
    let auth = auth.prop_map(|(kind, fetch, fell)| Auth {
        kind,
        fallback_from: fell.then_some(AuthKind::Kerberos),
        entra: Some(Entra {
            token_fetch_ns: Some(Nanos(fetch)),
            ..Entra::default()
        }),
        ..Auth::default()
    });
    let numbers = prop::sample::select(vec![4060, 4064, 18456, 40613, 17892, 1]);
    let errors = numbers.prop_map(|number| SqlError {
        number,
        state: 1,
        class: 14,
    });
    (
        prop::option::of(tds),
        prop::option::of(tls),
        prop::option::of(auth),
        prop::collection::vec(errors, 0..3),
    )
}

proptest! {
    #[test]
    fn whatever_was_seen_causes_are_ranked_and_their_confidence_is_one(
        (outcome, parts, around, lost) in (outcomes(), parts(), arounds(), lots()),
        (tds, tls, auth, errors) in said(),
        (ended, closing) in ends(),
        (duration, slow, at, late) in (time(), time(), any::<u64>(), prop::option::of(time())),
        (again, shut, bytes, rtt) in (few(), few(), any::<u64>(), time()),
        (belief, strange) in (0.0..=1.0, any::<bool>()),
    ) {
        let symptoms = Symptoms {
            outcome,
            belief,
            stranger: strange.then_some(Stranger::Silent),
            loser: again % 5 == 0,
            duration,
            parts,
            ended,
            tcp: Tcp {
                rtt_ns: Some(Nanos(rtt)),
                syn_retransmits: Some(again),
                retransmits: Sides { client: again, server: shut },
                zero_window: Sides { client: shut, server: again },
                bytes: Sides { client: bytes.into(), server: bytes.into() },
                ..Tcp::default()
            },
            lost,
            errors,
            tds: tds.as_ref(),
            tls: tls.as_ref(),
            auth: auth.as_ref(),
            at: Timestamp(at),
            slow,
            around,
            late_reply: late,
            closing,
            ..Symptoms::default()
        };
        let told = ranked(&symptoms);
        prop_assert!(told.len() <= 4);
        prop_assert!(told.iter().all(|ranked| (0.0..=1.0).contains(&ranked.confidence)));
        prop_assert!(told.is_sorted_by(|one, next| one.confidence >= next.confidence));
        let good = outcome.is_some_and(Outcome::is_good);
        prop_assert!(good || !told.is_empty(), "nothing is said of {symptoms:?}");
        let again = ranked(&symptoms);
        let names = |told: &[Ranked]| told.iter().map(Ranked::slug).collect::<Vec<_>>();
        prop_assert_eq!(names(&told), names(&again));
        let closed = ranked_at_close(&symptoms, &told);
        prop_assert!(closed.is_sorted_by(|one, next| one.confidence >= next.confidence));
    }
}
