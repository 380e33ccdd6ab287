use super::*;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

fn segment(at_ns: u64, from_client: bool, payload: &[u8]) -> Segment {
    Segment {
        at_ns,
        stream: 0,
        from_client,
        flags: ACK,
        payload: payload.to_vec(),
    }
}

fn opening_segments() -> Vec<Segment> {
    vec![
        Segment {
            flags: SYN,
            ..segment(100, true, &[])
        },
        Segment {
            flags: SYN | ACK,
            ..segment(110, false, &[])
        },
        segment(120, true, &[]),
    ]
}

#[test]
fn a_clear_login_has_a_prelogin_and_a_login() {
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(150, true, &[0x10]),
        segment(170, false, &[REPLY, 0, 0, 9, 0, 0, 0, 0, 0xE3]),
        segment(180, false, &[REPLY]),
    ]);
    let ends = phases(&segments, Shape::Clear).unwrap();
    assert_eq!(ends, [("handshake", 20), ("prelogin", 40), ("login", 80)]);
}

#[test]
fn a_ticket_is_answered_before_the_client_is_let_in() {
    let reply = [REPLY, 1, 0, 9, 0, 0, 0, 0, 0xED];
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(150, true, &[0x10]),
        segment(170, false, &reply),
        segment(180, false, &reply),
    ]);
    let ends = phases(&segments, Shape::Clear).unwrap();
    assert_eq!(ends, [("handshake", 20), ("prelogin", 40), ("login", 70)]);
    assert_eq!(last_reply(&segments, 1, Shape::Clear).unwrap(), 80);
}

#[test]
fn the_wrapped_handshake_ends_with_its_last_flight() {
    let wrapped = [WRAP, 1, 0, 20, 0, 0, 0, 0, 0x16];
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(150, true, &wrapped),
        segment(160, false, &wrapped),
        segment(170, true, &wrapped),
        segment(180, false, &wrapped),
        segment(190, true, &[APPLICATION_DATA]),
        segment(200, false, &[REPLY, 0, 0, 9, 0, 0, 0, 0, 0xE3]),
    ]);
    let ends = phases(&segments, Shape::Wrapped).unwrap();
    assert_eq!(
        ends,
        [
            ("handshake", 20),
            ("prelogin", 40),
            ("tls", 80),
            ("login", 100)
        ]
    );
}

#[test]
fn a_session_ticket_ends_nothing_wherever_it_comes() {
    let record = [APPLICATION_DATA, 3, 3, 0, 1, 0];
    let two = [record, record].concat();
    for (tickets, ticket) in [(2, two.as_slice()), (1, &record)] {
        for early in [false, true] {
            let mut segments = opening_segments();
            segments.extend([
                segment(130, true, &[0x16]),
                segment(140, false, &[0x16]),
                segment(150, true, &record),
                segment(if early { 160 } else { 180 }, false, ticket),
                segment(170, true, &record),
                segment(190, false, &record),
                segment(200, true, &record),
                segment(220, false, &record),
            ]);
            segments.sort_by_key(|segment| segment.at_ns);
            let ends = phases(&segments, Shape::Strict { tickets }).unwrap();
            let [.., tls, prelogin, login] = ends[..] else {
                panic!("{ends:?}");
            };
            assert_eq!(
                (tls, prelogin, login),
                (("tls", 50), ("prelogin", 90), ("login", 120))
            );
        }
    }
}

#[test]
fn a_ticket_that_shares_a_segment_or_fills_two_is_taken_out_of_them() {
    let record = [APPLICATION_DATA, 3, 3, 0, 1, 0];
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[0x16]),
        segment(140, false, &[0x16]),
        segment(150, true, &record),
        segment(160, false, &record[..5]),
        segment(170, false, &[&record[5..], &record[..]].concat()),
        segment(200, true, &record),
        segment(220, false, &record),
    ]);
    let ends = phases(&segments, Shape::Strict { tickets: 1 }).unwrap();
    assert_eq!(ends[2..], [("prelogin", 70), ("login", 120)]);
}

#[test]
fn tls_1_2_before_tds_ends_with_the_server() {
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[0x16]),
        segment(140, false, &[0x16]),
        segment(150, true, &[0x16]),
        segment(160, false, &[0x14]),
        segment(170, true, &[APPLICATION_DATA]),
        segment(190, false, &[APPLICATION_DATA]),
        segment(200, true, &[APPLICATION_DATA]),
        segment(220, false, &[APPLICATION_DATA]),
    ]);
    let ends = phases(&segments, Shape::StrictTls12).unwrap();
    assert_eq!(ends[1..], [("tls", 60), ("prelogin", 90), ("login", 120)]);
}

#[test]
fn tls_1_3_inside_tds_ends_with_the_client_wrapped_or_not() {
    let wrapped = [WRAP, 1, 0, 20, 0, 0, 0, 0, 0x16];
    for (finished, end) in [(Some(&wrapped[..]), 70), (None, 80)] {
        let mut segments = opening_segments();
        segments.extend([
            segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
            segment(150, true, &wrapped),
            segment(160, false, &wrapped),
        ]);
        segments.extend(finished.map(|finished| segment(170, true, finished)));
        segments.extend([
            segment(180, true, &[APPLICATION_DATA]),
            segment(190, true, &[APPLICATION_DATA]),
            segment(200, false, &[APPLICATION_DATA]),
        ]);
        let ends = phases(&segments, Shape::WrappedTls13).unwrap();
        assert_eq!(ends[2..], [("tls", end), ("login", 100)]);
    }
}

#[test]
fn a_login_that_is_cut_off_ends_with_who_leaves_first() {
    const RST: u8 = 0x04;
    let mut segments = opening_segments();
    segments.extend([
        segment(130, true, &[WRAP, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(140, false, &[REPLY, 1, 0, 9, 0, 0, 0, 0, 0]),
        segment(150, true, &[0x10]),
        Segment {
            flags: RST,
            ..segment(170, false, &[])
        },
        segment(180, true, &[]),
    ]);
    let ends = cut_phases(&segments, Shape::Clear, "login").unwrap();
    assert_eq!(ends, [("handshake", 20), ("prelogin", 40), ("login", 70)]);
    assert_eq!(leaving(&segments).unwrap(), (70, 80));
    assert!(cut_phases(&segments, Shape::Wrapped, "login").is_err());
}
