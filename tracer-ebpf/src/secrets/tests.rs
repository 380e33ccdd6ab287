use super::*;
use crate::test_messages::{Login7, SECRET, count_secret, ntlm_authenticate, offer};

const BODY: Seq = Seq(5000);

fn message(kind: u8, body: &[u8]) -> Message {
    Message {
        kind,
        reply: false,
        first: true,
        sealed: false,
        body: BODY,
        end: BODY.add(u32::try_from(body.len()).unwrap()),
    }
}

/// The bytes of a body that may be told when its first `readable` bytes are at hand.
fn told(message: &Message, body: &[u8], readable: usize) -> Vec<u8> {
    let known = of_packet(message, &body[..readable], 0, readable as u32);
    let withheld = match known {
        Secrets::Known(withheld) => withheld,
        Secrets::InBody => Withheld::one(message.body, message.end),
    };
    let mut told = Vec::new();
    for (at, byte) in (0..).zip(body) {
        let position = message.body.add(at);
        let mut spans = withheld.spans.iter();
        if !spans.any(|span| !position.before(span.from) && position.before(span.to)) {
            told.push(*byte);
        }
    }
    told
}

#[test]
fn of_a_login_everything_but_its_secrets_may_be_told() {
    let login = Login7 {
        password: 16,
        new_password: 10,
        sspi: 200,
        federated: 300,
    };
    let body = login.body();
    let told = told(&message(packet_type::LOGIN7, &body), &body, body.len());
    let secret = count_secret(&body);
    assert_eq!(secret, 526);
    assert!(!told.contains(&SECRET));
    assert_eq!(told.len(), body.len() - secret);
}

#[test]
fn a_login_of_tds_7_1_has_no_new_password_where_its_names_begin() {
    let mut body = vec![0; 86];
    body[7] = LAST_SHORT;
    body[36] = LOGIN7_SHORT as u8;
    body[38] = 4;
    body[44] = 94;
    body[46] = 8;
    body.extend(*b"U\0N\0K\0N\0");
    body.extend([SECRET; 16]);
    body.extend(*b"j\0T\0D\0S\0");
    let told = told(&message(packet_type::LOGIN7, &body), &body, body.len());
    assert_eq!(told.len(), body.len() - 16);
    assert!(!told.contains(&SECRET));
}

#[test]
fn a_login_of_which_only_the_beginning_is_at_hand_tells_no_secret() {
    let login = Login7 {
        password: 16,
        new_password: 10,
        sspi: 200,
        federated: 300,
    };
    let body = login.body();
    for readable in 0..body.len() {
        let told = told(&message(packet_type::LOGIN7, &body), &body, readable);
        assert!(!told.contains(&SECRET), "{readable} bytes at hand");
    }
}

#[test]
fn of_an_ntlm_authenticate_message_the_responses_and_the_key_are_withheld() {
    let plain = ntlm_authenticate();
    let wrapped = [&[0xA1; 30][..], &plain].concat();
    for body in [plain, wrapped] {
        let message = message(packet_type::SSPI, &body);
        let all = told(&message, &body, body.len());
        assert!(!all.contains(&SECRET));
        assert_eq!(all.len(), body.len() - 100);
        for readable in 0..body.len() {
            let some = told(&message, &body, readable);
            assert!(!some.contains(&SECRET), "{readable} bytes at hand");
        }
    }
}

#[test]
fn of_any_other_token_only_its_mechanism_may_be_told() {
    let body = [&offer()[..], &[SECRET; 700]].concat();
    let told = told(&message(packet_type::SSPI, &body), &body, body.len());
    assert_eq!(told, &body[..80]);
}

