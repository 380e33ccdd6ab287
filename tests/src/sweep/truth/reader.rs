//! Reads a connection packet by packet.

use super::{
    Debtor, State, Tcp, Truth,
    handshake::{Handshake, Turn},
    sealed::Run,
    stream::{Half, Unit, is_record, record},
    tokens::{Reply, reply},
};
use crate::sweep::{
    packet::{ACK, FIN, Packet, RST, SYN, Side},
    scenarios::Scenario,
};

const REPLY: u8 = 0x04;
const ATTENTION: u8 = 0x06;
const LOGIN7: u8 = 0x10;
const PRELOGIN: u8 = 0x12;
const ALERT: u8 = 21;
const DATA: u8 = 23;

/// Who encrypts what, once it is agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Clear,
    LoginOnly,
    Full,
    Strict,
}

#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) halves: [Half; 2],
    /// TLS inside TDS packets.
    wrapped: [Vec<u8>; 2],
    /// The message at hand, of several packets.
    message: [Vec<u8>; 2],
    pub(super) handshake: Handshake,
    mode: Mode,
    asked: u8,
    answered: Option<u8>,
    pub(super) tls_done: bool,
    /// The client has asked something since TLS is up.
    pub(super) asks: bool,
    pub(super) run: Option<Run>,
    /// A side has left: a reply that comes then answers nobody.
    ended: bool,
    /// Whether each packet is the client's and has data.
    speaks: Vec<bool>,
    pub(super) now: (usize, u64),
    pub(super) state: State,
    pub(super) truth: Truth,
}

