//! MARS: sessions of SMP (MC-SMP) on one connection, each with its own requests and window.

use tracer_ebpf::{
    event::Event,
    framing::{SMP_HEADER, TDS_HEADER, smp_flag, status},
};

use super::requests::{Boundary, Done, Requests};
use crate::{
    record::{
        Basis, CloseMeans, ClosedBy, Count, MarsSession, MarsSummary, Nanos, Requests as Summary,
        Sides,
    },
    session::input::Side,
};

/// Sessions kept at once; a driver opens a handful.
const MAX_SESSIONS: usize = 256;

/// The lengths of records that may hold an SMP packet without data.
#[derive(Debug)]
struct Control([u32; 2]);

impl Default for Control {
    /// Where the handshake was not seen: with GCM in TLS 1.2, and in TLS 1.3.
    fn default() -> Self {
        Self([40, 33])
    }
}

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

/// All sessions of one connection.
#[derive(Debug, Default)]
pub(in crate::session) struct Mars {
    sessions: Vec<Session>,
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
    control: Control,
    /// Records that have an SMP control packet's size, inside TLS.
    sealed: u32,
    /// The client's last record was one of them.
    sealed_control: bool,
    /// The connection ended before a session that neither side had finished.
    cut_off: bool,
}

/// What an SMP packet ended.
#[derive(Debug)]
pub(in crate::session) enum Ended {
    Request(u16, Done),
    Session(MarsSession),
}

/// What is known of an SMP header and the TDS header behind it, from the start on: a header that
/// began in the segment before is told in two parts, which overlap or meet.
pub(in crate::session) fn headers(event: &Event, run: &[u8]) -> Vec<u8> {
    let passed = event.seq.since(event.run_seq).max(0).cast_unsigned() as usize;
    let mut known = event.header.to_vec();
    known.truncate(passed);
    known.extend(run);
    if known.len() < event.header.len() {
        return event.header.to_vec();
    }
    known
}

impl Mars {
    /// An SMP packet: `run` is its header and, of DATA, the TDS header behind it.
    pub(in crate::session) fn packet(
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
        let known = self.sessions.iter().position(|session| session.sid == sid);
        let Some(place) = known.filter(|_| flag == smp_flag::SYN) else {
            return Vec::new();
        };
        let session = self.sessions.remove(place);
        for pending in &mut self.pending {
            pending.take_if(|pending| *pending == sid);
        }
        let how = (session.finished != [false, false]).then_some(CloseMeans::Fin);
        self.end(session, at, how, server_last)
    }

    fn session(&mut self, sid: u16, flag: u8, at: u64) -> Option<&mut Session> {
        let known = self.sessions.iter().position(|session| session.sid == sid);
        let place = match known {
            Some(place) => place,
            None if flag == smp_flag::SYN || self.opened == 0 || flag == smp_flag::DATA => {
                if self.sessions.len() >= MAX_SESSIONS {
                    return None;
                }
                self.opened += 1;
                self.sessions.push(Session {
                    sid,
                    opened: at,
                    ..Session::default()
                });
                self.max_concurrent = self.max_concurrent.max(self.sessions.len() as u32);
                self.sessions.len() - 1
            }
            None => return None,
        };
        self.sessions.get_mut(place)
    }

    fn fin(&mut self, sid: u16, side: Side, at: u64, server_last: u64) -> Vec<Ended> {
        self.last = Some(at);
        let Some(place) = self.sessions.iter().position(|session| session.sid == sid) else {
            return Vec::new();
        };
        let session = &mut self.sessions[place];
        session.finished[side as usize] = true;
        session.closed_by.get_or_insert(by(side));
        if session.finished != [true, true] {
            return Vec::new();
        }
        let session = self.sessions.remove(place);
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
    pub(in crate::session) fn carried(&mut self, boundary: &Boundary) -> Option<Vec<Ended>> {
        let side = boundary.side as usize;
        let sid = self.split[side].take()?;
        self.pending[side] = boundary.complete.is_none().then_some(sid);
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.sid == sid)?;
        let done = session.carries(*boundary);
        Some(
            done.map(|done| Ended::Request(sid, done))
                .into_iter()
                .collect(),
        )
    }

    /// The SMP packet of this side whose end had not come has ended.
    pub(in crate::session) fn packet_ended(&mut self, side: Side, at: u64) -> Option<Ended> {
        let sid = self.pending[side as usize].take()?;
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.sid == sid)?;
        if session.message_open[side as usize] {
            return None;
        }
        let done = session.requests.message_ended(side, at)?;
        Some(Ended::Request(sid, done))
    }

    /// The connection has ended: so have its sessions.
    pub(in crate::session) fn finish(
        &mut self,
        at: u64,
        how: CloseMeans,
        server_last: u64,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        for session in std::mem::take(&mut self.sessions) {
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

    /// How long a record is that seals an SMP packet without data; `None` where that says nothing.
    pub(in crate::session) fn sealed_control_is(&mut self, len: Option<u32>) {
        self.control = Control([len.unwrap_or(u32::MAX); 2]);
    }

    /// A record inside TLS of one side. Whether it has the size of an SMP packet without data.
    pub(in crate::session) fn sealed_by(&mut self, side: Side, len: u32) -> bool {
        let control = self.control.0.contains(&len);
        self.sealed += u32::from(control);
        if side == Side::ToServer {
            self.sealed_control = control;
        }
        control
    }

    /// Whether the client was finishing its sessions when the connection ended, as far as that
    /// shows. Asked after [`Self::finish`].
    pub(in crate::session) fn was_left_in_order(&self, negotiated: bool) -> bool {
        if self.was_used() {
            !self.cut_off
        } else {
            negotiated && self.sealed_control
        }
    }

    /// Whether sessions were opened, or one side is closing one.
    pub(in crate::session) fn was_used(&self) -> bool {
        self.opened > 0
    }

    /// Whether a response is owed in any session.
    pub(in crate::session) fn in_flight(&self) -> u32 {
        let open = self
            .sessions
            .iter()
            .filter(|session| session.requests.in_flight());
        open.count() as u32
    }

    /// First SYN to last FIN.
    pub(in crate::session) fn span(&self) -> Option<(u64, Option<u64>)> {
        self.opened.checked_sub(1)?;
        let over = self.sessions.is_empty() && !self.cut_off;
        Some((self.first?, self.last.filter(|_| over)))
    }

    /// The sessions in sum. Inside TLS their existence is inferred, not their number.
    pub(in crate::session) fn summary(&self, negotiated: bool) -> Option<MarsSummary> {
        if self.opened > 0 {
            return Some(MarsSummary {
                sessions: self.opened,
                max_concurrent: self.max_concurrent,
                resets: self.resets,
                basis: None,
            });
        }
        (negotiated && self.sealed > 0).then_some(MarsSummary {
            sessions: 1,
            max_concurrent: 1,
            resets: 0,
            basis: Some(Basis::Inferred),
        })
    }

    /// Adds the sessions' requests to the connection's.
    pub(in crate::session) fn requests(&self) -> Option<Summary> {
        let mut all = Requests::default();
        all.absorb(&self.over);
        for session in &self.sessions {
            all.absorb(&session.requests);
        }
        all.summary()
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

#[cfg(test)]
mod tests;
