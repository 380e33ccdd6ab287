//! Where instances listen, by what SQL Browser has answered a client.

use std::net::IpAddr;

use foldhash::HashMap;

use crate::{
    record::Text,
    session::{exchange::Announced, wire::Identity},
};

/// Instances remembered.
const MAX_INSTANCES: usize = 4096;
/// How long, nanoseconds: a driver connects at once, and tries again for as long as its timeout; few
/// are longer than this.
const PATIENCE: u64 = 60_000_000_000;

/// By client and server: a client goes by its own answer.
#[derive(Debug, Default)]
pub(super) struct Instances(HashMap<(IpAddr, (IpAddr, u16)), Known>);

#[derive(Debug)]
struct Known {
    instance: Text,
    since: u64,
}

impl Instances {
    /// A client is told where an instance listens.
    pub(super) fn learn(&mut self, announced: Announced, now: u64) {
        let Announced {
            client,
            server,
            instance,
        } = announced;
        let place = (client, server);
        if self.0.len() < MAX_INSTANCES || self.0.contains_key(&place) {
            let since = now;
            self.0.insert(place, Known { instance, since });
        }
    }

    /// The instance that listens where a connection goes to, as its client was told.
    pub(super) fn of(&self, ends: &Identity) -> Option<&Text> {
        let server = (ends.server.address, ends.server.port);
        let known = self.0.get(&(ends.client.address, server))?;
        Some(&known.instance)
    }

    /// Forgets what was told long ago.
    pub(super) fn forget(&mut self, now: u64) {
        self.0
            .retain(|_, known| known.since.saturating_add(PATIENCE) > now);
    }
}
