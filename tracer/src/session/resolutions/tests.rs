mod by_tcp;

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, Question, RCODE, ResourceRecord, TYPE,
    rdata::{A, AAAA, RData},
};

use super::*;
use crate::record::Process;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
/// When all begins.
const START: u64 = 100 * SECOND;

/// A resolver that is watched.
#[derive(Default)]
struct Watched {
    resolutions: Resolutions,
    pid: u32,
}

impl Watched {
    fn of_process(pid: u32) -> Self {
        Self {
            resolutions: Resolutions::default(),
            pid,
        }
    }

    fn says(&mut self, (port, id): (u16, u16), packet: &mut Packet<'_>, answers: bool, at: u64) {
        if answers {
            packet.set_flags(PacketFlag::RESPONSE);
        }
        let bytes = packet.build_bytes_vec().unwrap();
        let process = Process {
            pid: self.pid,
            ..Process::default()
        };
        assert_eq!(packet.id(), id);
        self.resolutions.take(&Datagram {
            time: START + at,
            asker: (address("10.0.0.1"), port),
            browser: address("10.0.0.53"),
            said: if answers {
                let (kept, len) = (&bytes[..], bytes.len());
                Said::Answer { kept, len }
            } else {
                Said::Question(&bytes)
            },
            process: Some(&process),
        });
    }

    fn asks(&mut self, port: u16, id: u16, name: &str, kind: TYPE, at: u64) {
        self.says((port, id), &mut question(id, name, kind), false, at);
    }

    fn hears(&mut self, port: u16, id: u16, name: &str, found: &str, at: u64) {
        let kind = match address(found) {
            IpAddr::V4(_) => TYPE::A,
            IpAddr::V6(_) => TYPE::AAAA,
        };
        let data = match address(found) {
            IpAddr::V4(found) => RData::A(A::from(found)),
            IpAddr::V6(found) => RData::AAAA(AAAA::from(found)),
        };
        let mut packet = question(id, name, kind);
        let name = Name::new_unchecked(name);
        packet
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, data));
        self.says((port, id), &mut packet, true, at);
    }

    fn hears_code(&mut self, port: u16, id: u16, name: &str, kind: TYPE, code: RCODE, at: u64) {
        let mut packet = question(id, name, kind);
        *packet.rcode_mut() = code;
        self.says((port, id), &mut packet, true, at);
    }

    /// The names of what was asked for the sake of a connection, with what came of it and how often it was asked.
    fn connects(&mut self, to: &str, at: u64) -> Vec<(String, RecordType, ResolutionOutcome, u32)> {
        let who = Who::Process(self.pid);
        let resolved = self.resolutions.followed(who, address(to), START + at);
        let mut parts = resolved.parts;
        parts.sort_by_key(|part| part.start);
        let parts = parts.into_iter().map(|part| {
            let asked = part.asked.unwrap();
            let PartOutcome::Resolution(outcome) = part.outcome else {
                panic!("{part:?}");
            };
            let name = part.name.unwrap().as_str().to_owned();
            (name, asked.record_type, outcome, asked.requests)
        });
        parts.collect()
    }
}

fn question(id: u16, name: &str, kind: TYPE) -> Packet<'_> {
    let mut packet = Packet::new_query(id);
    let name = Name::new_unchecked(name);
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

use RecordType::{A as V4, Aaaa as V6, Ptr};
use ResolutionOutcome::{Answered, NoSuchName, Timeout};

#[test]
fn the_lost_twin_of_a_pair_is_told_with_how_often_it_was_asked() {
    let mut watched = Watched::of_process(1);
    let name = "sql.example";
    watched.asks(5000, 1, name, TYPE::A, 0);
    watched.asks(5000, 2, name, TYPE::AAAA, 0);
    watched.hears(5000, 1, name, "10.0.0.2", MILLISECOND);
    watched.asks(5000, 1, name, TYPE::A, 5 * SECOND);
    watched.asks(5000, 2, name, TYPE::AAAA, 5 * SECOND);
    watched.hears(5000, 2, name, "fd00::2", 5 * SECOND + MILLISECOND);
    let told = watched.connects("10.0.0.2", 5 * SECOND + 2 * MILLISECOND);
    let name = name.to_owned();
    assert_eq!(
        told,
        [(name.clone(), V4, Answered, 2), (name, V6, Answered, 2),]
    );
}

