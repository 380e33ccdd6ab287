//! What is usual at servers, as it is kept from one run to the next: types only.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

/// What is usual at each server that was seen, those that were seen last first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// The servers: no more than are followed.
    pub servers: Vec<ServerBaseline>,
    /// How often logins go wrong at all times, as far as that is known.
    #[serde(default)]
    pub troubles: Troubles,
}

/// How often logins go wrong at all times: more than that is an incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Troubles {
    /// For how long logins have been watched, nanoseconds.
    pub watched_ns: u64,
    /// Those that were met: no more than are followed.
    pub met: Vec<TroubleBaseline>,
}

/// A trouble at a place that is met now and then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TroubleBaseline {
    /// A cause, or what several are signs of.
    pub family: String,
    /// The server's error, where the trouble is that it refuses; else 0.
    #[serde(default, skip_serializing_if = "is_none")]
    pub error: u32,
    /// Of one server: its address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<(IpAddr, u16)>,
    /// Of one client: its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// That client's process, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// How many logins a minute meet it.
    pub per_minute: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde calls it")]
fn is_none(error: &u32) -> bool {
    *error == 0
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
