//! What passes once a login is decided: requests, MARS and the records of TLS.

use tracer_ebpf::{
    event::{Event, mark},
    framing::{Framing, TLS_HEADER, content_type, packet_type},
};

use super::Connection;
use crate::{
    record::Stranger,
    session::{
        dark,
        output::Output,
        timeline::Side,
        usage::{self, Boundary},
    },
};

impl Connection {
    pub(super) fn header(&mut self, side: Side, event: &Event, run: &[u8], out: &mut Output<'_>) {
        self.hops(side, event.ttl);
        self.late_reply(side, event.time);
        self.tail = None;
        let Some(framing) = Framing::of(event.framing) else {
            return;
        };
        let complete = (event.marks & mark::COMPLETE != 0).then_some(event.time);
        let kind = if framing == Framing::Smp {
            event.header[1]
        } else {
            event.header[0]
        };
        self.undecided_request(side, framing, kind, event.time, out);
        if self.login.as_ref().is_some_and(|login| login.is_foreign()) {
            return;
        }
        if framing == Framing::Smp {
            self.smp(side, event, run, out);
            return;
        }
        if framing == Framing::Tls {
            let len = event.packet_len.saturating_sub(TLS_HEADER);
            if self.sealed_alert(side, kind, len) || self.sealed_control(side, len) {
                return;
            }
        }
        let boundary = Boundary {
            side,
            packet: (framing == Framing::Tds).then_some(kind),
            status: if framing == Framing::Tds {
                event.header[1]
            } else {
                0
            },
            first: event.marks & mark::FIRST != 0,
            at: event.time,
            complete,
            server_last: self.sent[1].last_data,
        };
        self.boundary(&boundary, framing, kind, out);
    }

    fn smp(&mut self, side: Side, event: &Event, run: &[u8], out: &mut Output<'_>) {
        let run = usage::headers(event, run);
        let complete = (event.marks & mark::COMPLETE != 0).then_some(event.time);
        let server_last = self.sent[1].last_data;
        let ended = self
            .mars
            .packet(side, &run, event.time, complete, server_last);
        self.tell_mars(ended, out);
    }

    /// A request of a connection whose login was not seen decided.
    fn undecided_request(
        &mut self,
        side: Side,
        framing: Framing,
        kind: u8,
        at: u64,
        out: &mut Output<'_>,
    ) {
        let request = framing == Framing::Smp
            || (side == Side::ToServer
                && framing == Framing::Tds
                && !matches!(
                    kind,
                    packet_type::PRELOGIN
                        | packet_type::LOGIN7
                        | packet_type::SSPI
                        | packet_type::ATTENTION
                ));
        let Some(login) = self.login.as_mut().filter(|_| request) else {
            return;
        };
        if login.is_out_of_turn() {
            login.give_away();
            self.facts.login.stranger.get_or_insert(Stranger::Other);
        } else {
            self.lost_login(at, out);
        }
    }

    pub(super) fn boundary(
        &mut self,
        boundary: &Boundary,
        framing: Framing,
        kind: u8,
        out: &mut Output<'_>,
    ) {
        let alert = framing == Framing::Tls && kind == content_type::ALERT;
        if alert {
            self.client_said_bye |= boundary.side == Side::ToServer;
            return;
        }
        if let Some(ended) = self.mars.carried(boundary) {
            self.tell_mars(ended, out);
            return;
        }
        if framing == Framing::Tls && boundary.side == Side::ToClient {
            self.requests.sealed_until(self.sent[0].last_data);
        }
        if let Some(done) = self.requests.boundary(boundary) {
            self.tell_request(&done, None, out);
        }
    }

    /// An alert of TLS 1.3, which looks like data: neither a request nor a reply.
    pub(super) fn sealed_alert(&mut self, side: Side, kind: u8, len: u32) -> bool {
        let tls = self.facts.tls.as_ref().and_then(|tls| tls.version.as_ref());
        let alert = kind == content_type::APPLICATION_DATA
            && tls.is_some_and(|version| version.as_str() == "1.3")
            && dark::is_alert(len);
        self.client_said_bye |= alert && side == Side::ToServer;
        alert
    }

    /// A record that has the size of an SMP packet without data: neither a request nor a reply,
    /// unless it is known that there is no MARS.
    pub(in crate::session) fn sealed_control(&mut self, side: Side, len: u32) -> bool {
        let mars = self.facts.tds.as_ref().and_then(|tds| tds.mars);
        self.mars.sealed_by(side, len) && mars != Some(false)
    }

    pub(super) fn message_end(&mut self, side: Side, event: &Event, out: &mut Output<'_>) {
        if self.mars.was_used() {
            let ended = self.mars.packet_ended(side, event.time);
            self.tell_mars(ended.into_iter().collect(), out);
            return;
        }
        if let Some(done) = self.requests.message_ended(side, event.time) {
            self.tell_request(&done, None, out);
        }
    }

    pub(super) fn tell_mars(&mut self, ended: Vec<usage::Ended>, out: &mut Output<'_>) {
        for ended in ended {
            match ended {
                usage::Ended::Request(sid, done) => self.tell_request(&done, Some(sid), out),
                usage::Ended::Session(session) => out.mars(self, session),
            }
        }
    }
}
