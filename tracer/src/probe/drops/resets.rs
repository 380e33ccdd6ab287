//! Why this kernel resets a connection, where it says so (Linux 6.10).

use std::net::IpAddr;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};

use super::{Key, Value, attach, btf::Types, load, seen};

const PROGRAM: &str = "tds_reset";
pub(super) const EVENT: &str = "tcp_send_reset";
/// What the kernel's names for reasons begin with.
const PREFIX: &str = "SK_RST_REASON_";
/// What says nothing.
const UNSAID: &str = "NOT_SPECIFIED";

/// Fields of a socket, in the order of [`tracer_ebpf::dropped::SocketLayout`].
const FIELDS: [(&str, &str); 7] = [
    ("sock_common", "skc_family"),
    ("sock_common", "skc_rcv_saddr"),
    ("sock_common", "skc_daddr"),
    ("sock_common", "skc_v6_rcv_saddr"),
    ("sock_common", "skc_v6_daddr"),
    // Of the two where it is this one stays, when the socket has let go of its port.
    ("inet_sock", "inet_sport"),
    ("sock_common", "skc_dport"),
];

/// What the program has seen.
pub(super) struct Resets {
    seen: HashMap<MapData, Key, Value>,
    /// The names of reasons, by their numbers.
    reasons: Vec<(u32, String)>,
}

/// Where this kernel has the fields of a socket.
pub(super) fn layout(types: &Types<'_>) -> Option<[u32; FIELDS.len()]> {
    let mut places = [0; FIELDS.len()];
    for (place, (structure, field)) in places.iter_mut().zip(FIELDS) {
        *place = types.field(structure, field)?;
    }
    Some(places)
}

impl Resets {
    /// Loads and attaches the program.
    pub(super) fn watch(ebpf: &mut Ebpf, types: &Types<'_>) -> Result<Self, String> {
        let names = types.values("sk_rst_reason").into_iter();
        let said = names.filter_map(|(number, name)| {
            let name = name.strip_prefix(PREFIX)?;
            (name != UNSAID).then(|| (number, name.to_owned()))
        });
        let reasons: Vec<_> = said.collect();
        if reasons.is_empty() {
            return Err("the kernel does not say why (Linux 6.10 does)".into());
        }
        let seen = load::map(ebpf, "RESETS").map_err(|error| error.to_string())?;
        attach(ebpf, PROGRAM, EVENT)?;
        Ok(Self {
            seen: seen
                .try_into()
                .map_err(|error: aya::maps::MapError| error.to_string())?,
            reasons,
        })
    }

    /// See [`super::Drops::reset`].
    pub(super) fn of(&self, from: (IpAddr, u16), to: (IpAddr, u16), since: u64) -> Option<&str> {
        let reset = seen(&self.seen, from, to, since)?;
        let (_, name) = self.reasons.iter().find(|(of, _)| *of == reset.reason)?;
        Some(name)
    }
}
