//! A capture whose times its packets agree on.

use std::io::Read;

use super::{
    link::LinkType,
    reader::{CaptureReader, Oddities, Packet, ReadError},
};

/// How far a packet's time is from those of both its neighbours before it is wrong, nanoseconds:
/// longer than anything is waited for, and than clocks are set by.
const OFF: u64 = 3_600_000_000_000;

/// Reads a capture, and does not believe a time that the packets around it contradict: one such time
/// would let every timer run out.
#[derive(Debug)]
pub(super) struct TimedReader<R> {
    reader: CaptureReader<R>,
    last_ns: Option<u64>,
    /// A packet that waited for the one behind it, where the reader is by now.
    held: Option<Held>,
    off: u64,
}

#[derive(Debug)]
struct Held {
    time_ns: u64,
    untimed: bool,
    link: LinkType,
    interface: u32,
    interface_name: Option<String>,
    orig_len: u32,
    data: Vec<u8>,
    /// Whether there is one behind it.
    more: Result<bool, ReadError>,
}

impl<R: Read> TimedReader<R> {
    pub(super) fn new(reader: CaptureReader<R>) -> Self {
        Self {
            reader,
            last_ns: None,
            held: None,
            off: 0,
        }
    }

    /// Moves to the next packet; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, ReadError> {
        let more = match self.held.take() {
            Some(held) => held.more?,
            None => self.reader.advance()?,
        };
        let Some(time_ns) = self.reader.time_ns().filter(|_| more) else {
            return Ok(false);
        };
        let jumped = self.last_ns.filter(|last| last.abs_diff(time_ns) > OFF);
        let held = jumped.and_then(|last| Some((last, Held::of(&self.reader.current()?))));
        self.last_ns = Some(match held {
            Some((last_ns, held)) => self.hold(held, last_ns),
            None => time_ns,
        });
        Ok(true)
    }

    /// Holds a packet against the one behind it; the time that it was sent at.
    fn hold(&mut self, mut held: Held, last_ns: u64) -> u64 {
        held.more = self.reader.advance();
        let behind = self.reader.current();
        if behind.is_some_and(|packet| packet.time_ns.abs_diff(last_ns) <= OFF) {
            held.time_ns = last_ns;
            held.untimed = true;
            self.off += 1;
        }
        self.held.insert(held).time_ns
    }

    /// When the packet was sent that [`Self::advance`] moved to.
    pub(super) fn time_ns(&self) -> Option<u64> {
        let held = self.held.as_ref();
        held.map_or_else(|| self.reader.time_ns(), |held| Some(held.time_ns))
    }

    /// The packet [`Self::advance`] moved to.
    pub(super) fn current(&self) -> Option<Packet<'_>> {
        self.held
            .as_ref()
            .map_or_else(|| self.reader.current(), |held| Some(held.packet()))
    }

    /// What was odd so far.
    pub(super) fn oddities(&self) -> Oddities {
        Oddities {
            off: self.off,
            ..self.reader.oddities()
        }
    }
}

impl Held {
    fn of(packet: &Packet<'_>) -> Self {
        Self {
            time_ns: packet.time_ns,
            untimed: packet.untimed,
            link: packet.link,
            interface: packet.interface,
            interface_name: packet.interface_name.map(str::to_owned),
            orig_len: packet.orig_len,
            data: packet.data.to_vec(),
            more: Ok(false),
        }
    }

    fn packet(&self) -> Packet<'_> {
        Packet {
            time_ns: self.time_ns,
            untimed: self.untimed,
            link: self.link,
            interface: self.interface,
            interface_name: self.interface_name.as_deref(),
            orig_len: self.orig_len,
            data: &self.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::test_files::Pcap;

    const HOUR: u64 = OFF;
    const SECOND: u64 = 1_000_000_000;

    /// What is read of packets that were sent at these moments: when, and whether that is known.
    fn read(sent: &[u64]) -> (Vec<(u64, bool)>, u64) {
        let mut pcap = Pcap::nanoseconds();
        for (number, time_ns) in sent.iter().enumerate() {
            pcap.packet(*time_ns, &[number as u8]);
        }
        let reader = CaptureReader::new(&pcap.bytes[..]).unwrap();
        let mut timed = TimedReader::new(reader);
        let mut read = Vec::new();
        while timed.advance().unwrap() {
            let packet = timed.current().unwrap();
            assert_eq!(packet.data, [read.len() as u8]);
            read.push((packet.time_ns, !packet.untimed));
        }
        assert_eq!(read.len(), sent.len());
        (read, timed.oddities().off)
    }

    #[test]
    fn a_time_that_both_neighbours_contradict_is_not_believed() {
        let at = 100 * HOUR;
        for wrong in [
            0,
            at - HOUR - 1,
            at + HOUR + 1,
            u64::from(u32::MAX) * SECOND,
        ] {
            let (read, off) = read(&[at, wrong, at + 1, at + 2]);
            let expected = [(at, true), (at, false), (at + 1, true), (at + 2, true)];
            assert_eq!((&read[..], off), (&expected[..], 1), "{wrong}");
        }
    }

    #[test]
    fn a_quiet_time_and_a_clock_that_is_set_are_believed() {
        let at = 100 * HOUR;
        for times in [
            &[][..],
            &[at],
            &[at, at + HOUR, at],
            &[at, at + 9 * HOUR, at + 9 * HOUR + 1],
            &[at, at + 9 * HOUR, at + 20 * HOUR],
            &[at, at + 9 * HOUR],
            &[at, at - 9 * HOUR, at - 9 * HOUR + 1],
        ] {
            let (read, off) = read(times);
            let expected: Vec<_> = times.iter().map(|time_ns| (*time_ns, true)).collect();
            assert_eq!((read, off), (expected, 0));
        }
    }

    #[test]
    fn damage_behind_a_packet_that_is_held_is_told_after_it() {
        let mut pcap = Pcap::nanoseconds();
        pcap.packet(0, b"one");
        pcap.packet(9 * HOUR, b"two");
        pcap.bytes.extend([0xFF; 40]);
        let mut timed = TimedReader::new(CaptureReader::new(&pcap.bytes[..]).unwrap());
        assert!(timed.advance().unwrap());
        assert!(timed.advance().unwrap());
        assert_eq!(timed.current().unwrap().data, b"two");
        assert!(timed.advance().is_err());
    }
}
