//! A captured connection up to a packet, and what happens then.

use std::ops::Range;

use harness::sweep::{
    packet::{ACK, FIN, PSH, Packet, RST, SYN, Side},
    sources::{Connection, fixture},
};
use tracer::session::Config;
use tracer_ebpf::flow::FlowKey;

use crate::hear::{Heard, hear};

pub(crate) const MICROSECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// What the agent is told next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A packet.
    Packet(Packet),
    /// A packet of somebody else's passes.
    Passes(u64),
    /// The client's socket belongs to this process.
    Owner(u64, FlowKey, u32),
    /// The client's socket closed.
    SocketEnd(u64, FlowKey),
}

impl Step {
    pub(crate) fn time_ns(&self) -> u64 {
        match self {
            Self::Packet(packet) => packet.time_ns,
            Self::Passes(at) | Self::Owner(at, ..) | Self::SocketEnd(at, _) => *at,
        }
    }
}

/// A connection in the making.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What has happened so far.
    pub(crate) steps: Vec<Step>,
    /// The time of the last of it.
    pub(crate) now: u64,
    port: u16,
    like: [Packet; 2],
    next: [u32; 2],
    original: Vec<Packet>,
}

impl Script {
    /// The first packets of a capture's first connection.
    pub(crate) fn after(capture: &str, kept: usize) -> Self {
        let connections = fixture(capture).unwrap();
        Self::of(&connections[0], kept)
    }

    /// The first packets of a connection.
    pub(crate) fn of(connection: &Connection, kept: usize) -> Self {
        let original = connection.packets.clone();
        let first = |side| {
            let own = original.iter().find(|packet| packet.side == side);
            own.cloned().unwrap_or_else(|| original[0].turned())
        };
        let like = [first(Side::Client), first(Side::Server)];
        let next = like.each_ref().map(Packet::end);
        let mut script = Self {
            steps: Vec::new(),
            now: original[0].time_ns,
            port: connection.port,
            like,
            next,
            original,
        };
        for packet in connection.packets[..kept].iter().cloned() {
            script.add(packet);
        }
        script
    }

    fn add(&mut self, packet: Packet) {
        self.now = packet.time_ns;
        let next = &mut self.next[packet.side as usize];
        if !packet.has(RST) && packet.end().wrapping_sub(*next) < u32::MAX / 2 {
            *next = packet.end();
        }
        self.steps.push(Step::Packet(packet));
    }

    /// Nothing happens for so long.
    pub(crate) fn wait(&mut self, ns: u64) -> &mut Self {
        self.now += ns;
        self
    }

    /// Nothing happens for so long, while others' packets pass every ten seconds.
    pub(crate) fn others_pass(&mut self, ns: u64) -> &mut Self {
        let end = self.now + ns;
        while self.now + 10 * SECOND < end {
            self.now += 10 * SECOND;
            self.steps.push(Step::Passes(self.now));
        }
        self.now = end;
        self.steps.push(Step::Passes(end));
        self
    }

    /// A side sends a packet that begins so far from where its stream stands.
    pub(crate) fn send_at(&mut self, side: Side, flags: u8, back: u32, payload: &[u8]) {
        let numbers = [
            self.next[side as usize].wrapping_sub(back),
            self.next[side.other() as usize],
        ];
        self.send_numbered(side, flags, numbers, payload);
    }

    /// A side sends a packet with these numbers.
    pub(crate) fn send_numbered(
        &mut self,
        side: Side,
        flags: u8,
        numbers: [u32; 2],
        payload: &[u8],
    ) {
        let packet = self.like[side as usize].says(self.now, flags, numbers, payload);
        self.add(packet);
    }

    /// Where a side's stream stands.
    pub(crate) fn stands(&self, side: Side) -> u32 {
        self.next[side as usize]
    }

    /// A side's bytes get lost before anybody sees them.
    pub(crate) fn skip(&mut self, side: Side, bytes: u32) -> &mut Self {
        self.next[side as usize] = self.next[side as usize].wrapping_add(bytes);
        self
    }

    pub(crate) fn send(&mut self, side: Side, flags: u8, payload: &[u8]) -> &mut Self {
        self.send_at(side, flags, 0, payload);
        self
    }

    /// A side says something.
    pub(crate) fn say(&mut self, side: Side, payload: &[u8]) -> &mut Self {
        self.send(side, PSH | ACK, payload)
    }

    /// A side acknowledges.
    pub(crate) fn ack(&mut self, side: Side) -> &mut Self {
        self.send(side, ACK, &[])
    }

