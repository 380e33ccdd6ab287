//! How connections end, seen or unseen, known or forgotten.

use super::*;

#[test]
fn a_close_waits_for_what_the_kernel_says_of_its_socket() {
    let mut told = Told::new(Config::default());
    told.owner(7, 0);
    told.opens();
    told.closes(Direction::ToServer, 2 * MILLISECOND);
    assert!(told.heard.closes().is_empty(), "the socket has not closed");
    let end = SocketEnd {
        time: START + 3 * MILLISECOND,
        key: KEY,
        role: role::CLIENT,
        retransmits: 3,
        ..SocketEnd::default()
    };
    told.engine.on_event(Input::SocketEnd(end), &mut told.heard);
    let closes = told.heard.closes();
    assert_eq!(closes.len(), 1);
    let tcp = &closes[0].0.tcp;
    assert_eq!((tcp.retransmits.client, tcp.retransmits.server), (3, 0));
}

#[test]
fn a_close_does_not_wait_long_for_a_socket_that_says_nothing() {
    let mut told = Told::new(Config::default());
    told.owner(7, 0);
    told.opens();
    told.closes(Direction::ToServer, 2 * MILLISECOND);
    told.engine.pass_time(START + SECOND, &mut told.heard);
    assert_eq!(told.heard.closes().len(), 1);
}

#[test]
fn a_connection_without_a_socket_here_closes_at_once() {
    let mut told = Told::new(Config::default());
    told.opens();
    told.closes(Direction::ToServer, 2 * MILLISECOND);
    assert_eq!(told.heard.closes().len(), 1);
}

#[test]
fn a_connection_whose_socket_closed_ends_though_its_fin_was_lost() {
    let mut told = Told::new(Config::default());
    told.opens();
    told.owner(7, 0);
    let end = SocketEnd {
        time: START + SECOND,
        key: KEY,
        role: role::CLIENT,
        ..SocketEnd::default()
    };
    told.engine.on_event(Input::SocketEnd(end), &mut told.heard);
    told.engine.pass_time(START + SECOND, &mut told.heard);
    assert!(told.heard.closes().is_empty(), "its FIN may yet be told");
    told.engine.pass_time(START + 3 * SECOND, &mut told.heard);
    let (facts, close) = told.heard.closes()[0];
    assert_eq!(close.by, ClosedBy::Agent);
    let reasons = &facts.connection.partial_reasons;
    assert!(
        reasons.iter().eq([&PartialReason::EventsLost]),
        "{reasons:?}"
    );
}

#[test]
fn a_connection_that_is_silent_for_a_week_is_let_go() {
    const DAY: u64 = 86_400 * SECOND;
    let mut told = Told::new(Config::default());
    told.opens();
    told.says(Kind::Header, Direction::ToServer, SECOND, 101);
    told.engine.pass_time(START + 300 * SECOND, &mut told.heard);
    told.engine.pass_time(START + 6 * DAY, &mut told.heard);
    assert!(told.heard.closes().is_empty());
    told.engine.pass_time(START + 8 * DAY, &mut told.heard);
    let (facts, close) = told.heard.closes()[0];
    assert_eq!(
        (close.by, close.how),
        (ClosedBy::Agent, CloseMeans::Evicted)
    );
    let reasons = &facts.connection.partial_reasons;
    assert!(reasons.contains(&PartialReason::Evicted), "{reasons:?}");
    // It was alive: what it says now is of no new connection.
    told.says(Kind::Header, Direction::ToServer, 9 * DAY, 131);
    told.engine.finish(START + 10 * DAY, &mut told.heard);
    assert_eq!(told.heard.count(|body| matches!(body, Body::Login(_))), 1);
    assert_eq!(told.heard.closes().len(), 1);
}

#[test]
fn what_has_ended_takes_no_place_of_what_lives() {
    let mut told = Told::new(Config {
        max_connections: 8,
        ..Config::default()
    });
    told.opens();
    for number in 1..100 {
        let later = number * 300 * MILLISECOND;
        told.numbers = [0; 2];
        told.born = START + later;
        for (kind, direction) in [
            (Kind::Syn, Direction::ToServer),
            (Kind::Rst, Direction::ToClient),
        ] {
            let mut event = told.event(kind, direction, later, 100);
            event.key.b_port += number as u16;
            told.tell(&event);
        }
    }
    let lives = told.engine.open().contains(&KEY);
    let evicted = LossReason::ConnectionEvicted;
    told.engine.finish(START + 60 * SECOND, &mut told.heard);
    let evicted = told
        .heard
        .count(|body| matches!(body, Body::Loss(loss) if loss.loss.reason == evicted));
    assert_eq!((lives, evicted), (true, 0));
    assert_eq!(told.heard.closes().len(), 100);
}

