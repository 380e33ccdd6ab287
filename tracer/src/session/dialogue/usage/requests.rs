//! Requests and their responses, one at a time: within one session there is never a second.

use tracer_ebpf::{
    framing::status,
    tally::{Tally, state},
};

use super::{
    kinds::{Kinds, kind_of},
    quantiles::Histogram,
};
use crate::{
    record::{Count, RequestKind, Requests as Summary},
    session::{input::Side, wire::When},
};

/// A message boundary, clear or sealed.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Boundary {
    pub(in crate::session) side: Side,
    /// TDS packet type; `None` inside TLS.
    pub(in crate::session) packet: Option<u8>,
    /// TDS status.
    pub(in crate::session) status: u8,
    /// Whether the message starts here.
    pub(in crate::session) first: bool,
    /// When.
    pub(in crate::session) at: u64,
    /// When the message had passed whole, if it has.
    pub(in crate::session) complete: Option<u64>,
    /// When the server's last payload passed, to end a response whose end was sealed.
    pub(in crate::session) server_last: u64,
}

/// A request whose response is over, or never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Done {
    /// `None` inside TLS.
    pub(in crate::session) kind: Option<RequestKind>,
    pub(in crate::session) start: u64,
    pub(in crate::session) sent: u64,
    pub(in crate::session) first_byte: Option<u64>,
    pub(in crate::session) end: u64,
    pub(in crate::session) complete: bool,
    pub(in crate::session) reset_connection: bool,
    /// When the client took it back.
    pub(in crate::session) cancelled: Option<u64>,
}

/// A request that waits for its response.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Option<RequestKind>,
    start: u64,
    /// When its last packet's header passed, as far as it was told.
    sent: u64,
    first_byte: When,
    /// Its last packet has not been told.
    asking: bool,
    reset_connection: bool,
}

/// The requests of one connection or MARS session.
#[derive(Debug, Default)]
pub(in crate::session) struct Requests {
    open: Option<Open>,
    count: Count,
    kinds: Option<Box<Kinds>>,
    times: Histogram,
    /// Those that the kernel counts in place of telling.
    counted: Option<Box<Counted>>,
}

/// Requests as the kernel has counted them.
#[derive(Clone, Debug)]
struct Counted {
    count: Count,
    /// Inside TLS they have none.
    kinds: Option<Box<Kinds>>,
    times: Histogram,
}

impl Requests {
    /// Takes a boundary; the request it ended, if it ended one.
    pub(in crate::session) fn boundary(&mut self, boundary: &Boundary) -> Option<Done> {
        match boundary.side {
            Side::ToServer => self.asked(boundary),
            Side::ToClient => self.answered(boundary),
        }
    }

    fn asked(&mut self, boundary: &Boundary) -> Option<Done> {
        let kind = boundary.packet.and_then(kind_of);
        if self.goes_on(boundary, kind) {
            self.sent_whole(boundary);
            return None;
        }
        if kind == Some(RequestKind::Attention) {
            let waits = self.open.is_some();
            let kinds = self.kinds();
            kinds.count(RequestKind::Attention);
            if waits {
                kinds.cancelled.or_at(boundary.at);
                return None;
            }
        }
        let before = self.end(boundary.at, boundary.server_last);
        if kind != Some(RequestKind::Attention) {
            self.count(kind);
        }
        self.open = Some(Open {
            kind,
            start: boundary.at,
            sent: boundary.complete.unwrap_or(boundary.at),
            first_byte: When::NEVER,
            asking: boundary.packet.is_some() && boundary.status & status::EOM == 0,
            reset_connection: boundary.status
                & (status::RESET_CONNECTION | status::RESET_CONNECTION_SKIP_TRAN)
                != 0,
        });
        before
    }

    /// Whether the client goes on with what it asks. Records say neither where a message begins nor
    /// where it ends: inside TLS it is one request until the server speaks.
    fn goes_on(&self, boundary: &Boundary, kind: Option<RequestKind>) -> bool {
        if boundary.packet.is_some() {
            let asking = self
                .open
                .is_some_and(|open| open.asking && open.kind == kind);
            return (!boundary.first || asking) && kind != Some(RequestKind::Attention);
        }
        self.open
            .is_some_and(|open| open.kind.is_none() && !open.first_byte.has_come())
    }

    /// A later packet of a request: the server has it all once the last one has passed.
    fn sent_whole(&mut self, boundary: &Boundary) {
        if let Some(open) = &mut self.open
            && (boundary.packet.is_none() || boundary.status & status::EOM != 0)
        {
            open.sent = boundary.complete.unwrap_or(boundary.at);
            open.asking = false;
        }
    }

