use super::*;

fn dark(tls13: bool, strict: bool) -> Dark {
    let mut dark = Dark::default();
    dark.expect(tls13, strict, false);
    dark
}

fn request(reply_end: u64) -> Meaning {
    Meaning::Request {
        reply_end,
        earlier: [None; EARLIER],
        rounds: 0,
    }
}

#[test]
fn a_request_after_the_reply_proves_the_login() {
    let mut dark = dark(false, false);
    assert_eq!(
        dark.client(10, 10, 400),
        Meaning::Login { prelogin_end: None }
    );
    dark.server(35, 380);
    assert_eq!(dark.client(40, 40, 90), request(35));
}

#[test]
fn tickets_of_tls13_are_no_reply() {
    let mut dark = dark(true, true);
    assert_eq!(dark.server(5, 900), Meaning::Handshake);
    assert_eq!(dark.client(10, 10, 69), Meaning::Handshake);
    assert_eq!(dark.server(11, 250), Meaning::Handshake);
    assert_eq!(dark.client(12, 12, 105), Meaning::Prelogin);
    assert_eq!(dark.server(13, 250), Meaning::Ticket { owed_since: 12 });
    dark.server(14, 60);
    assert_eq!(
        dark.client(15, 15, 363),
        Meaning::Login {
            prelogin_end: Some(14)
        }
    );
}

#[test]
fn a_finished_that_java_padded_is_no_login() {
    let mut dark = dark(true, false);
    assert_eq!(dark.client(10, 10, 85), Meaning::Handshake);
    assert_eq!(
        dark.client(20, 20, 209),
        Meaning::Login { prelogin_end: None }
    );
    dark.server(30, 370);
    assert_eq!(dark.client(40, 40, 345), request(30));
}

#[test]
fn after_a_wrapped_finished_the_first_bare_record_is_the_login() {
    let mut dark = dark(true, false);
    dark.wrapped(10);
    assert_eq!(
        dark.client(20, 20, 69),
        Meaning::Login { prelogin_end: None }
    );
}

#[test]
fn a_sealed_alert_is_neither_a_request_nor_a_reply() {
    let mut dark = dark(true, false);
    dark.client(10, 10, 69);
    dark.client(20, 20, 228);
    assert_eq!(dark.server(25, 19), Meaning::Continuation);
    assert_eq!(dark.farewell(Leave::Server, 26), None);
    dark.server(30, 121);
    assert_eq!(dark.client(40, 40, 19), Meaning::Bye);
    assert!(!dark.farewell(Leave::Server, 45).unwrap().accepted);
}

#[test]
fn a_short_reply_and_the_end_is_a_refusal() {
    for leave in [Leave::Server, Leave::Client, Leave::Reset] {
        let mut dark = dark(false, false);
        dark.client(10, 10, 400);
        dark.server(30, 180);
        assert!(!dark.farewell(leave, 40).unwrap().accepted);
    }
}

#[test]
fn after_a_long_reply_the_server_closes_what_it_refused_and_the_client_what_it_got() {
    for (leave, accepted) in [(Leave::Server, false), (Leave::Client, true)] {
        let mut dark = dark(false, false);
        dark.client(10, 10, 400);
        dark.server(30, 700);
        assert!(dark.hinges_on_server(40));
        assert_eq!(dark.farewell(leave, 40).unwrap().accepted, accepted);
    }
}

#[test]
fn who_stays_for_a_while_was_let_in() {
    for (bytes, until) in [(180, 15), (900, 1)] {
        let mut dark = dark(false, false);
        dark.client(10, 10, 400);
        dark.server(30, bytes);
        assert_eq!(dark.contentment(30 + QUIET * until - 1), None);
        assert!(dark.contentment(30 + QUIET * until).unwrap().accepted);
        let left = dark.farewell(Leave::Server, 30 + QUIET);
        assert!(left.unwrap().accepted);
    }
}

/// pymssql's sizes: LOGIN7 with an NTLM token, challenge, answer, acknowledgement, first batch.
#[test]
fn a_sealed_challenge_is_no_acknowledgement() {
    let mut dark = dark(false, false);
    dark.client(10, 10, 258);
    dark.server(20, 189);
    assert_eq!(
        dark.client(30, 30, 280),
        Meaning::Exchange { reply_end: 20 }
    );
    assert_eq!(dark.farewell(Leave::Client, 35), None);
    dark.server(40, 385);
    let meaning = dark.client(50, 50, 528);
    assert_eq!(
        meaning,
        Meaning::Request {
            reply_end: 40,
            earlier: [None; EARLIER],
            rounds: 1
        }
    );
}

#[test]
fn a_refusal_after_a_sealed_challenge_is_a_refusal() {
    let mut dark = dark(false, false);
    dark.client(10, 10, 258);
    dark.server(20, 189);
    dark.client(30, 30, 280);
    dark.server(40, 142);
    let belief = dark.farewell(Leave::Client, 45).unwrap();
    assert!(!belief.accepted);
    assert_eq!(belief.at, 40);
}

/// Kerberos that falls back to NTLM in SPNEGO: LOGIN7 with an AP-REQ, the other mechanism asked for,
/// negotiation, challenge, answer, and a refusal or an acknowledgement.
fn fallback(reply: u32) -> Dark {
    let mut dark = dark(false, false);
    dark.client(10, 10, 2300);
    dark.server(20, 90);
    assert_eq!(
        dark.client(30, 30, 120),
        Meaning::Exchange { reply_end: 20 }
    );
    dark.server(40, 310);
    assert_eq!(dark.client(50, 50, 420), Meaning::Continuation);
    dark.server(60, reply);
    dark
}

