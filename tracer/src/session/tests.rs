//! The engine, told what a kernel would tell.

mod short;

use tracer_ebpf::{
    event::{Counters, Direction, Event, Kind, SocketEnd, mark, role},
    flow::FlowKey,
    framing::{Framing, packet_type},
    packet::tcp_flag,
    seq::Seq,
};

use super::{Checksum, Config, Decided, Engine, Input, Listener, SocketOwner, Standing};
use crate::record::{
    Body, Close, CloseMeans, ClosedBy, ConnectionFacts, LoginRecord, LossReason, Outcome,
    PartialReason, Process, Record, Stranger, Vantage,
};

const START: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const KEY: FlowKey = FlowKey {
    a: [0, 0, 0xFFFF_0000, 1],
    b: [0, 0, 0xFFFF_0000, 2],
    a_port: 1433,
    b_port: 50_000,
};

/// What the engine has told.
#[derive(Default)]
pub(in crate::session) struct Heard(pub(in crate::session) Vec<Record>);

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.0.push(record);
    }

    fn decided(&mut self, _: Decided) {}
}

impl Heard {
    pub(in crate::session) fn logins(&self) -> Vec<&LoginRecord> {
        let bodies = self.0.iter().map(|record| &record.body);
        bodies
            .filter_map(|body| match body {
                Body::Login(login) => Some(&**login),
                _ => None,
            })
            .collect()
    }

    pub(in crate::session) fn closes(&self) -> Vec<(&ConnectionFacts, &Close)> {
        let bodies = self.0.iter().map(|record| &record.body);
        bodies
            .filter_map(|body| match body {
                Body::Close(close) => Some((&close.facts, &close.close)),
                _ => None,
            })
            .collect()
    }

    fn count(&self, of: impl Fn(&Body) -> bool) -> usize {
        self.0.iter().filter(|record| of(&record.body)).count()
    }
}

/// A connection of which nothing is lost, event by event.
struct Told {
    engine: Engine,
    heard: Heard,
    numbers: [u32; 2],
    born: u64,
}

impl Told {
    fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config),
            heard: Heard::default(),
            numbers: [0; 2],
            born: START,
        }
    }

    fn event(&mut self, kind: Kind, direction: Direction, later: u64, seq: u32) -> Event {
        let number = &mut self.numbers[direction as usize];
        *number += 1;
        Event {
            kind: kind as u8,
            direction: direction as u8,
            ttl: 64,
            tcp_flags: tcp_flag::ACK,
            time: START + later,
            born: self.born,
            number: *number,
            key: KEY,
            seq: Seq(seq),
            ..Event::default()
        }
    }

    fn tell(&mut self, event: &Event) {
        self.engine
            .on_event(Input::Event(event, &[]), &mut self.heard);
    }

    fn says(&mut self, kind: Kind, direction: Direction, later: u64, seq: u32) {
        let event = self.event(kind, direction, later, seq);
        self.tell(&event);
    }

    /// The three packets of a handshake.
    fn opens(&mut self) {
        self.says(Kind::Syn, Direction::ToServer, 0, 100);
        let mut answer = self.event(Kind::SynAck, Direction::ToClient, MILLISECOND, 500);
        answer.ack = Seq(101);
        self.tell(&answer);
        self.says(Kind::Ack, Direction::ToServer, MILLISECOND, 101);
    }

    /// A FIN of either side, and the last acknowledgement.
    fn closes(&mut self, first: Direction, later: u64) {
        let (own, others) = match first {
            Direction::ToServer => (101, 501),
            Direction::ToClient => (501, 101),
        };
        for (kind, direction, seq, ack) in [
            (Kind::Fin, first, own, others),
            (Kind::Fin, first.reversed(), others, own + 1),
            (Kind::Ack, first, own + 1, others + 1),
        ] {
            let mut event = self.event(kind, direction, later, seq);
            event.ack = Seq(ack);
            self.tell(&event);
        }
    }

    /// The client's socket, which is about to connect.
    fn owner(&mut self, pid: u32, later: u64) {
        let owner = SocketOwner {
            key: KEY,
            role: role::CLIENT,
            time: START + later,
            isns: None,
            process: Process {
                pid,
                ..Process::default()
            },
        };
        self.engine.on_event(Input::Owner(owner), &mut self.heard);
    }
}