/// The answer to a ticket as far as its encrypted part: RFC 4120 5.5.2.
const AP_REP: [u8; 28] = [
    0x6F, 0x81, 0x89, 0x30, 0x81, 0x86, 0xA0, 3, 2, 1, 5, 0xA1, 3, 2, 1, 15, 0xA2, 0x7A, 0x30,
    0x78, 0xA0, 3, 2, 1, 18, 0xA2, 0x71, 4,
];
/// Kerberos's object identifier, 1.2.840.113554.1.2.2, in DER.
const KERBEROS: [u8; 11] = [6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2];

#[test]
fn of_the_answer_to_a_ticket_its_mechanism_may_be_told_and_nothing_encrypted() {
    let frame = [&[0x60, 0x81, 0x99][..], &KERBEROS, &[2, 0]].concat();
    let chosen = [
        &[
            0xA1, 0x81, 0xB6, 0x30, 0x81, 0xB3, 0xA0, 3, 10, 1, 0, 0xA1, 11,
        ][..],
        &KERBEROS,
    ];
    let chosen = [&chosen.concat()[..], &[0xA2, 0x81, 0x9F, 4, 0x81, 0x9C]].concat();
    // The shortest there is: all its lengths of one byte.
    let bare = [0xA1, 0x78, 0x30, 0x76, 0xA2, 0x74, 4, 0x72];
    let short: Vec<_> = AP_REP.into_iter().filter(|byte| *byte != 0x81).collect();
    for (wrapping, name) in [
        ([&frame[..], &AP_REP].concat(), 3..14),
        ([&chosen[..], &frame, &AP_REP].concat(), 13..24),
        ([&chosen[..], &AP_REP].concat(), 13..24),
        ([&bare[..], &short].concat(), 0..1),
        (AP_REP.to_vec(), 0..1),
    ] {
        let token = [&wrapping[..], &[111], &[SECRET; 111]].concat();
        let len = (token.len() as u16).to_le_bytes();
        let body = [&[TOKEN_SSPI][..], &len, &token].concat();
        for readable in 1..=body.len() {
            let told = told(&reply_of(&body), &body, readable);
            assert!(!told.contains(&SECRET), "{readable} bytes at hand");
            let whole = readable == body.len();
            let named = told.get(3..).and_then(|token| token.get(name.clone()));
            assert!(!whole || named == Some(&token[name.clone()]));
        }
        let message = message(packet_type::SSPI, &token);
        let told = told(&message, &token, token.len());
        assert!(!told.contains(&SECRET));
    }
}

#[test]
fn what_follows_the_first_packet_of_a_message_is_withheld_whole() {
    for kind in [packet_type::LOGIN7, packet_type::SSPI] {
        assert_eq!(in_kind(kind, false, false), InKind::All);
    }
    assert_eq!(in_kind(packet_type::LOGIN7, true, true), InKind::All);
    assert_eq!(
        in_kind(packet_type::FEDERATED_TOKEN, true, false),
        InKind::All
    );
}

#[test]
fn a_kind_that_is_not_known_is_withheld_whole() {
    let told_kinds: Vec<_> = (0..=u8::MAX)
        .filter(|kind| in_kind(*kind, true, false) != InKind::All)
        .collect();
    let known = [
        packet_type::LOGIN7,
        packet_type::SSPI,
        packet_type::PRELOGIN,
    ];
    assert_eq!(told_kinds, known);
}

