//! Sealed logins, record by record.

use std::sync::Arc;

use tracer_ebpf::event::Direction::{ToClient, ToServer};

use super::{
    Sealed,
    belief::{Belief, CONFIRMED, Leave},
    records::{Record, Terms},
    turns::Reading,
};
use crate::session::{input::Side, ledger::Step};

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

const TLS_1_2: Terms = Terms {
    round_trip: 0,
    tls13: false,
    strict: false,
    unnamed: false,
    federated: false,
    attention: Some(32),
    smp_control: Some(40),
    whole: true,
    overhead: 24,
};
const TLS_1_3: Terms = Terms {
    tls13: true,
    attention: Some(25),
    smp_control: Some(33),
    overhead: 17,
    ..TLS_1_2
};
const STRICT: Terms = Terms {
    strict: true,
    ..TLS_1_3
};

/// Records as side, moment in milliseconds, and length.
fn reading(terms: Terms, records: &[(Side, u64, u32)]) -> Arc<Reading> {
    let mut sealed = Sealed::default();
    for &(side, at, len) in records {
        sealed.push(Record {
            side,
            from: at * MILLISECOND,
            to: at * MILLISECOND,
            len,
            wrapped: false,
        });
    }
    sealed.read(terms)
}

fn at(belief: Option<Belief>) -> Option<(bool, u64)> {
    belief.map(|belief| (belief.accepted, belief.at / MILLISECOND))
}

fn owed_by(reading: &Reading, now: u64) -> Option<(Side, u64)> {
    let last: Option<Step> = reading.moves(now).last();
    last.map(|step| (step.owed_by, step.at / MILLISECOND))
}

#[test]
fn a_request_after_a_long_reply_proves_the_login() {
    let records = [
        (ToServer, 10, 400),
        (ToClient, 35, 1_500),
        (ToServer, 40, 90),
    ];
    let belief = reading(TLS_1_2, &records).went_on().expect("a login");
    assert_eq!((belief.accepted, belief.at), (true, 35 * MILLISECOND));
    assert_eq!((belief.confidence, belief.rest), (CONFIRMED, 2));
}

#[test]
fn a_short_message_after_an_acknowledgement_is_a_request_once_it_is_answered() {
    let records = [
        (ToServer, 10, 400),
        (ToClient, 35, 385),
        (ToServer, 40, 139),
        (ToClient, 45, 81),
    ];
    assert_eq!(at(reading(TLS_1_2, &records[..3]).went_on()), None);
    assert_eq!(at(reading(TLS_1_2, &records).went_on()), Some((true, 35)));
    let left = reading(TLS_1_2, &records[..3]).farewell(Leave::Client, 50 * MILLISECOND);
    assert_eq!(at(left), Some((true, 35)));
}

#[test]
fn a_session_of_mars_shows_the_login_at_once() {
    let records = [(ToServer, 10, 400), (ToClient, 35, 385), (ToServer, 40, 40)];
    assert_eq!(at(reading(TLS_1_2, &records).went_on()), Some((true, 35)));
}

#[test]
fn an_ntlm_challenge_of_any_size_is_no_acknowledgement() {
    for challenge in [150, 189, 350, 434, 800, 1_200] {
        let records = [
            (ToServer, 10, 242),
            (ToClient, 20, challenge),
            (ToServer, 25, 600),
            (ToClient, 14_025, 144),
        ];
        for count in 2..=3 {
            let reading = reading(TLS_1_2, &records[..count]);
            assert_eq!(at(reading.went_on()), None, "{challenge}");
            assert_eq!(at(reading.contentment(20 * SECOND)), None, "{challenge}");
        }
        let waiting = reading(TLS_1_2, &records[..3]);
        assert_eq!(at(waiting.farewell(Leave::Client, 20 * SECOND)), None);
        assert_eq!(owed_by(&waiting, 20 * SECOND), Some((ToClient, 25)));
        let refused = reading(TLS_1_2, &records);
        let belief = refused.farewell(Leave::Server, 14_026 * MILLISECOND);
        assert_eq!(at(belief), Some((false, 14_025)), "{challenge}");
        assert_eq!(refused.exchange(), Some(20 * MILLISECOND));
    }
}

