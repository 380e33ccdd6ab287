//! FINs, resets and closing sockets, and what of them a login hinges on.

use tracer_ebpf::{
    event::{Event, SocketEnd, role},
    packet::tcp_flag,
    seq::Seq,
};

use super::{Connection, is_dark};
use crate::{
    record::{Nanos, PartialReason, PhaseName},
    session::{ending::End, output::Output, timeline::Side},
};

/// A client's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) at: u64,
    /// Of its FIN; `None` where it ended TLS first, and the server closed upon that.
    position: Option<Seq>,
}

impl Connection {
    pub(super) fn fin(&mut self, side: Side, event: &Event, out: &mut Output<'_>) {
        self.note_missed(side, event);
        self.note_end_phase();
        match self.ends.fin {
            None => self.ends.fin = Some((event.time, side)),
            Some((_, first)) if first != side => self.ends.second_fin = Some(event.time),
            Some(_) => {}
        }
        self.ends.last = Some(self.last_seen);
        if side == Side::ToServer && self.login.is_some() {
            self.gave_up.get_or_insert(event.time);
        }
        match (side, self.left) {
            (Side::ToServer, Some(_)) => {}
            (_, None) if self.is_clients_end(side) && self.hinges_on_server(event.time) => {
                self.left = Some(Left {
                    at: event.time,
                    position: (side == Side::ToServer).then(|| event.seq.add(event.payload_len)),
                });
            }
            // The server follows the client: where that goes next is still to be seen.
            (Side::ToClient, Some(left)) if left.position.is_none_or(|at| event.ack.after(at)) => {}
            // A server that has not heard of the client's end has its own reason.
            _ => self.ended(End::Fin(side), event.time, out),
        }
    }

    pub(super) fn rst(&mut self, side: Side, event: &Event, out: &mut Output<'_>) {
        self.note_end_phase();
        if side == Side::ToServer {
            self.ends.note_strain(&self.sent);
        }
        self.ends.rst.get_or_insert((event.time, side, event.ttl));
        self.ends.last = Some(self.last_seen);
        if side == Side::ToServer && self.login.is_some() {
            self.gave_up.get_or_insert(event.time);
        }
        // What follows a client's FIN tells no more than that did.
        if self.left.is_none() {
            self.ended(End::Rst(side), event.time, out);
        }
    }

    /// Notes what passed unseen before a FIN: its sequence numbers go further than what was counted.
    fn note_missed(&mut self, side: Side, event: &Event) {
        let others_fin = match self.ends.fin {
            Some((_, first)) => first != side || self.ends.second_fin.is_some(),
            None => false,
        };
        let beyond = |side: Side, end: Seq| {
            let isn = self.handshake.isns[side as usize];
            let seen = self.sent[side as usize].bytes as u32;
            isn.map_or(0, |isn| end.since(isn.add(1).add(seen)))
        };
        let own = beyond(side, event.seq.add(event.payload_len));
        let others = if event.tcp_flags & tcp_flag::ACK == 0 {
            0
        } else {
            beyond(side.reversed(), event.ack)
        };
        if own > 0 || others > i32::from(others_fin) {
            self.ends.missed = true;
            self.facts.connection.mark_partial(PartialReason::Gap);
        }
    }

    /// Whether the client has left a sealed login, which is not decided yet.
    pub(in crate::session) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether a FIN of this side is the client's doing: its own, or the answer to its `close_notify`.
    fn is_clients_end(&self, side: Side) -> bool {
        let bye = self
            .login
            .as_ref()
            .is_some_and(|login| login.client_said_bye());
        side == Side::ToServer || bye
    }

    /// Whether the client's end leaves open what came of its sealed login.
    fn hinges_on_server(&self, now: u64) -> bool {
        let login = self.login.as_ref().filter(|login| login.is_whole());
        is_dark(&self.facts) && login.is_some_and(|login| login.dark.hinges_on_server(now))
    }

    pub(super) fn note_end_phase(&mut self) {
        if self.ends.began().is_none() {
            self.ends.note_strain(&self.sent);
            self.idle_since = self.sent[0].last_data.max(self.sent[1].last_data);
            // An answer that was missed is no longer owed.
            let in_flight = if self.ends.missed {
                0
            } else {
                u32::from(self.requests.in_flight()) + self.mars.in_flight()
            };
            self.ended_in = match &self.login {
                Some(login) => Some(login.phase()),
                None if in_flight > 0 => Some(PhaseName::Command),
                None => None,
            };
            self.left_in_flight = in_flight;
        }
    }

    /// An answer to a login that was given up.
    pub(super) fn late_reply(&mut self, side: Side, at: u64) {
        let first = side == Side::ToClient && self.facts.login.late_reply_ns.is_none();
        if let Some(since) = self.gave_up.filter(|since| first && at > *since) {
            self.facts.login.late_reply_ns = Some(Nanos(at - since));
        }
    }

    /// The kernel's own figures at the end of a local socket.
    pub(in crate::session) fn socket_end(&mut self, end: &SocketEnd, out: &mut Output<'_>) {
        self.evidence.socket(end.role);
        self.socket_ended.get_or_insert(end.time);
        let side = usize::from(end.role & role::CLIENT == 0);
        self.resent[side] = self.resent[side].max(end.retransmits);
        if end.srtt_us > 0 {
            self.smoothed_rtt = Some(u64::from(end.srtt_us) * 1000);
        }
        // A client's socket that closes before any answer has stopped trying.
        let trying = self.handshake.syns > 0 && !self.handshake.was_answered();
        if trying && end.role & role::CLIENT != 0 {
            self.ended(End::Silence, self.last_seen, out);
        }
    }
}