    /// A side sends sealed records of these lengths, in one segment.
    pub(crate) fn seal(&mut self, side: Side, lengths: &[usize]) -> &mut Self {
        self.say(side, &records(lengths))
    }

    /// One after the other, each in its own segment, so far apart.
    pub(crate) fn seal_apart(&mut self, side: Side, lengths: &[usize], apart: u64) -> &mut Self {
        for (place, length) in lengths.iter().enumerate() {
            if place > 0 {
                self.wait(apart);
            }
            self.seal(side, &[*length]);
        }
        self
    }

    /// A keep-alive of a side, which the other answers.
    pub(crate) fn keep_alive(&mut self, side: Side) -> &mut Self {
        self.send_at(side, ACK, 1, &[]);
        self.wait(50 * MICROSECOND).ack(side.other())
    }

    /// A side closes, the other follows.
    pub(crate) fn close(&mut self, side: Side) -> &mut Self {
        let step = 50 * MICROSECOND;
        self.send(side, FIN | ACK, &[]);
        self.wait(step).send(side.other(), FIN | ACK, &[]);
        self.wait(step).ack(side)
    }

    /// A side resets.
    pub(crate) fn reset(&mut self, side: Side) -> &mut Self {
        self.send(side, RST | ACK, &[])
    }

    /// What came in the capture, in its own pace, from here on.
    pub(crate) fn goes_on(&mut self, places: Range<usize>) -> &mut Self {
        for place in places {
            let packet = self.original[place].clone();
            let gap = packet.time_ns - self.original[place.max(1) - 1].time_ns;
            self.wait(gap);
            if packet.has(SYN) {
                self.add(packet.at(self.now));
            } else {
                let flags = packet.flags;
                self.send(packet.side, flags, packet.payload());
            }
        }
        self
    }

    /// The rest of the capture, in its own pace.
    pub(crate) fn goes_on_from(&mut self, place: usize) -> &mut Self {
        let all = self.original.len();
        self.goes_on(place..all)
    }

    /// The client asks something, is answered, and leaves.
    pub(crate) fn ask_and_leave(&mut self) -> &mut Self {
        self.wait(2 * MILLISECOND).seal(Side::Client, &[139]);
        self.wait(MILLISECOND).seal(Side::Server, &[81]);
        self.wait(MILLISECOND).close(Side::Client)
    }

    /// The bytes that a packet of the capture carries.
    pub(crate) fn original(&self, place: usize) -> Packet {
        self.original[place].clone()
    }

    /// Packets of the capture.
    pub(crate) fn length(&self) -> usize {
        self.original.len()
    }

    /// The client's socket belongs to this process.
    pub(crate) fn owned_by(&mut self, pid: u32) -> &mut Self {
        let Some(Step::Packet(first)) = self.steps.first() else {
            panic!("no packet")
        };
        let owner = Step::Owner(first.time_ns - 1, first.key(), pid);
        self.steps.insert(0, owner);
        self
    }

    /// The client's socket closes.
    pub(crate) fn socket_ends(&mut self) -> &mut Self {
        let end = Step::SocketEnd(self.now, self.like[0].key());
        self.steps.push(end);
        self
    }

    /// The same connection with another client port, later.
    pub(crate) fn copy(&self, port: u16, later_ns: u64) -> Self {
        self.moved(later_ns, |packet| packet.of_client_port(port))
    }

    /// The same packets otherwise.
    pub(crate) fn moved(&self, later_ns: u64, change: impl Fn(&Packet) -> Packet) -> Self {
        let mut other = self.clone();
        for step in &mut other.steps {
            match step {
                Step::Packet(packet) => *packet = change(&packet.at(packet.time_ns + later_ns)),
                Step::Passes(at) | Step::Owner(at, ..) | Step::SocketEnd(at, _) => *at += later_ns,
            }
        }
        other.like = other.like.each_ref().map(&change);
        other.now += later_ns;
        other
    }

    /// What is said of it.
    pub(crate) fn heard(&self) -> Heard {
        hear(&self.steps, self.port, Config::default())
    }

    /// Packets of it, to be changed one by one.
    pub(crate) fn packets(&mut self) -> impl Iterator<Item = &mut Packet> {
        self.steps.iter_mut().filter_map(|step| match step {
            Step::Packet(packet) => Some(packet),
            _ => None,
        })
    }
}

/// Sealed records of these lengths.
pub(crate) fn records(lengths: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for length in lengths {
        let [high, low] = (*length as u16).to_be_bytes();
        bytes.extend([0x17, 3, 3, high, low]);
        bytes.resize(bytes.len() + length, 0xA5);
    }
    bytes
}
