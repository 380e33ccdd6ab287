//! Which of the host's names mean the same to this process.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
};

/// The inodes that the first namespaces have on every Linux (`linux/proc_ns.h`).
const FIRST_PIDS: u64 = 0xEFFF_FFFC;
const FIRST_CGROUPS: u64 = 0xEFFF_FFFB;

/// Whether `/proc` lists processes by the ids that the kernel programs tell, the host's: a process is
/// listed where its own namespace or one around it is. So this one, if it is in the host's; else
/// the first that is listed, which is in the namespace that `/proc` was mounted in.
pub fn has_the_hosts_pids() -> bool {
    ["self", "1"]
        .iter()
        .any(|process| is(process, "pid", FIRST_PIDS))
}

/// Whether this process was put into a network namespace that is not the host's, and into no container for
/// it: `ip netns exec` does that. In a container nobody can tell.
pub fn is_in_a_chosen_network() -> bool {
    let network = |process| Some(fs::metadata(format!("/proc/{process}/ns/net")).ok()?.ino());
    // The first process may have capabilities that root has not, and then shows nothing; the second is the
    // kernel's own.
    let mut hosts = ["1", "2"].into_iter();
    let hosts = hosts.find(|process| is(process, "pid", FIRST_PIDS));
    let hosts = hosts.and_then(network);
    has_the_hosts_cgroups() && hosts.is_some_and(|hosts| network("self") != Some(hosts))
}

/// Whether `/proc/PID/cgroup` has paths as the host has them.
pub(super) fn has_the_hosts_cgroups() -> bool {
    is("self", "cgroup", FIRST_CGROUPS)
}

/// The host's cgroup namespace, if it is another than this one's, and a process is in sight that is in it.
pub(super) fn hosts_cgroups() -> Option<File> {
    if has_the_hosts_cgroups() {
        return None;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut namespaces =
        processes.filter_map(|process| File::open(process.path().join("ns/cgroup")).ok());
    namespaces.find(|namespace| {
        let found = namespace.metadata();
        found.is_ok_and(|found| found.ino() == FIRST_CGROUPS)
    })
}

fn is(process: &str, kind: &str, inode: u64) -> bool {
    let namespace = fs::metadata(format!("/proc/{process}/ns/{kind}"));
    namespace.is_ok_and(|namespace| namespace.ino() == inode)
}
