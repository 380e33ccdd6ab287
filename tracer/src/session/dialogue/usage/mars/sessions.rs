//! The sessions of MARS on one connection, once one was seen.

use tracer_ebpf::framing::{SMP_HEADER, TDS_HEADER, smp_flag, status};

use super::{
    super::requests::{Boundary, Done, Requests},
    Ended,
};
use crate::{
    record::{
        CloseMeans, ClosedBy, Count, MarsSession, MarsSummary, Nanos, Requests as Summary, Sides,
    },
    session::input::Side,
};

/// Sessions kept at once; a driver opens a handful.
const MAX_SESSIONS: usize = 256;

#[derive(Debug, Default)]
struct Session {
    sid: u16,
    opened: u64,
    requests: Requests,
    /// Which side is in the middle of a TDS message.
    message_open: [bool; 2],
    bytes: [u64; 2],
    /// Highest sequence number sent by each side.
    sent: [u32; 2],
    /// Highest sequence number each side lets the other send.
    window: [Option<u32>; 2],
    stalled: [Option<u64>; 2],
    stalls: u32,
    stalled_ns: u64,
    finished: [bool; 2],
    closed_by: Option<ClosedBy>,
}

/// The sessions, once one was seen.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Vec<Session>,
    opened: u32,
    max_concurrent: u32,
    resets: u32,
    /// When the first session opened, where that was seen.
    first: Option<u64>,
    /// A packet of SMP was seen.
    seen: bool,
    last: Option<u64>,
    over: Requests,
    /// The session whose packet has not ended, per side.
    pending: [Option<u16>; 2],
    /// The session whose packet's TDS header comes by itself, per side.
    split: [Option<u16>; 2],
    /// The connection ended before a session that neither side had finished.
    pub(super) cut_off: bool,
}

impl Sessions {
    /// An SMP packet: `run` is its header and, of DATA, the TDS header behind it.
    pub(super) fn packet(
        &mut self,
        side: Side,
        run: &[u8],
        at: u64,
        complete: Option<u64>,
        server_last: u64,
    ) -> Vec<Ended> {
        let Some(&[_, flag, sid_low, sid_high, ref len @ ..]) = run.first_chunk::<8>() else {
            return Vec::new();
        };
        let sid = u16::from_le_bytes([sid_low, sid_high]);
        let len = u32::from_le_bytes(*len);
        let inner = run.get(SMP_HEADER as usize..);
        let inner = inner.and_then(|rest| rest.first_chunk());
        self.split[side as usize] = (flag == smp_flag::DATA && inner.is_none()).then_some(sid);
        if !self.seen {
            // Of sessions that were open before, the first SYN was not seen.
            self.first = (flag == smp_flag::SYN).then_some(at);
        }
        self.seen = true;
        let mut ended = self.replaced(sid, flag, at, server_last);
        let Some(session) = self.session(sid, flag, at) else {
            return ended;
        };
        session.flows(side, flag, run, at);
        match flag {
            smp_flag::DATA => {
                session.bytes[side as usize] += u64::from(len.saturating_sub(SMP_HEADER));
                let done =
                    inner.and_then(|inner| session.data(side, inner, at, complete, server_last));
                if complete.is_none() {
                    self.pending[side as usize] = Some(sid);
                }
                ended.extend(done.map(|done| Ended::Request(sid, done)));
            }
            smp_flag::FIN => ended.extend(self.fin(sid, side, at, server_last)),
            _ => {}
        }
        ended
    }

    /// The session whose identifier a new one takes: its end was not seen, or only one side's.
    fn replaced(&mut self, sid: u16, flag: u8, at: u64, server_last: u64) -> Vec<Ended> {
        let known = self.open.iter().position(|session| session.sid == sid);
        let Some(place) = known.filter(|_| flag == smp_flag::SYN) else {
            return Vec::new();
        };
        let session = self.open.remove(place);
        for pending in &mut self.pending {
            pending.take_if(|pending| *pending == sid);
        }
        let how = (session.finished != [false, false]).then_some(CloseMeans::Fin);
        self.end(session, at, how, server_last)
    }

