//! MARS: sessions of SMP (MC-SMP) on one connection, each with its own requests and window.

use tracer_ebpf::framing::{SMP_HEADER, TDS_HEADER, smp_flag, status};

use super::requests::{Boundary, Done, Requests};
use crate::{
    record::{
        Basis, CloseMeans, ClosedBy, Count, MarsSession, MarsSummary, Nanos, Requests as Summary,
        Sides,
    },
    session::timeline::Side,
};

/// Sessions kept at once; a driver opens a handful.
const MAX_SESSIONS: usize = 256;
/// An SMP packet without data, sealed: with GCM in TLS 1.2 and in TLS 1.3.
const SEALED_CONTROL: [u32; 2] = [40, 33];

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
    first: Option<u64>,
    last: Option<u64>,
    over: Requests,
    /// The session whose packet has not ended, per side.
    pending: [Option<u16>; 2],
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
        let Some(header) = run.first_chunk::<{ SMP_HEADER as usize }>() else {
            return Vec::new();
        };
        let flag = header[1];
        let sid = u16::from_le_bytes([header[2], header[3]]);
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        let seqnum = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let window = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        self.first.get_or_insert(at);
        let Some(session) = self.session(sid, flag, at) else {
            return Vec::new();
        };
        session.grants(side, window, at);
        match flag {
            smp_flag::DATA => {
                session.bytes[side as usize] += u64::from(len.saturating_sub(SMP_HEADER));
                session.sends(side, seqnum, at);
                let inner = run
                    .get(SMP_HEADER as usize..)
                    .and_then(|rest| rest.first_chunk());
                let done =
                    inner.and_then(|inner| session.data(side, inner, at, complete, server_last));
                if complete.is_none() {
                    self.pending[side as usize] = Some(sid);
                }
                done.map(|done| Ended::Request(sid, done))
                    .into_iter()
                    .collect()
            }
            smp_flag::FIN => self.fin(sid, side, at, server_last),
            _ => Vec::new(),
        }
    }

    fn session(&mut self, sid: u16, flag: u8, at: u64) -> Option<&mut Session> {
        let known = self.sessions.iter().position(|session| session.sid == sid);
        let place = match known {
            Some(place) if flag == smp_flag::SYN => {
                // The session identifier is used again: the old session's end was not seen.
                self.sessions[place] = Session {
                    sid,
                    opened: at,
                    ..Session::default()
                };
                self.opened += 1;
                place
            }
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
        self.end(session, at, CloseMeans::Fin, server_last)
    }

    fn end(
        &mut self,
        mut session: Session,
        at: u64,
        how: CloseMeans,
        server_last: u64,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        if let Some(done) = session.requests.end(server_last) {
            ended.push(Ended::Request(session.sid, done));
        }
        for stalled in session.stalled.into_iter().flatten() {
            session.stalled_ns += at.saturating_sub(stalled);
        }
        self.over.absorb(&session.requests);
        ended.push(Ended::Session(session.write(at, how)));
        ended
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
            ended.extend(self.end(session, at, means, server_last));
        }
        ended
    }

    /// A record inside TLS of one side. Whether it has the size of an SMP packet without data.
    pub(in crate::session) fn sealed_by(&mut self, side: Side, len: u32) -> bool {
        let control = SEALED_CONTROL.contains(&len);
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
        let open = &mut self.message_open[side as usize];
        let first = !*open;
        *open = inner[1] & status::EOM == 0;
        self.requests.boundary(&Boundary {
            side,
            packet: Some(inner[0]),
            status: inner[1],
            first,
            at,
            complete,
            server_last,
        })
    }

    fn write(&self, at: u64, how: CloseMeans) -> MarsSession {
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
            how: Some(how),
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
mod tests {
    use super::*;

    fn smp(flag: u8, sid: u16, seqnum: u32, window: u32, inner: Option<(u8, u8)>) -> Vec<u8> {
        let mut out = vec![0x53, flag];
        out.extend(sid.to_le_bytes());
        out.extend((16 + 8 * u32::from(u8::from(inner.is_some()))).to_le_bytes());
        out.extend(seqnum.to_le_bytes());
        out.extend(window.to_le_bytes());
        if let Some((kind, status)) = inner {
            out.extend([kind, status, 0, 8, 0, 0, 1, 0]);
        }
        out
    }

    #[test]
    fn each_session_has_its_own_requests() {
        let mut mars = Mars::default();
        for sid in 0..2 {
            mars.packet(
                Side::ToServer,
                &smp(smp_flag::SYN, sid, 0, 4, None),
                10,
                Some(10),
                0,
            );
            mars.packet(
                Side::ToServer,
                &smp(smp_flag::DATA, sid, 1, 4, Some((1, 1))),
                20,
                Some(20),
                0,
            );
        }
        let ended = mars.packet(
            Side::ToClient,
            &smp(smp_flag::DATA, 1, 1, 4, Some((4, 1))),
            50,
            Some(50),
            50,
        );
        assert!(matches!(
            ended[..],
            [Ended::Request(
                1,
                Done {
                    end: 50,
                    complete: true,
                    ..
                }
            )]
        ));
        assert_eq!(mars.in_flight(), 1);
        let summary = mars.summary(true).unwrap();
        assert_eq!((summary.sessions, summary.max_concurrent), (2, 2));
        assert_eq!(mars.requests().unwrap().batch.0, 2);
    }

    #[test]
    fn a_sender_out_of_window_is_stalled_until_it_moves() {
        let mut mars = Mars::default();
        mars.packet(
            Side::ToServer,
            &smp(smp_flag::SYN, 0, 0, 2, None),
            0,
            Some(0),
            0,
        );
        for seqnum in 1..=2 {
            mars.packet(
                Side::ToClient,
                &smp(smp_flag::DATA, 0, seqnum, 4, Some((4, 0))),
                10,
                Some(10),
                10,
            );
        }
        mars.packet(
            Side::ToServer,
            &smp(smp_flag::ACK, 0, 0, 4, None),
            110,
            Some(110),
            10,
        );
        mars.packet(
            Side::ToServer,
            &smp(smp_flag::FIN, 0, 0, 4, None),
            200,
            Some(200),
            10,
        );
        let ended = mars.packet(
            Side::ToClient,
            &smp(smp_flag::FIN, 0, 0, 4, None),
            210,
            Some(210),
            10,
        );
        let [Ended::Session(session)] = &ended[..] else {
            panic!("{ended:?}")
        };
        assert_eq!((session.window_stalls, session.stalled_ns.0), (1, 100));
        assert_eq!(session.closed_by, Some(ClosedBy::Client));
        assert_eq!(mars.span(), Some((0, Some(210))));
    }

    #[test]
    fn a_session_that_nobody_finished_leaves_the_phase_incomplete() {
        let opened = || {
            let mut mars = Mars::default();
            let syn = smp(smp_flag::SYN, 0, 0, 4, None);
            mars.packet(Side::ToServer, &syn, 1, Some(1), 0);
            mars
        };
        let mut cut = opened();
        cut.finish(9, CloseMeans::Evicted, 0);
        assert_eq!(cut.span(), Some((1, None)));

        // Clients end the connection after their own FIN.
        let mut left = opened();
        let fin = smp(smp_flag::FIN, 0, 0, 4, None);
        left.packet(Side::ToServer, &fin, 5, Some(5), 0);
        left.finish(9, CloseMeans::Rst, 0);
        assert_eq!(left.span(), Some((1, Some(5))));
    }
}
