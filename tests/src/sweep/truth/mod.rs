//! What the bytes of a connection say by themselves, read without any code of the agent: after each
//! packet, in which phase the login is, who owes the next message, and whether it is decided.

mod handshake;
mod reader;
mod sealed;
mod stream;
mod tokens;
mod waits;

pub use self::waits::Waits;

use crate::expect::LOGIN_PHASES;

use super::{packet::Packet, packet::Side, scenarios::Scenario};

/// Who owes the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debtor {
    /// This side.
    Owes(Side),
    /// Nobody could tell from what has passed so far: inside a run of sealed records.
    Unsure,
}

/// How far TCP has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tcp {
    /// A SYN, or several.
    Syn,
    /// An answer to it.
    SynAck,
    /// Connected.
    Up,
}

/// What is so after a packet.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct State {
    /// How far TCP has come.
    pub tcp: Tcp,
    /// Who owes the next message.
    pub debtor: Debtor,
    /// The same, known by what came after.
    pub owed: Debtor,
    /// Since when: the message that opened the debt had passed.
    pub since_ns: u64,
    /// The phase that lasts; `prelogin` where nothing has shown yet that TLS comes first.
    pub phase: &'static str,
    /// A byte of the client has passed.
    pub spoken: bool,
    /// A TLS message has passed.
    pub tls_begun: bool,
    /// Everything is inside TLS: what is said is known by order and size alone.
    pub sealed: bool,
    /// Replies inside TLS that could be the deciding one for all that shows.
    pub sealed_replies: usize,
    /// The login has its outcome.
    pub over: bool,
    /// So many of the client's messages have passed since.
    pub after: usize,
    /// The client has said goodbye, and not closed.
    pub farewell: bool,
    /// What has passed can be read: no hole, nothing strange, nothing that had to be sent again.
    pub sound: bool,
}

/// What the whole connection says.
#[derive(Debug)]
pub struct Truth {
    /// After each packet.
    pub states: Vec<State>,
    /// The packet that decided the login, and what it decided; none where it was never answered.
    pub decided: Option<(usize, &'static str)>,
    /// That is known from the scenario, not from bytes.
    pub sealed: bool,
    /// Bytes of the deciding reply, where it is sealed.
    pub sealed_reply: usize,
    /// The packets in which the first message of each phase begins.
    pub begins: Vec<(&'static str, usize)>,
    /// What may be said of who encrypts what, as far as it is agreed.
    pub encryption: Vec<&'static str>,
    /// Who was waited for until it was decided.
    pub waits: Vec<Waits>,
    /// TLS is of version 1.3, where an alert looks like data.
    pub tls13: bool,
}

impl Truth {
    /// The packet in which the first message of a phase begins.
    pub fn beginning(&self, phase: &str) -> Option<usize> {
        self.begins
            .iter()
            .find(|(name, _)| *name == phase)
            .map(|(_, index)| *index)
    }

    /// The phase that lasts before a packet: where nobody has begun the one that is due, it is the one
    /// that is begun next.
    pub fn lasting(&self, index: usize, due: &'static str) -> &'static str {
        if due == "handshake" || self.beginning(due).is_some_and(|begins| begins < index) {
            return due;
        }
        let all = self.begins.iter();
        let later = all.filter(|(phase, begins)| *begins >= index && LOGIN_PHASES.contains(phase));
        let next = later.min_by_key(|(_, begins)| *begins);
        next.map_or(due, |(phase, _)| *phase)
    }

    /// Whether the login had its outcome before a packet.
    pub fn is_over_before(&self, index: usize) -> bool {
        self.decided.is_some_and(|(decided, _)| decided < index)
    }
}

/// Reads a connection from its SYN on.
pub(super) fn read(packets: &[Packet], scenario: &Scenario) -> Truth {
    let mut reader = reader::Reader::new(scenario);
    for (index, packet) in packets.iter().enumerate() {
        reader.packet(index, packet);
    }
    let mut truth = reader.finish();
    for (first, last) in lost(packets) {
        // Whether the other side heard it shows only when it is sent again.
        let states = truth.states.iter_mut();
        states
            .skip(first)
            .take(last - first)
            .for_each(|state| state.sound = false);
    }
    look_back(packets, &mut truth);
    truth.waits = waits::waits(packets, &truth);
    truth
}

/// Where nobody could tell who owed, whoever spoke next did.
fn look_back(packets: &[Packet], truth: &mut Truth) {
    let mut next = Debtor::Unsure;
    for (packet, state) in packets.iter().zip(&mut truth.states).rev() {
        state.owed = match state.debtor {
            Debtor::Unsure if state.tcp == Tcp::Up => next,
            known => known,
        };
        if !packet.payload().is_empty() {
            next = Debtor::Owes(packet.side);
        }
    }
}

/// Where packets had been sent and not arrived: from each first copy to its last one, or for good.
fn lost(packets: &[Packet]) -> Vec<(usize, usize)> {
    let mut unheard = Vec::new();
    for (index, packet) in packets
        .iter()
        .enumerate()
        .filter(|(_, packet)| !packet.payload().is_empty())
    {
        let is_copy = |later: &&Packet| {
            later.side == packet.side && later.seq == packet.seq && !later.payload().is_empty()
        };
        let Some(last) = packets
            .iter()
            .rposition(|later| is_copy(&later))
            .filter(|last| *last > index)
        else {
            continue;
        };
        let hears = |later: &Packet| {
            later.side != packet.side && later.ack.wrapping_sub(packet.end()) < u32::MAX / 2
        };
        let is_heard = packets[last..].iter().any(hears);
        unheard.push((index, if is_heard { last } else { packets.len() }));
    }
    unheard
}
