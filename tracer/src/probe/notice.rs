//! What a probe says of itself.

use super::attach::Hook;

/// Something about the probe itself that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The programs watch an interface, or one has this name now.
    Attached {
        /// Its index.
        ifindex: u32,
        /// Its name.
        name: String,
        /// How they are attached.
        hook: Hook,
    },
    /// An interface has this name; nothing is attached to it.
    Named {
        /// Its index.
        ifindex: u32,
        /// Its name.
        name: String,
    },
    /// An interface is gone, has another name now, or one that is not wanted.
    Detached {
        /// Its index.
        ifindex: u32,
        /// Its name.
        name: String,
    },
    /// Something works less well than it could.
    Degraded {
        /// What is missing.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// An interface is not watched.
pub(super) const INTERFACE: &str = "interface";
/// Interfaces that come later are not watched.
pub(super) const INTERFACES: &str = "interfaces";
/// Somebody else's filters come first.
pub(super) const FILTERS: &str = "filters";
/// Somebody removed the programs' filters: they are put back.
pub(super) const FILTERS_REMOVED: &str = "filters_removed";
/// Not all sockets can be seen, so that interfaces are watched in their place.
pub(super) const SOCKETS: &str = "sockets";
/// Who sends datagrams is not known.
pub(super) const SENDERS: &str = "senders";
/// What processes ask beside their logins is not seen.
pub(super) const SIDE_TRAFFIC: &str = "side_traffic";
/// What watched processes try in vain is not seen.
pub(super) const WATCHED: &str = "watch_process";
/// The kernel has no TCX, or does not let it be used.
pub(super) const TCX: &str = "tcx";
