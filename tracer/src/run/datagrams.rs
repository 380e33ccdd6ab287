//! What is asked and answered beside a login, from the kernel's record to the engine.

use std::net::IpAddr;

use tracer_ebpf::{
    datagram::Datagram,
    event::Owner,
    flow::FlowKey,
    packet::{Link, walk},
    seq::Seq,
};

use super::owners::Owners;
use crate::{
    capture::{beside, datagrams},
    session::{self, Beside, Engine, Input, Listener},
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
    let network = (told.ethertype, packet);
    let process = (told.pid != 0).then(|| owners.processes.of(&owner(told)));
    let own = address(told.local).map(|address| (address, told.local_port));
    let other = address(told.remote);
    if let Some((service, mut read)) = datagrams::read(network, told.time) {
        if told.at_asker != 0 {
            read.asker = own.unwrap_or(read.asker);
            read.browser = other.unwrap_or(read.browser);
            read.process = process.as_ref();
        }
        engine.on_event(service.input(read), to);
        return;
    }
    let read = beside::datagram(network, told.time).or_else(|| segment(told, packet));
    if let Some(mut read) = read {
        read.client = own.unwrap_or(read.client);
        read.service.0 = other.unwrap_or(read.service.0);
        read.process = process.as_ref();
        engine.on_event(Input::Beside(read), to);
    }
}

/// A segment of a connection to a service.
fn segment<'a>(told: &Datagram, packet: &'a [u8]) -> Option<Beside<'a>> {
    let walked = walk(packet, Link::Network(told.ethertype)).ok()?;
    let read = beside::segment(&walked, packet, told.time)?;
    Some(Beside {
        opened: Some(told.opened).filter(|at| *at != 0),
        accepted: Some(told.accepted).filter(|at| *at != 0),
        ..read
    })
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
    let address = session::address(words);
    (!address.is_unspecified()).then_some(address)
}