#[test]
fn an_ntlm_exchange_ends_with_the_acknowledgement() {
    for challenge in [189, 434, 1_200] {
        let records = [
            (ToServer, 10, 242),
            (ToClient, 20, challenge),
            (ToServer, 25, 600),
            (ToClient, 9_000, 500),
            (ToServer, 9_010, 120),
        ];
        let belief = reading(TLS_1_2, &records).went_on().expect("a login");
        assert_eq!((belief.at, belief.rounds), (9_000 * MILLISECOND, 1));
    }
}

#[test]
fn requests_that_look_like_tokens_show_by_a_bare_answer() {
    let records = [
        (ToServer, 10, 228),
        (ToClient, 20, 378),
        (ToServer, 25, 521),
        (ToClient, 30, 38),
    ];
    let belief = reading(TLS_1_3, &[&[(ToServer, 5, 69)], &records[..]].concat());
    assert_eq!(at(belief.contentment(2 * SECOND)), Some((true, 20)));
}

#[test]
fn tickets_before_after_and_between_the_logins_records_are_no_reply() {
    let finished = (ToServer, 10, 69);
    let ticket = (ToClient, 12, 250);
    for records in [
        vec![finished, ticket, ticket, (ToServer, 13, 363)],
        vec![finished, (ToServer, 10, 363), ticket, ticket],
        vec![
            finished,
            (ToServer, 10, 200),
            ticket,
            ticket,
            (ToServer, 13, 180),
        ],
    ] {
        let waiting = reading(TLS_1_3, &records);
        assert_eq!(waiting.login().len(), 1, "{records:?}");
        assert_eq!(at(waiting.contentment(15 * SECOND)), None);
        assert_eq!(at(waiting.farewell(Leave::Client, 15 * SECOND)), None);
        assert_eq!(
            owed_by(&waiting, 15 * SECOND).map(|(side, _)| side),
            Some(ToClient)
        );
        let refused = reading(
            TLS_1_3,
            &[&records[..], &[(ToClient, 14_000, 144)]].concat(),
        );
        let belief = refused.farewell(Leave::Server, 14_001 * MILLISECOND);
        assert_eq!(at(belief), Some((false, 14_000)), "{records:?}");
    }
}

#[test]
fn tickets_of_different_lengths_show_when_the_reply_comes_later() {
    let records = [
        (ToServer, 10, 69),
        (ToServer, 10, 363),
        (ToClient, 12, 500),
        (ToClient, 14_000, 144),
    ];
    let belief = reading(TLS_1_3, &records).farewell(Leave::Server, 14_001 * MILLISECOND);
    assert_eq!(at(belief), Some((false, 14_000)));
}

#[test]
fn in_tds_8_tickets_are_no_answer_to_prelogin() {
    let records = [
        (ToClient, 5, 900),
        (ToServer, 10, 69),
        (ToServer, 12, 105),
        (ToClient, 13, 266),
        (ToClient, 13, 266),
        (ToClient, 14, 60),
        (ToServer, 15, 363),
    ];
    let asking = reading(STRICT, &records[..5]);
    assert_eq!(owed_by(&asking, 20 * SECOND), Some((ToClient, 12)));
    let reading = reading(STRICT, &records);
    let (_, answer) = reading.prelogin();
    assert_eq!(answer.map(|turn| turn.to), Some(14 * MILLISECOND));
    assert_eq!(reading.login().len(), 1);
}

#[test]
fn a_finished_of_any_size_ends_the_handshake() {
    for finished in [53, 69, 85, 256] {
        let records = [
            (ToServer, 10, finished),
            (ToServer, 20, 363),
            (ToClient, 30, 1_500),
            (ToServer, 40, 345),
        ];
        let reading = reading(TLS_1_3, &records);
        assert_eq!(reading.finished, Some(10 * MILLISECOND));
        assert_eq!(at(reading.went_on()), Some((true, 30)));
    }
}

