//! What is usual at servers, as it is kept from one run to the next: types only.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// What is usual at each server that was seen, those that were seen last first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baselines {
    /// The servers: no more than are followed.
    pub servers: Vec<ServerBaseline>,
}

/// What is usual at a server. Times are counted by buckets of microseconds, eight to a doubling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerBaseline {
    /// IPv4 or IPv6 address.
    pub address: IpAddr,
    /// TCP port.
    pub port: u16,
    /// How long it is waited for in each phase of logins that go well: bucket and count, ascending.
    pub phases: BTreeMap<String, Vec<(u16, u32)>>,
    /// The round trip, the same.
    pub round_trip: Vec<(u16, u32)>,
}

impl ServerBaseline {
    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        self.phases.is_empty() && self.round_trip.is_empty()
    }
}
