//! Arbitrary events, in any order and however contradictory: one close for each connection, one login
//! before it unless that was over before anybody watched, and phases that add up.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use tds_tracer_fuzz::Heard;
use tracer::{
    record::{LossReason, Process},
    session::{Carried, Checksum, Config, Engine, Input, SocketOwner},
};
use tracer_ebpf::{
    event::{Counters, Direction, Event, SocketEnd},
    flow::FlowKey,
    seq::Seq,
};

/// Events per run: more tell nothing new.
const MAX_ACTIONS: usize = 256;

#[derive(Arbitrary, Debug)]
enum Action<'a> {
    Event(Told<'a>),
    /// Milliseconds later.
    Tick(u16),
    Owner(u8, u8),
    SocketEnd(u8, u8),
    Checksum(u8, bool, u8),
    CutLogin(u8),
    Cut(u8, bool),
    Counted(u8, u16),
    Loss(u8),
}

#[derive(Arbitrary, Debug)]
struct Told<'a> {
    kind: u8,
    to_client: bool,
    marks: u8,
    framing: u8,
    later_us: u16,
    connection: u8,
    reborn: bool,
    skipped: u8,
    /// Where the segment starts, from where the last one ended.
    jump: i8,
    /// Payload bytes that are not told.
    untold: u8,
    header: [u8; 8],
    run: &'a [u8],
}

#[derive(Default)]
struct World {
    now: u64,
    born: [u64; 4],
    next: [[u32; 2]; 4],
    number: [[u32; 2]; 4],
}

impl World {
    fn event(&mut self, told: &Told<'_>) -> Event {
        let which = usize::from(told.connection % 4);
        let side = usize::from(told.to_client);
        self.now += u64::from(told.later_us) * 1000;
        if told.reborn || self.born[which] == 0 {
            self.born[which] = self.now;
            self.number[which] = [0; 2];
        }
        let number = &mut self.number[which][side];
        *number = number.wrapping_add(1 + u32::from(told.skipped & 1));
        let number = *number;
        let len = told.run.len() as u32;
        let next = &mut self.next[which][side];
        let start = next.wrapping_add_signed(told.jump.into());
        *next = start.wrapping_add(len + u32::from(told.untold));
        let counters = Counters {
            packets: number,
            last_data: self.now,
            ..Counters::default()
        };
        Event {
            kind: 1 + told.kind % 9,
            direction: told.to_client.into(),
            marks: told.marks,
            ttl: 64,
            framing: told.framing % 4,
            time: self.now,
            born: self.born[which],
            number,
            key: key(told.connection),
            client_is_a: 0,
            parts: 0,
            seq: Seq(start),
            payload_len: len + u32::from(told.untold),
            run_seq: Seq(start),
            run_len: len,
            packet_len: u16::from_be_bytes([told.header[2], told.header[3]]).into(),
            header: told.header,
            client: counters,
            server: counters,
            ..Event::default()
        }
    }
}

fn key(connection: u8) -> FlowKey {
    FlowKey {
        a: [0, 0, 0xFFFF_0000, 1],
        b: [0, 0, 0xFFFF_0000, 2],
        a_port: 1433,
        b_port: 50_000 + u16::from(connection % 4),
    }
}

fn direction(to_client: bool) -> Direction {
    if to_client {
        Direction::ToClient
    } else {
        Direction::ToServer
    }
}

fuzz_target!(|actions: Vec<Action<'_>>| {
    let mut world = World {
        now: 1_000_000,
        ..World::default()
    };
    let mut engine = Engine::new(Config {
        max_connections: 3,
        pending_after: 2_000_000_000,
        phases: true,
        requests: true,
        ..Config::default()
    });
    let mut heard = Heard::default();
    for action in actions.iter().take(MAX_ACTIONS) {
        let input = match action {
            Action::Event(told) => {
                let event = world.event(told);
                engine.on_event(Input::Event(&event, told.run), &mut heard);
                continue;
            }
            Action::Tick(ms) => {
                world.now += u64::from(*ms) * 1_000_000;
                engine.pass_time(world.now, &mut heard);
                continue;
            }
            Action::Owner(connection, role) => Input::Owner(SocketOwner {
                key: key(*connection),
                role: u32::from(*role) % 4,
                time: world.now,
                isns: (*role & 4 != 0).then_some([Seq((*connection).into()), Seq(0)]),
                process: Process::default(),
            }),
            Action::SocketEnd(connection, role) => Input::SocketEnd(SocketEnd {
                time: world.now,
                key: key(*connection),
                role: u32::from(*role) % 4,
                ..SocketEnd::default()
            }),
            Action::Checksum(connection, to_client, checksum) => Input::Checksum {
                key: key(*connection),
                direction: direction(*to_client),
                checksum: match checksum % 3 {
                    0 => Checksum::Right,
                    1 => Checksum::Unfinished,
                    _ => Checksum::Wrong,
                },
            },
            Action::CutLogin(connection) => Input::CutLogin(key(*connection)),
            Action::Cut(connection, to_client) => {
                Input::Cut(key(*connection), direction(*to_client))
            }
            Action::Counted(connection, packets) => {
                let born = world.born[usize::from(connection % 4)];
                let counters = Counters {
                    packets: (*packets).into(),
                    last_data: world.now,
                    ..Counters::default()
                };
                let carried = Carried {
                    sent: [counters; 2],
                    tally: None,
                };
                Input::Counted(key(*connection), born, Box::new(carried))
            }
            Action::Loss(count) => Input::Loss(LossReason::RingFull, (*count).into()),
        };
        engine.on_event(input, &mut heard);
    }
    engine.finish(world.now, &mut heard);
    heard.assert_complete(engine.standing());
});
