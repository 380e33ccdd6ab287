//! What is asked and answered beside a login, from the kernel's record to the engine.

use std::net::{IpAddr, Ipv6Addr};

use tracer_ebpf::{datagram::Datagram, event::Owner, flow::FlowKey, seq::Seq};

use super::owners::Owners;
use crate::{
    capture::datagrams,
    session::{Engine, Listener},
};

/// Tells the engine what a packet of a socket says. It is read as a captured one is; the socket knows its own
/// ends better, whose packets may have had other addresses on the way.
pub(super) fn tell(
    engine: &mut Engine,
    owners: &mut Owners,
    told: &Datagram,
    packet: &[u8],
    to: &mut dyn Listener,
) {
    let Some((service, mut read)) = datagrams::read((told.ethertype, packet), told.time) else {
        return;
    };
    let process = (told.pid != 0).then(|| owners.processes.of(&owner(told)));
    let own = address(told.local).map(|address| (address, told.local_port));
    let other = address(told.remote);
    if told.at_asker != 0 {
        read.asker = own.unwrap_or(read.asker);
        read.browser = other.unwrap_or(read.browser);
        read.process = process.as_ref();
    }
    engine.on_event(service.input(read), to);
}

/// Whose socket it is.
fn owner(told: &Datagram) -> Owner {
    Owner {
        kind: told.kind,
        reserved: [0; 7],
        time: told.time,
        held: told.held,
        cgroup: told.cgroup,
        key: FlowKey::default(),
        role: 0,
        pid: told.pid,
        uid: told.uid,
        client_isn: Seq(0),
        server_isn: Seq(0),
        name: told.name,
    }
}

/// An address of a socket; `None` where it has none of its own.
fn address(words: [u32; 4]) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    let address = Ipv6Addr::from(bytes).to_canonical();
    (!address.is_unspecified()).then_some(address)
}
