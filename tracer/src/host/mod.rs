//! What this host says of itself and of its processes: read from `/proc` and from the control groups'
//! directories.

mod capabilities;
mod cgroups;
pub mod containers;
mod earlier;
mod held;
mod hierarchy;
mod memory;
mod namespaces;
mod process;
mod servers;
mod witness;

use std::fs;

use rustix::time::{ClockId, clock_gettime};

pub use capabilities::missing_capabilities;
pub use containers::Containers;
pub use earlier::Earlier;
pub use hierarchy::{Hierarchy, NoGroup};
pub use memory::memory_limit;
pub use namespaces::{has_the_hosts_pids, is_in_a_chosen_network};
pub use process::Processes;
pub(crate) use process::own_name;
pub use servers::{is_sql_server_at, named, sql_servers};
pub use witness::Witness;

/// The host's name, for `host.name`.
pub fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// The hooks' clock, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let nanoseconds = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(nanoseconds).unwrap_or_default()
}
