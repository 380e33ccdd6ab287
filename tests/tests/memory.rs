//! What a connection may take of memory, whatever passes on it: counted at the allocator.
//!
//! One test at a time, since the counter is the whole program's.

use std::sync::{Mutex, PoisonError};

use harness::{
    replay::Replayed,
    sweep::{
        packet::{ACK, PSH, Packet, Side},
        sources::fixture,
    },
};
use peak_alloc::PeakAlloc;
use tracer::session::Config;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Bytes of the heap in use.
fn in_use() -> isize {
    HEAP.current_usage().cast_signed()
}

/// What an undecided connection may keep where nothing is read in clear: what is known so far, and
/// the sizes of records. No more, however much passes.
const BUDGET: isize = 24 * 1024;
/// In addition a message that is read in clear (128 KiB, as long as LOGIN7 may be), and the packet of
/// it that is not whole yet (64 KiB).
const IN_CLEAR: isize = (128 + 64) * 1024;
/// And what came ahead of a hole.
const AHEAD: isize = 128 * 1024;
const CONNECTIONS: isize = 50;
/// Of each connection passes a multiple of what all may keep together.
const VOLUME: usize = 4 * 1024 * 1024;

/// A whole agent without its output.
fn agent() -> Replayed {
    Replayed::new([1433], Config::default())
}

/// A packet passes, and what is said of it goes away.
fn passes(agent: &mut Replayed, packet: &Packet) {
    let network = (packet.ethertype, &packet.bytes[..]);
    agent.packet(packet.time_ns, packet.point, network);
    agent.forget_records();
}

/// One connection up to a packet, and then volume of both sides.
struct Flood {
    name: &'static str,
    capture: &'static str,
    kept: usize,
    /// The agent comes after those.
    joined: bool,
    /// What passes again and again: each side's segment.
    segment: fn(usize) -> Vec<u8>,
    length: usize,
    /// It looks like a message in clear.
    is_read: bool,
}

/// No known message begins like this.
fn junk(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8 | 0xC0)
        .collect()
}

/// TLS records of 16 KiB, and a segment in the middle of one.
fn inside_a_record(length: usize) -> Vec<u8> {
    vec![0xA5; length]
}

fn records(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend([0x17, 3, 3, 0x10, 0]);
        bytes.resize(bytes.len() + 0x1000, 0xA5);
    }
    bytes.truncate(length);
    bytes
}

/// One record of the handshake after the other, each so short that many fit.
fn short_records(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend([0x17, 3, 3, 0, 20]);
        bytes.resize(bytes.len() + 20, 0xA5);
    }
    bytes.truncate(length / 25 * 25);
    bytes
}

/// TDS packets of a message that never ends.
fn endless(length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend([0x04, 0, 0x10, 0, 0, 51, 1, 0]);
        bytes.resize(bytes.len() + 0x1000 - 8, 0xD1);
    }
    bytes.truncate(length);
    bytes
}

const FLOODS: [Flood; 10] = [
    Flood {
        name: "junk from the start",
        capture: "captures/odbc18-lab-clear",
        kept: 3,
        joined: false,
        segment: junk,
        length: 60_000,
        is_read: false,
    },
    Flood {
        name: "junk in the middle",
        capture: "captures/odbc18-lab-clear",
        kept: 3,
        joined: true,
        segment: junk,
        length: 60_000,
        is_read: false,
    },
    Flood {
        name: "junk after LOGIN7",
        capture: "captures/odbc18-lab-clear",
        kept: 8,
        joined: false,
        segment: junk,
        length: 1448,
        is_read: false,
    },
    Flood {
        name: "a result in TLS joined in the middle of a record",
        capture: "captures/odbc18-lab-tls12",
        kept: 13,
        joined: true,
        segment: inside_a_record,
        length: 60_000,
        is_read: false,
    },
    Flood {
        name: "a result in TLS joined between records",
        capture: "captures/odbc18-lab-tls12",
        kept: 13,
        joined: true,
        segment: records,
        length: 60_000 / 4101 * 4101,
        is_read: false,
    },
    Flood {
        name: "records of a sealed login that does not end",
        capture: "captures/odbc18-lab-tls12",
        kept: 12,
        joined: false,
        segment: records,
        length: 4101,
        is_read: false,
    },
    Flood {
        name: "short records of a sealed login that does not end",
        capture: "captures/odbc18-lab-tls12",
        kept: 12,
        joined: false,
        segment: short_records,
        length: 1400,
        is_read: false,
    },
    Flood {
        name: "short records in the handshake of TLS",
        capture: "captures/odbc18-lab-strict13",
        kept: 4,
        joined: false,
        segment: short_records,
        length: 1400,
        is_read: false,
    },
    Flood {
        name: "a reply in clear that does not end",
        capture: "captures/odbc18-lab-clear",
        kept: 8,
        joined: false,
        segment: endless,
        length: 4096,
        is_read: true,
    },
    Flood {
        name: "a result in clear joined in the middle",
        capture: "captures/odbc18-lab-clear",
        kept: 9,
        joined: true,
        segment: inside_a_record,
        length: 60_000,
        is_read: false,
    },
];

