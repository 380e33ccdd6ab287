//! Whom the host's witness has to look at: the processes at both ends of a connection.

use std::net::SocketAddr;

use tracer_ebpf::{event::role, flow::FlowKey};

use crate::{
    host::Witness,
    session::{SocketOwner, address},
};

/// Tells the witness who has opened or accepted a connection.
pub(super) fn tell(owner: &SocketOwner, witness: &mut Witness) {
    let pid = owner.process.pid;
    if owner.role & role::CLIENT != 0 {
        witness.begins(pid, ends(&owner.key));
    } else {
        witness.accepts(pid, ends(&owner.key));
    }
}

/// Both ends of a connection, in the order of its key.
pub(super) fn ends(key: &FlowKey) -> [SocketAddr; 2] {
    [(key.a, key.a_port), (key.b, key.b_port)]
        .map(|(words, port)| SocketAddr::new(address(words), port))
}
