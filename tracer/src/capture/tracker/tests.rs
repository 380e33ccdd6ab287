use std::collections::BTreeSet;

use tracer_ebpf::{
    flow::Point,
    packet::tcp_flag::{ACK, FIN, RST, SYN},
};

use super::*;
use crate::{
    record::{Body, Record},
    session,
};

const SECOND: u64 = 1_000_000_000;
const HTTP: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
/// FreeTDS: VERSION, ENCRYPTION, INSTOPT, THREADID, MARS.
const PRELOGIN: &[u8] = &[
    0x12, 1, 0, 0x2F, 0, 0, 0, 0, 0, 0, 0x1A, 0, 6, 1, 0, 0x20, 0, 1, 2, 0, 0x21, 0, 1, 3, 0, 0x22,
    0, 4, 4, 0, 0x26, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// What is said of connections between 10.0.0.1, whose ports come first, and 10.0.0.2.
struct Replay {
    tracker: Tracker,
    engine: Engine,
    heard: Heard,
    now: u64,
}

#[derive(Default)]
struct Heard {
    logins: usize,
    closes: usize,
    lost: u64,
    partial: usize,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        match record.body {
            Body::Login(_) => self.logins += 1,
            Body::Close(close) => {
                self.closes += 1;
                self.partial += usize::from(close.facts.connection.partial);
            }
            Body::Loss(loss) => self.lost += loss.loss.count.0,
            _ => {}
        }
    }

    fn decided(&mut self, _: Decided) {}
}

impl Replay {
    fn of(ports: &[u16]) -> Self {
        Self {
            tracker: Tracker::new(
                Ports::from(ports.iter().copied().collect::<BTreeSet<_>>()),
                true,
            ),
            engine: Engine::new(session::Config::default()),
            heard: Heard::default(),
            now: SECOND,
        }
    }

    /// A packet from one port to another, a microsecond after the one before.
    fn send(&mut self, from_first: bool, ports: (u16, u16), flags: u8, seq: u32, payload: &[u8]) {
        self.send_cut(from_first, ports, flags, (seq, payload), usize::MAX);
    }