#[test]
fn how_many_connections_there_are_is_known_at_any_time() {
    let mut told = Told::new(Config::default());
    assert_eq!(told.engine.standing(), Standing::default());
    told.opens();
    let begun = Standing {
        seen: 1,
        open: 1,
        undecided: 1,
        joined_late: 0,
    };
    assert_eq!(told.engine.standing(), begun);
    let mut late = told.event(Kind::Segment, Direction::ToServer, SECOND, 101);
    late.marks = mark::JOINED_LATE;
    late.key.b_port += 1;
    told.tell(&late);
    let joined = Standing {
        seen: 2,
        open: 2,
        undecided: 2,
        joined_late: 1,
    };
    assert_eq!(told.engine.standing(), joined);

    // A request shows that its login is over.
    late.kind = Kind::Header as u8;
    late.number += 1;
    late.framing = Framing::Tds as u8;
    late.header[0] = packet_type::SQL_BATCH;
    told.tell(&late);
    let decided = Standing {
        undecided: 1,
        ..joined
    };
    assert_eq!(told.engine.standing(), decided);

    told.closes(Direction::ToServer, 2 * SECOND);
    let left = Standing {
        open: 1,
        undecided: 0,
        ..joined
    };
    assert_eq!(told.engine.standing(), left);
    told.engine.finish(START + 3 * SECOND, &mut told.heard);
    let none = Standing {
        seen: 2,
        ..Standing::default()
    };
    assert_eq!(told.engine.standing(), none);
}

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
fn the_kernels_round_trip_stands_in_for_a_handshake_that_was_not_seen_only() {
    for (is_seen, round_trip) in [(true, MILLISECOND), (false, 250_000)] {
        let mut told = Told::new(Config::default());
        if is_seen {
            told.opens();
        } else {
            let mut first = told.event(Kind::Segment, Direction::ToServer, 0, 101);
            first.marks = mark::JOINED_LATE;
            told.tell(&first);
        }
        told.owner(7, 0);
        told.closes(Direction::ToServer, 2 * MILLISECOND);
        let end = SocketEnd {
            time: START + 3 * MILLISECOND,
            key: KEY,
            role: role::CLIENT,
            srtt_us: 250,
            ..SocketEnd::default()
        };
        told.engine.on_event(Input::SocketEnd(end), &mut told.heard);
        let closes = told.heard.closes();
        let tcp = &closes[0].0.tcp;
        let told = [tcp.rtt_ns, tcp.smoothed_rtt_ns].map(|rtt| rtt.map(|rtt| rtt.0));
        assert_eq!(told, [Some(round_trip), Some(250_000)]);
    }
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
fn after_a_clock_was_set_back_time_passes_again() {
    let mut told = Told::new(Config::default());
    told.engine
        .pass_time(START + 1_000_000 * SECOND, &mut told.heard);
    told.says(Kind::Syn, Direction::ToServer, 0, 100);
    told.engine.pass_time(START + 100 * SECOND, &mut told.heard);
    let logins = told.heard.count(|body| matches!(body, Body::Login(_)));
    assert_eq!(logins, 1, "a login that nobody answers");
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
fn both_sockets_of_a_connection_may_be_known_before_its_first_packet() {
    let mut told = Told::new(Config::default());
    told.owner(7, 0);
    let owner = SocketOwner {
        key: KEY,
        role: role::SERVER,
        time: START,
        isns: None,
        process: Process::default(),
    };
    let heard = &mut told.heard;
    told.engine.on_event(Input::Owner(owner), heard);
    told.opens();
    told.engine.finish(START + SECOND, &mut told.heard);
    let (facts, _) = told.heard.closes()[0];
    assert_eq!(facts.connection.vantage, Vantage::Both);
    assert_eq!(facts.process.as_ref().map(|process| process.pid), Some(7));
}

#[test]
fn a_port_that_is_used_again_at_once_has_the_process_of_its_new_socket() {
    let mut told = Told::new(Config::default());
    told.owner(7, 0);
    told.opens();
    told.closes(Direction::ToServer, 2 * MILLISECOND);
    // The first connection still waits for what the kernel says of its socket.
    told.owner(8, 3 * MILLISECOND);
    told.born = START + 4 * MILLISECOND;
    told.numbers = [0; 2];
    told.opens();
    told.closes(Direction::ToServer, 5 * MILLISECOND);
    told.engine.finish(START + SECOND, &mut told.heard);
    let pid =
        |(facts, _): &(&ConnectionFacts, _)| facts.process.as_ref().map(|process| process.pid);
    let pids: Vec<_> = told.heard.closes().iter().map(pid).collect();
    assert_eq!(pids, [Some(7), Some(8)]);
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
fn strangers_that_are_not_told_have_no_phases_told_either() {
    let mut told = Told::new(Config {
        phases: true,
        ..Config::default()
    });
    for connection in 0..100 {
        told.numbers = [0; 2];
        told.born = START + connection;
        told.opens();
        told.closes(Direction::ToServer, 2 * MILLISECOND);
    }
    let logins = told.heard.count(|body| matches!(body, Body::Login(_)));
    let handshakes = told.heard.count(|body| {
        matches!(body, Body::Phase(phase) if phase.phase.name == crate::record::PhaseName::Handshake)
    });
    assert!(logins < 100, "a flood of probes is cut");
    told.engine.finish(START + SECOND, &mut told.heard);
    let bodies = told.heard.0.iter().map(|record| &record.body);
    let suppressed: Vec<_> = bodies
        .filter_map(|body| match body {
            Body::Loss(loss) => Some((loss.loss.reason, loss.loss.stranger, loss.loss.count.0)),
            _ => None,
        })
        .collect();
    let untold = 100 - logins as u64;
    let kind = (
        LossReason::StrangerSuppressed,
        Some(Stranger::Silent),
        untold,
    );
    assert_eq!(suppressed, [kind]);
    assert_eq!(handshakes, logins);
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

#[test]
fn a_client_that_repeats_its_syn_is_waited_for_twice_as_long_as_it_last_waited() {
    for (syns, patience) in [
        (&[0][..], 4),
        (&[0, 1], 4),
        (&[0, 1, 3, 7], 9),
        (&[0, 1, 3, 7, 15, 31], 33),
    ] {
        let mut told = Told::new(Config::default());
        for at in syns {
            let mut syn = told.event(Kind::Syn, Direction::ToServer, at * SECOND, 100);
            syn.tcp_flags = tcp_flag::SYN;
            told.tell(&syn);
        }
        let last = START + syns[syns.len() - 1] * SECOND;
        told.engine
            .pass_time(last + patience * SECOND, &mut told.heard);
        assert!(told.heard.closes().is_empty(), "{syns:?}");
        told.engine
            .pass_time(last + (patience + 1) * SECOND, &mut told.heard);
        let closes = told.heard.closes();
        assert_eq!(closes.len(), 1, "{syns:?}");
        let (facts, _) = closes[0];
        assert_eq!(facts.login.outcome, Some(Outcome::Unreachable));
        let repeated = syns.len() as u32 - 1;
        assert_eq!(facts.tcp.syn_retransmits, Some(repeated));
    }
}

#[test]
fn a_connection_that_has_only_begun_remembers_checksums_and_takes_its_owner() {
    let mut told = Told::new(Config::default());
    for at in 0..2 {
        told.says(Kind::Syn, Direction::ToServer, at * SECOND, 100);
        let checksum = Input::Checksum {
            key: KEY,
            direction: Direction::ToServer,
            checksum: Checksum::Unfinished,
        };
        told.engine.on_event(checksum, &mut told.heard);
    }
    told.engine.finish(START + 2 * SECOND, &mut told.heard);
    let (facts, _) = told.heard.closes()[0];
    assert_eq!(facts.connection.vantage, Vantage::Client);

    let mut told = Told::new(Config::default());
    told.says(Kind::Syn, Direction::ToServer, 0, 100);
    told.owner(7, 0);
    told.engine.finish(START + SECOND, &mut told.heard);
    let (facts, _) = told.heard.closes()[0];
    assert_eq!(facts.process.as_ref().map(|process| process.pid), Some(7));
}

/// A client's socket may have addresses that no packet shows.
#[test]
fn a_sockets_own_addresses_name_its_connection_while_nothing_was_told_of_it() {
    let service = FlowKey {
        a: [0, 0, 0xFFFF_0000, 3],
        ..KEY
    };
    for established_first in [true, false] {
        let mut told = Told::new(Config::default());
        let mut syn = told.event(Kind::Syn, Direction::ToServer, 0, 100);
        syn.tcp_flags = tcp_flag::SYN;
        told.tell(&syn);
        let mut answer = told.event(Kind::SynAck, Direction::ToClient, MILLISECOND, 500);
        answer.ack = Seq(101);
        told.tell(&answer);
        if !established_first {
            told.says(Kind::Ack, Direction::ToServer, MILLISECOND, 101);
        }
        let owner = SocketOwner {
            key: service,
            role: role::CLIENT,
            time: START + MILLISECOND,
            isns: Some([Seq(100), Seq(500)]),
            process: Process::default(),
        };
        let heard = &mut told.heard;
        told.engine.on_event(Input::Owner(owner), heard);
        told.engine.finish(START + SECOND, &mut told.heard);
        let (facts, _) = told.heard.closes()[0];
        assert_eq!(facts.nat.len(), usize::from(established_first));
        let other = facts.nat.first().map(|nat| nat.server.address);
        assert_ne!(other, Some(facts.server.address));
    }
}

/// The ring was full from its SYN on; what the kernel measured tells that there was an answer.
#[test]
fn a_client_whose_answer_was_lost_on_the_way_to_the_agent_was_not_unanswered() {
    for (srtt_us, outcome) in [(0, "unreachable"), (30, "unknown")] {
        let mut told = Told::new(Config::default());
        let mut syn = told.event(Kind::Syn, Direction::ToServer, 0, 100);
        syn.tcp_flags = tcp_flag::SYN;
        told.tell(&syn);
        let end = SocketEnd {
            time: START + MILLISECOND,
            key: KEY,
            role: role::CLIENT,
            srtt_us,
            ..SocketEnd::default()
        };
        let heard = &mut told.heard;
        told.engine.on_event(Input::SocketEnd(end), heard);
        told.engine.finish(START + SECOND, &mut told.heard);
        let (facts, _) = told.heard.closes()[0];
        let said = facts.login.outcome.map(Outcome::as_str);
        assert_eq!(said, Some(outcome));
        let reasons = &facts.connection.partial_reasons;
        let lost = reasons.contains(&PartialReason::EventsLost);
        assert_eq!(lost, srtt_us > 0);
    }
}
