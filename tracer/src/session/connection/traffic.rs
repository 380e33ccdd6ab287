//! What passes once a login is decided, and how the connection closes.

use tracer_ebpf::{
    event::{Event, mark},
    framing::{Framing, TLS_HEADER, content_type},
    tally::{Tally, may_hold_message},
};

use super::{Connection, State};
use crate::{
    record::{CloseMeans, PartialReason, PhaseName},
    session::{
        dialogue::{
            is_request, sealed,
            usage::{self, Boundary, Done, Ended, Usage},
        },
        input::{Carried, Side},
        report::{Report, command_phase, complete, describe_close, diagnose_close},
        stream::Found,
        verdict::close,
    },
};

/// A TLS record after the login.
struct TlsRecord {
    side: Side,
    kind: u8,
    /// When it began.
    at: u64,
    /// When it had passed whole, if it has.
    complete: Option<u64>,
    /// Bytes after its header.
    len: u32,
    /// When the client's and the server's last payload had passed by then.
    last: [u64; 2],
}

impl Connection {
    /// Reads boundaries out of streams that were told whole though the login is decided.
    pub(super) fn read_tail(&mut self, side: Side, report: &mut Report<'_>) {
        loop {
            let State::Settled(settled) = &mut self.state else {
                return;
            };
            let Some(tail) = &mut settled.tail else {
                return;
            };
            let Some(Found::Unit(unit)) = tail[side as usize].next(&mut report.shared.memory)
            else {
                return;
            };
            let kind = unit.header.kind;
            if unit.header.framing == Framing::Tls {
                let record = TlsRecord {
                    side,
                    kind,
                    at: unit.from,
                    complete: Some(unit.to),
                    len: unit.body_len(),
                    last: self.last_data(),
                };
                self.tls_record(&record, report);
                continue;
            }
            let boundary = Boundary {
                side,
                packet: (unit.header.framing == Framing::Tds).then_some(kind),
                status: unit.header.status,
                first: true,
                at: unit.from,
                complete: Some(unit.to),
                server_last: self.wire.sent[1].last_data,
            };
            self.boundary(&boundary, report);
        }
    }

    /// A message header of a connection whose login is decided, or was by this.
    pub(super) fn header(
        &mut self,
        side: Side,
        event: &Event,
        run: &[u8],
        report: &mut Report<'_>,
    ) {
        self.wire.payload_ttl(side, event.ttl);
        self.late_reply(side, event.time);
        let Some(framing) = Framing::of(event.framing) else {
            return;
        };
        let kind = event.header[0];
        let asks = framing == Framing::Smp
            || (side == Side::ToServer && framing == Framing::Tds && is_request(kind));
        if asks {
            self.request_passes(event.time, report);
        }
        if self.is_undecided() {
            return;
        }
        if let State::Settled(settled) = &mut self.state {
            settled.tail = None;
        }
        let complete = (event.marks & mark::COMPLETE != 0).then_some(event.time);
        match framing {
            Framing::Smp => self.smp(side, event, run, report),
            Framing::Tls => {
                let record = TlsRecord {
                    side,
                    kind,
                    at: event.time,
                    complete,
                    len: event.packet_len.saturating_sub(TLS_HEADER),
                    last: self.last_data(),
                };
                self.tls_record(&record, report);
            }
            Framing::Tds => {
                let boundary = Boundary {
                    side,
                    packet: Some(kind),
                    status: event.header[1],
                    first: event.marks & mark::FIRST != 0,
                    at: event.time,
                    complete,
                    server_last: self.wire.sent[1].last_data,
                };
                self.boundary(&boundary, report);
            }
        }
    }

    /// When the client's and the server's last payload passed.
    fn last_data(&self) -> [u64; 2] {
        let [client, server] = &self.wire.sent;
        [client.last_data, server.last_data]
    }

    fn smp(&mut self, side: Side, event: &Event, run: &[u8], report: &mut Report<'_>) {
        let run = usage::headers(event, run);
        let complete = (event.marks & mark::COMPLETE != 0).then_some(event.time);
        let server_last = self.wire.sent[1].last_data;
        let mars = &mut self.usage.mars;
        let ended = mars.packet(side, &run, event.time, complete, server_last);
        self.tell_ended(ended, report);
    }

    /// Records that were read for the login's sake, and came after it.
    pub(super) fn sealed_records(&mut self, records: &[sealed::Record], report: &mut Report<'_>) {
        // What has passed since then is not what had passed before each of them.
        let mut last = [0; 2];
        for record in records {
            let told = TlsRecord {
                side: record.side,
                kind: content_type::APPLICATION_DATA,
                at: record.from,
                complete: Some(record.to),
                len: record.len,
                last,
            };
            self.tls_record(&told, report);
            last[record.side as usize] = record.to;
        }
    }

    fn tls_record(&mut self, record: &TlsRecord, report: &mut Report<'_>) {
        let TlsRecord {
            side,
            kind,
            at,
            complete,
            len,
            last: [client_last, server_last],
        } = *record;
        if kind == content_type::ALERT || self.usage.is_sealed_alert(kind, len) {
            self.usage.client_bye |= side == Side::ToServer;
            return;
        }
        let is_short = !may_hold_message(len);
        if self.usage.is_sealed_control(side, len) || is_short && self.usage.requests.is_counted() {
            return;
        }
        let boundary = Boundary {
            complete,
            ..Usage::sealed_boundary(side, at, at, server_last)
        };
        if side == Side::ToClient {
            self.usage.requests.sealed_until(client_last);
        }
        self.boundary(&boundary, report);
    }