    /// When the client's last payload passed before a sealed response: not every record of a long
    /// request is told.
    pub(in crate::session) fn sealed_until(&mut self, client_last: u64) {
        if let Some(open) = &mut self.open
            && open.kind.is_none()
            && !open.first_byte.has_come()
        {
            open.sent = open.sent.max(client_last);
        }
    }

    fn answered(&mut self, boundary: &Boundary) -> Option<Done> {
        let open = self.open.as_mut()?;
        open.first_byte.or_at(boundary.at);
        let over = boundary.packet.is_some() && boundary.status & status::EOM != 0;
        // A cancelled request is answered by the message that acknowledges the attention.
        over.then_some(boundary.complete)
            .flatten()
            .and_then(|end| self.finish(end, true))
    }

    /// The message whose last packet had not ended has ended now.
    pub(in crate::session) fn message_ended(&mut self, side: Side, at: u64) -> Option<Done> {
        match side {
            Side::ToClient => self.finish(at, true),
            Side::ToServer => {
                if let Some(open) = &mut self.open {
                    open.sent = at;
                }
                None
            }
        }
    }

    /// Ends the request at hand by what came after it at `now`: its response ended with the server's
    /// last payload, if it had begun. Only inside TLS may it have been whole: in clear its end would
    /// have been seen.
    pub(in crate::session) fn end(&mut self, now: u64, server_last: u64) -> Option<Done> {
        let open = self.open?;
        let answered = open.first_byte.has_come();
        self.finish(
            if answered {
                server_last.max(open.start)
            } else {
                now.max(open.start)
            },
            answered && open.kind.is_none(),
        )
    }

    fn finish(&mut self, end: u64, complete: bool) -> Option<Done> {
        let open = self.open.take()?;
        let kinds = self.kinds.as_deref_mut();
        let cancelled = kinds.and_then(|kinds| std::mem::take(&mut kinds.cancelled).moment());
        let first_byte = open.first_byte.moment();
        if let Some(first_byte) = first_byte {
            self.times.add(first_byte.saturating_sub(open.sent));
        }
        Some(Done {
            kind: open.kind,
            start: open.start,
            sent: open.sent,
            first_byte,
            end,
            complete,
            reset_connection: open.reset_connection,
            cancelled,
        })
    }

    fn count(&mut self, kind: Option<RequestKind>) {
        self.count += 1;
        if let Some(kind) = kind {
            self.kinds().count(kind);
        }
    }

    fn kinds(&mut self) -> &mut Kinds {
        self.kinds.get_or_insert_default()
    }

    /// Takes what the kernel has counted so far, and the request that it has at hand.
    pub(in crate::session) fn are_counted(&mut self, tally: &Tally) {
        let sums = &tally.sums;
        let seen = |what, moment| tally.is(what).then_some(moment).into();
        self.counted = Some(Box::new(Counted {
            count: Count(sums.batch + sums.rpc + sums.bulk + sums.transaction + sums.other),
            kinds: Kinds::of(sums).map(Box::new),
            times: Histogram::of(tally),
        }));
        self.open = tally.is_open().then(|| Open {
            kind: kind_of(sums.asks),
            start: sums.start,
            sent: sums.sent,
            first_byte: seen(state::ANSWERED, sums.first_byte),
            asking: tally.is(state::ASKING),
            reset_connection: false,
        });
        if tally.is(state::CANCELLED) {
            self.kinds().cancelled = When::at(sums.cancelled);
        }
    }

    /// Whether the kernel counts requests in place of telling them.
    pub(in crate::session) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Whether a request in clear was answered, by when the server's last payload passed, and the answer was
    /// not told.
    pub(in crate::session) fn is_answer_missing(&self, server_last: u64) -> bool {
        self.open.is_some_and(|open| {
            let whole = open.kind.is_some() && !open.asking;
            whole && !open.first_byte.has_come() && server_last > open.sent
        })
    }

    /// Whether a response is owed.
    pub(in crate::session) fn in_flight(&self) -> bool {
        self.open
            .is_some_and(|open| !open.first_byte.has_come() || open.kind.is_some())
    }

    /// The requests in sum; `None` without any.
    pub(in crate::session) fn summary(&self) -> Option<Summary> {
        let mut kinds = self.kinds.as_deref().copied().unwrap_or_default();
        let mut count = self.count;
        let mut times = self.times.quantiles();
        if let Some(counted) = &self.counted {
            counted.kinds.iter().for_each(|more| kinds.absorb(more));
            count += counted.count;
            let mut all = counted.times.clone();
            all.merge(&self.times);
            times = all.quantiles();
        }
        if count == Count(0) && kinds.attention == Count(0) {
            return None;
        }
        Some(Summary {
            count,
            batch: kinds.batch,
            rpc: kinds.rpc,
            bulk: kinds.bulk,
            transaction: kinds.transaction,
            attention: kinds.attention,
            server_ns: times,
        })
    }