    fn session(&mut self, sid: u16, flag: u8, at: u64) -> Option<&mut Session> {
        let known = self.open.iter().position(|session| session.sid == sid);
        let place = match known {
            Some(place) => place,
            None if flag == smp_flag::SYN || self.opened == 0 || flag == smp_flag::DATA => {
                if self.open.len() >= MAX_SESSIONS {
                    return None;
                }
                self.opened += 1;
                self.open.push(Session {
                    sid,
                    opened: at,
                    ..Session::default()
                });
                self.max_concurrent = self.max_concurrent.max(self.open.len() as u32);
                self.open.len() - 1
            }
            None => return None,
        };
        self.open.get_mut(place)
    }

    fn fin(&mut self, sid: u16, side: Side, at: u64, server_last: u64) -> Vec<Ended> {
        self.last = Some(at);
        let Some(place) = self.open.iter().position(|session| session.sid == sid) else {
            return Vec::new();
        };
        let session = &mut self.open[place];
        session.finished[side as usize] = true;
        session.closed_by.get_or_insert(by(side));
        if session.finished != [true, true] {
            return Vec::new();
        }
        let session = self.open.remove(place);
        self.end(session, at, Some(CloseMeans::Fin), server_last)
    }

    fn end(
        &mut self,
        mut session: Session,
        at: u64,
        how: Option<CloseMeans>,
        server_last: u64,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        if let Some(done) = session.requests.end(at, server_last) {
            ended.push(Ended::Request(session.sid, done));
        }
        for stalled in session.stalled.into_iter().flatten() {
            session.stalled_ns += at.saturating_sub(stalled);
        }
        self.over.absorb(&session.requests);
        ended.push(Ended::Session(session.write(at, how)));
        ended
    }

    /// A TDS header of this side. Whether it is one that an SMP packet carries, and what that ended.
    pub(super) fn carried(&mut self, boundary: &Boundary) -> Option<Vec<Ended>> {
        let side = boundary.side as usize;
        let sid = self.split[side].take()?;
        self.pending[side] = boundary.complete.is_none().then_some(sid);
        let session = self.open.iter_mut().find(|session| session.sid == sid)?;
        let done = session.carries(*boundary);
        Some(
            done.map(|done| Ended::Request(sid, done))
                .into_iter()
                .collect(),
        )
    }

    /// The SMP packet of this side whose end had not come has ended.
    pub(super) fn packet_ended(&mut self, side: Side, at: u64) -> Option<Ended> {
        let sid = self.pending[side as usize].take()?;
        let session = self.open.iter_mut().find(|session| session.sid == sid)?;
        if session.message_open[side as usize] {
            return None;
        }
        let done = session.requests.message_ended(side, at)?;
        Some(Ended::Request(sid, done))
    }

    /// The connection has ended: so have its sessions.
    pub(super) fn finish(&mut self, at: u64, how: CloseMeans, server_last: u64) -> Vec<Ended> {
        let mut ended = Vec::new();
        for session in std::mem::take(&mut self.open) {
            // A session that one side has finished was about to end anyway.
            let means = if session.finished == [false, false] {
                how
            } else {
                CloseMeans::Fin
            };
            self.resets += u32::from(means == CloseMeans::Rst);
            self.cut_off |= session.finished == [false, false];
            ended.extend(self.end(session, at, Some(means), server_last));
        }
        ended
    }

    /// Whether a response is owed in any session.
    pub(super) fn in_flight(&self) -> u32 {
        let open = self
            .open
            .iter()
            .filter(|session| session.requests.in_flight());
        open.count() as u32
    }

