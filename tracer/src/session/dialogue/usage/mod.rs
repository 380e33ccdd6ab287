//! What a connection is used for after its login: requests and MARS sessions.

mod kinds;
mod mars;
mod quantiles;
mod requests;

use tracer_ebpf::framing::{SMP_HEADER, content_type};

pub(in crate::session) use self::{
    mars::{Ended, Mars, headers},
    quantiles::Histogram,
    requests::{Boundary, Done, Requests},
};
use super::{Dialogue, sealed::is_alert};
use crate::session::input::Side;

/// Requests and MARS sessions of one connection.
#[derive(Debug, Default)]
pub(in crate::session) struct Usage {
    pub(in crate::session) requests: Requests,
    pub(in crate::session) mars: Mars,
    /// Both sides agreed on MARS, or one of them did not.
    pub(in crate::session) mars_agreed: Option<bool>,
    /// The client has ended TLS in order.
    pub(in crate::session) client_bye: bool,
    /// TLS 1.3, whose alerts look like data.
    tls13: bool,
}

impl Usage {
    /// What the login has shown of what may follow: how MARS's packets without data look in TLS.
    /// Where the length hides what else they may be, they count only if MARS was agreed on as well.
    pub(in crate::session) fn expect(&mut self, login: &Dialogue) {
        self.mars_agreed = login.contents.mars();
        let Some(hello) = login.server_hello() else {
            return;
        };
        self.tls13 = hello.version == 0x0304;
        let agreed = self.mars_agreed == Some(true);
        let known = hello.sealing().map(|sealing| sealing.of(SMP_HEADER));
        let sure = known.filter(|(_, plain)| agreed || plain.start() == plain.end());
        self.mars.sealed_control_is(sure.map(|(len, _)| len));
    }

    /// Whether a record is an alert of TLS 1.3: neither a request nor a reply.
    pub(in crate::session) fn is_sealed_alert(&self, kind: u8, len: u32) -> bool {
        kind == content_type::APPLICATION_DATA && self.tls13 && is_alert(len)
    }

    /// Whether a record has the size of an SMP packet without data: neither a request nor a reply,
    /// unless it is known that there is no MARS.
    pub(in crate::session) fn is_sealed_control(&mut self, side: Side, len: u32) -> bool {
        self.mars.sealed_by(side, len) && self.mars_agreed != Some(false)
    }

    /// Requests without answer.
    pub(in crate::session) fn in_flight(&self) -> u32 {
        u32::from(self.requests.in_flight()) + self.mars.in_flight()
    }

    /// Whether the client had finished its sessions when the connection ended, as far as that shows.
    pub(in crate::session) fn mars_in_order(&self) -> bool {
        self.mars.was_left_in_order(self.mars_agreed == Some(true))
    }

    /// A record of TLS as a boundary.
    pub(in crate::session) fn sealed_boundary(
        side: Side,
        from: u64,
        to: u64,
        server_last: u64,
    ) -> Boundary {
        Boundary {
            side,
            packet: None,
            status: 0,
            first: true,
            at: from,
            complete: Some(to),
            server_last,
        }
    }
}
