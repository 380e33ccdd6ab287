//! What this host says of itself and of its processes: all of it read from `/proc`.

mod capabilities;
mod cgroups;
mod earlier;
mod process;

use std::fs;

pub use capabilities::missing_capabilities;
pub use cgroups::cgroup_root;
pub use earlier::Earlier;
pub use process::Processes;

/// The host's name, for `host.name`.
pub fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
