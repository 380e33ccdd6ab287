//! One connection as a kernel would tell of it, and what the engine makes of that.

use super::*;

/// What the engine has told.
#[derive(Default)]
pub(in crate::session) struct Heard(pub(in crate::session) Vec<Record>);

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        self.0.push(record);
    }

    fn decided(&mut self, _: Decided) {}
}

impl Heard {
    pub(in crate::session) fn logins(&self) -> Vec<&LoginRecord> {
        let bodies = self.0.iter().map(|record| &record.body);
        bodies
            .filter_map(|body| match body {
                Body::Login(login) => Some(&**login),
                _ => None,
            })
            .collect()
    }

    pub(in crate::session) fn closes(&self) -> Vec<(&ConnectionFacts, &Close)> {
        let bodies = self.0.iter().map(|record| &record.body);
        bodies
            .filter_map(|body| match body {
                Body::Close(close) => Some((&close.facts, &close.close)),
                _ => None,
            })
            .collect()
    }

    pub(in crate::session) fn count(&self, of: impl Fn(&Body) -> bool) -> usize {
        self.0.iter().filter(|record| of(&record.body)).count()
    }
}

/// A connection of which nothing is lost, event by event.
pub(super) struct Told {
    pub(super) engine: Engine,
    pub(super) heard: Heard,
    pub(super) numbers: [u32; 2],
    pub(super) born: u64,
}

impl Told {
    pub(super) fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config),
            heard: Heard::default(),
            numbers: [0; 2],
            born: START,
        }
    }

    pub(super) fn event(
        &mut self,
        kind: Kind,
        direction: Direction,
        later: u64,
        seq: u32,
    ) -> Event {
        let number = &mut self.numbers[direction as usize];
        *number += 1;
        Event {
            kind: kind as u8,
            direction: direction as u8,
            ttl: 64,
            tcp_flags: tcp_flag::ACK,
            time: START + later,
            born: self.born,
            number: *number,
            key: KEY,
            seq: Seq(seq),
            ..Event::default()
        }
    }

    pub(super) fn tell(&mut self, event: &Event) {
        self.engine
            .on_event(Input::Event(event, &[]), &mut self.heard);
    }

    pub(super) fn says(&mut self, kind: Kind, direction: Direction, later: u64, seq: u32) {
        let event = self.event(kind, direction, later, seq);
        self.tell(&event);
    }

    /// The three packets of a handshake.
    pub(super) fn opens(&mut self) {
        self.says(Kind::Syn, Direction::ToServer, 0, 100);
        let mut answer = self.event(Kind::SynAck, Direction::ToClient, MILLISECOND, 500);
        answer.ack = Seq(101);
        self.tell(&answer);
        self.says(Kind::Ack, Direction::ToServer, MILLISECOND, 101);
    }

    /// A FIN of either side, and the last acknowledgement.
    pub(super) fn closes(&mut self, first: Direction, later: u64) {
        let (own, others) = match first {
            Direction::ToServer => (101, 501),
            Direction::ToClient => (501, 101),
        };
        for (kind, direction, seq, ack) in [
            (Kind::Fin, first, own, others),
            (Kind::Fin, first.reversed(), others, own + 1),
            (Kind::Ack, first, own + 1, others + 1),
        ] {
            let mut event = self.event(kind, direction, later, seq);
            event.ack = Seq(ack);
            self.tell(&event);
        }
    }

    /// The client's socket, which is about to connect.
    pub(super) fn owner(&mut self, pid: u32, later: u64) {
        let owner = SocketOwner {
            key: KEY,
            role: role::CLIENT,
            time: START + later,
            isns: None,
            process: Process {
                pid,
                ..Process::default()
            },
        };
        self.engine.on_event(Input::Owner(owner), &mut self.heard);
    }
}
