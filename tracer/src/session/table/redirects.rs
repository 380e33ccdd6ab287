//! Clients that have just left a sealed login without a request: perhaps for elsewhere.

use std::net::IpAddr;

use foldhash::HashMap;
use tracer_ebpf::{
    event::{Event, role},
    flow::FlowKey,
};

use crate::session::{connection::Connection, input::SocketOwner, wire::Identity};

/// Clients remembered.
const MAX_LEAVERS: usize = 4096;
/// How long, nanoseconds: a driver goes elsewhere at once.
const PATIENCE: u64 = 2_000_000_000;

/// A login that a client has left.
#[derive(Clone, Copy, Debug)]
struct Leaver {
    key: FlowKey,
    server: (IpAddr, u16),
    at: u64,
}

/// By process: only the same one goes where its login was sent. In a capture there are none, and
/// nothing is concluded.
#[derive(Debug, Default)]
pub(super) struct Redirects(HashMap<u32, Vec<Leaver>>);

impl Redirects {
    /// A client has left a login that is not decided yet.
    pub(super) fn leaves(&mut self, connection: &Connection) {
        let Some(process) = &connection.about.process else {
            return;
        };
        let server = connection.wire.identity().server;
        let key = connection.wire.key;
        if self.0.len() >= MAX_LEAVERS {
            return;
        }
        let leavers = self.0.entry(process.pid).or_default();
        if leavers.iter().all(|leaver| leaver.key != key) {
            leavers.push(Leaver {
                key,
                server: (server.address, server.port),
                at: connection.wire.last_seen,
            });
        }
    }

    /// The login that was left by the process which opens this connection to another server.
    pub(super) fn followed_by(&mut self, event: &Event, owners: &[SocketOwner]) -> Option<FlowKey> {
        let of_client = |owner: &&SocketOwner| owner.role & role::CLIENT != 0;
        let pid = owners.iter().find(of_client)?.process.pid;
        let leavers = self.0.get_mut(&pid)?;
        let server = Identity::of(&event.key, event.client_is_a != 0).server;
        let here = (server.address, server.port);
        let place = leavers.iter().position(|leaver| leaver.server != here)?;
        Some(leavers.remove(place).key)
    }

    /// Forgets those who left long ago.
    pub(super) fn forget(&mut self, now: u64) {
        self.0.retain(|_, leavers| {
            leavers.retain(|leaver| leaver.at.saturating_add(PATIENCE) > now);
            !leavers.is_empty()
        });
    }
}
