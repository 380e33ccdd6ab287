use super::*;

const LOGIN: &[u8] = include_bytes!("../samples/reply_login.bin");
const ROUTING: &[u8] = include_bytes!("../samples/reply_routing.bin");
const MOCK_ROUTING: &[u8] = include_bytes!("../samples/reply_mock_routing.bin");
const FAILED: &[u8] = include_bytes!("../samples/reply_login_failed.bin");
const OPENCANARY: &[u8] = include_bytes!("../samples/reply_opencanary.bin");
const MSSQLPOT: &[u8] = include_bytes!("../samples/reply_mssqlpot.bin");
const TDSPOOL: &[u8] = include_bytes!("../samples/reply_tdspool.bin");
const COLUMNS: &[u8] = include_bytes!("../samples/reply_columns.bin");
const CHALLENGE: &[u8] = include_bytes!("../samples/reply_ntlm_challenge.bin");

fn walk(body: &[u8]) -> Vec<Token> {
    Tokens::new(body, None).collect()
}

fn loginack(tokens: &[Token]) -> &LoginAck {
    tokens
        .iter()
        .find_map(|token| match token {
            Token::LoginAck(ack) => Some(ack),
            _ => None,
        })
        .unwrap()
}

fn login_failed() -> Token {
    Token::Error(Message {
        number: 18456,
        state: 1,
        class: 14,
    })
}

fn failed_done() -> Token {
    Token::Done(Done {
        kind: DoneKind::Done,
        status: DoneStatus(2),
        rows: None,
    })
}

#[test]
fn a_successful_login_ends_with_done() {
    let tokens = walk(LOGIN);
    let ack = loginack(&tokens);
    assert_eq!(ack.tds_version.name(), Some("7.4"));
    assert_eq!(ack.program_name, "Microsoft SQL Server");
    assert_eq!((ack.interface, ack.version), (1, Some([16, 0, 16, 43])));
    assert_eq!(
        tokens[0],
        Token::EnvChange(EnvChange::Database("master".to_owned()))
    );
    assert!(tokens.contains(&Token::EnvChange(EnvChange::PacketSize(4096))));
    let collation = Collation {
        lcid: 0x0409,
        sort_id: 0x34,
    };
    let collation = EnvChange::Collation(Some(collation));
    assert!(tokens.contains(&Token::EnvChange(collation)));
    let language = EnvChange::Language("us_english".to_owned());
    assert!(tokens.contains(&Token::EnvChange(language)));
    assert!(matches!(tokens.last(), Some(Token::Done(done)) if !done.status.more()));
}

#[test]
fn routing_names_where_to_go() {
    for (body, port, host) in [
        (ROUTING, 0xDF33, "sql1.lab.test"),
        (MOCK_ROUTING, 0xDF33, "10.77.0.2"),
    ] {
        let routing = Token::EnvChange(EnvChange::Routing(Routing {
            protocol: 0,
            port,
            host: host.to_owned(),
            database: None,
        }));
        let tokens = walk(body);
        assert!(tokens.contains(&routing), "{tokens:?}");
        assert!(matches!(tokens.last(), Some(Token::Done(_))));
    }
}

#[test]
fn enhanced_routing_names_the_database_too() {
    let body = b"\xe3\x12\x00\x15\x0d\x00\x00\x99\x05\x01\x00h\x00\x02\x00d\x00b\x00\x00\x00";
    let [Token::EnvChange(EnvChange::EnhancedRouting(routing))] = &walk(body)[..] else {
        panic!("not a routing");
    };
    assert_eq!((routing.port, routing.host.as_str()), (1433, "h"));
    assert_eq!(routing.database.as_deref(), Some("db"));
}

#[test]
fn a_refused_login_gives_number_state_and_class_but_no_text() {
    assert_eq!(walk(FAILED), [login_failed(), failed_done()]);
    assert_eq!(walk(MSSQLPOT), [login_failed(), failed_done()]);
}

#[test]
fn an_error_with_a_wrong_length_is_still_read_and_walked_past() {
    assert_eq!(walk(OPENCANARY), [login_failed(), failed_done()]);
}

#[test]
fn the_versions_of_one_server_may_differ_from_reply_to_reply() {
    let tokens = walk(TDSPOOL);
    assert_eq!(loginack(&tokens).tds_version.name(), Some("7.3"));
    assert!(matches!(tokens.last(), Some(Token::Done(_))));
}

#[test]
fn the_walk_ends_at_columns() {
    assert_eq!(walk(COLUMNS), [Token::Unwalkable(0x81)]);
}

#[test]
fn an_sspi_token_is_only_pointed_at() {
    let tokens = walk(CHALLENGE);
    assert_eq!(tokens, [Token::Sspi(3..CHALLENGE.len())]);
}