    /// Adds what another session counted.
    pub(in crate::session) fn absorb(&mut self, other: &Self) {
        self.count += other.count;
        if let Some(others) = other.kinds.as_deref() {
            self.kinds().absorb(others);
        }
        self.times.merge(&other.times);
    }

    /// Requests seen.
    pub(in crate::session) fn count_seen(&self) -> Count {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::framing::packet_type;

    use super::*;

    fn client(packet: u8, at: u64) -> Boundary {
        Boundary {
            side: Side::ToServer,
            packet: Some(packet),
            status: status::EOM,
            first: true,
            at,
            complete: Some(at),
            server_last: 0,
        }
    }

    fn server(at: u64, last: bool) -> Boundary {
        let bits = if last { status::EOM } else { 0 };
        Boundary {
            side: Side::ToClient,
            packet: Some(packet_type::TABULAR_RESULT),
            status: bits,
            first: true,
            at,
            complete: last.then_some(at),
            server_last: at,
        }
    }

    #[test]
    fn a_response_lasts_to_the_end_of_its_message() {
        let mut requests = Requests::default();
        assert_eq!(requests.boundary(&client(packet_type::SQL_BATCH, 10)), None);
        assert_eq!(requests.boundary(&server(30, false)), None);
        let done = requests.boundary(&server(90, true)).unwrap();
        assert_eq!(
            (done.first_byte, done.end, done.complete),
            (Some(30), 90, true)
        );
        assert_eq!(requests.summary().unwrap().server_ns.unwrap().max.0, 20);
    }

    #[test]
    fn a_request_without_a_response_took_the_server_no_time() {
        let mut requests = Requests::default();
        requests.boundary(&client(packet_type::RPC, 10));
        let done = requests.end(70, 5).unwrap();
        assert_eq!(
            (done.end, done.complete),
            (70, false),
            "it was waited for until then"
        );
        assert_eq!(requests.summary().unwrap().server_ns, None);
    }

    #[test]
    fn a_response_that_is_cut_off_is_not_complete() {
        let mut requests = Requests::default();
        requests.boundary(&client(packet_type::RPC, 10));
        requests.boundary(&server(30, false));
        assert!(requests.in_flight());
        let done = requests.end(60, 40).unwrap();
        assert_eq!((done.end, done.complete), (40, false));
    }

    #[test]
    fn a_request_whose_packets_are_told_one_by_one_is_one() {
        let mut requests = Requests::default();
        for at in 10..15 {
            let status = if at == 14 { status::EOM } else { 0 };
            let packet = Boundary {
                status,
                ..client(packet_type::BULK_LOAD, at)
            };
            assert_eq!(requests.boundary(&packet), None);
        }
        assert_eq!(requests.boundary(&server(20, true)).unwrap().sent, 14);
        assert_eq!(requests.summary().unwrap().count.0, 1);
    }

    #[test]
    fn an_attention_cancels_the_request_it_follows() {
        let mut requests = Requests::default();
        requests.boundary(&client(packet_type::RPC, 10));
        requests.boundary(&client(packet_type::ATTENTION, 50));
        let done = requests.boundary(&server(60, true)).unwrap();
        assert_eq!(
            (done.cancelled, done.end, done.complete),
            (Some(50), 60, true)
        );
        let summary = requests.summary().unwrap();
        assert_eq!(
            (summary.count.0, summary.rpc.0, summary.attention.0),
            (1, 1, 1)
        );
    }

    fn sealed(side: Side, at: u64, server_last: u64) -> Boundary {
        Boundary {
            side,
            packet: None,
            status: 0,
            first: true,
            at,
            complete: Some(at),
            server_last,
        }
    }

    #[test]
    fn inside_tls_a_request_of_many_records_is_one() {
        let mut requests = Requests::default();
        for at in 10..20 {
            assert_eq!(requests.boundary(&sealed(Side::ToServer, at, 0)), None);
        }
        requests.sealed_until(25);
        requests.boundary(&sealed(Side::ToClient, 30, 30));
        requests.boundary(&sealed(Side::ToServer, 40, 35));
        let summary = requests.summary().unwrap();
        assert_eq!(summary.count.0, 2);
        assert_eq!(summary.server_ns.unwrap().max.0, 5);
    }

    #[test]
    fn inside_tls_the_next_request_ends_the_response_before_it() {
        let mut requests = Requests::default();
        requests.boundary(&sealed(Side::ToServer, 10, 0));
        requests.boundary(&sealed(Side::ToClient, 20, 20));
        requests.boundary(&sealed(Side::ToServer, 100, 40));
        let summary = requests.summary().unwrap();
        assert_eq!((summary.count.0, summary.batch.0), (2, 0));
        assert_eq!(summary.server_ns.unwrap().max.0, 10);
    }
}
