//! MARS: sessions of SMP (MC-SMP) on one connection, each with its own requests and window.

mod sessions;

use tracer_ebpf::event::Event;

use self::sessions::Sessions;
use super::requests::{Boundary, Done};
use crate::{
    record::{Basis, CloseMeans, MarsSession, MarsSummary, Requests as Summary},
    session::input::Side,
};

/// The lengths of records that may hold an SMP packet without data.
#[derive(Debug)]
struct Control([u32; 2]);

impl Default for Control {
    /// Where the handshake was not seen: with GCM in TLS 1.2, and in TLS 1.3.
    fn default() -> Self {
        Self([40, 33])
    }
}

/// All sessions of one connection, and what may be of some inside TLS.
#[derive(Debug, Default)]
pub(in crate::session) struct Mars {
    sessions: Option<Box<Sessions>>,
    control: Control,
    /// Records that have an SMP control packet's size, inside TLS.
    sealed: u32,
    /// The client's last record was one of them.
    sealed_control: bool,
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
        let sessions = self.sessions.get_or_insert_default();
        sessions.packet(side, run, at, complete, server_last)
    }

    /// A TDS header of this side. Whether it is one that an SMP packet carries, and what that ended.
    pub(in crate::session) fn carried(&mut self, boundary: &Boundary) -> Option<Vec<Ended>> {
        self.sessions.as_mut()?.carried(boundary)
    }

    /// The SMP packet of this side whose end had not come has ended.
    pub(in crate::session) fn packet_ended(&mut self, side: Side, at: u64) -> Option<Ended> {
        self.sessions.as_mut()?.packet_ended(side, at)
    }

    /// The connection has ended: so have its sessions.
    pub(in crate::session) fn finish(
        &mut self,
        at: u64,
        how: CloseMeans,
        server_last: u64,
    ) -> Vec<Ended> {
        let sessions = self.sessions.as_mut();
        sessions.map_or_else(Vec::new, |all| all.finish(at, how, server_last))
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
            !self.sessions.as_ref().is_some_and(|all| all.cut_off)
        } else {
            negotiated && self.sealed_control
        }
    }

    /// Whether sessions were opened, or one side is closing one.
    pub(in crate::session) fn was_used(&self) -> bool {
        let sessions = self.sessions.as_deref();
        sessions.is_some_and(Sessions::were_opened)
    }

    /// Whether a response is owed in any session.
    pub(in crate::session) fn in_flight(&self) -> u32 {
        let sessions = self.sessions.as_deref();
        sessions.map_or(0, Sessions::in_flight)
    }

    /// First SYN to last FIN.
    pub(in crate::session) fn span(&self) -> Option<(u64, Option<u64>)> {
        self.sessions.as_ref()?.span()
    }

    /// The sessions in sum. Inside TLS their existence is inferred, not their number.
    pub(in crate::session) fn summary(&self, negotiated: bool) -> Option<MarsSummary> {
        let seen = self.sessions.as_deref().and_then(Sessions::summary);
        seen.or((negotiated && self.sealed > 0).then_some(MarsSummary {
            sessions: 1,
            max_concurrent: 1,
            resets: 0,
            basis: Some(Basis::Inferred),
        }))
    }

    /// Adds the sessions' requests to the connection's.
    pub(in crate::session) fn requests(&self) -> Option<Summary> {
        self.sessions.as_ref()?.requests()
    }
}

#[cfg(test)]
mod tests;