#[test]
fn lengths_that_lie_withhold_more_and_never_less() {
    let login = Login7 {
        password: 16,
        ..Login7::default()
    };
    let mut body = login.body();
    // A feature extension that points past the end.
    body[27] |= 0x10;
    body[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    let told_of = |body: &[u8]| told(&message(packet_type::LOGIN7, body), body, body.len());
    assert!(!told_of(&body).contains(&SECRET));
    // A password that is said to be as long as can be.
    body[46..48].copy_from_slice(&u16::MAX.to_le_bytes());
    let all = told_of(&body);
    assert!(!all.contains(&SECRET) && all.len() <= 98);
}

/// A server's SSPI token around this.
fn challenge(wrapping: &[u8]) -> Vec<u8> {
    let mut token = wrapping.to_vec();
    token.extend(NTLMSSP);
    token.extend(NTLM_CHALLENGE.to_le_bytes());
    token.extend([6, 0, 6, 0, 56, 0, 0, 0, 1, 2, 3, 4]);
    token.extend([SECRET; 8]);
    token.extend([0; 8]);
    token.extend([6, 0, 6, 0, 62, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    token.extend(b"L\0A\0B\0I\0N\0F\0");
    let mut body = vec![TOKEN_SSPI];
    body.extend((token.len() as u16).to_le_bytes());
    body.extend(token);
    body
}

fn reply_of(body: &[u8]) -> Message {
    Message {
        reply: true,
        ..message(packet_type::TABULAR_RESULT, body)
    }
}

#[test]
fn of_a_servers_challenge_only_the_challenge_is_withheld() {
    for wrapping in [
        &[][..],
        &[0xA1, 0x81, 0xCE, 0x30, 0x81, 0xCB, 0xA0, 3, 10, 1, 1],
    ] {
        let body = challenge(wrapping);
        let whole = told(&reply_of(&body), &body, body.len());
        assert!(!whole.contains(&SECRET));
        assert_eq!(whole.len(), body.len() - 8);
        for readable in 0..body.len() {
            let part = told(&reply_of(&body), &body, readable);
            assert!(readable == 0 || !part.contains(&SECRET));
        }
    }
}

#[test]
fn an_answer_to_a_ticket_behind_the_acknowledgement_is_withheld_too() {
    let before = [
        &[TOKEN_ENVCHANGE, 4, 0, 1, 0, 0, 0][..],
        &[TOKEN_INFO, 2, 0, 9, 9],
        &[TOKEN_LOGINACK, 1, 0, 1],
    ]
    .concat();
    let token = [&[TOKEN_SSPI, 40, 0][..], &[SECRET; 40]].concat();
    let done = [0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let body = [&before[..], &token, &done].concat();
    let all = told(&reply_of(&body), &body, body.len());
    let named = mechanism_bytes(&token[..], TOKEN_HEADER) as usize;
    assert_eq!(count_secret(&all), named);
    assert_eq!(all.len(), body.len() - 40 + named);
}

#[test]
fn of_any_other_reply_everything_may_be_told() {
    let body = [0xE3, 8, 0, 4, 0xED, 0, 0, 0, 0, 0, 0];
    for readable in 1..=body.len() {
        assert_eq!(told(&reply_of(&body), &body, readable), body);
    }
}

#[test]
fn an_answer_to_a_challenge_in_a_login_packet_keeps_its_secrets() {
    // SPNEGO around it, by what its lengths take: python-tds sends such.
    let wrapped = [
        0xA1, 0x7B, 0x30, 0x79, 0xA0, 3, 10, 1, 1, 0xA2, 0x72, 4, 0x70,
    ];
    let longer = [
        0xA1, 0x82, 1, 0x95, 0x30, 0x82, 1, 0x91, 0xA0, 3, 10, 1, 1, 0xA2, 0x82, 1, 0x74, 4, 0x82,
        1, 0x70,
    ];
    // The length that LOGIN7 could have too.
    let as_login = [
        0xA1, 0x82, 1, 0, 0x30, 0x81, 0xFD, 0xA2, 0x81, 0xFA, 4, 0x81, 0xF7,
    ];
    for wrapping in [&[][..], &wrapped, &longer, &as_login] {
        let body = [wrapping, &ntlm_authenticate()].concat();
        let message = message(packet_type::LOGIN7, &body);
        let all = told(&message, &body, body.len());
        assert!(!all.contains(&SECRET), "{wrapping:x?}");
        assert_eq!(all.len(), body.len() - 100, "{wrapping:x?}");
        for readable in 0..body.len() {
            assert!(!told(&message, &body, readable).contains(&SECRET));
        }
    }
}
