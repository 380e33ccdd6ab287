//! What the agent says of packets: capture and engine in this process, as `replay` joins them.

use serde_json::Value;
use tracer::{capture::link::ETHERTYPE_IPV4, session::Config};
use tracer_ebpf::flow::Point;

use super::packet::Packet;
use crate::replay::{Replayed, line};

/// A UDP packet between two strangers: it shows that time has passed.
pub const TICK: [u8; 28] = [
    0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0xF6, 0xCC, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 9, 0, 8,
    0, 0,
];

/// Packets of one connection, and until when the capture goes on after them.
#[derive(Clone, Debug)]
pub struct Input {
    /// In the order of the capture.
    pub packets: Vec<Packet>,
    /// A packet of somebody else's passes at this time.
    pub until_ns: Option<u64>,
}

/// The lines about a connection.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// `login` lines.
    pub logins: Vec<Value>,
    /// `close` lines.
    pub closes: Vec<Value>,
}

/// What is said of a connection to this port of a server.
pub fn lines(input: &Input, port: u16) -> Lines {
    let mut replayed = Replayed::new([port], Config::default());
    for packet in &input.packets {
        let network = (packet.ethertype, &packet.bytes[..]);
        replayed.packet(packet.time_ns, packet.point, network);
    }
    if let Some(at) = input.until_ns {
        replayed.packet(at, Point::new(1, false), (ETHERTYPE_IPV4, &TICK));
    }
    let mut lines = Lines::default();
    for record in &replayed.finish() {
        let line = line(record);
        match line["event"].as_str() {
            Some("login") => lines.logins.push(line),
            Some("close") => lines.closes.push(line),
            _ => {}
        }
    }
    lines
}