#[test]
fn an_sspi_token_cut_short_is_pointed_at_and_then_incomplete() {
    assert_eq!(
        walk(&CHALLENGE[..40]),
        [Token::Sspi(3..40), Token::Incomplete(SSPI)]
    );
}

#[test]
fn an_error_cut_short_in_its_text_keeps_its_number() {
    assert_eq!(
        walk(&FAILED[..20]),
        [login_failed(), Token::Incomplete(ERROR)]
    );
    assert_eq!(walk(&FAILED[..8]), [Token::Incomplete(ERROR)]);
}

#[test]
fn a_loginack_cut_short_in_its_name_still_accepts() {
    let at = LOGIN.iter().position(|&byte| byte == LOGIN_ACK).unwrap();
    let tokens = walk(&LOGIN[at..at + 20]);
    assert_eq!(loginack(&tokens).tds_version.name(), Some("7.4"));
    assert_eq!(tokens.last(), Some(&Token::Incomplete(LOGIN_ACK)));
}

#[test]
fn before_7_2_row_counts_are_narrow() {
    let body = b"\xfd\x11\x00\xc1\x00\x05\x00\x00\x00\xfd\x10\x00\xc1\x00\x07\x00\x00\x00";
    let narrow = Tokens::new(body, Some(TdsVersion(0x7100_0001)));
    let rows: Vec<_> = narrow
        .map(|token| match token {
            Token::Done(done) => done.rows,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows, [Some(5), Some(7)]);
}

#[test]
fn a_narrow_error_makes_the_done_after_it_narrow() {
    let mut body = b"\xaa\x0c\x00\x18\x48\x00\x00\x01\x0e\x00\x00\x00\x00\x01\x00".to_vec();
    body.extend(b"\xfd\x03\x00\x00\x00\x00\x00\x00\x00\xfd\x02\x00\x00\x00\x00\x00\x00\x00");
    let tokens = walk(&body);
    assert_eq!(tokens.len(), 3, "{tokens:?}");
    assert_eq!(tokens[2], failed_done());
}

#[test]
fn a_last_done_of_narrow_length_is_narrow_without_being_told() {
    let body = b"\xfd\x10\x00\xc1\x00\x07\x00\x00\x00";
    let [Token::Done(done)] = walk(body)[..] else {
        panic!("not one DONE");
    };
    assert_eq!(done.rows, Some(7));
}

#[test]
fn an_attention_is_acknowledged_in_the_status() {
    let body = b"\xfd\x20\x00\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    assert!(matches!(walk(body)[..], [Token::Done(done)] if done.status.attention()));
}

#[test]
fn acknowledged_features_are_listed() {
    let body = b"\xae\x02\x01\x00\x00\x00\x00\x0a\x01\x00\x00\x00\x01\xff";
    assert_eq!(walk(body), [Token::FeatureExtAck(vec![2, 10])]);
    assert_eq!(
        walk(&body[..9]),
        [
            Token::FeatureExtAck(vec![2, 10]),
            Token::Incomplete(FEATURE_EXT_ACK)
        ]
    );
}

#[test]
fn tokens_without_meaning_here_are_skipped() {
    let body = b"\x79\x00\x00\x00\x00\xa9\x02\x00\x01\x00";
    assert_eq!(
        walk(body),
        [Token::Other(RETURN_STATUS), Token::Other(ORDER),]
    );
}

#[test]
fn a_sessions_state_says_whether_it_can_be_recovered() {
    let body = b"\xe4\x05\x00\x00\x00\x01\x00\x00\x00\x01\xe4\x05\x00\x00\x00\x02\x00\x00\x00\x00";
    assert_eq!(
        walk(body),
        [
            Token::SessionState(Some(true)),
            Token::SessionState(Some(false))
        ]
    );
    let cut_short = b"\xe4\x01\x00\x00\x00\x00";
    assert_eq!(walk(cut_short), [Token::SessionState(None)]);
}

#[test]
fn a_collation_that_is_given_up_has_no_value() {
    let body = b"\xe3\x08\x00\x07\x00\x05\x09\x04\xd0\x00\x34";
    let change = EnvChange::Collation(None);
    assert_eq!(walk(body), [Token::EnvChange(change)]);
}

#[test]
fn a_change_of_packet_size_that_is_no_number_is_skipped() {
    let body = b"\xe3\x04\x00\x04\x01x\x00";
    assert_eq!(walk(body), [Token::Other(ENV_CHANGE)]);
}

#[test]
fn no_text_of_a_message_survives_decoding() {
    for body in [FAILED, OPENCANARY, MSSQLPOT, LOGIN] {
        let shown = format!("{:?}", walk(body));
        assert!(!shown.contains("ogin failed") && !shown.contains("context"));
    }
}
