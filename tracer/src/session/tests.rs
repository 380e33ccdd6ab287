//! The engine, told what a kernel would tell.

mod ends;
mod short;
mod told;

use tracer_ebpf::{
    event::{Counters, Direction, Event, Kind, SocketEnd, mark, role},
    flow::FlowKey,
    framing::{Framing, packet_type},
    packet::tcp_flag,
    seq::Seq,
};

pub(in crate::session) use self::told::Heard;
use self::told::Told;
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