#[test]
fn a_refusal_after_several_sealed_rounds_is_a_refusal() {
    for leave in [Leave::Server, Leave::Client, Leave::Reset] {
        let belief = fallback(142).farewell(leave, 65).unwrap();
        assert!(!belief.accepted);
        assert_eq!(belief.at, 60);
    }
}

#[test]
fn an_acknowledgement_after_several_sealed_rounds_is_told_by_the_request_after_it() {
    let mut dark = fallback(385);
    assert_eq!(
        dark.client(70, 70, 90),
        Meaning::Request {
            reply_end: 60,
            earlier: [None; EARLIER],
            rounds: 2
        }
    );
}

#[test]
fn a_client_whose_messages_are_all_answered_in_few_bytes_asks() {
    let mut dark = fallback(170);
    assert_eq!(dark.client(70, 70, 90), Meaning::Continuation);
    dark.server(80, 130);
    let Meaning::Request {
        reply_end: 20,
        earlier,
        rounds: 0,
    } = dark.client(90, 90, 90)
    else {
        panic!("not taken for requests");
    };
    let times = earlier.map(|sealed| sealed.map(|sealed| (sealed.from, sealed.to)));
    assert_eq!(times, [30, 40, 50, 60, 70, 80].map(|at| Some((at, at))));
}

/// Microsoft's mock server acknowledges in fewer bytes than SQL Server; pymssql's first batch is
/// as long as an SSPI token.
#[test]
fn a_long_first_request_is_told_from_a_token_by_its_short_answer() {
    let mut dark = dark(false, false);
    dark.client(10, 10, 235);
    dark.server(20, 170);
    dark.client(30, 30, 528);
    dark.server(40, 45);
    let Meaning::Request {
        reply_end: 20,
        earlier: [Some(request), Some(answer), None, None, None, None],
        rounds: 0,
    } = dark.client(50, 50, 70)
    else {
        panic!("not taken for a request");
    };
    assert_eq!((request.from, request.len), (30, 528));
    assert_eq!((answer.to, answer.len), (40, 45));
}

#[test]
fn an_acknowledgement_is_no_call_for_a_federated_token() {
    let mut dark = Dark::default();
    dark.expect(false, false, true);
    dark.client(10, 10, 3225);
    dark.server(20, 392);
    assert_eq!(dark.client(30, 30, 780), request(20));
}

/// tedious against Microsoft's mock server, which agrees to federated authentication with everybody.
#[test]
fn a_first_request_after_a_terse_acknowledgement_is_no_federated_token() {
    let mut dark = Dark::default();
    dark.expect(false, false, true);
    dark.client(10, 10, 229);
    dark.server(20, 127);
    assert_eq!(
        dark.client(30, 30, 772),
        Meaning::Exchange { reply_end: 20 }
    );
    dark.server(40, 37);
    assert!(matches!(
        dark.client(50, 50, 62),
        Meaning::Request {
            reply_end: 20,
            earlier: [Some(_), Some(_), None, ..],
            rounds: 0
        }
    ));
}

#[test]
fn a_reply_to_a_sealed_prelogin_is_no_reply_to_a_login() {
    let mut dark = dark(false, true);
    dark.client(10, 10, 90);
    dark.server(20, 60);
    assert_eq!(dark.farewell(Leave::Server, 30), None);
}

/// HTTPS: requests and replies of a small server.
#[test]
fn tls_that_answers_at_length_or_asks_in_a_few_bytes_is_not_tds() {
    for [first_reply, second_request] in [[737, 170], [180, 83]] {
        let mut dark = dark(false, true);
        dark.client(10, 10, 83);
        dark.server(20, first_reply);
        dark.client(30, 30, second_request);
        dark.server(40, 400);
        assert_eq!(dark.client(50, 50, 83), Meaning::Continuation);
        assert_eq!(dark.farewell(Leave::Server, 60), None);
        assert_eq!(dark.contentment(QUIET * 20), None);
    }
}

#[test]
fn a_short_request_after_a_terse_acknowledgement_is_no_round_of_authentication() {
    let mut dark = dark(false, false);
    dark.client(10, 10, 480);
    dark.server(20, 150);
    assert_eq!(
        dark.client(30, 30, 130),
        Meaning::Request {
            reply_end: 20,
            earlier: [None; EARLIER],
            rounds: 0
        }
    );
}

#[test]
fn of_tls_that_names_no_protocol_every_size_must_be_a_logins() {
    let sizes = [105, 90, 363, 380];
    let is_login = |sizes: [u32; 4]| {
        let mut dark = dark(false, true);
        dark.expect_anybody();
        dark.client(10, 10, sizes[0]);
        dark.server(11, sizes[1]);
        dark.client(12, 12, sizes[2]);
        dark.server(13, sizes[3]);
        dark.client(14, 14, 90) == request(13)
    };
    assert!(is_login(sizes));
    // A request, its answer, one that is no longer, and an answer too short to acknowledge.
    for (turn, size) in [(0, 300), (1, 300), (2, 105), (3, 300)] {
        let mut others = sizes;
        others[turn] = size;
        assert!(!is_login(others), "turn {turn}");
    }
}
