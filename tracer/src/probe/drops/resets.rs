//! Why this kernel resets a connection, where it says so (Linux 6.10).

use aya::Ebpf;

use super::{Seen, attach, btf::Types};

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

/// Where this kernel has the fields of a socket.
pub(super) fn layout(types: &Types<'_>) -> Option<[u32; FIELDS.len()]> {
    let mut places = [0; FIELDS.len()];
    for (place, (structure, field)) in places.iter_mut().zip(FIELDS) {
        *place = types.field(structure, field)?;
    }
    Some(places)
}

/// Loads and attaches the program.
pub(super) fn watch(ebpf: &mut Ebpf, types: &Types<'_>) -> Result<Seen, String> {
    let names = types.values("sk_rst_reason").into_iter();
    let said = names.filter_map(|(number, name)| {
        let name = name.strip_prefix(PREFIX)?;
        (name != UNSAID).then(|| (number, name.to_owned()))
    });
    let reasons: Vec<_> = said.collect();
    if reasons.is_empty() {
        return Err("the kernel does not say why (Linux 6.10 does)".into());
    }
    let seen = Seen::of_map(ebpf, "RESETS", reasons)?;
    attach(ebpf, PROGRAM, EVENT)?;
    Ok(seen)
}