#[test]
fn alerts_key_updates_and_attentions_are_neither_requests_nor_replies() {
    for (terms, control) in [(TLS_1_3, 19), (TLS_1_3, 22), (TLS_1_3, 25), (TLS_1_2, 32)] {
        let records = [
            (ToServer, 5, 69),
            (ToServer, 10, 363),
            (ToServer, 2_010, control),
        ];
        let first = usize::from(!terms.tls13);
        let left = reading(terms, &records[first..]);
        assert_eq!(
            owed_by(&left, 3 * SECOND),
            Some((ToClient, 10)),
            "{control}"
        );
        assert_eq!(at(left.farewell(Leave::Client, 2_011 * MILLISECOND)), None);
    }
}

#[test]
fn a_record_split_in_many_means_what_it_meant_whole() {
    let whole = [
        (ToServer, 10, 242),
        (ToClient, 20, 189),
        (ToServer, 25, 282),
        (ToClient, 40, 144),
    ];
    let split: Vec<_> = whole
        .iter()
        .flat_map(|&(side, at, len)| {
            let first = (side, at, 25);
            let rest = (1..).take_while(move |part| part * 60 < len);
            [first].into_iter().chain(rest.map(move |_| (side, at, 60)))
        })
        .collect();
    let reading = reading(TLS_1_2, &split);
    assert_eq!(at(reading.went_on()), None);
    assert_eq!(
        at(reading.farewell(Leave::Server, 41 * MILLISECOND)),
        Some((false, 40))
    );
}

#[test]
fn a_federated_login_is_decided_by_the_reply_to_its_token() {
    let terms = Terms {
        federated: true,
        ..TLS_1_2
    };
    let records = [
        (ToServer, 10, 385),
        (ToClient, 20, 165),
        (ToServer, 300_000, 3_040),
        (ToClient, 300_050, 200),
    ];
    let waiting = reading(terms, &records[..2]);
    assert_eq!(at(waiting.contentment(299 * SECOND)), None);
    assert_eq!(at(waiting.farewell(Leave::Client, 299 * SECOND)), None);
    let sent = reading(terms, &records[..3]);
    assert_eq!(at(sent.farewell(Leave::Client, 400 * SECOND)), None);
    assert_eq!(
        sent.federated_token(),
        Some((20 * MILLISECOND, 300 * SECOND))
    );
    let refused = reading(terms, &records).farewell(Leave::Server, 300_051 * MILLISECOND);
    assert_eq!(at(refused), Some((false, 300_050)));
}

#[test]
fn a_short_reply_and_the_servers_end_is_a_refusal() {
    let records = [(ToServer, 10, 400), (ToClient, 30, 180)];
    let reading = reading(TLS_1_2, &records);
    let belief = reading
        .farewell(Leave::Server, 31 * MILLISECOND)
        .expect("a belief");
    assert_eq!((belief.accepted, belief.confidence), (false, 0.9));
}

#[test]
fn what_only_sizes_say_is_believed_to_0_7_at_most() {
    for reply in [400, 800, 1_200] {
        let records = [(ToServer, 10, 400), (ToClient, 30, reply)];
        let reading = reading(TLS_1_2, &records);
        assert_eq!(
            at(reading.contentment(60 * SECOND)),
            None,
            "it may be a challenge"
        );
        let left = reading
            .farewell(Leave::Client, 3 * SECOND)
            .expect("a belief");
        assert!(left.accepted && left.confidence <= 0.7);
    }
}

#[test]
fn tls_that_has_not_the_sizes_of_a_login_is_somebody_elses() {
    let polling = [
        (ToServer, 10, 69),
        (ToServer, 12, 105),
        (ToClient, 14, 1_200),
        (ToServer, 20, 105),
    ];
    assert!(reading(STRICT, &polling).is_foreign());
    assert_eq!(reading(STRICT, &polling).went_on(), None);
}
