//! `request`, `mars`, and the phase that the first request ends.

use crate::{
    record::{Body, MarsRecord, MarsSession, Nanos, Phase, Request, RequestRecord, Waited},
    session::{dialogue::usage::Done, wire::Wire},
};

use super::{Report, client, reference, server};

impl Report<'_> {
    /// Tells a request whose response is over, where that is asked for.
    pub(in crate::session) fn request(&mut self, wire: &Wire, done: &Done, sid: Option<u16>) {
        let Some(kind) = done.kind.filter(|_| self.shared.config.requests) else {
            return;
        };
        let request = Request {
            kind,
            start: self.shared.config.wall(done.start),
            first_byte_ns: done
                .first_byte
                .map(|at| Nanos(at.saturating_sub(done.start))),
            duration_ns: Nanos(done.end.saturating_sub(done.start)),
            server_ns: done
                .first_byte
                .map(|at| Nanos(at.saturating_sub(done.sent))),
            complete: done.complete,
            reset_connection: done.reset_connection,
            cancelled: done.cancelled.is_some(),
            cancel_ns: done
                .cancelled
                .filter(|_| done.complete)
                .map(|at| Nanos(done.end.saturating_sub(at))),
            session: sid,
        };
        let body = Body::Request(RequestRecord {
            connection: reference(wire),
            client: client(wire),
            server: server(wire),
            request,
        });
        self.tell(done.end, body);
    }

    /// Tells a session of MARS that has ended.
    pub(in crate::session) fn mars(&mut self, wire: &Wire, mut mars: MarsSession) {
        if wire.untimed {
            mars.duration_ns = None;
        }
        let body = Body::Mars(MarsRecord {
            connection: reference(wire),
            client: client(wire),
            server: server(wire),
            mars,
        });
        self.tell(wire.last_seen, body);
    }
}

/// The phase from the login's end to the end of the first response.
pub(in crate::session) fn command_phase(
    wire: &Wire,
    done: &Done,
    decided: u64,
    whole: bool,
) -> Phase {
    let (_, leg) = wire.evidence.legs();
    let server = done.end.saturating_sub(done.sent.max(decided));
    let network = server.min(leg);
    let total = done.end.saturating_sub(decided);
    let waited = Waited {
        client_ns: Nanos(total - server),
        server_ns: Nanos(server - network),
        network_ns: Nanos(network),
    };
    Phase {
        start_ns: Nanos(decided.saturating_sub(wire.started)),
        duration_ns: Nanos(total),
        complete: done.complete,
        waited: whole.then_some(waited),
        retransmits: 0,
    }
}