    /// First SYN to last FIN.
    pub(super) fn span(&self) -> Option<(u64, Option<u64>)> {
        self.opened.checked_sub(1)?;
        let over = self.open.is_empty() && !self.cut_off;
        Some((self.first?, self.last.filter(|_| over)))
    }

    /// Adds the sessions' requests to the connection's.
    pub(super) fn requests(&self) -> Option<Summary> {
        let mut all = Requests::default();
        all.absorb(&self.over);
        for session in &self.open {
            all.absorb(&session.requests);
        }
        all.summary()
    }

    /// Whether one was opened.
    pub(super) fn were_opened(&self) -> bool {
        self.opened > 0
    }

    /// They in sum.
    pub(super) fn summary(&self) -> Option<MarsSummary> {
        self.were_opened().then_some(MarsSummary {
            sessions: self.opened,
            max_concurrent: self.max_concurrent,
            resets: self.resets,
            basis: None,
        })
    }
}

impl Session {
    /// Follows the windows: what the side lets the other send, and sends itself.
    fn flows(&mut self, side: Side, flag: u8, run: &[u8], at: u64) {
        let number = |place: usize| {
            let bytes = run.get(place..).and_then(<[u8]>::first_chunk);
            bytes.map(|bytes| u32::from_le_bytes(*bytes))
        };
        let (Some(seqnum), Some(window)) = (number(8), number(12)) else {
            // Who has to wait is not known until the next one says.
            self.window = [None; 2];
            self.stalled = [None; 2];
            return;
        };
        self.grants(side, window, at);
        if flag == smp_flag::DATA {
            self.sends(side, seqnum, at);
        }
    }

    /// The side lets the other send up to `window`.
    fn grants(&mut self, side: Side, window: u32, at: u64) {
        let granted = &mut self.window[side as usize];
        let higher = granted.is_none_or(|known| window.wrapping_sub(known).cast_signed() > 0);
        if !higher {
            return;
        }
        *granted = Some(window);
        let other = 1 - side as usize;
        if let Some(since) = self.stalled[other].take() {
            self.stalled_ns += at.saturating_sub(since);
        }
    }

    /// The side sends; with its last permitted packet it is out of window.
    fn sends(&mut self, side: Side, seqnum: u32, at: u64) {
        self.sent[side as usize] = seqnum;
        let other = 1 - side as usize;
        if self.window[other] == Some(seqnum) && self.stalled[side as usize].is_none() {
            self.stalls += 1;
            self.stalled[side as usize] = Some(at);
        }
    }

    fn data(
        &mut self,
        side: Side,
        inner: &[u8; TDS_HEADER as usize],
        at: u64,
        complete: Option<u64>,
        server_last: u64,
    ) -> Option<Done> {
        self.carries(Boundary {
            side,
            packet: Some(inner[0]),
            status: inner[1],
            first: true,
            at,
            complete,
            server_last,
        })
    }

    /// A TDS header in the session: whether its message begins there, the session knows.
    fn carries(&mut self, boundary: Boundary) -> Option<Done> {
        let open = &mut self.message_open[boundary.side as usize];
        let first = !*open;
        *open = boundary.status & status::EOM == 0;
        self.requests.boundary(&Boundary { first, ..boundary })
    }

    fn write(&self, at: u64, how: Option<CloseMeans>) -> MarsSession {
        MarsSession {
            sid: self.sid,
            requests: self.requests.count_seen(),
            bytes: Sides {
                client: Count(self.bytes[0]),
                server: Count(self.bytes[1]),
            },
            window_stalls: self.stalls,
            stalled_ns: Nanos(self.stalled_ns),
            duration_ns: Some(Nanos(at.saturating_sub(self.opened))),
            closed_by: self.closed_by,
            how,
            basis: None,
        }
    }
}

fn by(side: Side) -> ClosedBy {
    match side {
        Side::ToServer => ClosedBy::Client,
        Side::ToClient => ClosedBy::Server,
    }
}