#[test]
fn a_packet_that_is_seen_twice_is_asked_once() {
    let mut watched = Watched::of_process(1);
    for at in [0, 1] {
        watched.asks(5000, 1, "sql.example", TYPE::A, at * MILLISECOND);
    }
    for at in [2, 3] {
        watched.hears(5000, 1, "sql.example", "10.0.0.2", at * MILLISECOND);
    }
    let told = watched.connects("10.0.0.2", 4 * MILLISECOND);
    assert_eq!(told, [("sql.example".to_owned(), V4, Answered, 1)]);
}

#[test]
fn the_names_of_a_search_list_come_before_the_one_that_is() {
    let mut watched = Watched::of_process(1);
    let mut at = 0;
    watched.asks(4000, 9, "elsewhere.example", TYPE::A, 0);
    for (id, name) in [(1, "sql.one.example"), (2, "sql.two.example")] {
        watched.asks(5000, id, name, TYPE::A, at);
        watched.hears_code(
            5000,
            id,
            name,
            TYPE::A,
            RCODE::NameError,
            at + 20 * MILLISECOND,
        );
        at += 21 * MILLISECOND;
    }
    watched.asks(5000, 3, "sql.three.example", TYPE::A, at);
    watched.hears(5000, 3, "sql.three.example", "10.0.0.2", at + MILLISECOND);
    let told = watched.connects("10.0.0.2", at + 2 * MILLISECOND);
    assert_eq!(
        told,
        [
            ("sql.one.example".to_owned(), V4, NoSuchName, 1),
            ("sql.two.example".to_owned(), V4, NoSuchName, 1),
            ("sql.three.example".to_owned(), V4, Answered, 1),
        ]
    );
}

#[test]
fn the_name_of_the_address_is_asked_for_by_whoever_connects_there() {
    let mut watched = Watched::of_process(1);
    let reverse = dns::reverse(address("10.0.0.2"));
    watched.asks(5000, 1, &reverse, TYPE::PTR, 0);
    watched.pid = 2;
    watched.asks(5000, 1, &reverse, TYPE::PTR, 0);
    assert_eq!(watched.connects("10.0.0.3", SECOND), []);
    assert_eq!(
        watched.connects("10.0.0.2", SECOND),
        [(reverse.clone(), Ptr, Timeout, 1)]
    );
    assert_eq!(watched.connects("10.0.0.2", SECOND), []);
    watched.pid = 1;
    assert_eq!(watched.connects("10.0.0.2", 10 * SECOND), []);
}

#[test]
fn each_of_several_connections_has_a_question_of_its_own() {
    let mut watched = Watched::of_process(1);
    for port in [5000, 5001, 5002] {
        watched.asks(port, 1, "sql.example", TYPE::A, 0);
        watched.hears(port, 1, "sql.example", "10.0.0.2", MILLISECOND);
    }
    for _ in 0..3 {
        assert_eq!(watched.connects("10.0.0.2", 2 * MILLISECOND).len(), 1);
    }
    assert_eq!(watched.connects("10.0.0.2", 2 * MILLISECOND), []);
}

#[test]
fn a_flood_of_questions_takes_bounded_memory_and_is_forgotten() {
    let mut watched = Watched::default();
    for number in 0..5000_u32 {
        watched.pid = 1 + number / 2;
        watched.asks(5000, number as u16, "sql.example", TYPE::A, 0);
        watched.pid = 1;
        watched.asks(5001, number as u16, "sql.example", TYPE::A, 0);
        let most = watched
            .resolutions
            .clients
            .values()
            .map(VecDeque::len)
            .max();
        assert!(most.unwrap() <= MAX_OF_CLIENT);
        assert!(watched.resolutions.clients.len() <= MAX_CLIENTS);
    }
    watched.resolutions.forget(START + MEMORY);
    assert!(watched.resolutions.clients.is_empty());
}