/// Bytes per connection while and after so much has passed on each.
fn held(flood: &Flood, gap: bool) -> [isize; 2] {
    let all = fixture(flood.capture).unwrap().remove(0).packets;
    let first = |side| all.iter().find(|packet| packet.side == side).cloned();
    let like = [Side::Client, Side::Server].map(|side| first(side).unwrap());
    let before = &all[..flood.kept];
    let payload = (flood.segment)(flood.length);
    let segments = VOLUME / flood.length;
    let mut agent = agent();
    // What the agent has from the start is nobody's.
    let base = in_use();
    HEAP.reset_peak_usage();
    for number in 0..CONNECTIONS as u16 {
        let port = 20_000 + number;
        let mut now = before.last().unwrap().time_ns + u64::from(number) * 1_000_000_000;
        if !flood.joined {
            for packet in before {
                passes(&mut agent, &packet.of_client_port(port));
            }
        }
        let mut next = [Side::Client, Side::Server].map(|side| {
            let mut own = before.iter().filter(|packet| packet.side == side);
            own.next_back().map_or(0, Packet::end)
        });
        for place in 0..segments {
            let side = if place % 8 == 7 {
                Side::Client
            } else {
                Side::Server
            };
            now += 50_000;
            let numbers = [next[side as usize], next[side.other() as usize]];
            let packet = like[side as usize].says(now, PSH | ACK, numbers, &payload);
            next[side as usize] = packet.end();
            // Some are not seen.
            if !gap || place % 5 != 2 {
                passes(&mut agent, &packet.of_client_port(port));
            }
        }
    }
    let each = |bytes: isize| (bytes - base) / CONNECTIONS;
    [each(HEAP.peak_usage().cast_signed()), each(in_use())]
}

/// What a connection may keep that waits for its close, of one that has sent a request.
const IDLE: isize = 800;
/// What a login may keep that is sealed in TLS 1.2 and not decided.
const OPEN: isize = 6 * 1024;
/// A service's pool, or those of a few services.
const POOLED: u64 = 5_000;

/// Bytes the engine keeps of each of many connections that have come so far in a capture, without
/// what the kernel would keep of them. `idle` is how long nothing has come since.
fn kept(capture: &str, packets: usize, idle: u64) -> isize {
    let all = fixture(capture).unwrap().remove(0).packets;
    let base = in_use();
    let mut agent = agent();
    let start = all[0].time_ns;
    for number in 0..POOLED {
        let port = 10_000 + number as u16;
        for packet in &all[..packets] {
            let later = packet.at(packet.time_ns + number * 1_000_000);
            passes(
                &mut agent,
                &later.of_client_port(port).of_server(number as u8 % 4),
            );
        }
    }
    let end = start + POOLED * 1_000_000 + idle;
    agent.passes(end);
    let engine = agent.into_engine();
    assert_eq!(engine.standing().open, POOLED);
    let kept = in_use() - base;
    drop(engine);
    kept / POOLED.cast_signed() as isize
}

#[test]
fn a_connection_takes_little_while_its_login_is_open_and_less_after_it() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let minute = 60_000_000_000;
    let capture = "captures/odbc18-lab-tls12";
    let first_end = fixture(capture).unwrap()[0].first_end().unwrap();
    let idle = kept(capture, first_end, minute);
    let open = kept(capture, 12, 0);
    println!("{idle} bytes of an idle connection, {open} of an undecided one");
    assert!(idle <= IDLE, "{idle} bytes of an idle connection");
    assert!(open <= OPEN, "{open} bytes of an undecided connection");
}

#[test]
fn no_connection_takes_more_than_its_budget_whatever_passes() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = Vec::new();
    for flood in &FLOODS {
        for gap in [false, true] {
            let [most, left] = held(flood, gap);
            println!("{most:>9} {left:>9}  {}, gaps: {gap}", flood.name);
            let more = match (flood.is_read, gap) {
                (false, _) => 0,
                (true, false) => IN_CLEAR,
                (true, true) => IN_CLEAR + AHEAD,
            };
            if most > BUDGET + more {
                wrong.push(format!("{}, gaps: {gap}: {most} bytes", flood.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The counter counts.
    let before = in_use();
    let some = vec![1_u8; 100_000];
    assert!(in_use() - before >= some.len().cast_signed());
}