#[test]
fn what_the_kernel_has_forgotten_still_counts_and_is_said_to_be_lost() {
    let mut told = Told::new(Config::default());
    told.opens();
    let mut before = told.event(Kind::Segment, Direction::ToServer, 2 * MILLISECOND, 101);
    before.client = Counters {
        bytes: 40,
        packets: 3,
        ..Counters::default()
    };
    told.tell(&before);
    told.born = START + SECOND;
    told.numbers = [0; 2];
    let mut after = told.event(Kind::Segment, Direction::ToServer, SECOND, 141);
    after.marks = mark::JOINED_LATE;
    after.client = Counters {
        bytes: 2,
        packets: 1,
        ..Counters::default()
    };
    told.tell(&after);
    told.engine.finish(START + 2 * SECOND, &mut told.heard);
    let (facts, _) = told.heard.closes()[0];
    assert_eq!(
        (facts.tcp.bytes.client.0, facts.tcp.packets.client.0),
        (42, 4)
    );
    let reasons = &facts.connection.partial_reasons;
    assert!(reasons.contains(&PartialReason::EventsLost), "{reasons:?}");
    let forgotten = told.heard.count(
        |body| matches!(body, Body::Loss(loss) if loss.loss.reason == LossReason::FlowTableFull),
    );
    assert_eq!(forgotten, 1);
}

/// An end that the kernel tells of a connection it does not know.
fn late_end(told: &mut Told, kind: Kind, later: u64) {
    told.born = START + later;
    told.numbers = [0; 2];
    let mut end = told.event(kind, Direction::ToServer, later, 141);
    end.marks = mark::JOINED_LATE;
    end.client.packets = 1;
    told.tell(&end);
}

#[test]
fn a_connection_that_the_kernel_has_forgotten_is_closed_by_its_end() {
    let mut told = Told::new(Config::default());
    told.opens();
    late_end(&mut told, Kind::Rst, SECOND);
    told.engine.pass_time(START + 5 * SECOND, &mut told.heard);
    let (facts, close) = told.heard.closes()[0];
    assert_eq!((close.by, close.how), (ClosedBy::Client, CloseMeans::Rst));
    assert!(facts.connection.partial);
}

#[test]
fn the_end_of_a_connection_that_nobody_knows_is_told_as_one_and_no_login() {
    for kind in [Kind::Fin, Kind::Rst] {
        let mut told = Told::new(Config::default());
        late_end(&mut told, kind, SECOND);
        let mut other = told.event(Kind::Fin, Direction::ToClient, SECOND, 501);
        other.marks = mark::JOINED_LATE;
        (other.client.packets, other.server.packets) = (1, 1);
        told.tell(&other);
        told.engine.finish(START + 2 * SECOND, &mut told.heard);
        let closes = told.heard.closes();
        assert_eq!(closes.len(), 1, "once for both of its ends");
        let (facts, close) = closes[0];
        assert!(
            facts
                .connection
                .partial_reasons
                .contains(&PartialReason::JoinedLate)
        );
        assert_eq!((facts.login.outcome, close.phase), (None, None));
        assert_eq!(told.heard.count(|body| matches!(body, Body::Login(_))), 0);
    }
}

#[test]
fn a_flood_of_ends_of_connections_that_nobody_knows_is_counted() {
    let mut told = Told::new(Config::default());
    for port in 0..1000 {
        let mut end = told.event(Kind::Rst, Direction::ToServer, SECOND, 141);
        end.marks = mark::JOINED_LATE;
        end.number = 1;
        end.key.b_port = port;
        told.tell(&end);
    }
    told.engine.finish(START + 2 * SECOND, &mut told.heard);
    let closes = told.heard.closes().len() as u64;
    let untold = told.heard.0.iter().find_map(|record| match &record.body {
        Body::Loss(loss) if loss.loss.reason == LossReason::ConnectionUntold => {
            Some(loss.loss.count)
        }
        _ => None,
    });
    assert_eq!(untold.map(|count| count.0 + closes), Some(1000));
    assert!(closes < 100);
}

#[test]
fn a_straggler_of_a_connection_that_was_told_is_not_counted() {
    let mut told = Told::new(Config::default());
    told.opens();
    told.closes(Direction::ToServer, 2 * MILLISECOND);
    late_end(&mut told, Kind::Rst, 3 * MILLISECOND);
    told.engine.finish(START + SECOND, &mut told.heard);
    assert_eq!(told.heard.count(|body| matches!(body, Body::Loss(_))), 0);
}

#[test]
fn a_server_that_gives_up_on_a_silent_client_was_owed_by_it() {
    for (later, owed_by) in [
        (20 * SECOND, Some(crate::record::Side::Client)),
        (SECOND / 2, None),
    ] {
        let mut told = Told::new(Config::default());
        told.opens();
        told.closes(Direction::ToClient, later);
        let (facts, _) = told.heard.closes()[0];
        assert_eq!(facts.login.owed_by, owed_by, "after {later} ns");
    }
}

#[test]
fn connections_that_end_at_one_moment_are_told_in_the_order_they_began_in() {
    let mut told = Told::new(Config::default());
    for port in 0..100 {
        told.numbers = [0; 2];
        for (kind, direction) in [
            (Kind::Syn, Direction::ToServer),
            (Kind::Rst, Direction::ToClient),
        ] {
            let mut event = told.event(kind, direction, 0, 100);
            event.key.b_port = port;
            told.tell(&event);
        }
    }
    told.engine.pass_time(START + 5 * SECOND, &mut told.heard);
    let closes = told.heard.closes();
    let ports: Vec<_> = closes.iter().map(|(facts, _)| facts.client.port).collect();
    assert_eq!(ports, (0..100).collect::<Vec<_>>());
}