    fn boundary(&mut self, boundary: &Boundary, report: &mut Report<'_>) {
        if let Some(ended) = self.usage.mars.carried(boundary) {
            self.tell_ended(ended, report);
            return;
        }
        if let Some(done) = self.usage.requests.boundary(boundary) {
            self.request_done(&done, None, report);
        }
    }

    pub(super) fn message_end(&mut self, side: Side, event: &Event, report: &mut Report<'_>) {
        if self.usage.mars.was_used() {
            let ended = self.usage.mars.packet_ended(side, event.time);
            self.tell_ended(ended.into_iter().collect(), report);
            return;
        }
        if let Some(done) = self.usage.requests.message_ended(side, event.time) {
            self.request_done(&done, None, report);
        }
    }

    /// What the connection has carried by now.
    pub(in crate::session) fn counted(&mut self, carried: &Carried, report: &mut Report<'_>) {
        self.wire.count(&carried.sent);
        if let Some(tally) = &carried.tally {
            self.requests_counted(self.wire.last_seen, tally, report);
        }
    }

    /// From the second request on the kernel counts them.
    pub(super) fn requests_counted(&mut self, at: u64, tally: &Tally, report: &mut Report<'_>) {
        let requests = &mut self.usage.requests;
        let server_last = self.wire.sent[1].last_data;
        // What was told before is over.
        let told = (!requests.is_counted()).then(|| requests.end(at, server_last));
        requests.are_counted(tally);
        if let Some(done) = told.flatten() {
            self.request_done(&done, None, report);
        }
    }

    fn tell_ended(&mut self, ended: Vec<Ended>, report: &mut Report<'_>) {
        for ended in ended {
            match ended {
                Ended::Request(sid, done) => self.request_done(&done, Some(sid), report),
                Ended::Session(session) => report.mars(&self.wire, session),
            }
        }
    }

    /// A request's response is over: the first of them ends the phase after the login.
    fn request_done(&mut self, done: &Done, sid: Option<u16>, report: &mut Report<'_>) {
        let State::Settled(settled) = &mut self.state else {
            return;
        };
        if self.wire.untimed {
            return;
        }
        if !settled.commanded
            && let Some(decided) = settled.decided_at.moment()
        {
            let whole = self.about.is_whole();
            let phase = command_phase(&self.wire, done, decided, whole);
            settled.commanded = true;
            settled.kept.add_phase(PhaseName::Command, &phase);
            report.phase(&self.wire, PhaseName::Command, &phase, done.end);
        }
        report.request(&self.wire, done, sid);
    }

    /// An answer to a login that was given up.
    pub(super) fn late_reply(&mut self, side: Side, at: u64) {
        if let State::Settled(settled) = &mut self.state
            && side == Side::ToClient
        {
            settled.reply(at);
        }
    }

    /// Ends the connection: decides its login if that is open, and tells its `close`.
    pub(in crate::session) fn finish(
        mut self: Box<Self>,
        now: u64,
        reason: Option<PartialReason>,
        report: &mut Report<'_>,
    ) {
        self.early_fin_passes(true, report);
        let ending = self.wire.ends.began().is_some();
        // After a reset only stragglers are waited for.
        let is_over = self.wire.ends.are_over() || self.is_over(now);
        if let Some(reason) = reason.filter(|_| !is_over) {
            self.about.partial.insert(reason);
        }
        self.give_up_login(reason.is_some(), report);
        self.note_missed_before_fins();
        self.note_unseen_end();
        let stopped = reason.is_some() && !ending && !self.is_unreachable();
        let last = self.wire.ends.last().unwrap_or(self.wire.last_seen);
        let forsaken = self.is_forsaken();
        let (_, how) = close::closed_by(&self.wire.ends, stopped);
        self.end_usage(last, how, report);
        report.shared.standing.closes(self.wire.joined_late);
        let State::Settled(settled) = self.state else {
            return;
        };
        let circumstances = (stopped, forsaken);
        let close = describe_close(
            &self.wire,
            &self.about,
            &self.usage,
            settled.outcome,
            circumstances,
        );
        let seen = (last, settled.outcome.is_some());
        let mut facts = settled.kept.facts(&self.wire);
        facts.login.late_reply_ns = settled.late_reply();
        facts.login.incident = settled.incident();
        let mut facts = complete(facts, &self.wire, &self.about, &self.usage, seen);
        diagnose_close(&mut facts, (&close, &self.wire.ends), settled.causes());
        if !settled.muted {
            report.close(facts, close, now.min(last));
        }
    }

    fn end_usage(&mut self, at: u64, how: CloseMeans, report: &mut Report<'_>) {
        let server_last = self.wire.sent[1].last_data;
        let began = self.wire.ends.began().unwrap_or(at);
        if let Some(done) = self.usage.requests.end(began, server_last) {
            self.request_done(&done, None, report);
        }
        // A reset after the FIN ends what the FIN had left open.
        let how = if self.wire.ends.reset().is_some() {
            CloseMeans::Rst
        } else {
            how
        };
        let ended = self.usage.mars.finish(at, how, server_last);
        self.tell_ended(ended, report);
    }
}
