use tracer_ebpf::framing::smp_flag;

use super::*;
use crate::record::ClosedBy;

fn smp(flag: u8, sid: u16, seqnum: u32, window: u32, inner: Option<(u8, u8)>) -> Vec<u8> {
    let mut out = vec![0x53, flag];
    out.extend(sid.to_le_bytes());
    out.extend((16 + 8 * u32::from(u8::from(inner.is_some()))).to_le_bytes());
    out.extend(seqnum.to_le_bytes());
    out.extend(window.to_le_bytes());
    if let Some((kind, status)) = inner {
        out.extend([kind, status, 0, 8, 0, 0, 1, 0]);
    }
    out
}

#[test]
fn each_session_has_its_own_requests() {
    let mut mars = Mars::default();
    for sid in 0..2 {
        mars.packet(
            Side::ToServer,
            &smp(smp_flag::SYN, sid, 0, 4, None),
            10,
            Some(10),
            0,
        );
        mars.packet(
            Side::ToServer,
            &smp(smp_flag::DATA, sid, 1, 4, Some((1, 1))),
            20,
            Some(20),
            0,
        );
    }
    let ended = mars.packet(
        Side::ToClient,
        &smp(smp_flag::DATA, 1, 1, 4, Some((4, 1))),
        50,
        Some(50),
        50,
    );
    assert!(matches!(
        ended[..],
        [Ended::Request(
            1,
            Done {
                end: 50,
                complete: true,
                ..
            }
        )]
    ));
    assert_eq!(mars.in_flight(), 1);
    let summary = mars.summary(true).unwrap();
    assert_eq!((summary.sessions, summary.max_concurrent), (2, 2));
    assert_eq!(mars.requests().unwrap().batch.0, 2);
}

#[test]
fn a_sender_out_of_window_is_stalled_until_it_moves() {
    let mut mars = Mars::default();
    mars.packet(
        Side::ToServer,
        &smp(smp_flag::SYN, 0, 0, 2, None),
        0,
        Some(0),
        0,
    );
    for seqnum in 1..=2 {
        mars.packet(
            Side::ToClient,
            &smp(smp_flag::DATA, 0, seqnum, 4, Some((4, 0))),
            10,
            Some(10),
            10,
        );
    }
    mars.packet(
        Side::ToServer,
        &smp(smp_flag::ACK, 0, 0, 4, None),
        110,
        Some(110),
        10,
    );
    mars.packet(
        Side::ToServer,
        &smp(smp_flag::FIN, 0, 0, 4, None),
        200,
        Some(200),
        10,
    );
    let ended = mars.packet(
        Side::ToClient,
        &smp(smp_flag::FIN, 0, 0, 4, None),
        210,
        Some(210),
        10,
    );
    let [Ended::Session(session)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!((session.window_stalls, session.stalled_ns.0), (1, 100));
    assert_eq!(session.closed_by, Some(ClosedBy::Client));
    assert_eq!(mars.span(), Some((0, Some(210))));
}

#[test]
fn a_session_that_nobody_finished_leaves_the_phase_incomplete() {
    let opened = || {
        let mut mars = Mars::default();
        let syn = smp(smp_flag::SYN, 0, 0, 4, None);
        mars.packet(Side::ToServer, &syn, 1, Some(1), 0);
        mars
    };
    let mut cut = opened();
    cut.finish(9, CloseMeans::Evicted, 0);
    assert_eq!(cut.span(), Some((1, None)));

    // Clients end the connection after their own FIN.
    let mut left = opened();
    let fin = smp(smp_flag::FIN, 0, 0, 4, None);
    left.packet(Side::ToServer, &fin, 5, Some(5), 0);
    left.finish(9, CloseMeans::Rst, 0);
    assert_eq!(left.span(), Some((1, Some(5))));
}

#[test]
fn a_session_whose_identifier_is_used_again_is_told() {
    let mut mars = Mars::default();
    let syn = smp(smp_flag::SYN, 3, 0, 4, None);
    let batch = smp(smp_flag::DATA, 3, 1, 4, Some((1, 1)));
    mars.packet(Side::ToServer, &syn, 1, Some(1), 0);
    mars.packet(Side::ToServer, &batch, 2, Some(2), 0);
    let ended = mars.packet(Side::ToServer, &syn, 9, Some(9), 0);
    let [Ended::Request(3, request), Ended::Session(session)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!((request.start, request.complete), (2, false));
    assert_eq!((session.requests.0, session.how), (1, None));
    mars.packet(Side::ToServer, &batch, 10, Some(10), 0);
    assert_eq!(mars.requests().unwrap().batch.0, 2);
    assert_eq!(mars.summary(true).unwrap().sessions, 2);
}
