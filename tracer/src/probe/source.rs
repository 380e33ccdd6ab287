//! Where packets are seen: at the sockets of the host, or at the interfaces of a network namespace.

use super::{Options, StartError};
use crate::host::is_in_a_chosen_network;

/// Where packets are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// At the sockets of the host, in whatever network namespace: each connection once, with its
    /// process, however its addresses are rewritten on the way.
    Sockets,
    /// At the interfaces of the agent's network namespace: what is forwarded too.
    Interfaces,
}

/// What is preferred of the two, and why the other one is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one, whatever comes of it.
    Only(Source),
    /// Sockets, and interfaces where those cannot be had.
    SocketsFirst,
    /// Interfaces, since not all sockets can be seen.
    InterfacesInstead(String),
}

impl Choice {
    /// What these options mean on this host.
    pub(super) fn of(options: &Options) -> Self {
        if let Some(source) = options.source {
            return Self::Only(source);
        }
        // Interfaces are named, or a network was chosen by its namespace; unless it is for what passes there
        // beside sockets.
        if !options.transit && (options.interfaces.is_limited() || is_in_a_chosen_network()) {
            return Self::Only(Source::Interfaces);
        }
        match options.groups.as_deref() {
            None => {
                Self::InterfacesInstead("no cgroup v2 hierarchy is mounted, and none may be".into())
            }
            Some(groups) => match groups.shortfall().filter(|_| !groups.is_named()) {
                Some(shortfall) => Self::InterfacesInstead(shortfall),
                None => Self::SocketsFirst,
            },
        }
    }
}

/// Whether interfaces may do where sockets have failed for this.
pub(super) const fn is_of_sockets(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Refused { .. } | StartError::Map(_) | StartError::NoSockets(_)
    )
}
