//! From a process id to what a person knows the process by.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use tracer_ebpf::event::Owner;

use super::cgroups::Cgroups;
use crate::record::{Process, Text};

/// Processes remembered; a busy host opens connections from a few again and again.
const MAX_KNOWN: usize = 4096;
/// How long an answer is good for: a process id is used again only much later.
const LIFETIME: Duration = Duration::from_secs(10);
/// Hexadecimal digits of a container's id, as Docker, containerd and CRI-O write it.
const CONTAINER_ID: usize = 64;

/// Id, user, name and control group.
type Key = (u32, u32, [u8; 16], u64);

/// Processes by their keys.
#[derive(Debug, Default)]
pub struct Processes {
    known: HashMap<Key, (Instant, Process)>,
    cgroups: Cgroups,
}

impl Processes {
    /// The process of a socket. One that is gone already keeps its id, name and control group.
    pub fn of(&mut self, owner: &Owner) -> Process {
        let key = (owner.pid, owner.uid, owner.name, owner.cgroup);
        let now = Instant::now();
        if let Some((since, process)) = self.known.get(&key)
            && now.duration_since(*since) < LIFETIME
        {
            return process.clone();
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let mut process = look_up(owner);
        if process.cgroup.is_none() && owner.cgroup != 0 {
            let path = self.cgroups.path(owner.cgroup);
            process.container_id = path.and_then(container).map(Text::from);
            process.cgroup = path.map(Text::from);
        }
        self.known.insert(key, (now, process.clone()));
        process
    }
}

fn look_up(owner: &Owner) -> Process {
    let end = owner
        .name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(owner.name.len());
    let name = String::from_utf8_lossy(&owner.name[..end]);
    let mut process = Process {
        pid: owner.pid,
        // Of a socket without a process nobody told a user either.
        uid: (owner.pid != 0).then_some(owner.uid),
        name: (!name.is_empty()).then(|| Text::from(&*name)),
        ..Process::default()
    };
    if owner.pid == 0 {
        return process;
    }
    let folder = format!("/proc/{}", owner.pid);
    // The hook was told the name of the thread that it interrupted.
    if let Ok(name) = fs::read_to_string(format!("{folder}/comm")) {
        process.name = Some(Text::from(name.trim_end()));
    }
    if let Ok(path) = fs::read_link(format!("{folder}/exe")) {
        process.executable = Some(Text::from(&*path.to_string_lossy()));
    }
    if let Ok(groups) = fs::read_to_string(format!("{folder}/cgroup")) {
        process.container_id = groups.lines().find_map(container).map(Text::from);
        process.cgroup = path(&groups).map(Text::from);
    }
    process
}

/// The path in the unified hierarchy (the line without controllers, cgroups(7)); where the process
/// is at its root, the first path of another that names a container.
fn path(groups: &str) -> Option<&str> {
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let mut others = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    match unified {
        Some(path) if path != "/" => Some(path),
        _ => others.find(|path| container(path).is_some()).or(unified),
    }
}

/// The container's id in a cgroup's path, whatever is written around it.
fn container(line: &str) -> Option<&str> {
    line.rsplit(['/', '-', ':', '.']).find(|part| {
        part.len() == CONTAINER_ID && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_in_every_runtimes_path() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("0::/system.slice/docker-{id}.scope"),
            format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("0::/kubepods/besteffort/pod1/{id}"),
            format!("4:memory:/docker/{id}"),
        ] {
            assert_eq!(container(&path), Some(id.as_str()), "{path}");
        }
        assert_eq!(
            container("0::/user.slice/user-1000.slice/session-2.scope"),
            None
        );
    }

    #[test]
    fn a_process_that_is_gone_keeps_its_id_user_and_name() {
        let mut owner = Owner {
            pid: u32::MAX,
            uid: 1000,
            ..Owner::default()
        };
        owner.name[..4].copy_from_slice(b"tsql");
        let process = Processes::default().of(&owner);
        assert_eq!((process.pid, process.uid), (u32::MAX, Some(1000)));
        assert_eq!(process.name.as_deref(), Some("tsql"));
        assert_eq!(process.executable, None);
    }

    #[test]
    fn a_socket_whose_process_is_not_known_has_no_user() {
        let process = Processes::default().of(&Owner::default());
        assert_eq!(process.uid, None);
    }

    #[test]
    fn this_process_has_an_executable_and_no_threads_name() {
        let mut owner = Owner {
            pid: std::process::id(),
            ..Owner::default()
        };
        owner.name[..6].copy_from_slice(b"worker");
        let process = Processes::default().of(&owner);
        assert!(process.executable.is_some());
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(process.name.as_deref(), Some(own.trim_end()));
    }
}