impl<'a> Reader<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            halves: Default::default(),
            wrapped: Default::default(),
            message: Default::default(),
            handshake: Handshake::default(),
            mode: Mode::Clear,
            asked: 0,
            answered: None,
            tls_done: false,
            asks: false,
            run: None,
            ended: false,
            speaks: Vec::new(),
            now: (0, 0),
            state: State {
                tcp: Tcp::Syn,
                debtor: Debtor::Owes(Side::Server),
                owed: Debtor::Unsure,
                since_ns: 0,
                phase: "handshake",
                spoken: false,
                tls_begun: false,
                sealed: false,
                sealed_replies: 0,
                over: false,
                after: 0,
                farewell: false,
                sound: true,
            },
            truth: Truth {
                states: Vec::new(),
                decided: None,
                sealed: false,
                sealed_reply: 0,
                begins: Vec::new(),
                encryption: Vec::new(),
                waits: Vec::new(),
                tls13: false,
            },
        }
    }

    pub(super) fn packet(&mut self, index: usize, packet: &Packet) {
        self.now = (index, packet.time_ns);
        match packet.flags & (SYN | ACK) {
            SYN => {
                if self.state.since_ns == 0 {
                    self.state.since_ns = packet.time_ns;
                }
                if self.state.tcp == Tcp::SynAck {
                    // Its answer may not have arrived.
                    self.state.debtor = Debtor::Unsure;
                }
                self.begin("handshake");
            }
            flags if flags == SYN | ACK => {
                self.state.tcp = Tcp::SynAck;
                self.owes(Side::Client);
            }
            _ if packet.side == Side::Client
                && self.state.tcp == Tcp::SynAck
                && !packet.has(RST) =>
            {
                self.state.tcp = Tcp::Up;
                // What came with the SYN (TCP Fast Open) is still to be answered.
                let asked = self.truth.beginning("prelogin").is_some();
                self.owes(if asked { Side::Server } else { Side::Client });
                self.state.phase = "prelogin";
            }
            _ => {}
        }
        let half = &mut self.halves[packet.side as usize];
        half.take(index, packet);
        self.state.spoken |= packet.side == Side::Client && !packet.payload().is_empty();
        self.speaks
            .push(packet.side == Side::Client && !packet.payload().is_empty());
        while self.truth.decided.is_none()
            && self.state.sound
            && !self.ended
            && let Some(unit) = self.halves[packet.side as usize].next(index)
        {
            self.unit(packet.side, unit);
        }
        if packet.has(FIN | RST) {
            self.resolve();
            self.ended = true;
            self.begin("close");
        }
        let mut state = self.state;
        state.sound &= !self.halves.iter().any(Half::has_hole);
        // Whoever is in the middle of a record has to finish it.
        let inside = self
            .run
            .filter(|run| self.halves[run.side as usize].is_inside());
        if let Some(run) = inside {
            state.debtor = Debtor::Owes(run.side);
        }
        self.truth.states.push(state);
    }

    pub(super) fn finish(mut self) -> Truth {
        self.resolve();
        if let Some((decided, _)) = self.truth.decided {
            self.count_after(decided);
        }
        self.truth.tls13 = self.handshake.is_13;
        self.truth.encryption = match (self.mode, self.answered) {
            (Mode::Strict, _) => vec!["strict"],
            (Mode::Full, _) => vec!["full"],
            (Mode::LoginOnly, _) => vec!["login_only"],
            // What one side wants and the other lacks is refused, unless they go on all the same.
            (Mode::Clear, Some(_)) if self.asked & 1 != 0 => vec!["refused", "none"],
            (Mode::Clear, Some(_)) => vec!["none"],
            (Mode::Clear, None) if self.truth.beginning("login").is_some() => vec!["none"],
            (Mode::Clear, None) => Vec::new(),
        };
        self.truth
    }

    /// What the client says once the login is over.
    fn count_after(&mut self, decided: usize) {
        let mut after = 0;
        for index in decided + 1..self.speaks.len() {
            if self.speaks[index] {
                self.begin_in("command", index);
                self.begin_in("mars", index);
                after += 1;
            }
            let state = &mut self.truth.states[index];
            (state.over, state.after) = (true, after);
        }
    }

    fn begin(&mut self, phase: &'static str) {
        self.begin_in(phase, self.now.0);
    }

    pub(super) fn begin_in(&mut self, phase: &'static str, index: usize) {
        if self.truth.beginning(phase).is_none() {
            self.truth.begins.push((phase, index));
        }
    }

    /// A message has passed after which this side's is due.
    fn owes(&mut self, side: Side) {
        if self.state.debtor != Debtor::Owes(side) || self.state.since_ns == 0 {
            self.state.since_ns = self.now.1;
        }
        self.state.debtor = Debtor::Owes(side);
    }

    fn unit(&mut self, side: Side, unit: Unit) {
        match unit {
            Unit::Strange | Unit::Smp => self.state.sound = false,
            Unit::Record(kind, body) => {
                if !self.state.tls_begun {
                    self.mode = Mode::Strict;
                    self.state.phase = "tls";
                }
                self.record(side, kind, &body);
            }
            Unit::Tds(kind, last, body) => {
                let is_tls = is_record(&body) || !self.wrapped[side as usize].is_empty();
                let may_be_tls = kind == PRELOGIN || kind == REPLY && self.state.phase == "tls";
                if may_be_tls && is_tls {
                    self.wrapped[side as usize].extend(&body);
                    self.tls_begins(side);
                    while let Some((kind, body)) = record(&mut self.wrapped[side as usize]) {
                        self.record(side, kind, &body);
                    }
                } else {
                    self.tds(side, kind, last, &body);
                }
            }
        }
    }

    fn tls_begins(&mut self, side: Side) {
        if !self.state.tls_begun {
            self.state.tls_begun = true;
            let begun = self.halves[side as usize].begun_in;
            self.begin_in("tls", begun);
            self.state.phase = "tls";
        }
    }

    fn tds(&mut self, side: Side, kind: u8, last: bool, body: &[u8]) {
        if self.message[side as usize].is_empty()
            && (side == Side::Client || self.state.phase == "auth")
        {
            let begun = self.halves[side as usize].begun_in;
            match (kind, self.state.phase) {
                (PRELOGIN, _) => self.begin_in("prelogin", begun),
                (LOGIN7, "prelogin" | "login") => {
                    self.state.phase = "login";
                    self.begin_in("login", begun);
                }
                (_, "auth") => self.begin_in("auth", begun),
                _ => {}
            }
        }
        if kind == ATTENTION {
            self.state.farewell = true;
            return;
        }
        self.message[side as usize].extend(body);
        if side == Side::Server {
            // It answers what was sealed.
            self.resolve();
        }
        if side == Side::Client {
            // Of a login that is sealed in part this goes on with it.
            self.run = None;
            self.owes(Side::Client);
        }
        if !last {
            return;
        }
        let message = std::mem::take(&mut self.message[side as usize]);
        match (side, self.state.phase) {
            (Side::Client, "prelogin") => {
                self.asked = encryption(&message).unwrap_or(2);
                self.owes(Side::Server);
            }
            (Side::Client, _) => self.owes(Side::Server),
            (Side::Server, "prelogin") => {
                let Some(answered) = encryption(&message) else {
                    self.state.sound = false;
                    return;
                };
                self.answered = Some(answered);
                self.agree(answered);
                self.owes(Side::Client);
            }
            (Side::Server, _) => match reply(&message) {
                Reply::Decided(outcome) => self.decide(self.now.0, outcome),
                Reply::GoOn => {
                    self.state.phase = "auth";
                    self.owes(Side::Client);
                }
                Reply::MayGoOn => {
                    self.state.phase = "auth";
                    self.owes(Side::Client);
                    self.state.debtor = Debtor::Unsure;
                }
                Reply::Nothing => self.state.sound = false,
            },
        }
    }

    /// MS-TDS §2.2.6.5: what both agree on.
    fn agree(&mut self, answered: u8) {
        const NOT_SUPPORTED: u8 = 2;
        let [asked, answered] = [self.asked & 0x1F, answered & 0x1F];
        self.mode = match (asked, answered) {
            (NOT_SUPPORTED, _) | (_, NOT_SUPPORTED) => Mode::Clear,
            (0, 0) => Mode::LoginOnly,
            _ => Mode::Full,
        };
        self.state.phase = if self.mode == Mode::Clear {
            "login"
        } else {
            "tls"
        };
    }

    fn record(&mut self, side: Side, kind: u8, body: &[u8]) {
        self.tls_begins(side);
        if self.tls_done {
            if kind == DATA {
                self.data(side, body);
            } else if kind == ALERT && side == Side::Client {
                self.state.farewell = true;
            }
            return;
        }
        if side == Side::Client && self.run.is_some_and(|run| run.side == Side::Server) {
            self.resolve();
        }
        match self.handshake.record(side, kind, body) {
            Turn::None => {}
            Turn::Due(side) => self.owes(side),
            Turn::Hidden => self.runs(side, body.len()),
            Turn::Failed => self.decide(self.now.0, "tls_failed"),
            Turn::Done => {
                self.tls_done = true;
                self.state.sealed = self.mode != Mode::LoginOnly;
                self.truth.sealed = self.state.sealed;
                self.state.phase = if self.mode == Mode::Strict {
                    "prelogin"
                } else {
                    "login"
                };
                self.owes(Side::Client);
            }
        }
    }

    fn decide(&mut self, index: usize, outcome: &'static str) {
        self.state.over = true;
        self.truth.sealed = false;
        self.truth.decided = Some((index, outcome));
    }
}

/// The encryption option of a PRELOGIN or its answer; `None` where it is neither.
fn encryption(body: &[u8]) -> Option<u8> {
    let mut entries = body.chunks(5);
    if entries.clone().next()?.first()? != &0 {
        return None;
    }
    let entry = entries.find(|entry| entry[0] == 1 || entry[0] == 0xFF)?;
    match *entry {
        [1, high, low, _, _] => body
            .get(usize::from(u16::from_be_bytes([high, low])))
            .copied(),
        // An answer without the option: nothing is encrypted.
        _ => Some(2),
    }
}