    /// The same, of which so many bytes of payload are kept.
    fn send_cut(
        &mut self,
        from_first: bool,
        ports: (u16, u16),
        flags: u8,
        (seq, payload): (u32, &[u8]),
        kept: usize,
    ) {
        self.now += 1000;
        let mut bytes = vec![0x45, 0];
        bytes.extend((40 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        let mut ends = [(1, ports.0), (2, ports.1)];
        if !from_first {
            ends.reverse();
        }
        for (host, _) in ends {
            bytes.extend([10, 0, 0, host]);
        }
        for (_, port) in ends {
            bytes.extend(port.to_be_bytes());
        }
        // Each side begins with 0, and has seen so much of the other's.
        let ack = u32::from(flags & ACK != 0);
        bytes.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
        bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        bytes.extend(payload);
        let seen = Sighted {
            network: (0x0800, &bytes[..bytes.len().min(kept.saturating_add(40))]),
            wire_len: bytes.len() as u32,
            time_ns: self.now,
            untimed: false,
            point: Point::new(1, false),
        };
        self.engine.pass_time(self.now, &mut self.heard);
        self.tracker
            .packet(&seen, &mut self.engine, &mut self.heard);
    }

    /// A connection from the first port to the other, in which each says something.
    fn connection(&mut self, ports: (u16, u16), asked: &[u8], answered: &[u8]) {
        self.send(true, ports, SYN, 0, &[]);
        self.send(false, ports, SYN | ACK, 0, &[]);
        self.send(true, ports, ACK, 1, &[]);
        self.send(true, ports, ACK, 1, asked);
        self.send(false, ports, ACK, 1, answered);
        self.send(true, ports, FIN | ACK, 1 + asked.len() as u32, &[]);
        self.send(false, ports, FIN | ACK, 1 + answered.len() as u32, &[]);
    }

    fn logins(&mut self) -> usize {
        let closes = self.closes();
        assert_eq!(self.heard.logins, closes);
        self.heard.logins
    }

    fn closes(&mut self) -> usize {
        self.engine.finish(self.now, &mut self.heard);
        self.heard.closes
    }
}

/// A server's answer to [`PRELOGIN`].
fn prelogin_reply() -> Vec<u8> {
    [&[REPLY_TYPE], &PRELOGIN[1..]].concat()
}

const REPLY_TYPE: u8 = 4;

#[test]
fn a_client_whose_own_port_is_a_watched_one_is_on_no_watched_server() {
    for (watched, ports) in [
        (&[57139][..], (57139, 443)),
        (&[57139], (57139, 8080)),
        (&[], (1433, 80)),
        (&[], (1433, 50_000)),
        (&[1433], (1433, 50_000)),
    ] {
        let mut replay = Replay::of(watched);
        replay.connection(ports, HTTP, b"HTTP/1.1 200 OK\r\n\r\n");
        replay.now += 600 * SECOND;
        replay.send(true, ports, ACK, 500, HTTP);
        assert_eq!(replay.logins(), 0, "{ports:?}, watched {watched:?}");
    }
}

#[test]
fn a_foreign_connection_that_is_joined_late_is_known_by_its_server_s_port() {
    for first in [true, false] {
        let mut replay = Replay::of(&[57139]);
        replay.send(first, (57139, 443), ACK, 1, HTTP);
        replay.send(!first, (57139, 443), ACK, 1, HTTP);
        assert_eq!(replay.logins(), 0);
    }
}

#[test]
fn a_connection_to_a_watched_port_is_seen_whichever_side_is_seen_first() {
    for from_client in [true, false] {
        for (flags, payload) in [(SYN, &[][..]), (ACK, PRELOGIN)] {
            let mut replay = Replay::of(&[57139, 1433]);
            let flags = if from_client { flags } else { flags | ACK };
            replay.send(from_client, (57139, 1433), flags, 0, payload);
            assert_eq!(
                replay.closes(),
                1,
                "{flags:#x}, client first: {from_client}"
            );
        }
    }
}

#[test]
fn the_ends_of_a_foreign_connection_may_become_those_of_a_watched_one() {
    let mut replay = Replay::of(&[1433, 57139]);
    replay.connection((1433, 50_000), HTTP, HTTP);
    assert_eq!(replay.heard.logins, 0);
    replay.now += 60 * SECOND;
    // The same ends, the other way round.
    replay.send(false, (1433, 50_000), SYN, 0, &[]);
    assert_eq!(replay.logins(), 1);
}

impl Replay {
    /// Packets that nobody answers, from as many clients as there are.
    fn flood(&mut self, server: u16, clients: u32, apart: u64, payload: &[u8]) {
        for client in 0..clients {
            let port = 1 + (client % 60_000) as u16;
            let ports = (port, server + (client / 60_000) as u16);
            self.send(true, ports, SYN, 0, &[]);
            if !payload.is_empty() {
                self.send(false, ports, SYN | ACK, 0, &[]);
                self.send(true, ports, ACK, 1, payload);
            }
            self.now += apart;
        }
    }
}

#[test]
fn refused_connections_are_forgotten_and_none_is_counted_as_lost() {
    for (server, logins) in [(1433, 70_000), (5000, 0)] {
        let mut replay = Replay::of(&[]);
        for client in 0..70_000_u32 {
            let ports = (2000 + (client % 60_000) as u16, server);
            replay.send(true, ports, SYN, 0, &[]);
            replay.send(false, ports, RST | ACK, 0, &[]);
            replay.now += SECOND;
        }
        assert!(replay.tracker.flows.len() < 2048);
        assert_eq!(replay.logins(), logins);
        assert_eq!(replay.heard.lost, 0);
    }
}

#[test]
fn an_idle_connection_is_remembered_however_many_come_and_go() {
    let mut replay = Replay::of(&[1433]);
    replay.send(true, (999, 1433), SYN, 0, &[]);
    replay.send(false, (999, 1433), SYN | ACK, 0, &[]);
    replay.send(true, (999, 1433), ACK, 1, PRELOGIN);
    for _ in 0..3000 {
        for ports in 0..10 {
            replay.send(true, (2000 + ports, 1433), SYN, 0, &[]);
            replay.send(false, (2000 + ports, 1433), RST | ACK, 0, &[]);
        }
        replay.now += 4 * SECOND;
    }
    assert_eq!(replay.heard.lost, 0);
    // Nothing is told of what the connection has always been.
    replay.send(true, (999, 1433), ACK, 48, PRELOGIN);
    let logins = replay.logins();
    assert_eq!(logins, 30_001);
}

#[test]
fn what_candidates_hold_back_is_bounded_and_given_up_only_with_a_count() {
    let mut prelogin = PRELOGIN.to_vec();
    prelogin.resize(4096, 0);
    prelogin[2..4].copy_from_slice(&[0x10, 0]);
    let mut replay = Replay::of(&[]);
    replay.flood(5000, 10_000, 0, &prelogin);
    let held = replay.tracker.flows.held_bytes();
    assert!((7 << 20..=8 << 20).contains(&held), "{held}");
    assert_eq!(replay.logins(), 0);
    let left = replay.tracker.flows.len() as u64;
    assert_eq!(replay.heard.lost, 10_000 - left);
}

#[test]
fn a_flood_of_syns_on_an_unlisted_port_loses_nothing() {
    let mut replay = Replay::of(&[]);
    replay.flood(5000, 100_000, 0, &[]);
    assert!(replay.tracker.flows.len() <= 65_536);
    replay.connection((999, 5005), PRELOGIN, &prelogin_reply());
    assert_eq!(replay.logins(), 1);
    assert_eq!(replay.heard.lost, 0);
}

#[test]
fn a_syn_that_comes_after_its_answer_opens_no_second_connection() {
    for watched in [&[1433][..], &[]] {
        let mut replay = Replay::of(watched);
        let ports = (50_000, 1433);
        replay.send(false, ports, SYN | ACK, 0, &[]);
        replay.send(true, ports, SYN, 0, &[]);
        replay.send(true, ports, ACK, 1, PRELOGIN);
        replay.send(false, ports, ACK, 1, &prelogin_reply());
        assert_eq!(replay.logins(), 1, "watched {watched:?}");
    }
}

#[test]
fn a_syn_that_is_not_the_one_that_was_answered_opens_another_connection() {
    let mut replay = Replay::of(&[1433]);
    replay.send(false, (50_000, 1433), SYN | ACK, 0, &[]);
    replay.send(true, (50_000, 1433), SYN, 7, &[]);
    assert_eq!(replay.logins(), 2);
}

#[test]
fn a_connection_on_an_unlisted_port_is_seen_without_its_syn() {
    for missing in 1..=3 {
        let mut replay = Replay::of(&[]);
        let ports = (50_000, 5000);
        if missing == 1 {
            replay.send(false, ports, SYN | ACK, 0, &[]);
        }
        if missing <= 2 {
            replay.send(true, ports, ACK, 1, &[]);
        }
        replay.send(true, ports, ACK, 1, PRELOGIN);
        replay.send(false, ports, ACK, 1, &prelogin_reply());
        assert_eq!(replay.logins(), 1, "without its first {missing}");
    }
}

#[test]
fn another_protocol_whose_syn_is_missing_is_no_login() {
    for answered in [HTTP, PRELOGIN, &prelogin_reply()] {
        let mut replay = Replay::of(&[]);
        replay.send(false, (50_000, 5000), SYN | ACK, 0, &[]);
        for _ in 0..3 {
            replay.send(true, (50_000, 5000), ACK, 1, HTTP);
            replay.send(false, (50_000, 5000), ACK, 1, answered);
        }
        // One that begins alike, and is answered otherwise.
        replay.send(true, (50_001, 5000), ACK, 1, PRELOGIN);
        replay.send(false, (50_001, 5000), ACK, 1, HTTP);
        assert_eq!(replay.logins(), 0, "{answered:?}");
    }
}

#[test]
fn a_connection_of_which_only_the_end_is_seen_has_a_close_and_no_login() {
    let mut replay = Replay::of(&[]);
    let ports = (50_000, 1433);
    replay.send(true, ports, FIN | ACK, 1, &[]);
    replay.send(false, ports, FIN | ACK, 1, &[]);
    replay.send(false, (50_001, 1433), RST, 1, &[]);
    replay.send(false, (50_002, 443), RST, 1, &[]);
    assert_eq!(replay.closes(), 2);
    assert_eq!((replay.heard.logins, replay.heard.lost), (0, 0));
}

#[test]
fn the_late_end_of_a_connection_that_was_told_is_not_counted() {
    let mut replay = Replay::of(&[1433]);
    let ports = (50_000, 1433);
    replay.connection(ports, PRELOGIN, &prelogin_reply());
    replay.now += 100 * SECOND;
    replay.send(false, ports, RST, 1, &[]);
    assert_eq!(replay.logins(), 1);
    assert_eq!(replay.heard.lost, 0);
}

#[test]
fn a_header_that_the_snap_length_cut_off_makes_the_connection_partial() {
    let batch = [&[1, 1, 0, 40, 0, 0, 1, 0][..], &[7; 32]].concat();
    let several = batch.repeat(3);
    for (kept, partial) in [(120, 0), (84, 0), (83, 1), (80, 1), (41, 1)] {
        let mut replay = Replay::of(&[1433]);
        let ports = (50_000, 1433);
        replay.send(true, ports, SYN, 0, &[]);
        replay.send(false, ports, SYN | ACK, 0, &[]);
        replay.send(true, ports, ACK, 1, PRELOGIN);
        replay.send(false, ports, ACK, 1, &prelogin_reply());
        // A request ends the login.
        replay.send(true, ports, ACK, 48, &batch);
        replay.send_cut(true, ports, ACK, (88, &several), kept);
        replay.send(true, ports, RST, 208, &[]);
        replay
            .engine
            .pass_time(replay.now + 10 * SECOND, &mut replay.heard);
        let heard = (replay.heard.closes, replay.heard.partial);
        assert_eq!(heard, (1, partial), "{kept} kept");
    }
}
