//! The engine, told of one connection from interfaces and from sockets, in any order.

use tracer_ebpf::{
    event::{Direction, Event, Kind, Translated, beside},
    flow::FlowKey,
    packet::tcp_flag,
    seq::Seq,
    short::ShortHeader,
};

use crate::{
    record::{Body, Outcome, Vantage},
    session::{Config, Engine, Input, Standing, tests::Heard},
};

const START: u64 = 1_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// What the client's first SYN is numbered.
const ISN: u32 = 100;
/// The server's address, as its own socket has it.
const SERVER: u32 = 1;
/// The address by which the host publishes it.
const PUBLISHED: u32 = 9;

const fn key(server: u32) -> FlowKey {
    FlowKey {
        a: [0, 0, 0xFFFF_0000, server],
        b: [0, 0, 0xFFFF_0000, 20],
        a_port: 1433,
        b_port: 50_000,
    }
}

/// What an interface has seen that comes in.
fn passes(kind: Kind, server: u32, later: u64) -> Event {
    Event {
        beside: beside::IN,
        ifindex: 3,
        born: START,
        ..at_socket(kind, server, later)
    }
}

/// The same of a socket's packet, which knows the connection a little later.
fn at_socket(kind: Kind, server: u32, later: u64) -> Event {
    let direction = match kind {
        Kind::SynAck | Kind::Rst => Direction::ToClient,
        _ => Direction::ToServer,
    };
    let (seq, ack) = match direction {
        Direction::ToServer => (Seq(ISN), Seq(0)),
        Direction::ToClient => (Seq(500), Seq(ISN + 1)),
    };
    let mut event = Event {
        kind: kind as u8,
        direction: direction as u8,
        ttl: 64,
        tcp_flags: match kind {
            Kind::Rst => tcp_flag::RST | tcp_flag::ACK,
            Kind::SynAck => tcp_flag::SYN | tcp_flag::ACK,
            _ => tcp_flag::SYN,
        },
        window: 64_240,
        time: START + later,
        born: START + 5,
        number: 1,
        key: key(server),
        seq,
        ack,
        ..Event::default()
    };
    event.client.isn = Seq(ISN);
    event.client.packets = 1;
    event.server.packets = u32::from(direction == Direction::ToClient);
    event
}

/// What a program tells where it finds that a socket tells a connection too.
fn is_told_by(server: u32, other: u32) -> Input<'static> {
    Input::Translated(Translated {
        kind: Kind::Translated as u8,
        reserved: [0; 7],
        time: START + 20,
        key: key(server),
        other: key(other),
        client_is_a: 0,
        end: 0,
    })
}

struct Told {
    engine: Engine,
    heard: Heard,
}

impl Told {
    fn of(inputs: impl IntoIterator<Item = Input<'static>>) -> Self {
        let mut told = Self {
            engine: Engine::new(Config::default()),
            heard: Heard::default(),
        };
        for input in inputs {
            told.engine.on_event(input, &mut told.heard);
        }
        told
    }

    fn after(mut self, time: u64) -> Self {
        self.engine.pass_time(START + time, &mut self.heard);
        self
    }
}

fn events(events: Vec<Event>) -> impl Iterator<Item = Input<'static>> {
    let events: &'static [Event] = Vec::leak(events);
    events.iter().map(|event| Input::Event(event, &[]))
}

#[test]
fn a_connection_is_told_once_whichever_of_socket_and_interface_is_read_first() {
    for server in [SERVER, PUBLISHED] {
        let passing = passes(Kind::Syn, server, 0);
        let own = at_socket(Kind::Syn, SERVER, 5);
        for order in [vec![passing, own], vec![own, passing]] {
            let mut told = Told::of(events(order));
            let one = Standing {
                seen: 1,
                open: 1,
                undecided: 1,
                joined_late: 0,
            };
            assert_eq!(told.engine.standing(), one);
            told.engine
                .on_event(is_told_by(SERVER, server), &mut told.heard);
            assert_eq!(told.engine.standing(), one);
            let told = told.after(60 * SECOND);
            let [login] = told.heard.logins()[..] else {
                panic!("{:#?}", told.heard.0);
            };
            let [(close, _)] = told.heard.closes()[..] else {
                panic!("{:#?}", told.heard.0);
            };
            for facts in [&login.facts, close] {
                assert_eq!(facts.server.address.to_string(), "1.0.0.0");
                assert_eq!(facts.nat.len(), usize::from(server != SERVER), "{facts:#?}");
            }
        }
    }
}

#[test]
fn what_the_programs_take_back_was_never_there() {
    let order =
        events(vec![passes(Kind::Syn, PUBLISHED, 0)]).chain([is_told_by(SERVER, PUBLISHED)]);
    let told = Told::of(order).after(60 * SECOND);
    assert!(told.heard.0.is_empty(), "{:#?}", told.heard.0);
    assert_eq!(told.engine.standing(), Standing::default());
}

#[test]
fn a_syn_that_only_interfaces_see_is_told_for_itself() {
    let silent = Told::of(events(vec![passes(Kind::Syn, SERVER, 0)])).after(60 * SECOND);
    assert_eq!(
        silent.heard.logins()[0].facts.login.outcome,
        Some(Outcome::Unreachable)
    );
    let refused = vec![passes(Kind::Syn, SERVER, 0), passes(Kind::Rst, SERVER, 9)];
    let refused = Told::of(events(refused)).after(60 * SECOND);
    let login = refused.heard.logins()[0];
    assert_eq!(login.facts.login.outcome, Some(Outcome::Refused));
    assert_eq!(login.facts.connection.vantage, Vantage::Transit);
}

#[test]
fn of_a_connection_that_was_not_seen_to_begin_interfaces_tell_nothing() {
    let told = Told::of(events(vec![passes(Kind::SynAck, SERVER, 0)])).after(60 * SECOND);
    assert_eq!(told.engine.standing(), Standing::default());
}

#[test]
fn a_header_in_short_of_what_others_tell_is_not_missed_and_one_of_a_stranger_is() {
    for (born, missed) in [(START as u32, 0), (1, 1)] {
        let order = vec![
            at_socket(Kind::Syn, SERVER, 5),
            passes(Kind::Syn, PUBLISHED, 0),
        ];
        let mut told = Told::of(events(order).chain([is_told_by(SERVER, PUBLISHED)]));
        let header = ShortHeader {
            kind: Kind::ShortHeader as u8,
            what: Kind::End as u8,
            direction: Direction::ToClient as u8,
            time: START + SECOND,
            key: key(PUBLISHED),
            born,
            number: 3,
            ..ShortHeader::default()
        };
        told.engine
            .on_event(Input::Header(&header), &mut told.heard);
        let told = told.after(60 * SECOND);
        let losses = told.heard.count(|body| matches!(body, Body::Loss(_)));
        assert_eq!(losses, missed, "{:#?}", told.heard.0);
    }
}
