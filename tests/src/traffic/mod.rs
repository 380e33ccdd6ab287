//! Captures of a busy network, made of the connections in `fixtures/captures`.
//!
//! Every connection is a recorded one with other addresses, ports, sequence numbers and times, and
//! with as much more in its last response as is asked for. Checksums are those of the recording.

mod connection;
mod template;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, Write},
};

use anyhow::Result;

use self::{
    connection::{Bulk, Connection},
    template::Template,
};

/// 2026-01-01T00:00:00Z.
const EPOCH_NS: u64 = 1_767_225_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Recorded logins, in the order they are repeated, and whether their last response may be long.
const LOGINS: [(&str, bool); 7] = [
    ("odbc18-lab-tls12", true),
    ("odbc18-lab-clear", true),
    ("tsql-lab-ntlm-loginonly", true),
    ("odbc18-lab-strict13", true),
    ("odbc18-lab-krb-loginonly", true),
    ("odbc18-lab-mars-loginonly", false),
    ("odbc18-lab-loginfailed", false),
];
/// Its handshake is that of other applications' connections.
const OTHERS: &str = "odbc18-lab-clear";
const OTHERS_PORT: u16 = 9000;
const SQL_SERVER_PORT: u16 = 1433;
const SERVERS: u32 = 8;

/// What a capture is to hold.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections to SQL Server.
    pub logins: u32,
    /// How many begin in a second.
    pub per_second: u32,
    /// How long each stays open after its last response, nanoseconds.
    pub stays_ns: u64,
    /// Bytes added to the last response of each that was recorded with results.
    pub results: u32,
    /// Bytes of another application's connection beside each.
    pub others: u32,
    /// Connections after those of which no more comes than a SYN and its answer.
    pub attempts: u32,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// Writes a capture: pcap, nanoseconds, Ethernet.
pub fn write(plan: &Plan, out: &mut impl Write) -> Result<Written> {
    let templates = LOGINS
        .iter()
        .map(|(name, _)| Template::load(name))
        .collect::<Result<Vec<_>>>()?;
    let handshake = Template::load(OTHERS)?.into_handshake();

    let mut wire = Wire::begin(out)?;
    for number in 0..plan.logins {
        let start_ns = EPOCH_NS + u64::from(number) * SECOND / u64::from(plan.per_second);
        wire.write_until(start_ns)?;
        let which = number as usize % LOGINS.len();
        let login = Connection {
            number,
            start_ns,
            server: [10, 2, 0, (number % SERVERS) as u8 + 1],
            server_port: SQL_SERVER_PORT,
            bulk: Bulk::of(&templates[which], plan.results).filter(|_| LOGINS[which].1),
            stays_ns: plan.stays_ns,
        };
        login.packets(&templates[which], |time, packet| wire.add(time, packet));
        if plan.others > 0 {
            let other = Connection {
                server: [10, 3, 0, 1],
                server_port: OTHERS_PORT,
                bulk: Some(Bulk::after(&handshake, plan.others)),
                ..login
            };
            other.packets(&handshake, |time, packet| wire.add(time, packet));
        }
    }
    let attempt = Template::load(OTHERS)?.into_attempt();
    for number in plan.logins..plan.logins + plan.attempts {
        let start_ns = EPOCH_NS + u64::from(number) * SECOND / u64::from(plan.per_second);
        wire.write_until(start_ns)?;
        let tried = Connection {
            number,
            start_ns,
            server: [10, 2, 0, 1],
            server_port: SQL_SERVER_PORT,
            bulk: None,
            stays_ns: 0,
        };
        tried.packets(&attempt, |time, packet| wire.add(time, packet));
    }
    wire.write_until(u64::MAX)?;
    Ok(wire.written)
}

/// Packets on their way into a file, by time.
struct Wire<'a, W> {
    out: &'a mut W,
    /// Time, then the order in which they were made, then the bytes.
    waiting: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    made: u64,
    written: Written,
}

impl<'a, W: Write> Wire<'a, W> {
    fn begin(out: &'a mut W) -> io::Result<Self> {
        // Nanoseconds, version 2.4, snap length, Ethernet.
        let header: [u32; 6] = [0xA1B2_3C4D, 0x0004_0002, 0, 0, 0x0004_0000, 1];
        for word in header {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            out,
            waiting: BinaryHeap::new(),
            made: 0,
            written: Written {
                packets: 0,
                bytes: 24,
            },
        })
    }

    fn add(&mut self, time_ns: u64, packet: Vec<u8>) {
        self.waiting.push(Reverse((time_ns, self.made, packet)));
        self.made += 1;
    }

    /// Writes the packets before `time_ns`: later connections have none of them.
    fn write_until(&mut self, time_ns: u64) -> io::Result<()> {
        while let Some(next) = self.waiting.peek_mut() {
            if next.0.0 >= time_ns {
                break;
            }
            let Reverse((at_ns, _, packet)) = std::collections::binary_heap::PeekMut::pop(next);
            let length = packet.len() as u32;
            for word in [
                (at_ns / SECOND) as u32,
                (at_ns % SECOND) as u32,
                length,
                length,
            ] {
                self.out.write_all(&word.to_le_bytes())?;
            }
            self.out.write_all(&packet)?;
            self.written.packets += 1;
            self.written.bytes += 16 + packet.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracer::capture::reader::CaptureReader;

    #[test]
    fn a_capture_holds_what_its_plan_says_in_the_order_of_time() {
        let plan = Plan {
            logins: 14,
            per_second: 1000,
            stays_ns: 50_000_000,
            results: 10_000,
            others: 20_000,
            attempts: 3,
        };
        let mut file = Vec::new();
        let written = write(&plan, &mut file).unwrap();
        assert_eq!(written.bytes, file.len() as u64);
        let (mut packets, mut last_ns) = (0, 0);
        let mut reader = CaptureReader::new(&file[..]).unwrap();
        while let Some(packet) = reader.next().unwrap() {
            assert!(packet.time_ns >= last_ns);
            last_ns = packet.time_ns;
            packets += 1;
        }
        assert_eq!(packets, written.packets);
        // Ten connections with results, fourteen others.
        assert!(written.bytes > 10 * 10_000 + 14 * 20_000);
    }
}
