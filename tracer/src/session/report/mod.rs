//! What connections say, as records: the only place that fills `record`'s types.

mod about;
mod attempt;
mod causes;
mod certificates;
mod close;
mod common;
mod facts;
mod incidents;
mod kept;
mod login;
mod lookup;
mod losses;
mod own;
mod requests;
mod strangers;
mod untried;

use std::net::IpAddr;

use zeroize::Zeroizing;

pub(in crate::session) use self::{
    about::About,
    attempt::Joining,
    causes::diagnose_close,
    close::{complete, describe_close},
    kept::Kept,
    requests::command_phase,
};
use self::{certificates::Certificates, kept::Commons, losses::Losses};
use super::{
    attempts::{Attempts, Place},
    diagnosis::Neighbours,
    dialogue::Decision,
    incidents::Incidents,
    input::{Config, Decided, Listener, Standing},
    ledger::{Debt, Ledger},
    resolutions::Resolutions,
    services::Services,
    verdict::phases::Span,
    wire::{End, Identity, Wire},
};
use crate::{
    record::{Body, ConnectionRef, Endpoint, LossReason, PhaseName, Record, Server, Translation},
    tds::tls::Fingerprints,
};

/// What all connections share.
#[derive(Debug)]
pub(in crate::session) struct Shared {
    pub(in crate::session) config: Config,
    pub(in crate::session) standing: Standing,
    losses: Losses,
    certificates: Certificates,
    commons: Commons,
    pub(in crate::session) attempts: Attempts,
    pub(in crate::session) resolutions: Resolutions,
    pub(in crate::session) services: Services,
    pub(in crate::session) neighbours: Neighbours,
    pub(in crate::session) incidents: Incidents,
    /// What time it is, nanoseconds as in events.
    pub(in crate::session) now: u64,
    /// Up to when records of any connection may not have arrived, in the same way.
    lost_until: u64,
    /// For the bytes of a packet while it is read.
    pub(in crate::session) memory: Zeroizing<Vec<u8>>,
    pub(in crate::session) fingerprints: Fingerprints,
}

/// What a connection needs to be told.
pub(in crate::session) struct Report<'a> {
    pub(in crate::session) shared: &'a mut Shared,
    listener: &'a mut dyn Listener,
}

/// A login, decided or told as it stands.
#[derive(Debug)]
pub(in crate::session) struct Conclusion {
    pub(in crate::session) decision: Decision,
    /// The message that was due, where that is to be told.
    pub(in crate::session) debt: Option<Debt>,
    pub(in crate::session) spans: Vec<Span>,
    /// The phase the login was in.
    pub(in crate::session) phase: PhaseName,
    /// The server's answer decided it.
    pub(in crate::session) answered: bool,
    /// All of the connection was seen so far.
    pub(in crate::session) whole: bool,
    /// Some of what the server said passed unseen.
    pub(in crate::session) answer_was_missed: bool,
    /// Bytes of what the server said that the client still waits for, though later ones have come.
    pub(in crate::session) answer_lacks: Option<u32>,
    /// All that happened.
    pub(in crate::session) ledger: Ledger,
}

impl Shared {
    pub(in crate::session) fn new(config: Config) -> Self {
        Self {
            incidents: Incidents::new(config.incidents),
            now: 0,
            lost_until: 0,
            config,
            standing: Standing::default(),
            losses: Losses::default(),
            certificates: Certificates::default(),
            commons: Commons::default(),
            attempts: Attempts::default(),
            resolutions: Resolutions::default(),
            services: Services::default(),
            neighbours: Neighbours::default(),
            memory: Zeroizing::default(),
            fingerprints: Fingerprints::default(),
        }
    }

    pub(in crate::session) fn report<'a>(
        &'a mut self,
        listener: &'a mut dyn Listener,
    ) -> Report<'a> {
        Report {
            shared: self,
            listener,
        }
    }

    /// Whether the end of a connection of which nothing else was seen may be told.
    pub(in crate::session) fn allow_end(&mut self, now: u64) -> bool {
        self.losses.allow_end(now)
    }

    /// Something was not seen, or is not told.
    pub(in crate::session) fn lose(&mut self, reason: LossReason, count: u64) {
        self.losses.add(reason, count);
    }

    /// Up to now the kernel could not hand over all records.
    pub(in crate::session) fn records_lost(&mut self, now: u64) {
        self.lost_until = self.lost_until.max(now);
    }

    /// Whether what seems to be silence since then may be records that were lost.
    pub(in crate::session) const fn may_lack_records(&self, since: u64) -> bool {
        since <= self.lost_until
    }

    /// Tells what was not seen since that was last told.
    pub(in crate::session) fn tell_losses(&mut self, now: u64, listener: &mut dyn Listener) {
        self.losses.tell(now, &self.config, listener);
    }
}

impl Report<'_> {
    /// Events missing from a connection's numbering.
    pub(in crate::session) fn events_missing(&mut self, count: u32) {
        self.shared.lose(LossReason::EventsMissing, count.into());
    }

    /// A connection that the kernel's table had no room for, for a while.
    pub(in crate::session) fn flow_forgotten(&mut self) {
        self.shared.lose(LossReason::FlowTableFull, 1);
    }

    /// SQL Browser has announced that SQL Server listens there.
    pub(in crate::session) fn announced(&mut self, server: (IpAddr, u16)) {
        self.listener.announced(server);
    }

    /// A login's reply has sent its client there.
    pub(in crate::session) fn redirected(&mut self, client: IpAddr, to: Place) {
        self.listener.redirected(client, to);
    }

    /// A login is decided: nobody need copy its connection's bytes any more.
    pub(in crate::session) fn decided(&mut self, decided: Decided) {
        self.listener.decided(decided);
    }

    fn tell(&mut self, at: u64, body: Body) {
        self.listener.record(Record {
            timestamp: self.shared.config.wall(at),
            body,
        });
    }
}

/// The short name that records of one request or session carry.
fn reference(wire: &Wire) -> ConnectionRef {
    ConnectionRef {
        id: wire.id(),
        community_id: Some(wire.identity().community_id()),
    }
}

fn client(wire: &Wire) -> Endpoint {
    endpoint(wire.identity().client)
}

fn endpoint(End { address, port }: End) -> Endpoint {
    Endpoint { address, port }
}

/// Other addresses of a connection.
fn translation(identity: &Identity) -> Translation {
    Translation {
        client: endpoint(identity.client),
        server: endpoint(identity.server),
    }
}

fn server(wire: &Wire) -> Server {
    let end = wire.identity().server;
    Server {
        address: end.address,
        port: end.port,
        instance: None,
    }
}
